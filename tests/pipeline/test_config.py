"""Configs: closed, typed, addressed by name, and errors that say what would have been right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config import dump, load, parse
from pipeline.stage import STAGES
from pipeline.strict import UserError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PREPARATION = str(CONFIGS / "preparation.yaml")


@pytest.mark.parametrize("stage", STAGES)
def test_shipped_config_survives_storing(stage: str) -> None:
    config = load(CONFIGS / f"{stage}.yaml", stage=stage)
    assert parse(dump(config)) == config
    assert parse(dump(config)).fingerprint() == config.fingerprint()


def test_overrides_are_yaml_and_reach_steps_by_name_or_position() -> None:
    config = load(
        PREPARATION,
        [
            "input.paths=[a.warc.gz, dir/]",
            "output.path=out/x",
            "steps.language.min_score=0.8",
            "steps.0.statuses=[200, 203]",
        ],
    )
    assert config.input.paths == ["a.warc.gz", "dir/"]
    assert config.output.path == "out/x"
    language = next(s for s in config.steps if s.step == "language")
    assert language.min_score == 0.8  # type: ignore[attr-defined]
    assert list(config.steps[0].statuses) == [200, 203]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["inptu.paths=[x]"], r"unknown key 'inptu' \(did you mean 'input'\?\); known keys: stage, "),
        (["input.path=x"], r"input: unknown key 'path' \(did you mean 'paths'\?\); known keys: "),
        (["steps.languag.min_score=1"], r"no step 'languag' here; there are: record_filter, url_filter, "),
        (["steps.language.min_score=high"], r"steps\.language\.min_score: .*valid number.*found 'high'"),
        (["steps.language.min_score=7"], r"less than or equal to 1, found 7"),
        (["steps.language.threshold=0.5"], r"unknown key 'threshold'; known keys: .*min_score"),
        (["steps=[{step: langage}]"], r"unknown step 'langage' \(did you mean 'language'\?\); known steps: "),
        (["steps=[{step: tokenize}]"], r"step 'tokenize' is not of stage 'preparation', whose steps are: "),
        (["steps=[language]"], r"expected a step such as \{step: language, min_score: 0.65\}, found 'language'"),
        (["modules=[no_such_module_here]"], r"modules: cannot import 'no_such_module_here'"),
        (["output.path=[a"], r"the value is not YAML"),
        (["output.path"], r"--set expects key=value"),
        (["stage.name=x"], r"stage is 'preparation', which has no keys"),
        (["output.dropped_text=some"], r"output.dropped_text: .*'full', 'sample' or 'none', found 'some'"),
    ],
)
def test_a_mistake_is_told_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as told:
        load(PREPARATION, overrides)
    assert "\n" not in str(told.value)


def test_a_config_of_another_stage_or_no_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is for stage 'preparation', but this job runs 'tokenization'"):
        load(PREPARATION, stage="tokenization")
    with pytest.raises(UserError, match=r"cannot read config '.*nowhere.yaml': No such file"):
        load(tmp_path / "nowhere.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(UserError, match="is not YAML"):
        load(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(UserError, match="expected a mapping with the keys stage, "):
        load(tmp_path / "list.yaml")


def test_rounds_end_at_cross_document_steps() -> None:
    rounds = load(PREPARATION).rounds()
    names: list[Any] = [([label for label, _ in r.steps], [label for label, _ in r.cross]) for r in rounds]
    assert names == [
        (["record_filter", "url_filter"], ["record_dedup", "raw_dedup"]),
        (["extract_text", "language"], ["exact_dedup"]),
    ]


def test_repeated_steps_get_labels_of_their_own() -> None:
    config = load(PREPARATION, ["steps=[{step: language}, {step: language, min_score: 0.9}, {step: exact_dedup}]"])
    assert config.labels() == ["language", "language#2", "exact_dedup"]
    assert list(config.fingerprint()["steps"]) == config.labels()


def test_run_and_spark_settings_do_not_change_the_fingerprint() -> None:
    base = load(PREPARATION).fingerprint()
    assert load(PREPARATION, ["run.batch_documents=1", "spark.partitions=3", "output.path=o"]).fingerprint() == base
    assert load(PREPARATION, ["output.dropped_text=none"]).fingerprint() != base


def test_one_language_s_bound_is_changed_alone() -> None:
    """As `whatif` takes it: the other languages keep their defaults."""
    path = str(CONFIGS / "rule_based.yaml")
    before, after = (load(path, o) for o in ([], ["steps.word_count.min.en=200"]))
    (old,), (new,) = ([s for s in c.steps if s.step == "word_count"] for c in (before, after))
    assert {**old.min, "en": 200.0} == new.min  # type: ignore[attr-defined]
    assert len(new.min) > 1  # type: ignore[attr-defined]
