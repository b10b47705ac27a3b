"""A trained model in Hugging Face's format, for `transformers`, vLLM, SGLang, llama.cpp.

    python -m model.export out/model/tiny --out out/model/tiny-vllm --engine vllm
    python -m model.export out/model/tiny/checkpoints/tokens-000000000065536 --out out/model/tiny-65536

    config.json, generation_config.json, model*.safetensors     one tensor an expert, as the published model has them
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
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from transformers import Dots1ForCausalLM, GenerationConfig

from model import checkpoint
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
    check_out,
    convert,
    read_config,
)
from model.shards import ShardError, Shards, open_shards


def export(state: dict[str, torch.Tensor], options: ModelOptions, shards: Shards, folder: Path) -> Path:
    """Write a model that stock `Dots1ForCausalLM.from_pretrained` reads, in the precision of `state`.

    :param state: full tensors on the CPU by the stock model's names.
    :param folder: replaced, when the new one is whole.
    """
    with torch.device("meta"):
        model = Dots1ForCausalLM(options.dots1())
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


def is_model(folder: Path) -> bool:
    """Whether a folder has a model in Hugging Face's format."""
    return (folder / CONFIG).is_file() and any(folder.glob("*.safetensors"))


def find(path: Path) -> Path:
    """The folder to read a model from: one in Hugging Face's format, or a checkpoint.

    :param path: either of them, or a run's folder.
    :raises ExportError: none of these.
    """
    if is_model(path) or (path / checkpoint.STATE).is_file():
        return path
    exported, checkpoints = path / "export", checkpoint.folders(path)
    if is_model(exported) and not (checkpoints and tokens_of(checkpoints[-1]) > exported_tokens(path)):
        return exported
    if checkpoints:
        return checkpoints[-1]
    if not path.exists():
        found = "no such folder"
    elif not path.is_dir():
        found = "a file"
    else:
        names = sorted(p.name for p in path.iterdir())
        found = "in it " + (", ".join(names[:6]) + (", ..." if len(names) > 6 else "") if names else "nothing")
    raise ExportError(
        f"{path}: no model ({found}); expected {CONFIG} with *.safetensors, a run's folder (export/ or "
        f"checkpoints/{checkpoint.PREFIX}*/), or one checkpoint"
    )


def tokens_of(place: Path) -> int:
    """Tokens that a checkpoint has seen, by its name."""
    return int(place.name.removeprefix(checkpoint.PREFIX))


def exported_tokens(run: Path) -> int:
    """Tokens that a run's `export/` has seen, by its summary; more than any checkpoint's where there is none."""
    summary = run / "summary.json"
    return int(json.loads(summary.read_text())["tokens"]) if summary.exists() else sys.maxsize


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
    :raises ConfigError, ShardError: no config.yaml beside `checkpoints/`; no shards where it says.
    """
    config = load(place.resolve().parents[1] / "config.yaml")
    return export(weights_of(place), config.model, open_shards(shards or config.data.shards), folder)


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
    except (ExportError, ConfigError, ShardError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{source} -> {out}: {architecture(read_config(out))}, {precision}, for {options.engine}")
    if options.engine == "llama.cpp":
        print(f"next, in llama.cpp's folder: python convert_hf_to_gguf.py {out.resolve()} --outtype bf16")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
