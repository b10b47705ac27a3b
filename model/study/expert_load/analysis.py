"""The work of `model.analyse`: tables, JSON and pictures into a folder beside the model.

load.json              model, manifest's hash, loads, distances, machine, commit
load-language.svg      heat maps (pictures.py)
training.json, .svg    with --checkpoints
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from model.base.errors import AnalysisError
from model.base.files import write_text
from model.data.shards import MANIFEST, open_shards
from model.study.expert_load.course import course, course_picture, course_table, last_tokens
from model.study.expert_load.load import count, group, summarise
from model.study.expert_load.models import open_model
from model.study.expert_load.report import as_json, picture, rounded, table
from model.training.evaluation import lay


def machine(device: torch.device) -> dict[str, Any]:
    """Describe the machine, and the commit of this package where there is one (`+` if the work tree differs)."""
    software: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    package = Path(__file__).parents[2]

    def git(*arguments: str) -> str | None:
        try:
            run = subprocess.run(["git", *arguments], cwd=package, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return run.stdout.strip()

    commit = git("rev-parse", "HEAD")
    return software | {"commit": commit and commit + ("+" if git("status", "--porcelain", "--", ".") else "")}


def analyse(options: argparse.Namespace) -> None:
    """Write loads by column: the table, `load.json`, and a picture a column."""
    folder: Path = options.model[0]
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    precision = options.precision or ("bf16" if cuda else "fp32")
    shards = open_shards(options.shards)
    model = open_model(folder, device, precision, options.sequence_length)
    laid = lay(shards, options.split, model.sequence_length, options.tokens)
    largest = int(laid.input_ids.max())
    if largest >= model.vocabulary:
        raise AnalysisError(f"{options.shards} has ids up to {largest:,}, the model {model.vocabulary:,} rows")
    documents = len(laid.columns["language"])
    tokens_D = np.bincount(laid.owners[laid.owners >= 0], minlength=documents)
    columns = list(dict.fromkeys(options.by or ["language"]))
    groupings = [group(c, laid.columns[c], tokens_D, top=options.top) for c in columns]
    print(
        f"{model.about['path']}: {len(model.layers)} layers of {model.experts} experts, top {model.chosen}; {options.split} of "
        f"{options.shards}: {documents:,} documents, {int(tokens_D.sum()):,} tokens; {precision}, "
        f"{'on ' + torch.cuda.get_device_name() if cuda else 'no GPU here: on the CPU'}",
        flush=True,
    )
    began = time.perf_counter()
    counts = count(model, laid, groupings, max(1, options.batch_tokens // model.sequence_length))
    seconds = time.perf_counter() - began
    out: Path = options.out or folder.with_name(folder.name + "-analysis")
    out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "model": model.about,
        "data": {
            "shards": options.shards,
            "manifest_sha256": hashlib.sha256(shards.read(MANIFEST)).hexdigest(),
            "split": options.split,
            "documents": documents,
            "tokens": int(tokens_D.sum()),
            "sequence_length": model.sequence_length,
        },
        "precision": precision,
        "seconds": round(seconds, 1),
        "permutations": options.permutations,
        "machine": machine(device),
        "layers": model.layers,
        "by": {},
    }
    for old in out.glob("load-*.svg"):  # load.json is replaced: pictures of another call would not be of it
        old.unlink()
    for grouping, counted in zip(groupings, counts, strict=True):
        summary = summarise(grouping, counted, tokens_D, options.permutations)
        result["by"][grouping.column] = as_json(model, summary)
        write_text(out / f"load-{grouping.column}.svg", picture(model, summary))
        print(f"\n{table(model, summary)}")
    write_text(out / "load.json", json.dumps(result, ensure_ascii=False) + "\n")
    print(f"\n{int(tokens_D.sum()) / seconds:,.0f} tokens/s; {out}/load.json, {out}/load-*.svg")


def follow(options: argparse.Namespace) -> None:
    """Write the load over training of one run or several, to the tokens that all have."""
    runs: list[Path] = options.model
    until = min(last_tokens(r) for r in runs)
    courses = [course(r, until) for r in runs]
    if len({tuple(c.layers) for c in courses}) > 1:
        raise AnalysisError(f"runs of other layers with experts: {', '.join(f'{c.name} {c.layers}' for c in courses)}")
    out: Path = options.out or runs[0].with_name(runs[0].name + "-analysis")
    out.mkdir(parents=True, exist_ok=True)
    print(f"load / even load to {until:,.0f} tokens, which all have; {courses[0].recorded} recorded steps\n")
    print(course_table(courses))
    result = {
        "machine": machine(torch.device("cpu")),
        "until_tokens": until,
        "runs": [
            {
                "path": str(r),
                "layers": c.layers,
                "recorded_steps": c.recorded,
                "until_tokens": c.until_B.round().tolist(),
                "load_to_even": rounded(c.share_BLE, 4),
            }
            for r, c in zip(runs, courses, strict=True)
        ],
    }
    write_text(out / "training.json", json.dumps(result, ensure_ascii=False) + "\n")
    write_text(out / "training.svg", course_picture(courses))
    print(f"\n{out}/training.json, {out}/training.svg")
