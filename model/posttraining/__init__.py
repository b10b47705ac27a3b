"""Post-training: conversations, chat template, supervised and rejection-sampling fine-tuning, preferences, answers."""
