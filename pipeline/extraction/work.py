"""One page from bytes to extraction: what both the child process and in-process callers run."""

from __future__ import annotations

import gc
import json
from dataclasses import asdict, dataclass

from pipeline.extraction.decode import decode
from pipeline.extraction.engines import Page, get_engine
from pipeline.extraction.prepare import TooLarge, check_size, prepare
from pipeline.extraction.result import Extraction


@dataclass(frozen=True, slots=True)
class Job:
    """What to extract with. Travels to the child as JSON."""

    engine: str = "trafilatura"
    profile: str = "full"

    def load(self) -> None:
        """Import the engine. :raises ValueError: for an unknown engine or profile."""
        get_engine(self.engine, self.profile)


@dataclass(frozen=True, slots=True)
class Outcome:
    """An extraction with the charset that was used, or the reason and the measured value why there is none."""

    extraction: Extraction | None = None
    charset: str | None = None
    reason: str | None = None
    value: str | float | int | None = None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Outcome:
        fields = json.loads(data)
        extraction = fields.pop("extraction")
        return cls(extraction=None if extraction is None else Extraction(**extraction), **fields)


def extract_text(html: str, url: str | None, job: Job) -> Extraction:
    """Extract from decoded HTML, without garbage collection in between: it finds nothing in lxml's trees.

    :raises TooLarge: if the page is beyond the guards.
    """
    check_size(html)
    prepared = prepare(html)
    collecting = gc.isenabled()
    gc.disable()
    try:
        return get_engine(job.engine, job.profile).extract(Page(html, prepared, url))
    finally:
        if collecting:
            gc.enable()


def extract_bytes(html: bytes, declared_charset: str | None, url: str | None, job: Job) -> Outcome:
    """Decode and extract. Whatever goes wrong becomes the outcome's reason, but for `MemoryError`."""
    try:
        decoded = decode(html, declared_charset)
        return Outcome(extract_text(decoded.text, url, job), decoded.charset)
    except TooLarge as error:
        return Outcome(reason=error.reason, value=error.value)
    except MemoryError:
        raise
    except Exception as error:  # an engine's bug on a strange page: the page is a dropped row with this message
        return Outcome(reason="step_error", value=f"{type(error).__name__}: {error}")
