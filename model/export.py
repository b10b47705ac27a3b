"""A trained model in Hugging Face's format, for `transformers`, vLLM, SGLang and others.

config.json, generation_config.json, model*.safetensors     one tensor an expert, as the published model has them; with
                                                            `cross_layer` fused, and of a type of our own (model/layers.py)
tokenizer.json, tokenizer_config.json                       the shards' own
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from model import layers
from model.config import ModelOptions
from model.shards import Shards


def export(state: dict[str, torch.Tensor], options: ModelOptions, shards: Shards, folder: Path) -> Path:
    """Write a model that stock `Dots1ForCausalLM.from_pretrained` reads, or with `cross_layer` `model.layers.load` alone, in
    the precision of `state`.

    :param state: full tensors on the CPU by the stock model's names.
    :param folder: replaced, when the new one is whole.
    """
    with torch.device("meta"):
        model = layers.causal(options.dots1())
    model.load_state_dict(state, assign=True)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=options.eos_token_id, pad_token_id=options.eos_token_id
    )
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    (part / "tokenizer.json").write_bytes(shards.read(shards.tokenizer_file))
    (part / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(options, shards), indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return folder


def tokenizer_config(options: ModelOptions, shards: Shards) -> dict[str, Any]:
    """What transformers wants beside `tokenizer.json`."""

    eos = shards.eod_token
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": eos,
        "pad_token": eos,
        "model_max_length": options.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
    }
