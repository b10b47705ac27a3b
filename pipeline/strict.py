"""Base of every configuration model, and the one error that is the user's to mend."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class UserError(Exception):
    """A mistake in a config, a path or an input. Shown as one line, without a traceback; exit code 2."""


class Strict(BaseModel):
    """Closed and immutable: an unknown key is an error that names the known ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _name_known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    close = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                    hint = f" (did you mean {close[0]!r}?)" if close else ""
                    raise ValueError(f"unknown key {key!r}{hint}; known keys: {', '.join(cls.model_fields)}")
        return data
