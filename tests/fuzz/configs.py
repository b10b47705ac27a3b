"""Mutated configs: each is a config, or one line that says where, what was found and what was expected."""

from __future__ import annotations

import copy
import functools
import hashlib
import random
import shutil
from pathlib import Path
from typing import Any

import yaml

from model.base.config import load_as
from model.base.errors import ConfigError
from model.training.config import RunConfig
from pipeline.config import dump, load, parse, resolved
from pipeline.inspection.validate import step_problems
from pipeline.strict import UserError
from tests.fuzz import mutations
from tests.fuzz.runner import ROOT

_STAGES = ("preparation", "rule_based", "model_based", "tokenization", "demo/rule_based", "report/preparation")
_RUNS = ("model/tiny", "model/one-gpu", "model/dots.llm1", "model/hunyuan-tiny")
_LINES = (
    "a: &a [*a]", "b: &b {c: *b}", "x: !!binary '!!'", "x: !!python/object/apply:os.getcwd []", "<<: {a: b}", "? [1]\n: 2",
    "? {a: b}\n: 2", "x: 2026-13-45",
    "x: 0x_", "x: 0b", "x: 1:99:99", "x: !!int x", "x: !!float x", "x: !!timestamp 99", "x: !!set {a, b}",
    "x: !!omap [a: 1]", "x: !!null y", "x: *gone",
    "\tx: 1", "%YAML 9.9", "---", "...", "x: " + "[" * 3000, "x: " + "{a: " * 3000, "x: =", "'", '"', "|", ">", "- x",
    "1: 2", "null: 3", "true: 4", "2024-01-01: 5",
    "x: " + "9" * 5000, "x: 1__", "\ufeffx: 1", "x: \x85", "x: \x07", "modules: [nothing.there]", "modules: 5",
    "modules: [5]", "modules: ['']", "modules: {a: b}",
    "modules: ['.x']", "base: 5", "base: [x]", "base: nowhere", "base: case.yaml", "base: {}", "base: ''", "steps: 5",
    "steps: [5]", "steps: {x: 5}", "steps: {5: {after: 6}}",
    "steps: {x: {after: [1]}}", "steps: [{step: [1]}]", "steps: [{step: language}, 5]", "steps: {word_count: {min: [1]}}",
    "steps: {null: null}", "input: []", "run: x",
)  # fmt: skip


@functools.cache
def _source(name: str) -> str:
    return (
        (ROOT / "configs" / f"{name}.yaml")
        .read_text(encoding="utf-8")
        .replace(f"base: ../{name.split('/')[-1]}.yaml", f"base: {name.split('/')[-1]}")
    )


def check(rng: random.Random, folder: Path) -> str:
    """One case. Returns a digest of the config, or of the message."""
    name = rng.choice((*_STAGES, *_STAGES, *_RUNS))
    text = _source(name)
    path, overrides, place = folder / "case.yaml", [], None
    match rng.randrange(4):
        case 0 | 1:
            data = copy.deepcopy(yaml.safe_load(text))
            place = _changed(rng, data)
            text = yaml.safe_dump(data, sort_keys=False, allow_unicode=rng.random() < 0.5)
        case 2:
            text = _changed_text(rng, text)
        case _:
            overrides = [_override(rng, yaml.safe_load(text)) for _ in range(rng.choice((1, 1, 2)))]
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    shutil.copy(ROOT / "configs" / "category_weights.yaml", folder)
    try:
        shown = _stage(path, overrides) if name in _STAGES else repr(load_as(RunConfig, path, overrides))
    except (UserError, ConfigError) as e:
        shown = str(e)
        _check_message(shown, place, sum(map(len, overrides)))
    return hashlib.md5(shown.replace(str(folder), "").encode("utf-8", "replace")).hexdigest()


def _stage(path: Path, overrides: list[str]) -> str:
    config = load(path, overrides)
    data = dump(config)
    assert repr(dump(parse(data))) == repr(data)
    assert repr(yaml.safe_load(resolved(config))) == repr(yaml.safe_load(resolved(parse(data))))
    working = [label for label in config.labels() if label not in config.idle()]
    assert [label for one in config.rounds() for label, _ in (*one.steps, *one.cross)] == working
    for problem in step_problems(config):
        assert "\n" not in problem, problem
    return repr(data)


def _check_message(message: str, place: mutations.Path | None, override: int) -> None:
    assert message.strip()
    assert "\n" not in message, message
    assert len(message) < 4000 + 2 * override, f"{len(message)} characters: {message[:500]}"
    assert "[type=" not in message, message
    assert "errors.pydantic.dev" not in message, message
    if place is not None:
        names = [str(key) for key in place if not isinstance(key, int)]
        assert not names or any(repr(n)[1:-1] in message or n.removesuffix("s") in message for n in names), (
            f"no {names} in: {message}"
        )
        said = (
            "found",
            "unknown",
            "no such key",
            "expected",
            "Field required",
            "must",
            "needs",
            "there is no",
            "should",
            "is not",
            "has no",
            "missing",
            "may be",
        )
        assert any(word in message for word in said), message


def _changed(rng: random.Random, data: dict[str, Any]) -> mutations.Path:
    """Change plain data in place. Returns where; a key that is new is the last of it."""
    place = rng.choice(mutations.paths(data))
    above, key = mutations.at(data, place[:-1]), place[-1]
    match rng.randrange(6):
        case 0 | 1 | 2:
            above[key] = mutations.value(rng)
        case 3:
            del above[key]
        case 4:
            if isinstance(above, dict):
                new = rng.choice((str(key) + "s", str(key)[1:], str(key).upper(), "x", 5, None, True, "\0"))
                above[new] = above.pop(key)
                return (*place[:-1], new, str(key))
            above.insert(key, rng.choice((above[key], mutations.value(rng))))
        case _:
            other = mutations.at(data, rng.choice(mutations.paths(data)))
            above[key] = copy.deepcopy(other)
    return place if place != ("base",) else ()


def _changed_text(rng: random.Random, text: str) -> str:
    if rng.random() < 0.3:
        return mutations.damaged(rng, text.encode()).decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(len(lines))
        match rng.randrange(5):
            case 0:
                lines.insert(place, rng.choice(_LINES))
            case 1:
                del lines[place]
            case 2:
                lines[place] = " " * rng.randrange(9) + lines[place].lstrip()
            case 3:
                lines.insert(rng.randrange(len(lines)), lines[place])
            case _:
                key, _, rest = lines[place].partition(":")
                lines[place] = f"{key}: {rng.choice(_LINES).partition(': ')[2] or rest}"
        lines = lines or [""]
    return "\n".join(lines)


def _override(rng: random.Random, data: dict[str, Any]) -> str:
    keys = [str(key) for key in rng.choice(mutations.paths(data))]
    if len(keys) > 1 and keys[0] == "steps" and keys[1].isdigit() and rng.random() < 0.7:
        keys[1] = str(data["steps"][int(keys[1])].get("step"))
    if rng.random() < 0.3:
        keys.insert(
            rng.randrange(len(keys) + 1), rng.choice(("x", "", "0", "-1", "999", "steps", "word_count", "min", "en"))
        )
    value = rng.choice((repr(mutations.value(rng)), str(mutations.value(rng)), rng.choice(_LINES).partition(": ")[2]))
    return rng.choice((".".join(keys) + "=" + value,) * 9 + (".".join(keys), value, "=" + value))
