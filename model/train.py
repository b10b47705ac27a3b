"""Train a model on shards.

    python -m model.train --config configs/model/tiny.yaml
    torchrun --nproc-per-node 8 -m model.train --config configs/model/one-gpu.yaml --set train.micro_batch=1

The same command after a kill goes on from the last checkpoint, and ends in the weights of an uninterrupted run, bit for bit, on
the same number of ranks (tested on CPUs); another number is possible and equal but for rounding. Knobs are in the config; `--set`
changes one for a run. What a run leaves: model/training/trainer.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import torch
import transformers

from model.base.command import config_parser, exit_code
from model.training.config import load
from model.training.ranks import processes
from model.training.trainer import Trainer


def main(arguments: Sequence[str] | None = None) -> int:
    parser = config_parser("train", "configs/model/tiny.yaml", description="Train a model on shards.")
    options = parser.parse_args(arguments)

    def train() -> None:
        config = load(options.config, options.set)
        if config.train.threads is not None:
            torch.set_num_threads(config.train.threads)
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        with processes() as place:
            summary = Trainer(config, place).run()
            if place.rank == 0:
                loss = "-" if summary["loss"] is None else f"{summary['loss']:.3f}"
                print(
                    f"{summary['tokens']:,} tokens in {summary['seconds']:.0f} s: loss of the last tenth {loss}, unigram entropy "
                    f"of the same tokens {summary['unigram_entropy']:.3f} nats; {config.out}/export"
                )

    try:
        return exit_code(train)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


if __name__ == "__main__":
    code = main()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # All is written and the ranks have parted. At the interpreter's end a thread of gloo at times aborts the process, which
        # torchrun then calls a failure ("terminate called without an active exception"; torch 2.13).
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
