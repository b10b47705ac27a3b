"""Pre-training: options, schedule, the loop, checkpoints, evaluation, metrics, the export to Hugging Face's format."""
