"""Stage configuration: one YAML file a stage, typed, closed, printed and stored with the output.

`load(path, overrides)` reads a file and applies `key=value` overrides, whose values are YAML:

    input.paths=[a.warc.gz, dir/]        output.path=out/run7        steps.language.min_score=0.8

A step is addressed by its name or its position in `steps`. A file may begin with another one and say the differences alone:

    base: ../rule_based.yaml                                        # beside this file; or a shipped one: rule_based
    output: {audit: true}                                           # mappings are merged, all else is replaced
    steps:
      stop_words: {min: {en: 4}}                                    # a changed step
      long_lines: {after: word_count, max: 5000}                    # a new step, or a moved one: after or before another
      c4_sentences: null                                            # a step that is left out
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, ValidationInfo, model_validator

from pipeline.readers.inputs import InputOptions
from pipeline.stage import STAGES, Stage, StageName
from pipeline.steps import CrossDocumentStep, Step, discover, known_steps
from pipeline.strict import Strict, UserError, near, read_yaml

_SHOWN, _MISTAKES = 200, 5
"""Characters of a wrong value, and mistakes, that a message shows."""


def parse_step(data: Any, context: Any = None) -> Any:
    """A step from its dictionary; an unknown name is answered with the known ones. `context` is that of the validation."""
    if isinstance(data, Step):
        return data
    if not isinstance(data, dict) or not isinstance(data.get("step"), str):
        raise ValueError(f"expected a step such as {{step: language, min_score: 0.65}}, found {data!r}")
    steps = discover()
    if data["step"] not in steps:
        raise ValueError(f"unknown step {data['step']!r}{near(data['step'], steps)}; known steps: {', '.join(steps)}")
    return steps[data["step"]].model_validate(data, context=context)


def _parse_step(data: Any, info: ValidationInfo) -> Any:
    return parse_step(data, info.context)


AnyStep = Annotated[SerializeAsAny[Step], BeforeValidator(_parse_step)]


class InputConfig(InputOptions):
    """Input of a stage: crawl files for the first, an earlier stage's output for the others."""

    paths: list[str] = Field(description="files, folders, globs, list files (*.paths[.gz]) or URLs; or stage outputs")


class OutputConfig(Strict):
    """Output of a stage."""

    path: str = Field(description="folder or URL of this stage's output")
    dropped_text: Literal["full", "sample", "none"] = Field(
        "full", description="text stored for dropped rows: all, that of `dropped_text_share` chosen by doc_id, or none"
    )
    dropped_text_share: float = Field(
        0.01, ge=0, le=1, description="share of dropped rows that keep text under `sample`"
    )
    audit: bool = Field(
        False,
        description="run every rule on every row, the dropped ones too, and store all values (`rule_values`), so that "
        "`corpusmill whatif` can show what other thresholds would do; verdicts are the same",
    )
    file_characters: int = Field(
        300_000_000, gt=0, description="characters of text that one published file gathers (about 100-300 MB)"
    )


class RunConfig(Strict):
    """Options of the run; nothing here changes the result."""

    overwrite: bool = Field(False, description="discard a finished output that another config made, and start again")
    max_error_fraction: float = Field(
        0.01, ge=0, le=1, description="share of failed rows (step_error, unreadable) above which the stage fails"
    )
    unit_records: int = Field(
        2_000, gt=0, description="rows of one unit of work; the first round over a crawl file takes all of it"
    )
    rows_in_process: int = Field(
        20_000,
        ge=0,
        description="rows of a first generation up to which documents are compared on the driver, without Spark's jobs",
    )
    batch_documents: int = Field(256, gt=0, description="documents a step sees at once")
    batch_bytes: int = Field(64_000_000, gt=0, description="bytes of HTML and text a step sees at once")
    lease_seconds: float = Field(60, gt=0, description="a lock whose heartbeat is older is taken for dead")
    estimate_only: bool = Field(
        False, description="print what the stage would need for its input, step by step, and do nothing"
    )
    report: bool = Field(
        True, description="write report.html and the dataset card README.md into the output when the stage has ended"
    )
    keep_work: bool = Field(False, description="keep _work/ after success, for debugging")


class SparkConfig(Strict):
    """Spark session; nothing here changes the result."""

    master: str | None = Field(None, description="Spark master; null leaves it to spark-submit (local[*] outside it)")
    partitions: int | None = Field(None, gt=0, description="tasks a job and shuffle partitions; null: one task a unit")
    conf: dict[str, str] = Field(default_factory=dict, description="further spark.* settings")


class StageConfig(Strict):
    """One stage: its input, its steps in order, its output."""

    stage: StageName = Field(description="which of the four stages it is; the job of another one refuses it")
    modules: list[str] = Field(
        default_factory=list, description="modules of your own that define steps; importable on driver and workers"
    )
    input: InputConfig
    output: OutputConfig
    steps: list[AnyStep] = Field(default_factory=list, description="what is done to the documents, in this order")
    removal_lists: list[str] = Field(
        default_factory=list,
        description="files of URLs, domains or document ids to be removed; see pipeline/removal.py",
    )
    run: RunConfig = RunConfig()
    spark: SparkConfig = SparkConfig()

    @model_validator(mode="before")
    @classmethod
    def _import_modules(cls, data: Any) -> Any:
        for name in data.get("modules") or () if isinstance(data, dict) else ():
            try:
                importlib.import_module(name)
            except ImportError as e:
                raise ValueError(f"modules: cannot import {name!r}: {e}") from e
        return data

    @model_validator(mode="after")
    def _steps_belong_to_stage(self) -> StageConfig:
        allowed = known_steps([self.stage])
        for step in self.steps:
            if step.step not in allowed and type(step).__module__.startswith("pipeline."):
                raise ValueError(
                    f"step {step.step!r} is not of stage {self.stage!r}, whose steps are: {', '.join(allowed) or 'none yet'}"
                )
        for place, step in enumerate(self.steps):
            for needed in step.needs:
                if needed not in [s.step for s in self.steps[:place]]:
                    raise ValueError(f"step {step.step!r} needs the step {needed!r} before it in this stage")
        if self.kind.writes_shards and [s.step for s in self.steps if s.step in allowed] != ["tokenize", "shards"]:
            found = ", ".join(s.step for s in self.steps) or "none"
            raise ValueError(f"the tokenization stage has the steps tokenize and shards, in this order; found {found}")
        return self

    @property
    def kind(self) -> Stage:
        """Facts that set this stage apart from the others."""
        return STAGES[self.stage]

    def labels(self) -> list[str]:
        """A unique name for each step: its own, with #2, #3 ... where it occurs again."""
        seen: dict[str, int] = {}
        out = []
        for step in self.steps:
            seen[step.step] = n = seen.get(step.step, 0) + 1
            out.append(step.step if n == 1 else f"{step.step}#{n}")
        return out

    def fingerprint(self) -> dict[str, Any]:
        """Everything that the result depends on, apart from the input files: see `Step.fingerprint`."""
        return {
            "stage": self.stage,
            "input": self.input.model_dump(mode="json", exclude={"paths"}),
            "output": self.output.model_dump(mode="json", exclude={"path"}),
            "steps": {label: step.fingerprint() for label, step in zip(self.labels(), self.steps, strict=True)},
        }

    def idle(self) -> list[str]:
        """Labels of the steps that have nothing to do."""
        return [label for label, step in zip(self.labels(), self.steps, strict=True) if step.idle]

    def rounds(self) -> list[Round]:
        """The steps cut into passes: each ends at the cross-document steps that follow its document steps. Steps that have
        nothing to do are in none."""
        rounds: list[Round] = [Round()]
        for label, step in zip(self.labels(), self.steps, strict=True):
            if step.idle:
                continue
            if isinstance(step, CrossDocumentStep):
                if any(earlier.changes_text for _, earlier in rounds[-1].cross):
                    rounds.append(Round())
                rounds[-1].cross.append((label, step))
            else:
                if rounds[-1].cross:
                    rounds.append(Round())
                rounds[-1].steps.append((label, step))
        return rounds


class Round:
    """One pass over the documents (`steps`) and the comparisons after it (`cross`)."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Any]] = []
        self.cross: list[tuple[str, CrossDocumentStep]] = []


def describe(error: ValidationError, data: Any = None) -> str:
    """A validation error as one line: where, what was found, what was expected. Steps are called by their names in `data`."""
    parts = []
    for e in error.errors():
        loc = list(e["loc"])
        if len(loc) > 1 and loc[0] == "steps" and isinstance(loc[1], int):
            with contextlib.suppress(KeyError, IndexError, TypeError):
                loc[1] = data["steps"][loc[1]]["step"]
        where = ".".join(str(p) for p in loc)
        message = str(e["msg"]).removeprefix("Value error, ")
        if e["type"] not in ("value_error", "missing"):
            found = repr(e["input"])
            message += f", found {found if len(found) <= _SHOWN else f'{found[:_SHOWN]} ...'}"
        parts.append(f"{where}: {message}" if where else message)
    parts = list(dict.fromkeys(parts))
    more = f"; and {len(parts) - _MISTAKES} more" if len(parts) > _MISTAKES else ""
    return "; ".join(parts[:_MISTAKES]) + more


def load(path: str | Path, overrides: Sequence[str] = (), stage: str | None = None) -> StageConfig:
    """Read a stage's YAML, with what it has from its `base`, and apply `key=value` overrides.

    :raises UserError: if the file is missing, is not YAML, has an unknown key or step or a value of the wrong type.
    """
    data, folders = _read(Path(path))
    for override in overrides:
        apply_override(data, override)
    config = parse(data, str(path), folders)
    if stage is not None and config.stage != stage:
        raise UserError(f"config {str(path)!r} is for stage {config.stage!r}, but this job runs {stage!r}")
    return config


def parse(data: dict[str, Any], origin: str = "config", folders: Sequence[str] = ()) -> StageConfig:
    """A `StageConfig` from plain data; files that it takes in are looked for in `folders`. :raises UserError: as `load`."""
    try:
        return StageConfig.model_validate(data, context={"folders": folders})
    except ValidationError as e:
        raise UserError(f"{origin}: {describe(e, data)}") from e


def _read(path: Path, above: tuple[Path, ...] = ()) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Plain data of a config file laid over that of its base, and the folders of both, its own first.

    :param above: the files that have this one as their base, the outermost first.
    """
    origin = f"config {str(path)!r}"
    if path.resolve() in [p.resolve() for p in above]:
        raise UserError(f"{origin} is a base of itself: {' -> '.join(map(str, (*above, path)))}")
    try:
        text = path.read_bytes()
    except OSError as e:
        wanted_by = f", the base of {str(above[-1])!r}" if above else ""
        raise UserError(f"cannot read {origin}{wanted_by}: {e.strerror or e}") from e
    data = _from_yaml(text, f"{origin} is")
    if not isinstance(data, dict):
        raise UserError(f"{origin}: expected a mapping with the keys {', '.join(StageConfig.model_fields)}")
    known = ("base", *StageConfig.model_fields)
    for key in data:
        if key not in known:
            raise UserError(f"{path}: unknown key {key!r}{near(str(key), known)}; known keys: {', '.join(known)}")
    folder = (str(path.parent),)
    if "base" not in data:
        return data, folder
    base_path = _base_path(data.pop("base"), path)
    base, base_folders = _read(base_path, (*above, path))
    parse(base, str(base_path), base_folders)  # a mistake in the base is told with the base's name
    changes = data.pop("steps", {})
    if isinstance(changes, dict):
        _change_steps(base.setdefault("steps", []), changes, origin)
    else:
        base["steps"] = changes
    return _laid_over(base, data), (*folder, *base_folders)


def _from_yaml(text: str | bytes, this_is: str) -> Any:
    """Plain data. :raises UserError: that says that `this_is` no YAML."""
    try:
        return read_yaml(text)
    except RecursionError as e:
        raise UserError(f"{this_is} nested too deep") from e
    except (yaml.YAMLError, ValueError, AttributeError) as e:  # those of values: `2026-13-45`, `!!timestamp 99`
        raise UserError(f"{this_is} not YAML: {' '.join(str(e).split())}") from e


def shipped_configs() -> Path:
    """Find the folder of the shipped configs: in the package where it is installed, else in the checkout."""
    installed = Path(__file__).parent / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[1] / "configs"


def _base_path(base: Any, path: Path) -> Path:
    """The file that `base` names in the config `path`: one beside it, or without an ending a shipped one."""
    if isinstance(base, str) and Path(base).suffix:
        return path.parent / base
    shipped = shipped_configs()
    names = {f"{folder}{stage}": f"{folder}{stage}.yaml" for folder in ("", "demo/", "report/") for stage in STAGES}
    names = {name: file for name, file in names.items() if (shipped / file).is_file()}
    if str(base) not in names:
        hint = f"{near(str(base), names)}; shipped are {', '.join(names)}, and a path ends in .yaml"
        raise UserError(f"config {str(path)!r}: there is no base {base!r:.200}{hint}")
    return shipped / names[str(base)]


def _laid_over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`under` with the keys of `over`, in place: mappings are merged key by key, all else is replaced."""
    for key, value in over.items():
        old = _default(under, key) if under.get(key) is None else under[key]
        under[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return under


def _change_steps(steps: list[dict[str, Any]], changes: dict[str, Any], origin: str) -> None:
    """Change, add, move and take out steps in place: label to changed parameters.

    :raises UserError: naming the file `origin`, if a step or the place of one is not there.
    """
    table = dict(zip(_labels(steps), steps, strict=True))
    order = list(table)

    def there(label: Any, problem: str) -> None:
        if label not in order:
            raise UserError(f"{origin}: steps: {problem}{near(str(label), order)}; its steps are: {', '.join(order)}")

    for label, change in changes.items():
        if change is not None and not isinstance(change, dict):
            raise UserError(f"{origin}: steps.{label}: expected changed parameters, or null, found {change!r}")
        parameters = dict(change or {})
        places = {side: parameters.pop(side) for side in ("after", "before") if side in parameters}
        if len(places) == 2:
            raise UserError(f"{origin}: steps.{label}: expected after or before, found both")
        if not places:
            there(label, f"there is no step {label!r} in the base to change (a new one says after: or before:)")
        if change is None:
            order.remove(label)
            continue
        table[label] = _laid_over(table.get(label, {"step": str(label).partition("#")[0]}), parameters)
        for side, other in places.items():
            order = [name for name in order if name != label]
            there(other, f"{label} stands {side} {other!r}, which is not there")
            order.insert(order.index(other) + (side == "after"), label)
    steps[:] = [table[label] for label in order]


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set one dotted `key=value` in place; the value is YAML. :raises UserError: if the key leads nowhere."""
    key, eq, value = override.partition("=")
    if not eq or not key:
        raise UserError(f"--set expects key=value (values are YAML), found {override!r}")
    parsed = _from_yaml(value, f"--set {override!r}: the value is")
    node: Any = data
    parts = key.split(".")
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if isinstance(node, list):
            index = _index(node, part, override)
            if last:
                node[index] = parsed
            else:
                node = node[index]
        elif isinstance(node, dict):
            if last:
                node[part] = parsed
            else:
                if node.get(part) is None:
                    node[part] = _default(node, part)
                node = node[part]
        else:
            raise UserError(f"--set {override!r}: {'.'.join(parts[:i])} is {node!r}, which has no keys")


def _default(node: dict[str, Any], part: str) -> dict[str, Any]:
    """Default of a step's parameter that the config does not name, so that one language's bound can be changed alone."""
    step = discover().get(node["step"]) if isinstance(node.get("step"), str) else None
    field = step.model_fields.get(part) if step is not None else None
    return dict(field.default) if field is not None and isinstance(field.default, dict) else {}


def _labels(items: list[Any]) -> list[str]:
    """Names of the steps in plain data: one that occurs again is `word_count#2`, as in `StageConfig.labels`."""
    names: list[str] = []
    for item in items:
        name = str(item.get("step") if isinstance(item, dict) else None)
        again = sum(n.partition("#")[0] == name for n in names)
        names.append(f"{name}#{again + 1}" if again else name)
    return names


def _index(items: list[Any], part: str, override: str) -> int:
    names = _labels(items)
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    raise UserError(f"--set {override!r}: no step {part!r} here{near(part, names)}; there are: {', '.join(names)}")


def dump(config: StageConfig) -> dict[str, Any]:
    """The resolved config as plain data; `parse(dump(c)) == c`."""
    return config.model_dump(mode="json")


def resolved(config: StageConfig) -> str:
    """The resolved config as YAML, with what it has from its base, from other files and by default; `load` reads it."""
    return yaml.safe_dump(dump(config), sort_keys=False, allow_unicode=True)


def shown(config: StageConfig) -> dict[str, Any]:
    """Keys of a config that differ from the defaults, and its steps: for people. `_run.json` holds all of it."""
    data = config.model_dump(mode="json", exclude_defaults=True)
    data["steps"] = [{"step": s.step, **s.model_dump(mode="json", exclude_defaults=True)} for s in config.steps]
    return data


__all__ = ["StageConfig", "dump", "load", "parse", "resolved"]
