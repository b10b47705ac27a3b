"""Preferences: log-probabilities and loss held to a plain computation, the average to one by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
torch = pytest.importorskip("torch", reason=REASON)
pytest.importorskip("trl", reason=REASON)

from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402

from model.base.config import load_as  # noqa: E402
from model.base.errors import ConversationError  # noqa: E402
from model.posttraining import dpo, finetune  # noqa: E402
from model.posttraining.chat import Chat  # noqa: E402
from model.posttraining.conversations import Preference, read  # noqa: E402
from model.posttraining.dpo import Average, DpoConfig  # noqa: E402
from model.posttraining.finetune import Metrics  # noqa: E402
from tests.model.made_chat import lines, write_model  # noqa: E402
from tests.model.paths import ROOT  # noqa: E402


def pair(question: str, better: str, worse: str) -> dict[str, Any]:
    def said(role: str, content: str) -> list[dict[str, str]]:
        return [{"role": role, "content": content}]

    return {"prompt": said("user", question), "chosen": said("assistant", better), "rejected": said("assistant", worse)}


PAIRS = [
    pair("2 + 3?", "5", "the answer is six"),
    pair("a much longer question than that", "yes", "no"),
    pair("你好", "你好！很高兴", "x"),
    pair("z", "one two three", "one two four"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"))


def configured(base: Path, out: Path, pairs: list[dict[str, Any]] = PAIRS, **changes: Any) -> DpoConfig:
    train = {"epochs": 1, "sequence_length": 96, "batch": 2, "rate": 1e-3, "final_rate": 1e-4, "warm_up": 0}
    values = {
        "out": str(out),
        "start": str(base),
        "files": [str(lines(out.parent / "pairs.jsonl", pairs))],
        "train": train | {"precision": "fp32", "threads": 1} | changes.pop("train", {}),
    }
    return DpoConfig.model_validate(values | changes)


def trainer(config: DpoConfig) -> tuple[dpo.Trainer, Chat]:
    model, chat = finetune.start(config.start, config.train)
    columns, _ = dpo.prepare(read(Preference, config.files), chat, config.train.sequence_length)
    return dpo.trainer_for(config, model, chat, columns, Metrics(Path(config.out), quiet=True)), chat


def plain(model: Any, chat: Chat, row: dict[str, Any], side: str) -> tuple[float, int]:
    """Compute the log-probability of an answer and its end mark, alone and without padding, and how many tokens that is."""
    preference = Preference.model_validate(row)
    prompt = chat.prompt(preference.prompt)
    ids = prompt + chat.answer(getattr(preference, side)[0].content)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    log_p = torch.log_softmax(logits, -1)
    places = range(len(prompt), len(ids))
    return sum(float(log_p[i - 1, ids[i]]) for i in places), len(places)


def test_log_probabilities_under_padding(base: Path, tmp_path: Path) -> None:
    run, chat = trainer(configured(base, tmp_path / "out", train={"micro_batch": 4, "batch": 4}))
    batch = run.data_collator([run.train_dataset[i] for i in range(4)])
    lengths = batch["attention_mask"].sum(1).tolist()
    assert len(set(lengths)) > 3, "rows of unequal length"
    stock = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    log_probs = run.compute_ref_log_probs(run.ref_model, batch)
    for side, values in zip(("chosen", "rejected"), log_probs, strict=True):
        for row, value in zip(PAIRS, values.tolist(), strict=True):
            assert value == pytest.approx(plain(stock, chat, row, side)[0], abs=1e-4), (side, row)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_loss_is_the_formula(base: Path, tmp_path: Path, weight: float) -> None:
    """With weights that are no longer the reference's."""
    config = configured(base, tmp_path / "out", sft_weight=weight, beta=0.2, train={"micro_batch": 4, "batch": 4})
    run, chat = trainer(config)
    reference = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    with torch.no_grad():
        for p in run.model.parameters():
            p.mul_(1.1)
    policy = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    policy.load_state_dict(run.model.state_dict())
    batch = run.data_collator([run.train_dataset[i] for i in range(4)])
    run.model.train()
    loss = run.compute_loss(run.model, batch).item()
    preference, chosen, tokens = 0.0, 0.0, 0
    for row in PAIRS:
        better, count = plain(policy, chat, row, "chosen")
        margin = better - plain(reference, chat, row, "chosen")[0]
        margin -= plain(policy, chat, row, "rejected")[0] - plain(reference, chat, row, "rejected")[0]
        preference += math.log1p(math.exp(-0.2 * margin)) / 4
        chosen, tokens = chosen - better, tokens + count
    assert abs(preference - math.log(2)) > 0.01
    assert loss == pytest.approx(preference + weight * chosen / tokens, abs=1e-4)


def test_accumulated_first_step(base: Path, tmp_path: Path) -> None:
    """At the start the preference term is log 2; the SFT term is the mean over the pairs of a step, one by one."""
    run = dpo.run(configured(base, tmp_path / "out", sft_weight=0.5, train={"batch": 4, "micro_batch": 1}), quiet=True)
    assert run["steps"] == 1
    chat, stock = Chat(base), AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    term = [-p / n for p, n in (plain(stock, chat, row, "chosen") for row in PAIRS)]
    line = json.loads((tmp_path / "out" / "metrics.jsonl").read_text())
    assert line["loss"] == pytest.approx(math.log(2) + 0.5 * sum(term) / 4, abs=1e-4)
    assert line["targets"] == sum(plain(stock, chat, row, s)[1] for row in PAIRS for s in ("chosen", "rejected"))


def test_average_by_hand() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.register_buffer("kept", torch.tensor([7.0]))
    with torch.no_grad():
        layer.weight.fill_(1.0)
    average = Average(layer, 0.75)
    for value in (2.0, 4.0, 8.0):
        with torch.no_grad():
            layer.weight.fill_(value)
        average.on_step_end(None, None, None, model=layer)
    # 1 -> 1.25 -> 1.9375 -> 3.453125
    assert average.state(layer)["weight"].item() == 3.453125
    assert average.state(layer)["kept"].item() == 7.0
    assert layer.weight.item() == 8.0


class Steps(TrainerCallback):  # type: ignore[misc]
    """Recorder of the weights after each step."""

    seen: list[dict[str, Any]] = []  # noqa: RUF012

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
        self.seen.append({n: p.detach().clone() for n, p in model.named_parameters()})


def test_what_a_run_leaves(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export is the average over the steps, in FP32; the reference and the experts' biases stay."""
    made = dpo.trainer_for
    runs = []

    def watched(*arguments: Any) -> Any:
        runs.append(made(*arguments))
        runs[-1].add_callback(Steps)
        return runs[-1]

    monkeypatch.setattr(dpo, "trainer_for", watched)
    Steps.seen.clear()
    summary = dpo.run(configured(base, tmp_path / "out", average=0.6, train={"epochs": 8}), quiet=True)
    assert summary["steps"] == len(Steps.seen) == 16
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()
    export = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "export")
    last = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "last").state_dict()
    name = "lm_head.weight"
    expected = before[name].double()
    for step in Steps.seen:
        expected = 0.6 * expected + 0.4 * step[name].double()
    exported = export.state_dict()
    assert {t.dtype for t in exported.values()} == {torch.float32}
    torch.testing.assert_close(exported[name], expected.float(), atol=1e-6, rtol=0)
    assert torch.equal(last[name], Steps.seen[-1][name])
    assert not torch.equal(last[name], exported[name])
    assert all(torch.equal(runs[0].ref_model.state_dict()[n], before[n]) for n in before)
    bias = [n for n in before if n.endswith("e_score_correction_bias")]
    assert bias
    assert all(torch.equal(exported[n], before[n]) and torch.equal(last[n], before[n]) for n in bias)
    assert AutoTokenizer.from_pretrained(tmp_path / "out" / "export").chat_template
    lines_ = [json.loads(x) for x in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert lines_[0]["rate"] < 1e-3
    assert lines_[-1]["rate"] == pytest.approx(1e-4)
    assert lines_[0]["margin"] == pytest.approx(0, abs=1e-4)
    assert lines_[-1]["margin"] > 0.1
    assert lines_[-1]["preferred"] == 1.0
    assert load_as(DpoConfig, tmp_path / "out" / "config.yaml").average == 0.6


def test_pairs_that_do_not_fit(base: Path, tmp_path: Path) -> None:
    chat = Chat(base)
    rows = [Preference.model_validate(p) for p in [*PAIRS, pair("q", "short", "l" * 300), pair("q" * 300, "a", "b")]]
    columns, counts = dpo.prepare(rows, chat, 96)
    assert len(columns["prompt_ids"]) == 4
    assert counts["unknown"]["pairs"] == 6
    assert counts["unknown"]["dropped"] == 2
    with pytest.raises(ConversationError, match="found no pair of at most 8 tokens"):
        dpo.prepare(rows, chat, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rejected": PAIRS[0]["chosen"]}, "chosen and rejected are the same"),
        ({"chosen": [{"role": "user", "content": "5"}]}, "chosen: found user, expected assistant"),
        ({"chosen": []}, "chosen: Tuple should have at least 1 item"),
        ({"prompt": []}, "found nothing at the end, expected user"),
        ({"score": 1}, "score: Extra inputs are not permitted"),
    ],
)
def test_what_a_file_may_not_hold(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = lines(tmp_path / "pairs.jsonl", [PAIRS[1], PAIRS[0] | change])
    with pytest.raises(ConversationError) as error:
        read(Preference, [path])
    assert str(error.value).startswith(f"{path}:2: ")
    assert message in str(error.value)


def test_the_given_config() -> None:
    config = load_as(DpoConfig, ROOT / "configs" / "model" / "dpo.yaml")
    assert config.sft_weight > 0
    assert config.average is not None
