"""Base of every configuration model, the YAML of configs, and the one error that the user can fix."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

_LISTED = 20  # known names that a message lists


class UserError(Exception):
    """A mistake in a config, a path or an input. Shown as one line, without a traceback; exit code 2."""


def near(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'language'?)` for the known name that is nearest to a wrong one; empty if none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def no_such(what: str, name: str, known: Iterable[str], listed_as: str = "there are") -> UserError:
    """Make the error for a name that is unknown: `no step 'pi' (did you mean 'pii'?); there are: pii, word_count`.

    :param what: `step`, or with a place behind a comma: `step, in this output`.
    """
    noun, _, place = what.partition(",")
    names = list(dict.fromkeys(known))
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else "")
    return UserError(f"no {noun} {name!r}{place}{near(name, names)}; {listed_as}: {listed or 'none'}")


class Strict(BaseModel):
    """Closed and immutable: an unknown key is an error that names the known ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _name_known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    hint = near(str(key), cls.model_fields)
                    raise ValueError(f"unknown key {key!r}{hint}; known keys: {', '.join(cls.model_fields)}")
        return data


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is a name", key.start_mark)
            if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


class _ConfigLoader(UniqueKeys):
    """The scalars of YAML 1.2 where 1.1 reads what nobody means: `no` is Norwegian and `off` the word, `0100` and `007` are not
    octal, `1:30` is not a number of base 60, and `2024-01-01` is text. Options that are true or false take `no` and `off` too."""


_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
_ConfigLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, (_pattern, _first) in _SCALARS.items():
    _ConfigLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), list(_first))


def read_yaml(text: str | bytes) -> Any:
    """Plain data of a config, of UTF-8 or UTF-16 bytes. :raises yaml.YAMLError: if it is no YAML or a key stands twice."""
    return yaml.load(text, _ConfigLoader)
