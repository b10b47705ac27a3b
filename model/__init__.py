"""MoE training and inference over token shards; knows `pipeline/tokenization/SHARDS.md` only.

The modules here are commands: `python -m model.train`. Their work is in the folders, and every import goes down this list:

    study            what a recipe costs, runs compared, load of experts, corpora compared
    serving          models for inference engines, servers
    posttraining     conversations, fine-tuning, preferences, answers
    training         options, loop, checkpoints, evaluation, metrics, export
    verification     verifiers of answers: arithmetic, code in a sandbox
    architecture     sizes, routers, Hunyuan-Large's layers, the head's loss, experts shared among ranks
    data             shards, packing, the stream, the loader
    base             options from YAML, errors, files, hashes, tables, command lines
"""
