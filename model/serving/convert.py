"""A trained model in Hugging Face's format, for `transformers`, vLLM, SGLang, llama.cpp.

    python -m model.export out/model/tiny --out out/model/tiny-vllm --engine vllm
    python -m model.export out/model/tiny/checkpoints/tokens-000000000393216 --out out/model/tiny-393216

    config.json, generation_config.json, model*.safetensors     one tensor an expert, as the published model has them; with
                                                                `cross_layer` fused, and of a type of our own (model/layers.py)
    tokenizer.json, tokenizer_config.json                       the shards' own

What is exported: a folder in this format; a run's folder, for its `export/`, or its last checkpoint where that is later; or one
checkpoint, of any number of ranks, on a CPU. A checkpoint's weights are in memory once, in FP32. What an engine needs beyond the
format: model/engines.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from transformers import GenerationConfig

from model import layers
from model.config import ConfigError, ModelOptions, load
from model.engines import (
    CONFIG,
    DEFAULT_PRECISION,
    ENGINES,
    PRECISIONS,
    Engine,
    ExportError,
    Precision,
    architecture,
    config_for,
    find,
    is_model,
    read_config,
)
from model.shards import ShardError, Shards, open_shards

INDEX = "model.safetensors.index.json"
ROUTER = (".mlp.gate.weight", ".mlp.gate.e_score_correction_bias")
"""Ends of names of what stays FP32 in any precision (report, 2.4); transformers casts the first of them as it loads."""


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


def convert(source: Path, out: Path, engine: Engine, precision: Precision) -> Path:
    """Write a model's folder for an engine: its config.json, weights file by file, all other files as they are.

    :param source: a folder of config.json and *.safetensors.
    :param out: replaced, when the new one is whole.
    :raises ExportError: see `config_for`; or `out` is the source, or holds something other than a model.
    """
    config = config_for(engine, read_config(source)) | {"dtype": precision}
    config.pop("torch_dtype", None)
    check_out(out)
    if out.resolve() == source.resolve():
        raise ExportError(f"{out} is the model itself; choose another --out")
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    total = 0
    for path in sorted(p for p in source.iterdir() if p.is_file()):
        if path.suffix == ".safetensors":
            total += cast(path, part / path.name, getattr(torch, precision))
        elif path.name not in (CONFIG, INDEX):
            shutil.copyfile(path, part / path.name)
    if (source / INDEX).exists():
        index = json.loads((source / INDEX).read_text())
        index["metadata"] = index.get("metadata", {}) | {"total_size": total}
        (part / INDEX).write_text(json.dumps(index, indent=1) + "\n")
    (part / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    return out


def cast(source: Path, out: Path, dtype: torch.dtype) -> int:
    """Write the tensors of a file in another precision, the router's in FP32.

    :returns: bytes of the tensors.
    """
    with safe_open(source, framework="pt") as f:
        tensors = {k: f.get_tensor(k).to(torch.float32 if k.endswith(ROUTER) else dtype) for k in f.keys()}  # noqa: SIM118
        metadata = f.metadata()
    save_file(tensors, out, metadata=metadata)
    return sum(t.nbytes for t in tensors.values())


def check_out(out: Path) -> None:
    """Refuse to replace what is no model.

    :raises ExportError: a file, or a folder with content and no config.json.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / CONFIG).exists())):
        raise ExportError(f"{out} is there and is no model (no {CONFIG}); choose another --out")


def weights_of(place: Path) -> dict[str, torch.Tensor]:
    """The model of a checkpoint: full tensors on the CPU by the stock model's names, whatever the ranks that wrote it.

    :raises ExportError: no tensors of a model there.
    """
    stored = FileSystemReader(place).read_metadata().state_dict_metadata
    state = {
        name.removeprefix("model."): torch.empty(kept.size, dtype=kept.properties.dtype)
        for name, kept in stored.items()
        if name.startswith("model.") and isinstance(kept, TensorStorageMetadata)
    }
    if not state:
        raise ExportError(f"{place}: no tensors of a model; expected those of model.train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_loader.load({"model": state}, checkpoint_id=place, no_dist=True)
    return state


def export_checkpoint(place: Path, folder: Path, shards: str | None = None) -> Path:
    """Write a checkpoint's model.

    :param shards: folder of the tokenizer, if not the one of the run's config.yaml.
    :raises ConfigError, ExportError: no config.yaml beside `checkpoints/`; no shards where it says.
    """
    config = load(place.resolve().parents[1] / "config.yaml")
    try:
        tokenizer = open_shards(shards or config.data.shards)
    except ShardError as error:
        raise ExportError(f"the tokenizer is that of the shards, and {error} (--shards)") from None
    return export(weights_of(place), config.model, tokenizer, folder)


def write(source: Path, out: Path, engine: Engine, precision: Precision, shards: str | None = None) -> Path:
    """Write the model of a folder or checkpoint (see `find`) for an engine."""
    check_out(out)
    if is_model(source):
        return convert(source, out, engine, precision)
    whole = out.with_name(out.name + ".whole")
    try:
        return convert(export_checkpoint(source, whole, shards), out, engine, precision)
    finally:
        shutil.rmtree(whole, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.export", description="Write a trained model for an inference engine."
    )
    parser.add_argument("source", type=Path, help="a run's folder, one of its checkpoints, or a folder of config.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; a model that is there is replaced")
    parser.add_argument("--engine", choices=ENGINES, default="transformers", help="who is to read it (transformers)")
    parser.add_argument(
        "--dtype",
        choices=PRECISIONS,
        help="of the weights, but the router's (FP32); bfloat16 for vllm and sglang, else float32",
    )
    parser.add_argument("--shards", help="folder of the shards, for a checkpoint's tokenizer; else as in config.yaml")
    options = parser.parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    precision = options.dtype or DEFAULT_PRECISION[options.engine]
    try:
        source = find(options.source)
        out = write(source, options.out, options.engine, precision, options.shards)
    except (ExportError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{source} -> {out}: {architecture(read_config(out))}, {precision}, for {options.engine}")
    if options.engine == "llama.cpp":
        print(f"next, in llama.cpp's folder: python convert_hf_to_gguf.py {out.resolve()} --outtype bf16")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
