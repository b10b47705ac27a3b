"""Answer prompts greedily, and print how many answers are right.

    python -m model.answer out/model/sft/export --prompts out/model/exercises/heldout.jsonl

prints the share of right answers by source; `--out FILE` writes prompts and answers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch

from model.base.command import exit_code
from model.posttraining.answers import by_source, judge, sample
from model.posttraining.conversations import Prompt, read, write
from model.posttraining.finetune import FineTuneOptions, start
from model.verification.sandbox import SandboxOptions, describe


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.answer", description="Greedy answers of an exported model, and how many are right."
    )
    parser.add_argument("model", help="a run's folder, or an export")
    parser.add_argument("--prompts", required=True, help="JSON lines with messages and check")
    parser.add_argument("--out", help="write prompts with answers and verdicts here")
    parser.add_argument("--new-tokens", type=int, default=32, metavar="N", help="longest answer (default: 32)")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="prompts at a time (default: 64)")
    parser.add_argument("--seconds", type=float, default=5.0, help="wall clock of a program (default: 5)")
    parser.add_argument(
        "--isolation",
        default="required",
        choices=("required", "best", "process"),
        help="of code: model/verification/sandbox.py",
    )
    parser.add_argument("--threads", type=int, help="of torch (default: as many as cores)")
    options = parser.parse_args(arguments)
    return exit_code(lambda: answer(options))


def answer(options: argparse.Namespace) -> None:
    """Sample, judge, write and print the answers."""
    prompts = read(Prompt, [options.prompts])
    folder = Path(options.model)
    exported = folder / "export"
    model, chat = start(
        exported if exported.is_dir() else folder, FineTuneOptions(sequence_length=8, threads=options.threads)
    )
    if torch.cuda.is_available():
        cast(torch.nn.Module, model).cuda()
    answers = sample(model, chat, prompts, new_tokens=options.new_tokens, batch=options.batch)
    texts = [[text for text, _ in of_prompt] for of_prompt in answers]
    verdicts = judge(prompts, texts, SandboxOptions(isolation=options.isolation, seconds=options.seconds))
    if options.out:
        rows = [
            p.model_dump(mode="json", exclude_defaults=True)
            | {"answer": a[0][0], "ended": a[0][1], "status": v[0].status, "detail": v[0].detail}
            for p, a, v in zip(prompts, answers, verdicts, strict=True)
        ]
        write(Path(options.out), rows)
    if any(p.check.kind == "code" for p in prompts):
        print(describe())
    for source, count in by_source(prompts, verdicts).items():
        right = count.get("correct", 0)
        others = ", ".join(f"{k} {v}" for k, v in sorted(count.items()) if k not in ("answers", "correct"))
        print(f"{source:<24} {right:>5} of {count['answers']:>5} right  {right / count['answers']:6.1%}  {others}")


if __name__ == "__main__":
    raise SystemExit(main())
