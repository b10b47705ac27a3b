"""Sampling, judging and keeping answers; going on after a kill; fine-tuning on what was kept."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
torch = pytest.importorskip("torch", reason=REASON)
pytest.importorskip("trl", reason=REASON)

from transformers import AutoModelForCausalLM  # noqa: E402

from model import answer, exercises  # noqa: E402
from model import rft as rft_command  # noqa: E402
from model.base.config import load_as  # noqa: E402
from model.base.errors import ConversationError, FineTuneError  # noqa: E402
from model.posttraining import answers, finetune, rft, sft  # noqa: E402
from model.posttraining.conversations import Conversation, Preference, Prompt, read  # noqa: E402
from model.posttraining.exercises import exercises as all_exercises  # noqa: E402
from model.posttraining.finetune import FineTuneOptions  # noqa: E402
from model.posttraining.rft import RftConfig  # noqa: E402
from model.verification.verify import verify  # noqa: E402
from tests.model.made_chat import conversation, lines, write_model  # noqa: E402
from tests.model.paths import ROOT  # noqa: E402

TRAIN = {"sequence_length": 64, "batch": 4, "rate": 3e-3, "final_rate": 1e-3, "precision": "fp32", "threads": 1}


def prompt(n: int, source: str) -> dict[str, Any]:
    return conversation(f"{n}?", source=source) | {"check": {"kind": "arithmetic", "answer": str(n)}, "id": f"p{n}"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers 1 to 5 as often right as one too high."""
    folder = tmp_path_factory.mktemp("base")
    rows = [conversation(f"{n}?", str(n + wrong)) for n in range(1, 6) for wrong in (0, 1)]
    start = write_model(folder / "start")
    config = {
        "out": str(folder),
        "start": str(start),
        "data": {"files": [str(lines(folder / "rows.jsonl", rows))]},
        "train": TRAIN | {"epochs": 60},
    }
    sft.run(sft.SftConfig.model_validate(config), quiet=True)
    return folder / "export"


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [prompt(n, "odd" if n % 2 else "even") for n in range(1, 6)]
    return lines(tmp_path_factory.mktemp("prompts") / "prompts.jsonl", rows)


def configured(base: Path, prompts: Path, out: Path, **changes: Any) -> RftConfig:
    sample = {"prompts": [str(prompts)], "answers": 12, "new_tokens": 6, "batch": 2, "chunk": 2, "seed": 3}
    values: dict[str, Any] = {
        "out": str(out),
        "start": str(base),
        "sample": sample | changes.pop("sample", {}),
        "keep": {"most": 2, "pairs": 1},
        "train": TRAIN | {"epochs": 1},
    }
    return RftConfig.model_validate(values | changes)


@pytest.fixture(scope="module")
def finished(base: Path, prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rft")
    rft.run(configured(base, prompts, out), quiet=True)
    return out


def test_what_is_kept(finished: Path, prompts: Path) -> None:
    asked = {p.messages[-1].content: p for p in read(Prompt, [prompts])}
    kept = read(Conversation, [finished / "accepted.jsonl"])
    for row in kept:
        question, reply = row.messages
        assert verify(asked[question.content].check, reply.content).status == "correct"
        assert row.source == asked[question.content].source
    by_prompt = Counter(r.messages[0].content for r in kept)
    assert len(by_prompt) >= 4
    assert max(by_prompt.values()) <= 2
    assert len({r.key for r in kept}) == len(kept), "none twice"
    pairs = read(Preference, [finished / "pairs.jsonl"])
    assert len(pairs) >= 3
    for pair in pairs:
        check = asked[pair.prompt[-1].content].check
        assert verify(check, pair.chosen[0].content).status == "correct"
        assert verify(check, pair.rejected[0].content).status != "correct"


def test_acceptance_adds_up(finished: Path) -> None:
    counts = json.loads((finished / "acceptance.json").read_text())
    assert list(counts) == ["even", "odd", "all"]
    for name in ("prompts", "prompts_solved", "answers", "right", "different", "kept"):
        assert counts["even"][name] + counts["odd"][name] == counts["all"][name]
    assert counts["all"]["prompts"] == 5
    assert counts["all"]["answers"] == 60
    assert sum(counts["all"]["verdicts"].values()) == 60
    assert counts["all"]["verdicts"]["correct"] == counts["all"]["right"]
    assert 10 < counts["all"]["right"] < 50
    assert counts["all"]["kept"] == len((finished / "accepted.jsonl").read_text().splitlines())
    table = rft.acceptance(counts)
    assert table.splitlines()[0].split()[:3] == ["source", "prompts", "prompts"]
    assert f"all {counts['all']['right'] / 60:.1%}" in table


def test_then_it_is_fine_tuned(base: Path, finished: Path) -> None:
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()
    after = AutoModelForCausalLM.from_pretrained(finished / "export").state_dict()
    assert not torch.equal(before["lm_head.weight"], after["lm_head.weight"])
    assert load_as(RftConfig, finished / "config.yaml").sample.seed == 3
    assert json.loads((finished / "summary.json").read_text())["targets"] > 0


def test_a_killed_run_goes_on(
    base: Path, prompts: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(base, prompts, tmp_path)
    rows = read(Prompt, [prompts])
    judge, calls = rft.judge, []

    def dies(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judge(*arguments)

    monkeypatch.setattr(rft, "judge", dies)
    with pytest.raises(KeyboardInterrupt):
        rft.sampled(config, rows, quiet=True)
    first = tmp_path / "samples" / "chunk-000000.jsonl"
    assert [p.name for p in sorted((tmp_path / "samples").glob("chunk*"))] == [first.name]
    (tmp_path / "samples" / "chunk-000001.jsonl.part").write_text('{"half": ')
    written = first.stat().st_mtime_ns
    monkeypatch.setattr(rft, "judge", judge)
    rft.sampled(config, rows, quiet=True)
    assert first.stat().st_mtime_ns == written
    for number in range(3):
        name = f"samples/chunk-{number:06d}.jsonl"
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes(), "as without the kill"
    monkeypatch.setattr(rft, "sample", None)
    assert len(rft.sampled(config, rows, quiet=True)) == 5, "nothing is sampled again"


def test_samples_of_something_else_are_refused(base: Path, prompts: Path, finished: Path, tmp_path: Path) -> None:
    rows = read(Prompt, [prompts])
    with pytest.raises(FineTuneError, match="holds samples of another sample"):
        rft.sampled(configured(base, prompts, finished, sample={"temperature": 0.5}), rows)
    with pytest.raises(FineTuneError, match="holds samples of another prompts"):
        rft.sampled(configured(base, prompts, finished), rows[:3])
    with pytest.raises(FineTuneError, match="holds samples of another model"):
        rft.sampled(configured(finished / "export", prompts, finished), rows)


def test_seeds(base: Path, prompts: Path) -> None:
    model, chat = finetune.start(base, FineTuneOptions(**(TRAIN | {"batch": 1})))
    rows = read(Prompt, [prompts])
    options = {"answers": 6, "temperature": 1.0, "new_tokens": 4}
    one = answers.sample(model, chat, rows, seed=(1,), **options)
    torch.manual_seed(99)
    assert answers.sample(model, chat, rows, seed=(1,), **options) == one
    assert answers.sample(model, chat, rows, seed=(2,), **options) != one


def test_padding_on_the_left_changes_nothing(base: Path) -> None:
    """Greedy answers to prompts of unequal length are the same together and alone, and stock transformers'."""
    model, chat = finetune.start(base, FineTuneOptions(**(TRAIN | {"batch": 1})))
    rows = [
        Prompt.model_validate(conversation(q) | {"check": {"kind": "arithmetic", "answer": "1"}})
        for q in ("1?", "4?", "a longer question: 3?", "x", "你好 2?")
    ]
    together = answers.sample(model, chat, rows, new_tokens=5, batch=5)
    assert together == [answers.sample(model, chat, [r], new_tokens=5)[0] for r in rows]
    stock = AutoModelForCausalLM.from_pretrained(base)
    for row, of_prompt in zip(rows, together, strict=True):
        ids = torch.tensor([chat.prompt(row.messages)])
        generated = stock.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)
        assert chat.text(generated[0, ids.shape[1] :].tolist()) == of_prompt[0][0]


def test_nothing_right_is_an_error(
    base: Path, tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = lines(
        tmp_path / "wrong.jsonl",
        [conversation("1?") | {"check": {"kind": "arithmetic", "answer": "-77"}, "source": "never"}],
    )
    config = configured(base, wrong, tmp_path / "out")
    (tmp_path / "config.yaml").write_text(config.model_dump_json())
    assert rft_command.main(["--config", str(tmp_path / "config.yaml")]) == 2
    assert "error: found no right answer among 12, expected some" in capsys.readouterr().err
    twice = lines(tmp_path / "twice.jsonl", [prompt(1, "a"), prompt(1, "a")])
    with pytest.raises(ConversationError, match="found two prompts with the id p1"):
        rft.run(configured(base, twice, tmp_path / "twice"), quiet=True)


def test_code_answers_are_run(base: Path, tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "f"}], "check": {"kind": "code", "tests": "assert f() == 3"}}
    asked = [Prompt.model_validate(row)]
    options = configured(base, tmp_path, tmp_path, sandbox={"isolation": "best"}).sandbox
    replies = ["```python\ndef f():\n    return 3\n```", "def f():\n    return 4", "nonsense here", "while True: pass"]
    verdicts = answers.judge(asked, [replies], options.model_copy(update={"seconds": 1.0}), workers=2)
    assert [v.status for v in verdicts[0]] == ["correct", "wrong", "error", "timeout"]
    assert answers.by_source(asked, verdicts)["all"]["answers"] == 4


def test_score_of_a_model(base: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(base), "--prompts", str(prompts), "--new-tokens", "5", "--threads", "1"]
    assert answer.main([*arguments, "--out", str(tmp_path / "answers.jsonl")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [x.split()[0] for x in shown] == ["even", "odd", "all"]
    written = [json.loads(x) for x in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert int(shown[-1].split()[1]) == sum(x["status"] == "correct" for x in written)


def test_exercises_are_solved_by_their_answers_and_split_by_operands(tmp_path: Path) -> None:
    made = list(all_exercises(9))
    for e in [e for e in made if e.check.kind == "arithmetic"] + [e for e in made if e.check.kind == "code"][::37]:
        options = configured(tmp_path, tmp_path, tmp_path, sandbox={"isolation": "best"}).sandbox
        assert verify(e.check, e.answer, options).status == "correct", e
    assert exercises.main(["--out", str(tmp_path / "one")]) == 0
    assert exercises.main(["--out", str(tmp_path / "two")]) == 0
    files = ("conversations.jsonl", "prompts.jsonl", "heldout.jsonl")
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)
    trained = {p.key for p in read(Prompt, [tmp_path / "one" / "prompts.jsonl"])}
    held = {p.key for p in read(Prompt, [tmp_path / "one" / "heldout.jsonl"])}
    answered = {c.key for c in read(Conversation, [tmp_path / "one" / "conversations.jsonl"])}
    assert answered < trained
    assert trained | held == {e.key for e in made}
    operands = [{e.operands for e in made if e.key in side} for side in (trained, held)]
    assert operands[0].isdisjoint(operands[1])
    assert len(operands[1]) == round(0.2 * 55) + round(0.2 * 40)
    assert exercises.main(["--out", str(tmp_path), "--held-out", "2"]) == 2


def test_the_given_config() -> None:
    config = load_as(RftConfig, ROOT / "configs" / "model" / "rft.yaml")
    assert (config.train.rate, config.train.final_rate) == (5e-6, 1e-6)
    assert config.sandbox.isolation == "required"
