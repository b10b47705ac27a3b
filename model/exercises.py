"""Make exercises that a verifier can judge, for trying post-training: arithmetic in English and Chinese, small programs.

    python -m model.exercises --out out/model/exercises

    conversations.jsonl    questions with answers, for model.sft: of `--answered` of the training questions
    prompts.jsonl          all training questions with their checks, for model.rft
    heldout.jsonl          other questions with their checks, for model.answer
    summary.json           how many, by source

What is held out: model/posttraining/exercises.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from model.base.command import exit_code
from model.base.errors import ConfigError
from model.posttraining.exercises import write_exercises


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.exercises",
        description="Made exercises: conversations, prompts with checks, held-out prompts.",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder")
    parser.add_argument("--largest", type=int, default=9, metavar="N", help="operands are 0 to N (default: 9)")
    parser.add_argument("--held-out", type=float, default=0.2, metavar="SHARE", help="of the operands (default: 0.2)")
    parser.add_argument(
        "--answered", type=float, default=0.5, metavar="SHARE", help="of training questions (default: 0.5)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    def make() -> None:
        for name in ("held_out", "answered"):
            share = getattr(options, name)
            if not 0 <= share <= 1:
                raise ConfigError(f"--{name.replace('_', '-')}: found {share}, expected 0 to 1")
        if options.largest < 1 or options.seed < 0:
            raise ConfigError(f"found --largest {options.largest} --seed {options.seed}, expected 1 and 0 or more")
        counts = write_exercises(options.out, options.seed, options.largest, options.held_out, options.answered)
        for name, by in counts.items():
            print(f"{name}: {sum(by.values()):,} ({', '.join(f'{k} {v}' for k, v in by.items())})")

    return exit_code(make)


if __name__ == "__main__":
    raise SystemExit(main())
