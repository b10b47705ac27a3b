"""A model's answers to prompts, sampled in batches or greedy, and how many are right.

Prompts are padded on the left; a batch is drawn with a generator state of its own, so answers depend on the seed and on what is
batched together, not on what came before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from transformers import Dots1ForCausalLM, GenerationConfig

from model.base.hashing import mix
from model.posttraining.chat import Chat
from model.posttraining.conversations import Prompt
from model.verification.sandbox import SandboxOptions
from model.verification.verify import Verdict, verify


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
    """Sample answers to prompts.

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
            generated = model.generate(
                input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config
            )[:, longest:].tolist()
        for row in range(len(part)):
            of_prompt = generated[row * answers : (row + 1) * answers]
            out.append([(chat.text(x), chat.ended(x)) for x in of_prompt])
    model.train(was_training)
    return out


def judge(
    prompts: Sequence[Prompt], answers: Sequence[Sequence[str]], options: SandboxOptions, workers: int = 1
) -> list[list[Verdict]]:
    """Judge all answers; code runs in `workers` sandboxes at a time.

    :raises SandboxError: as `verify`.
    """
    jobs = [(p, a) for p, of_prompt in zip(prompts, answers, strict=True) for a in of_prompt]
    with ThreadPoolExecutor(workers) as pool:
        verdicts = iter(list(pool.map(lambda job: verify(job[0].check, job[1], options), jobs)))
    return [[next(verdicts) for _ in of_prompt] for of_prompt in answers]


def by_source(prompts: Sequence[Prompt], verdicts: Sequence[Sequence[Verdict]]) -> dict[str, dict[str, int]]:
    """Count answers, and how many have which verdict, by source and in `all`."""
    out: dict[str, Counter[str]] = {}
    for prompt, of_prompt in zip(prompts, verdicts, strict=True):
        for source in (prompt.source, "all"):
            count = out.setdefault(source, Counter())
            count["answers"] += len(of_prompt)
            count.update(v.status for v in of_prompt)
    return {s: dict(out[s]) for s in [*sorted(s for s in out if s != "all"), "all"]}
