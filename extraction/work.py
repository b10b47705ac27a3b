"""Extraction of one page from its bytes. The child process and in-process callers both run it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from extraction.engines import Options, get_engine
from extraction.prepare import TooLarge
from extraction.result import Extraction


@dataclass(frozen=True, slots=True)
class Job:
    """What to extract with. Travels to the child as JSON."""

    engine: str = "trafilatura"
    options: Options = field(default_factory=Options)

    def load(self) -> None:
        """Import and load the engine. :raises ValueError: for an unknown engine."""
        get_engine(self.engine, self.options).load()

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Job:
        """Read a job that `asdict` wrote."""
        return cls(fields["engine"], Options(**fields["options"]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """An extraction with the charset that was used, or the reason and the measured value why there is none."""

    extraction: Extraction | None = None
    charset: str | None = None
    reason: str | None = None
    value: str | float | int | None = None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, default=list).encode()  # `Rows` as lists

    @classmethod
    def from_json(cls, data: bytes) -> Outcome:
        fields = json.loads(data)
        extraction = fields.pop("extraction")
        return cls(extraction=None if extraction is None else Extraction(**extraction), **fields)


def extract_bytes(
    html: bytes, declared_charset: str | None, url: str | None, job: Job, content_type: str | None = None
) -> Outcome:
    """Decode and extract. Whatever goes wrong becomes the outcome's reason, but for `MemoryError`."""
    try:
        extraction, charset = get_engine(job.engine, job.options).extract_bytes(
            html, declared_charset, url, content_type
        )
        return Outcome(extraction, charset)
    except TooLarge as error:
        return Outcome(reason=error.reason, value=error.value)
    except MemoryError:
        raise
    except Exception as error:  # an engine's bug on a strange page: the page is a dropped row with this message
        return Outcome(reason="step_error", value=f"{type(error).__name__}: {error}")
