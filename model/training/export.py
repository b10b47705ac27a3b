"""The export of a trained model to Hugging Face's format, which stock transformers reads.

config.json, generation_config.json, model*.safetensors     one tensor an expert, as the published model has them; with
                                                            `cross_layer` fused, of a type of our own
                                                            (model/architecture/cross_layer.py)
tokenizer.json, tokenizer_config.json                       the shards' own
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from model.architecture.config import ModelOptions
from model.architecture.cross_layer import causal
from model.architecture.dots1 import dots1_config
from model.base.files import replacing
from model.data.shards import Shards


def export(state: dict[str, torch.Tensor], options: ModelOptions, shards: Shards, folder: Path) -> Path:
    """Write a model that stock `Dots1ForCausalLM.from_pretrained` reads, or with `cross_layer` `cross_layer.load` alone, in
    the precision of `state`.

    :param state: full tensors on the CPU by the stock model's names.
    :param folder: replaced, when the new one is whole.
    """
    with torch.device("meta"):
        model = causal(dots1_config(options))
    model.load_state_dict(state, assign=True)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=options.eos_token_id, pad_token_id=options.eos_token_id
    )
    with replacing(folder) as part:
        model.save_pretrained(part)
        (part / "tokenizer.json").write_bytes(shards.read(shards.tokenizer_file))
        (part / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(options, shards), indent=1) + "\n")
    return folder


def tokenizer_config(options: ModelOptions, shards: Shards) -> dict[str, Any]:
    """Make what transformers wants beside `tokenizer.json`."""
    eos = shards.eod_token
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": eos,
        "pad_token": eos,
        "model_max_length": options.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
    }
