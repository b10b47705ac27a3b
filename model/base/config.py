"""Options that are read from YAML: typed, closed, frozen, and stored beside what they made.

config = load_as(RunConfig, "configs/model/tiny.yaml", ["train.tokens=1e5", "model.hidden_size=64"])
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from model.base.errors import ConfigError


class Options(BaseModel):
    """Options that refuse unknown keys and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def dump(options: Options) -> str:
    """Format options as YAML that `load_as` reads back."""
    return yaml.safe_dump(json.loads(options.model_dump_json()), sort_keys=False, allow_unicode=True)


Read = TypeVar("Read", bound=Options)


def load_as(kind: type[Read], path: str | Path, overrides: Sequence[str] = ()) -> Read:
    """Read a file, then `key=value` overrides; keys are dotted, values YAML.

    :raises ConfigError: no such file, not a mapping, or values that the options do not take.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    data = _from_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping, found {type(data).__name__}")
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise ConfigError(f"expected key=value, found {override!r}")
        *parents, last = key.split(".")
        place = data
        for name in parents:
            if isinstance(place.get(name), str) and name == "model":
                place[name] = {"preset": place[name]}
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{override}: {name} is no mapping")
        place[last] = number(_from_yaml(value, override))
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        lines = [_message(kind, e) for e in error.errors()]
        origin = f"{path} with {', '.join(overrides)}" if overrides else f"{path}"
        raise ConfigError(f"{origin}: " + "; ".join(lines)) from None


def _from_yaml(text: str, origin: str) -> Any:
    """Read plain data. :raises ConfigError: it is no YAML."""
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ConfigError(f"{origin}: nested too deep") from None
    except (yaml.YAMLError, ValueError, AttributeError) as error:  # those of values: `2026-13-45`, `!!timestamp 99`
        raise ConfigError(f"{origin}: not YAML: {' '.join(str(error).split())}") from None


def _message(kind: type[BaseModel], error: Any) -> str:
    """Say what is wrong with a value; after an unknown key, the known ones."""
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden" and (known := _keys(kind, error["loc"][:-1])):
        return f"{place}: no such key; known are {', '.join(known)}"
    said = error["msg"].removeprefix("Value error, ")
    if error["type"].endswith("_parsing_size"):
        said += f", found {len(str(error['input']))} digits"
    return f"{place}: {said}" if place else said


def _keys(kind: type[BaseModel], place: Sequence[Any]) -> list[str]:
    """List the keys of the options at a place within others; none where that cannot be told."""
    for name in place:
        if isinstance(name, int):
            continue
        if name not in kind.model_fields:
            return []
        waiting, options = [kind.model_fields[name].annotation], None
        while waiting and options is None:
            one = waiting.pop(0)
            options = one if isinstance(one, type) and issubclass(one, BaseModel) else None
            waiting += get_args(one)
        if options is None:
            return []
        kind = options
    return list(kind.model_fields)


def number(value: Any) -> Any:
    """Make a float where YAML 1.1 sees a string: `1e5` has no point."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
