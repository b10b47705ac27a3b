"""Steps of a stage: one small class for each operation on documents.

A step *is* its validated parameters plus one pure call. Write one by subclassing `DocumentStep` in a module of a stage
package (`pipeline/preparation/`, `pipeline/rule_based/`, ...):

    class MinWords(DocumentStep):
        \"\"\"Drop documents of fewer than `min_words` words.\"\"\"

        step: Literal["min_words"] = "min_words"
        min_words: int = Field(50, gt=0, description="inclusive lower bound, in words")

        drops: ClassVar[Examples] = (Example("Two words.", "en", "too_few_words"),)

        def __call__(self, doc: Document) -> Document | Drop:
            n = count_words(doc.text or "")
            return doc if n >= self.min_words else Drop("too_few_words", value=n)

and add the line `- {step: min_words, min_words: 50}` to the stage's config. The step is registered when the class is
created, and `discover()` finds it. `tests/contracts` test it unasked: they hold it to its examples.

A step cannot remove a row: it can only return `Drop`; the runner records step, reason and value, and later steps skip the
row. An exception becomes the drop `step_error` with its message.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import BeforeValidator, Field, model_validator

from pipeline.schema import Document, Drop
from pipeline.stage import STAGES
from pipeline.strict import Strict

_REGISTRY: dict[str, type[Step]] = {}


@dataclass(frozen=True)
class Example:
    """A document that shows what a step with its defaults does: evidence beside the rule, checked by `tests/contracts`.

    :param reason: of a document in `drops`: the drop reason; None: any.
    :param left: of a document in `changes`: the text that the step leaves of it; None: any other text.
    :param line_tags: one for each line of `text`; the other fields are columns of `Document` likewise.
    """

    text: str | None = None
    language: str | None = "en"
    reason: str | None = None
    _: KW_ONLY
    left: str | None = None
    url: str | None = None
    title: str | None = None
    html: bytes | None = None
    http_status: int | None = None
    content_type: str | None = None
    line_tags: tuple[str, ...] | None = None
    line_link_share: tuple[float, ...] | None = None
    findings: tuple[dict[str, Any], ...] | None = None

    def document(self) -> Document:
        """The example as a row."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("reason", "left")}
        lists = {name: list(value) for name, value in columns.items() if isinstance(value, tuple)}
        if self.line_tags is not None and self.line_link_share is None:
            lists["line_link_share"] = [0.0] * len(self.line_tags)
        return Document(doc_id="0" * 32, source_file="example", **{**columns, **lists})


Examples = tuple[Example, ...]


class Step(Strict):
    """A validated, immutable parameter set with a name.

    Subclasses set `step: Literal["name"] = "name"`; the field, unlike a class variable, survives `model_dump`, so the stored
    config can be read back.
    """

    version: ClassVar[int] = 1
    """Raise it when the step's results change for the same parameters: finished outputs then ask to be made again."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Steps that must stand before this one in the same stage: it reads what they store."""

    step: str

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        name = cls.model_fields["step"].default
        if isinstance(name, str):
            other = _REGISTRY.get(name)
            if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"step name {name!r} is taken by {other.__module__}.{other.__qualname__}")
            _REGISTRY[name] = cls

    def resources(self) -> Sequence[str]:
        """Paths or URLs of files that the results depend on (block lists, weights); hashed into the fingerprint."""
        return ()

    def fingerprint(self) -> dict[str, Any]:
        """Facts that must be equal for two runs of this step to give the same result."""
        return {
            "step": self.step,
            "version": type(self).version,
            "parameters": self.model_dump(mode="json", exclude={"step"}),
            "resources": {r: file_sha256(r) for r in self.resources()},
        }

    @property
    def idle(self) -> bool:
        """True if the step, with these parameters, does nothing to any document: it then costs nothing."""
        return False

    def check(self) -> None:
        """Look at the files that the parameters name, on the driver, before any work. :raises ValueError: naming the mistake."""

    def load(self) -> None:
        """Load what the step needs (lists, models), once per worker process. Called before the first document."""


class DocumentStep(Step):
    """Decides on each document by itself: `doc -> Document | Drop`."""

    needs_html: ClassVar[bool] = False
    """True if the step reads `doc.html`: the runner then reads the record from its source file."""

    audited: ClassVar[bool] = False
    """True if the step is also run on rows that are dropped already, where `output.audit` is set."""

    drops: ClassVar[Examples] = ()
    """Documents that the step, with its defaults, drops."""

    keeps: ClassVar[Examples] = ()
    """Documents that it keeps as they are; best those that a plainer rule would drop."""

    changes: ClassVar[Examples] = ()
    """Documents that it keeps with another text: of which it cuts or masks something."""

    def __call__(self, doc: Document) -> Document | Drop:
        raise TypeError(f"{type(self).__name__} must define __call__ or process")

    def process(self, docs: list[Document]) -> list[Document | Drop]:
        """Decide on a batch: same length, same order. Override where a batch is faster; results may not depend on it."""
        return [self(doc) for doc in docs]

    def child_cpu_seconds(self) -> float:
        """CPU seconds that child processes of this step have used so far (the runner sees only its own process)."""
        return 0.0


def _limits(value: Any) -> Any:
    return {"default": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


Limits = Annotated[dict[str, float], BeforeValidator(_limits)]
"""A bound, by language: `50`, or `{en: 50, zh: 30}`, or with `default` for all other languages."""


class Rule(DocumentStep):
    """A document step that measures one number and drops documents whose number is out of bounds.

    Subclasses define `measure` and the class variables, among them an example that is dropped and one that stays; `min` and
    `max` get their defaults by language, each with its source. Bounds are inclusive: a value equal to a bound stays. A
    language without a bound passes.
    """

    unit: ClassVar[str]
    """Unit of the number: `words`, `share of characters`, ..."""

    source: ClassVar[str]
    """Source of the rule: paper and section."""

    below: ClassVar[str] = ""
    """Drop reason of values under `min`."""

    above: ClassVar[str] = ""
    """Drop reason of values over `max`."""

    audited: ClassVar[bool] = True

    min: Limits | None = Field(None, description="inclusive lower bound, for all languages or by language")
    max: Limits | None = Field(None, description="inclusive upper bound, for all languages or by language")

    @model_validator(mode="after")
    def _bounds_have_reasons(self) -> Rule:
        for name, reason in (("min", self.below), ("max", self.above)):
            if getattr(self, name) is not None and not reason:
                other = "max" if name == "min" else "min"
                raise ValueError(f"{self.step} has no {name}, only {other}: nothing is wrong with values beyond it")
        return self

    def measure(self, doc: Document) -> float | None:
        """The document's number; None if the rule does not apply to it."""
        raise TypeError(f"{type(self).__name__} must define measure")

    def evidence(self, doc: Document) -> str | None:
        """Part of a dropped document that made the number, for people: a phrase, a line."""
        return None

    def judge(self, value: float | None, language: str | None) -> str | None:
        """The reason to drop a document with this value, or None: it stays."""
        if value is None:
            return None
        low, high = bound(self.min, language), bound(self.max, language)
        if low is not None and value < low:
            return self.below
        if high is not None and value > high:
            return self.above
        return None

    def __call__(self, doc: Document) -> Document | Drop:
        value = self.measure(doc)
        reason = self.judge(value, doc.language)
        if reason is None:
            return doc
        cause = self.evidence(doc)
        return Drop(reason, value=value if cause is None else f"{value:.6g}: {cause}")


def bound(limits: dict[str, float] | None, language: str | None) -> float | None:
    """The bound that holds for a language."""
    if limits is None:
        return None
    limit = limits.get(language or "")
    return limits.get("default") if limit is None else limit


@dataclass(frozen=True)
class Cost:
    """Resources that a comparison of documents will need."""

    cpu_seconds: float
    shuffle_bytes: int
    disk_bytes: int
    """Kept on the executors' disks while it runs, the shuffle aside, and in the output for later generations."""


class CrossDocumentStep(Step):
    """Decides on documents by comparing them.

    Its pure part, here, says which columns it compares; its Spark part is registered in `pipeline/spark/<module>.py` with
    `pipeline.spark.run.compute_marks`. A document's fate may depend only on documents that sort before it, and the sort key
    starts with the ingest generation: so what is published is never revoked.
    """

    changes_text: ClassVar[bool] = False
    """True if its marks cut lines: a comparison that follows must then see the changed text, in a round of its own."""

    def cost(self, documents: int, characters: int) -> Cost:
        """An estimate for so many documents with so much text, from measured constants."""
        # A key row is about 100 bytes; exact_dedup takes some 20 microseconds a document at 1e6 (benchmarks/fuzzy_dedup.py).
        return Cost(documents * 20e-6, documents * 100, documents * 200)

    def prepare(self, doc: Document) -> Document:
        """Fill the columns that the comparison reads; called for live documents just before they are written."""
        return doc

    def decide(self, docs: list[Document], record: dict[str, Any]) -> list[Document | Drop]:
        """Verdicts on documents that were not marked, from the small record that the comparison left (a plan, a threshold).

        Called when the marks are applied, so that what holds for most rows need not be written out as a row for each.
        """
        return list(docs)


UnifyScripts = Annotated[
    bool,
    Field(description="compare traditional and simplified characters as the same (`extraction.chinese`)"),
]
"""Parameter of the steps that compare texts: a page and its mirror in the other Chinese script are then duplicates."""


class DuplicateStep(CrossDocumentStep):
    """Keep the first in sort order of all live documents with the same key; the others name it in `duplicate_of`.

    Sort order: generation, then crawl time (oldest first, or newest first if `newest_first`; unknown times last), then
    `doc_id`, then row key.
    """

    reason: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    """Document columns that `keys` reads."""

    newest_first: ClassVar[bool] = False

    def keys(self, rows: pa.Table) -> pa.Array:
        """Comparison keys of the rows (n strings); null takes no part."""
        raise TypeError(f"{type(self).__name__} must define keys")


class NearDuplicateStep(CrossDocumentStep):
    """A document that is similar enough to one before it has that as its *parent* and is dropped; roots of the trees survive."""

    driver_edges: int = Field(
        20_000_000, ge=0, description="edges up to which components are found on the driver (50 bytes each)"
    )
    alarm_cluster: int = Field(10_000, gt=0, description="tell of clusters with more documents")
    alarm_domain_share: float = Field(
        0.5, ge=0, le=1, description="tell of domains that lose a larger share of documents"
    )
    alarm_domain_documents: int = Field(100, gt=0, description="... if they have so many")


def discover(stage: str | None = None) -> dict[str, type[Step]]:
    """Import the modules of the stage packages and return the steps they define, by name."""
    for name in STAGES if stage is None else (stage,):
        package = importlib.import_module(f"pipeline.{name}")
        for info in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"pipeline.{name}.{info.name}")
    if stage is None:
        return {n: c for n, c in sorted(_REGISTRY.items()) if not c.__module__.startswith("pipeline.executor")}
    return {n: c for n, c in sorted(_REGISTRY.items()) if c.__module__.startswith(f"pipeline.{stage}.")}


def apply_step(step: DocumentStep, docs: list[Document]) -> list[Document | Drop]:
    """Run a document step over live documents; an exception drops the one document that caused it (`step_error`).

    :returns: one verdict a document, in order.
    :raises ValueError: if `process` returns another number of verdicts than it got documents.
    """
    try:
        verdicts = step.process(docs)
    except Exception:  # the batch is tried again one by one: a bad record must not take its neighbours along
        verdicts = [_apply_one(step, doc) for doc in docs]
    if len(verdicts) != len(docs):
        raise ValueError(f"step {step.step!r} returned {len(verdicts)} verdicts for {len(docs)} documents")
    return verdicts


def _apply_one(step: DocumentStep, doc: Document) -> Document | Drop:
    try:
        (verdict,) = step.process([doc])
        return verdict
    except Exception as error:  # any failure of any step is a recorded drop
        return Drop("step_error", value=f"{type(error).__name__}: {error}")


def wrong_examples(step: DocumentStep) -> list[str]:
    """Problems with the examples of a step, one line each; none if it does to each of them what the example says."""
    step.load()
    problems = []
    for kind in ("drops", "keeps", "changes"):
        for number, example in enumerate(getattr(step, kind)):
            doc = example.document()
            (verdict,) = apply_step(step, [doc])
            if isinstance(verdict, Drop):
                outcome, is_right = f"is dropped as {verdict.reason!r}", kind == "drops"
                is_right &= verdict.reason == example.reason or (not example.reason and verdict.reason != "step_error")
            elif verdict.text == doc.text:
                outcome, is_right = "is kept as it is", kind == "keeps"
            else:
                outcome = f"is kept with the text {verdict.text!r}"
                is_right = kind == "changes" and example.left in (None, verdict.text)
            if not is_right:
                expected = "".join(f" {v!r}" for v in (example.reason, example.left) if v is not None)
                problems.append(f"{step.step}: {kind}[{number}]{expected} {outcome}: {str(example)[:300]}")
    return problems


def file_sha256(path: str) -> str:
    """SHA-256 of a file's content, by fsspec path or URL."""
    import fsspec

    digest = hashlib.sha256()
    with fsspec.open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def content_sha256(data: Any) -> str:
    """SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


@functools.cache
def _known(stage: str) -> tuple[str, ...]:
    return tuple(discover(stage))


def known_steps(stages: Iterable[str] = STAGES) -> list[str]:
    """Names of the steps that the stages define."""
    return sorted(n for s in stages for n in _known(s))
