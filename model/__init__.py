"""MoE training and inference over token shards; knows `pipeline/tokenization/SHARDS.md` only."""
