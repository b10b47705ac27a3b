"""A small model in Hugging Face's format with a real byte-level tokenizer, both made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pyarrow import fs
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Dots1ForCausalLM

from model.architecture.config import ModelOptions
from model.architecture.dots1 import dots1_config
from model.data.shards import Shards
from model.training.export import export

EOD = "<|endoftext|>"
MARKS = [EOD, "<|im_start|>", "<|im_end|>"]
TEXT = [
    "The river rises in the hills and flows to the sea.",
    "A mill grinds corn by the water of the river, day and night.",
    "Who reads the books of the mill knows what was ground: 1842, 1843, 1844.",
    "河水从山上流下来，推动磨坊的水车。",
]
VOCABULARY = 384


def write_tokenizer(path: Path) -> int:
    """Train and write tokenizer.json; return the id of the end of a document."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 8,
        special_tokens=MARKS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 4, trainer)
    tokenizer.save(str(path))
    return int(tokenizer.token_to_id(EOD))


def options(eos: int, **changed: Any) -> ModelOptions:
    """Make options with two shared experts, one dense layer, weights large enough that routing differs from token to token."""
    sizes = {
        **{"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "moe_intermediate_size": 16},
        **{"head_dim": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4},
        **{"n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 2, "max_position_embeddings": 256},
    }
    return ModelOptions.model_validate(sizes | {"eos_token_id": eos} | changed)


def weights(model: ModelOptions, seed: int = 0) -> dict[str, torch.Tensor]:
    """Draw tensors by the stock model's names: norms about 1, biases of the routers that change who is chosen."""
    with torch.device("meta"):
        shapes = Dots1ForCausalLM(dots1_config(model)).state_dict()
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, tensor in shapes.items():
        scale = 0.1 if name.endswith(("norm.weight", "correction_bias")) else 0.25
        state[name] = torch.randn(tensor.shape, generator=generator) * scale + name.endswith("norm.weight")
    return state


def write_model(folder: Path, **changed: Any) -> Path:
    """Write a training export; return its folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = folder.parent / "made-tokenizer.json"
    eos = write_tokenizer(tokenizer)
    shards = Shards(
        **{
            "filesystem": fs.LocalFileSystem(),
            "folder": str(folder.parent),
            "seed": 0,
            "eod_id": eos,
            "eod_token": EOD,
        },
        **{"vocab_size": VOCABULARY, "tokenizer_file": tokenizer.name, "tokenizer_sha256": "", "shards": ()},
    )
    made = options(eos, **changed)
    return export(weights(made), made, shards, folder)
