"""Base of every configuration model, and the one error that the user can fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

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
