"""corpusmill's pipeline: crawled pages to clean, deduplicated, balanced, tokenized shards.

Stages are subpackages (`preparation`, `rule_based`, `model_based`, `tokenization`); Spark lives in `pipeline.spark` alone.
"""

__version__ = "0.1.0"
