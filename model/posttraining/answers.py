"""A model's answers to prompts, sampled in batches or greedy, and how many are right.

    python -m model.answer out/model/sft/export --prompts out/model/exercises/heldout.jsonl

prints the share of right answers by source; `--out FILE` writes prompts and answers. Prompts are padded on the left; a batch is
drawn with a generator state of its own, so answers depend on the seed and on what is batched together, not on what came before.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import torch
from transformers import Dots1ForCausalLM, GenerationConfig

from model.chat import Chat, ChatError
from model.config import ConfigError
from model.conversations import ConversationError, Prompt, read, write
from model.finetune import FineTuneError, FineTuneOptions, start
from model.hashing import mix
from model.sandbox import SandboxError, SandboxOptions, describe
from model.verify import Verdict, verify


def sample(
    model: Dots1ForCausalLM,
    chat: Chat,
    prompts: Sequence[Prompt],
    *,
    answers: int = 1,
    temperature: float = 0.0,
    top_p: float = 1.0,
    new_tokens: int = 64,
    batch: int = 16,
    seed: Sequence[int] = (0,),
) -> list[list[tuple[str, bool]]]:
    """
    :param temperature: 0: greedy, one answer.
    :param batch: prompts generated for at once, each with all its answers.
    :param seed: numbers that decide the draws.
    :returns: for each prompt its answers, each with whether it ended by itself within `new_tokens`.
    """
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=new_tokens,
        do_sample=temperature > 0,
        num_return_sequences=answers,
        eos_token_id=[chat.end, chat.eod],
        pad_token_id=chat.eod,
        **({"temperature": temperature, "top_p": top_p, "top_k": 0} if temperature > 0 else {}),
    )
    device = model.device
    was_training = model.training
    model.train(False)
    out: list[list[tuple[str, bool]]] = []
    encoded = [chat.prompt(p.messages) for p in prompts]
    for begin in range(0, len(encoded), batch):
        part = encoded[begin : begin + batch]
        longest = max(map(len, part))
        ids = torch.full((len(part), longest), chat.eod, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(part):
            ids[row, longest - len(tokens) :] = torch.tensor(tokens)
            mask[row, longest - len(tokens) :] = 1
        torch.manual_seed(int(mix(*seed, begin)[0]) >> 1)
        with torch.no_grad():
            found = model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config)[
                :, longest:
            ].tolist()
        for row in range(len(part)):
            mine = found[row * answers : (row + 1) * answers]
            out.append([(chat.text(x), chat.ended(x)) for x in mine])
    model.train(was_training)
    return out


def judge(
    prompts: Sequence[Prompt], answers: Sequence[Sequence[str]], options: SandboxOptions, workers: int = 1
) -> list[list[Verdict]]:
    """Verdicts of all answers; code runs in `workers` sandboxes at a time.

    :raises SandboxError: as model/verify.py.
    """
    jobs = [(p, a) for p, mine in zip(prompts, answers, strict=True) for a in mine]
    with ThreadPoolExecutor(workers) as pool:
        verdicts = iter(list(pool.map(lambda job: verify(job[0].check, job[1], options), jobs)))
    return [[next(verdicts) for _ in mine] for mine in answers]


def by_source(prompts: Sequence[Prompt], verdicts: Sequence[Sequence[Verdict]]) -> dict[str, dict[str, int]]:
    """Answers, and how many have which verdict, by source and in `all`."""
    out: dict[str, Counter[str]] = {}
    for prompt, mine in zip(prompts, verdicts, strict=True):
        for source in (prompt.source, "all"):
            count = out.setdefault(source, Counter())
            count["answers"] += len(mine)
            count.update(v.status for v in mine)
    return {s: dict(out[s]) for s in [*sorted(s for s in out if s != "all"), "all"]}


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
        "--isolation", default="required", choices=("required", "best", "process"), help="of code: model/sandbox.py"
    )
    parser.add_argument("--threads", type=int, help="of torch (default: as many as cores)")
    options = parser.parse_args(arguments)
    try:
        prompts = read(Prompt, [options.prompts])
        tune = FineTuneOptions(sequence_length=8, threads=options.threads)
        folder = Path(options.model)
        inside = folder / "export"
        model, chat = start(inside if inside.is_dir() else folder, tune)
        if torch.cuda.is_available():
            cast(torch.nn.Module, model).cuda()
        found = sample(model, chat, prompts, new_tokens=options.new_tokens, batch=options.batch)
        texts = [[text for text, _ in mine] for mine in found]
        sandbox = SandboxOptions(isolation=options.isolation, seconds=options.seconds)
        verdicts = judge(prompts, texts, sandbox)
    except (ConfigError, ConversationError, ChatError, FineTuneError, SandboxError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.out:
        write(
            Path(options.out),
            [
                p.model_dump(mode="json", exclude_defaults=True)
                | {"answer": a[0][0], "ended": a[0][1], "status": v[0].status, "detail": v[0].detail}
                for p, a, v in zip(prompts, found, verdicts, strict=True)
            ],
        )
    if any(p.check.kind == "code" for p in prompts):
        print(describe())
    for source, count in by_source(prompts, verdicts).items():
        right = count.get("correct", 0)
        others = ", ".join(f"{k} {v}" for k, v in sorted(count.items()) if k not in ("answers", "correct"))
        print(f"{source:<24} {right:>5} of {count['answers']:>5} right  {right / count['answers']:6.1%}  {others}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
