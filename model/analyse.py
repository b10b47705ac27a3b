"""Analyse the expert load of a trained model by language, source, category or domain; or over the course of its training.

    python -m model.analyse out/model/tiny --shards out/demo/tokenization --split train --by language --by category
    python -m model.analyse out/model/tiny/export --shards out/demo/tokenization
    python -m model.analyse --checkpoints out/model/tiny out/model/tiny-unbalanced

What load is, and what is more than chance: model/study/expert_load/load.py. What is written: analysis.py there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from model.base.command import exit_code
from model.study.expert_load.analysis import analyse, follow
from model.study.expert_load.load import OTHERS, PERMUTATIONS, TOP
from model.training.evaluation import GROUPS


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.analyse", description=(__doc__ or "").partition("\n\n")[0], allow_abbrev=False
    )
    parser.add_argument("model", nargs="+", type=Path, help="a run, one of its checkpoints, or an export")
    parser.add_argument("--shards", help="folder of manifest.json, or a URI")
    parser.add_argument("--split", choices=("train", "validation"), default="validation", help="validation")
    parser.add_argument("--by", action="append", choices=GROUPS, help="column; may be given several times; language")
    parser.add_argument(
        "--tokens", type=int, default=2_000_000, help="documents that begin within the first so many; 2,000,000"
    )
    parser.add_argument("--top", type=int, default=TOP, help=f"groups of most tokens; the rest is {OTHERS}; {TOP}")
    parser.add_argument("--permutations", type=int, default=PERMUTATIONS, help=f"for chance; {PERMUTATIONS}")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="fp32 on a CPU, bf16 on a GPU")
    parser.add_argument("--sequence-length", type=int, help="the run's own; of an export, at most 8,192")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="places at once; 8192")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    parser.add_argument("--out", type=Path, help="folder; MODEL-analysis beside the model")
    parser.add_argument(
        "--checkpoints",
        action="store_true",
        help="load over the course of one or several runs, from their experts.jsonl; needs no shards",
    )
    options = parser.parse_args(arguments)
    if not options.checkpoints and options.shards is None:
        parser.error("--shards is missing (or --checkpoints, for the course of training)")
    if not options.checkpoints and len(options.model) > 1:
        parser.error(f"one model at a time, found {len(options.model)} (several with --checkpoints alone)")
    for name in ("tokens", "top", "permutations", "batch_tokens"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1, found {getattr(options, name)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return exit_code(lambda: follow(options) if options.checkpoints else analyse(options))


if __name__ == "__main__":
    raise SystemExit(main())
