"""A model of a few thousand weights with a tokenizer of bytes, exported as model/training/export.py does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

EOD, BEGIN, END = 256, 257, 258
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def write_tokenizer(folder: Path, marks: Sequence[str] = MARKS) -> Path:
    """Write a tokenizer of bytes and the marks; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(marks))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": marks[0], "pad_token": marks[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 512}))
    return folder


def write_model(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Write a model with drawn weights, experts' biases too; return its folder."""
    import torch
    from transformers import Dots1ForCausalLM

    from model.architecture.config import ModelOptions
    from model.architecture.dots1 import dots1_config

    sizes = {
        **{"vocab_size": 264, "hidden_size": 32, "intermediate_size": 48, "moe_intermediate_size": 16},
        **{"num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16},
        **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "max_position_embeddings": 512},
        **{"eos_token_id": EOD, "initializer_range": 0.1},
    }
    torch.manual_seed(seed)
    model = Dots1ForCausalLM(dots1_config(ModelOptions(**(sizes | changes))))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3 if "gate.weight" in name else 0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.uniform_(-0.05, 0.05)
    model.save_pretrained(folder)
    return write_tokenizer(folder)


def conversation(*turns: str, source: str = "made", system: str | None = None) -> dict[str, Any]:
    """Make a row of a conversation, user and assistant in turn."""
    messages = [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(turns)]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return {"messages": messages, "source": source}


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path
