"""Stage 4: documents to token shards. SHARDS.md specifies the format."""
