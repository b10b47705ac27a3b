"""Configs: closed, typed, addressed by name, and errors that say what would have been right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config import dump, load, parse, resolved
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
        (
            ["steps.languag.min_score=1"],
            r"no step 'languag' here \(did you mean 'language'\?\); there are: record_filter, url_filter, ",
        ),
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
    with pytest.raises(UserError, match=message) as error:
        load(PREPARATION, overrides)
    assert "\n" not in str(error.value)


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


def written(folder: Path, **files: str) -> Path:
    """Configs in a folder; the path of the first."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{next(iter(files))}.yaml"


BASE = "stage: rule_based\ninput: {paths: [a]}\noutput: {path: o}\nsteps:\n  - {step: word_count}\n  - {step: stop_words}\n"


def test_a_base_is_changed_by_step_and_key(tmp_path: Path) -> None:
    mine = """
base: base.yaml
output: {audit: true}
run: {batch_documents: 7}
steps:
  word_count: {min: {en: 10}}
  hash_ratio: {after: word_count, max: 0.5}
  stop_words: {before: word_count}
"""
    config = load(written(tmp_path, mine=mine, base=BASE))
    assert config.labels() == ["stop_words", "word_count", "hash_ratio"]
    assert (config.output.path, config.output.audit, config.run.batch_documents) == ("o", True, 7)
    steps = [
        {"step": "stop_words"},
        {"step": "word_count", "min": {"en": 10, "zh": 40}},
        {"step": "hash_ratio", "max": 0.5},
    ]
    whole = parse({**dump(load(tmp_path / "base.yaml")), "output": dump(config)["output"], "steps": steps})
    assert config.fingerprint() == whole.fingerprint()
    assert load(tmp_path / "mine.yaml", ["steps.word_count.min.en=9"]).steps[1].min["en"] == 9  # type: ignore[attr-defined]


def test_bases_chain_and_steps_are_left_out_repeated_or_replaced(tmp_path: Path) -> None:
    middle = "base: base.yaml\nsteps: {stop_words: null, 'word_count#2': {after: word_count, min: 5}}"
    last = "base: middle.yaml\nsteps: {'word_count#2': {min: 6}}"
    path = written(tmp_path, last=last, middle=middle, base=BASE, listed="base: last.yaml\nsteps: [{step: pii}]")
    assert load(path).labels() == ["word_count", "word_count#2"]
    assert load(path).steps[1].min == {"default": 6}  # type: ignore[attr-defined]
    assert load(tmp_path / "listed.yaml").labels() == ["pii"]


def test_a_resolved_config_is_one_file(tmp_path: Path) -> None:
    path = written(tmp_path, mine="base: tokenization\noutput: {path: o}\n", whole="")
    config = load(path)
    assert config.output.path == "o"
    shipped = load(CONFIGS / "tokenization.yaml")
    assert config.steps == shipped.steps, "files beside the base are found from elsewhere"
    (tmp_path / "whole.yaml").write_text(resolved(config), encoding="utf-8")
    assert load(tmp_path / "whole.yaml") == config


def test_the_demo_and_the_report_change_the_shipped_configs() -> None:
    demo, corpus = (load(CONFIGS / f"{f}rule_based.yaml") for f in ("demo/", ""))
    assert demo.steps[0].max_occurrences == 3  # type: ignore[attr-defined]
    assert demo.input == corpus.input
    report, fast = (load(CONFIGS / f"{f}preparation.yaml") for f in ("report/", ""))
    assert [s for s in report.steps if s.step != "extract_text"] == [s for s in fast.steps if s.step != "extract_text"]


@pytest.mark.parametrize(
    ("mine", "message"),
    [
        ("base: mine.yaml", r"mine.yaml' is a base of itself: \S*mine.yaml -> \S*mine.yaml$"),
        ("base: other.yaml", r"mine.yaml' is a base of itself: \S*mine.yaml -> \S*other.yaml -> \S*mine.yaml$"),
        ("base: none.yaml", r"cannot read config '\S*none.yaml', the base of '\S*mine.yaml': No such file"),
        ("base: rule_base", r"mine.yaml': there is no base 'rule_base' \(did you mean 'rule_based'\?\); shipped are prep"),
        ("base: [a]", r"there is no base \['a'\]"),
        ("base: broken.yaml", r"^\S*broken.yaml: steps.word_count: unknown key 'mim' \(did you mean 'min'\?\)"),
        ("base: base.yaml\nsteps: {word_count: {mim: 3}}", r"^\S*mine.yaml: steps.word_count: unknown key 'mim' \(did"),
        ("base: base.yaml\noutptu: {}", r"mine.yaml: unknown key 'outptu' \(did you mean 'output'\?\); known keys: base, "),
        ("base: base.yaml\nsteps: {word_cuont: {min: 3}}", r"mine.yaml': steps: there is no step 'word_cuont' in the base to "
         r"change .*\(did you mean 'word_count'\?\); its steps are: word_count, stop_words"),
        ("base: base.yaml\nsteps: {word_cuont: {after: stop_words}}", r"mine.yaml: .*unknown step 'word_cuont' \(did you"),
        ("base: base.yaml\nsteps: {pii: {after: stop_word}}", r"pii stands after 'stop_word', which is not there \(did you"),
        ("base: base.yaml\nsteps: {pii: {after: word_count, before: stop_words}}", r"steps.pii: expected after or before"),
        ("base: base.yaml\nsteps: {word_count: 3}", r"steps.word_count: expected changed parameters, or null, found 3"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_base_names_the_file_that_makes_it(tmp_path: Path, mine: str, message: str) -> None:
    broken = BASE.replace("word_count}", "word_count, mim: 3}")
    path = written(tmp_path, mine=mine, base=BASE, other="base: mine.yaml", broken=broken)
    with pytest.raises(UserError, match=message) as error:
        load(path)
    assert "\n" not in str(error.value)


STAGE = "stage: preparation\ninput: {paths: [x]}\noutput: {path: out/x}\nsteps:\n"


def of_text(tmp_path: Path, text: str | bytes, *overrides: str) -> Any:
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, overrides)


@pytest.mark.parametrize(
    ("step", "key", "value"),
    [
        ("language, languages: [no, en]", "languages", ["no", "en"]),  # Norwegian
        ("language, merge: {nb: no, nn: no}", "merge", {"nb": "no", "nn": "no"}),
        ("extract_text, formulas: off", "formulas", "off"),
        ("record_filter, max_bytes: 0100000", "max_bytes", 100_000),  # not octal
        ("record_filter, max_bytes: 1_000", "max_bytes", 1000),
        ("record_filter, without_status: no", "without_status", False),  # what is true or false takes both words
        ("record_filter, without_status: on", "without_status", True),
        ("record_filter, without_status: false", "without_status", False),
        ("language, min_score: .5", "min_score", 0.5),
        ("language, min_score: 1e-1", "min_score", 0.1),
    ],
)
def test_plain_words_and_numbers_are_what_they_look_like(tmp_path: Path, step: str, key: str, value: object) -> None:
    name, _, setting = step.partition(", ")
    parameter, _, written = setting.partition(": ")
    configs = [
        of_text(tmp_path, f"{STAGE}- {{step: {step}}}\n"),
        of_text(tmp_path, f"{STAGE}- {{step: {name}}}\n", f"steps.{name}.{parameter}={written}"),
    ]
    for config in configs:
        assert config.steps[0].model_dump()[key] == value
        assert of_text(tmp_path, resolved(config)) == config


def test_text_that_looks_like_something_else_stays_text(tmp_path: Path) -> None:
    for text in ("2024-01-01", "007", "1:30", "no", "1e3", "0b1"):
        config = of_text(tmp_path, f"{STAGE}- {{step: language}}\n", f"input.source={text}")
        assert config.input.source == text
        assert of_text(tmp_path, resolved(config)) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{STAGE}- {{step: language, min_score: 0.5, min_score: 0.9}}\n", "key 'min_score' stands twice"),
        (f"{STAGE}- {{step: language}}\nsteps: []\n", "key 'steps' stands twice"),
        (f"{STAGE}\t- {{step: language}}\n", "found character '.t' that cannot start any token"),
        (f"{STAGE}- {{step: language}}\n# café\n".encode("latin-1"), "is not YAML: unacceptable character"),
        (f"{STAGE}- {{step: record_filter, max_bytes: 1:30:00}}\n", "valid integer.* found '1:30:00'"),
        (f"{STAGE}- {{step: language, min_score: on}}\n", "valid number.* found 'on'"),
    ],
)
def test_a_mistake_in_yaml_is_told_in_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        of_text(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_config_may_have_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    config = of_text(tmp_path, f"{STAGE}- {{step: language}}  # 语言\n".encode(encoding))
    assert [s.step for s in config.steps] == ["language"]
