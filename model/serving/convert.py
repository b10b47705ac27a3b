"""A trained model for an inference engine, from an export or from a checkpoint of any number of ranks, on a CPU.

A checkpoint's weights are in memory once, in FP32. What an engine needs beyond Hugging Face's format: model/serving/engines.py.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from model.base.errors import ExportError, ShardError
from model.base.files import replacing
from model.data.shards import open_shards
from model.serving.engines import Engine, Precision, config_for
from model.training.config import load
from model.training.export import export
from model.training.run_folder import CONFIG, is_model, read_config

INDEX = "model.safetensors.index.json"
ROUTER = (".mlp.gate.weight", ".mlp.gate.e_score_correction_bias")
"""Ends of names of what stays FP32 in any precision (report, 2.4); transformers casts the first of them as it loads."""


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
    with replacing(out) as part:
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
    """Refuse to replace a file or folder that is no model.

    :raises ExportError: a file, or a folder with content and no config.json.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / CONFIG).exists())):
        raise ExportError(f"{out} is there and is no model (no {CONFIG}); choose another --out")


def weights_of(place: Path) -> dict[str, torch.Tensor]:
    """Read the model of a checkpoint: full tensors on the CPU by the stock model's names, whatever the ranks that wrote it.

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
