"""A small encoder made on the spot: random weights, but files in the real format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace


def write_encoder(folder: str, words: Sequence[str], model: str = "BertModel", seed: int = 0, **settings: Any) -> None:
    """:param words: the vocabulary.
    :param model: a class of transformers, with a head or without.
    """
    import torch

    vocabulary = ["[PAD]", "[UNK]", *words]
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        **settings,
    )
    getattr(transformers, model)(config).save_pretrained(folder)


def write_sentence_encoder(folder: str, words: Sequence[str], pooling: str = "mean") -> None:
    """The same as a sentence-transformers checkpoint: encoder, pooling, vectors of length one."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    write_encoder(folder + "-encoder", words)
    encoder = Transformer(folder + "-encoder")
    modules = [encoder, Pooling(encoder.get_embedding_dimension(), pooling), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(folder)
