"""The configuration reference, from the typed configs and the registered steps.

    python scripts/configuration.py    write docs/configuration.md, and the tables of steps in the pages of the stages

`make golden` runs it too; `tests/contracts/test_generated.py` holds the pages to the code.
"""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipeline.config import InputConfig, OutputConfig, RunConfig, SparkConfig, StageConfig, load
from pipeline.inspection.rules import source, thresholds, what
from pipeline.stage import STAGES
from pipeline.steps import CrossDocumentStep, DocumentStep, DuplicateStep, Rule, Step, discover

ROOT = Path(__file__).resolve().parents[1]
PAGE = "docs/configuration.md"
STAGE_PAGES = {
    "preparation": "docs/preparation.md",
    "model_based": "docs/model_based.md",
    "tokenization": "docs/tokenization.md",
}
"""Pages with a table between `<!-- steps:STAGE -->` and `<!-- /steps -->`; that of rule_based is docs/rules.md."""

LONGEST = 60
"""Characters of a default that are shown."""

MARK = re.compile(r"(<!-- steps:(\w+) -->\n).*?(<!-- /steps -->)", re.DOTALL)
CITED = re.compile(r"dots\.llm1 (?:[A-C]\.\d|\d\.\d)|arXiv:\d{4}\.\d{5}")
PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}


def cell(text: str) -> str:
    """Text as one cell of a table."""
    return re.sub(r"<(?=[\w|])", "&lt;", " ".join(text.split())).replace("|", "\\|")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return [*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows)]


def is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def by_language(annotation: Any, metadata: Sequence[Any] = ()) -> bool:
    """Whether a field is `pipeline.steps.Limits`, a bound by language."""
    metadata = (*metadata, *getattr(annotation, "__metadata__", ()))
    return any(getattr(getattr(m, "func", None), "__name__", "") == "_limits" for m in metadata)


def plain_type(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A type in plain words."""
    if by_language(annotation, metadata):
        return "number, or by language"
    if hasattr(annotation, "__metadata__"):  # Annotated
        annotation = annotation.__origin__
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " / ".join(f"`{a}`" for a in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(plain_type(a) for a in arguments)
    if origin in (list, tuple):
        inner = plain_type(arguments[0])
        return f"list of {'sections' if is_section(arguments[0]) else inner if inner == 'text' else inner + 's'}"
    if origin is dict:
        inner = plain_type(arguments[1])
        return f"{inner} by name" if inner.startswith(("text", "list")) else f"{inner}, by name"
    if is_section(annotation):
        return "step" if issubclass(annotation, Step) else "section"
    return PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))


def shown(value: Any) -> str:
    """A default, compact."""
    if isinstance(value, BaseModel):
        return "see below"
    if value == "":
        return "empty"
    if type(value) is int and value >= 100_000:
        return f"`{value:_}`"
    text = json.dumps(_plain(value), ensure_ascii=False).replace('"', "")
    return f"`{text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}`"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json"))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    return "required" if value is PydanticUndefined else shown(value)


def bounds(info: FieldInfo) -> str:
    """The bounds that the type checks."""
    signs = []
    for m in info.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if getattr(m, name, None) is not None:
                signs.append(
                    f"{sign} {getattr(m, name):,g}" if abs(getattr(m, name)) < 1e6 else f"{sign} {getattr(m, name):,}"
                )
        if getattr(m, "min_length", None):
            signs.append("not empty")
    return ", ".join(signs)


def described(model: type[BaseModel], name: str) -> str:
    """Purpose of a field: its description, else that of the class which declared it first, else of the section it is."""
    for cls in model.__mro__:
        fields = getattr(cls, "__pydantic_fields__", {})
        if name in fields and fields[name].description:
            return str(fields[name].description)
    annotation = model.model_fields[name].annotation
    sections = [a for a in (annotation, *get_args(annotation)) if is_section(a)]
    return " ".join((sections[0].__doc__ or "").split("\n\n")[0].split()) if sections else ""


def sections_of(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The sections that the fields of a model hold, and theirs."""
    out: list[type[BaseModel]] = []
    for info in model.model_fields.values():
        for a in (info.annotation, *get_args(info.annotation)):
            if is_section(a) and not issubclass(a, Step) and a not in out:
                out += [a, *sections_of(a)]
    return out


def fields_table(model: type[BaseModel], leave_out: Sequence[str] = ()) -> list[str]:
    rows = []
    for name, info in model.model_fields.items():
        if name in leave_out:
            continue
        kind = plain_type(info.annotation, info.metadata)
        text = described(model, name)
        if issubclass(model, Rule) and name in ("min", "max"):
            reason = model.below if name == "min" else model.above
            unit = f", in {model.unit}" if text == Rule.model_fields[name].description else ""
            text += f"{unit}; beyond it `{reason}`"
        rows.append([f"`{name}`", kind, default(info), bounds(info), text or "-"])
    return table(["key", "type", "default", "bounds", "what it is"], rows)


def kind(step: type[Step]) -> str:
    if issubclass(step, CrossDocumentStep):
        return "comparison of documents"
    if issubclass(step, DocumentStep) and step.process is not DocumentStep.process:
        return "document step, batched"
    return "document step"


def cited(step: type[Step]) -> str:
    """Source of a step: as it says itself, else the papers that its own text or its module's names."""
    said = getattr(step, "source", "")
    if said:
        return str(said)
    for text in (step.__doc__, sys.modules[step.__module__].__doc__):
        citations = list(dict.fromkeys(CITED.findall(text or "")))
        if citations:
            return ", ".join(citations)
    return ""


def unused_bounds(step: type[Step]) -> list[str]:
    """A rule's `min` or `max` that has no reason cannot be set; one whose reason is computed can."""
    if not issubclass(step, Rule):
        return []
    return [n for n, reason in (("min", step.below), ("max", step.above)) if not reason]


def step_section(name: str, step: type[Step], shipped: bool) -> list[str]:
    facts = [f"{kind(step)}, version {step.version}"]
    if issubclass(step, Rule):
        facts[0] = facts[0].replace("document step", "rule")
    if cited(step):
        facts.append(f"source: {cited(step)}")
    if issubclass(step, DuplicateStep):
        facts.append(f"drops `{step.reason}`")
    if step.needs:
        facts.append(f"needs {' and '.join(f'`{name}`' for name in step.needs)} before it")
    if not shipped:
        facts.append("not in the shipped config")
    first = " ".join((step.__doc__ or "").split("\n\n")[0].split())
    lines = [f"### `{name}`", "", first, "", f"*{'; '.join(facts)}.*", ""]
    left_out = ["step", *unused_bounds(step)]
    if set(step.model_fields) - set(left_out):
        lines += [*fields_table(step, left_out), ""]
    for section in sections_of(step):
        inside = [f for f, i in step.model_fields.items() if section in (i.annotation, *get_args(i.annotation))]
        lines += [f"Keys of `{inside[0] if inside else section.__name__}`:", "", *fields_table(section), ""]
    return lines


def in_order(stage: str) -> list[tuple[str, type[Step], bool]]:
    """A stage's steps as the shipped config has them, then the others by name; whether they are in it."""
    known = discover(stage)
    shipped = list(dict.fromkeys(s.step for s in load(ROOT / "configs" / f"{stage}.yaml").steps))
    return [(n, known[n], n in shipped) for n in [*shipped, *sorted(set(known) - set(shipped))]]


def differences(one: StageConfig, other: StageConfig) -> Iterator[list[str]]:
    """Step, key, value in one, value in the other, for all that differ."""
    theirs = dict(zip(other.labels(), other.steps, strict=True))
    for label, step in zip(one.labels(), one.steps, strict=True):
        if label not in theirs:
            yield [f"`{label}`", "-", "a step", "none"]
            continue
        for key in type(step).model_fields:
            mine, their = getattr(step, key), getattr(theirs[label], key)
            if mine != their:
                yield [f"`{label}`", f"`{key}`", _compact(mine), _compact(their)]
    for key in OutputConfig.model_fields:
        mine, their = getattr(one.output, key), getattr(other.output, key)
        if mine != their:
            yield ["(output)", f"`{key}`", shown(mine), shown(their)]


def _compact(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        value = [v.model_dump(mode="json", exclude_defaults=True) for v in value]
    return shown(value)


PROFILES = """\
## Profiles

One file for each stage, in `configs/`; what it does not name has the default below. `--set` changes single values. A file with
a `base` says only what differs from another file ([recipe](recipes.md#a-config-of-your-own)); `corpusmill config FILE` prints
the whole. A file of the same name in another folder takes its place:

| file | what it is for |
|---|---|
| `configs/<stage>.yaml` | the shipped configuration: the values for a corpus, with paths of the demo |
| `configs/demo/rule_based.yaml` | the same steps, bounds so tight that they act on the few pages of the sample; `make demo` |
| `configs/report/preparation.yaml` | stage 1 as the report has it, trafilatura first; `make demo PROFILE=report` |
| `configs/category_weights.yaml` | what the training tokens shall hold: keys of `mixture`, named by `configs/tokenization.yaml` |
"""

HEAD = """\
# Configuration

Written by `make golden` from the code; a test holds it to the code. A stage is one YAML file:

```yaml
stage: rule_based
input: {paths: [out/demo/preparation]}
output: {path: out/mine/rule_based}
steps:
  - {step: word_count, min: {en: 50, zh: 40}}
```

Keys are closed: an unknown one is an error that names the known ones. A job changes single values with `--set key=value`, whose
values are YAML. A step is addressed by its name or its place (from 0), the second of a name as `name#2`:
`--set steps.language.min_score=0.8`. A *number, or by language* is `50` for all, `{en: 50, zh: 40}`, or `{default: 50, zh: 40}`
with one for the languages that are not named; a language without a bound passes. Rules' bounds are inclusive.
"""


def profiles() -> list[str]:
    lines = [*PROFILES.splitlines(), ""]
    for folder, stage in (("demo", "rule_based"), ("report", "preparation")):
        rows = list(
            differences(load(ROOT / "configs" / folder / f"{stage}.yaml"), load(ROOT / "configs" / f"{stage}.yaml"))
        )
        lines += [f"What `configs/{folder}/{stage}.yaml` has otherwise than `configs/{stage}.yaml`:", ""]
        lines += [*table(["step", "key", f"{folder}", "shipped"], rows), ""]
    lines += [
        "What the shipped files of the other stages set themselves, beside their paths, where it is not the default:",
        "",
    ]
    rows = []
    for stage in STAGES:
        config = load(ROOT / "configs" / f"{stage}.yaml")
        for label, step in zip(config.labels(), config.steps, strict=True):
            for key, info in type(step).model_fields.items():
                value = getattr(step, key)
                if key != "step" and value != info.get_default(call_default_factory=True, validated_data={}):
                    cell_text = "see `configs/category_weights.yaml`" if key == "mixture" else _compact(value)
                    rows.append([stage, f"`{label}`", f"`{key}`", cell_text])
        if config.output.audit:
            rows.append([stage, "(output)", "`audit`", "`true`"])
    return [*lines, *table(["stage", "step", "key", "value"], rows), ""]


def reference() -> str:
    """The page docs/configuration.md."""
    lines = [
        *HEAD.splitlines(),
        "",
        "Parts: "
        + ", ".join(f"[{p}](#{p.lower()})" for p in ("Profiles", "Stage", "Input", "Output", "Run", "Spark"))
        + ";",
        "steps of",
        ", ".join(f"[{s}](#steps-of-{s})" for s in STAGES) + ".",
        "",
        *profiles(),
        "## Stage",
        "",
        (StageConfig.__doc__ or "").strip(),
        "",
        *fields_table(StageConfig),
        "",
    ]
    for title, section in (
        ("Input", InputConfig),
        ("Output", OutputConfig),
        ("Run", RunConfig),
        ("Spark", SparkConfig),
    ):
        lines += [f"## {title}", "", (section.__doc__ or "").strip(), "", *fields_table(section), ""]
        for inner in sections_of(section):
            lines += ["Keys of `columns`:", "", *fields_table(inner), ""]
    for stage in STAGES:
        lines += [f"## Steps of {stage}", ""]
        for name, step, shipped in in_order(stage):
            lines += step_section(name, step, shipped)
    return "\n".join(lines).rstrip() + "\n"


def keeps(step: Step) -> str:
    """Bounds as the config has them: a rule's, or the numbers, names and bounds by language of another step."""
    if isinstance(step, Rule):
        extra = [f"{k} {', '.join(map(str, v))}" for k, v in step if k == "keep"]
        return "; ".join([thresholds(step) if step.min or step.max else "no bound set", *extra])
    parts: list[str] = []
    for key, value in step:
        if key == "step" or isinstance(value, bool) or value is None or key.startswith(("alarm", "driver")):
            continue
        if isinstance(value, int | float):
            parts.append(f"{key} {value:,g}" if abs(value) < 1e6 or isinstance(value, float) else f"{key} {value:,}")
        elif isinstance(value, str):
            parts.append(f"{key} {value}")
        elif isinstance(value, list | tuple) and value and all(isinstance(v, str | int) for v in value):
            parts.append(f"{key} {', '.join(map(str, value))}")
        elif by_language(None, type(step).model_fields[key].metadata):
            parts.append(f"{key} " + ", ".join(f"{v:g} {k}" for k, v in value.items()))
        elif isinstance(value, BaseModel) and "name" in type(value).model_fields:
            parts.append(f"{key} {value.name}")  # type: ignore[attr-defined]
    return "; ".join(parts) or "-"


def steps_table(stage: str) -> list[str]:
    """The table of a stage's steps, in the form of docs/rules.md."""
    config = load(ROOT / "configs" / f"{stage}.yaml")
    rows = [[f"`{label}`", what(s), keeps(s), source(s) or cited(type(s)) or "-"] for label, s in _labelled(config)]
    known, used = discover(stage), {s.step for s in config.steps}
    for name in sorted(set(known) - used):
        made = known[name].model_validate({"step": name})
        rows.append([f"`{name}` (option)", what(made), keeps(made), source(made) or cited(type(made)) or "-"])
    return table(["step", "what it does", "keeps", "source"], rows)


def _labelled(config: StageConfig) -> Iterator[tuple[str, Step]]:
    return zip(config.labels(), config.steps, strict=True)


def filled(text: str) -> str:
    """A page with its tables of steps made anew."""
    return MARK.sub(lambda m: m[1] + "\n" + "\n".join(steps_table(m[2])) + "\n\n" + m[3], text)


def pages() -> dict[str, str]:
    """All that this script writes: path in the repository to text."""
    out = {PAGE: reference()}
    for path in STAGE_PAGES.values():
        out[path] = filled((ROOT / path).read_text(encoding="utf-8"))
    return out


if __name__ == "__main__":
    for path, text in pages().items():
        (ROOT / path).write_text(text, encoding="utf-8")
