"""Line-wise deduplication between documents (dots.llm1 C.2): what the first and last lines of a site's pages share.

Navigation, copyright lines and calls to register stand at the top and at the bottom of pages, again and again. The first
and the last lines of every document are counted over the whole corpus; of a line seen too often only the first occurrences
stay. Everything here is pure; `pipeline/spark/line_dedup.py` counts.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa
import regex
import xxhash
from pydantic import Field

from extraction.chinese import unified
from extraction.text import identity_form, lines
from pipeline.steps import Cost, CrossDocumentStep, UnifyScripts

_CONTENT = regex.compile(r"[\p{L}\p{N}]")


class LineDedup(CrossDocumentStep):
    """Cut lines that stand at the head or the tail of too many documents; drop documents of which nothing is left.

    Of each document the first `head` and the last `tail` lines that hold a letter or a digit are looked at, each once.
    Two lines are the same if `extraction.text.identity_form` makes the same of them: no punctuation, NFD, lower case, white
    space collapsed; digits count. Of a line with more than `max_occurrences` occurrences in the corpus (two in one document
    are two), the first `max_occurrences` stay, in the order of generation, crawl time, `doc_id`, row key, line; the others
    are cut and kept in `removed_lines`. Constants: dots.llm1 C.2.
    """

    step: Literal["line_dedup"] = "line_dedup"
    head: int = Field(5, ge=0, description="lines looked at from the start of a document")
    tail: int = Field(5, ge=0, description="lines looked at from its end")
    max_occurrences: int = Field(200, gt=0, description="occurrences of a line that stay")
    unify_scripts: UnifyScripts = True
    source: ClassVar[str] = "dots.llm1 C.2 (line-wise inter-document deduplication: 5 lines, 200)"
    changes_text: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("text",)

    def cost(self, documents: int, characters: int) -> Cost:
        """Rows of about 70 bytes a line, 3.4 microseconds each (benchmarks/line_dedup.py); 5 more to normalise one."""
        rows = documents * (self.head + self.tail)
        return Cost(rows * 8.4e-6, rows * 70, rows * 100)

    def occurrences(self, rows: pa.Table) -> tuple[list[int], list[int], list[bytes]]:
        """Lines to count in rows with a `text`: three parallel lists of row index, line number and 128-bit key.

        128 bits, since of the 3e10 lines of a large crawl some 24 pairs would share a key of 64.
        """
        at: list[int] = []
        numbers: list[int] = []
        keys: list[bytes] = []
        for row, text in enumerate(rows["text"].to_pylist()):
            for number, form in self.candidates(text or ""):
                at.append(row)
                numbers.append(number)
                keys.append(xxhash.xxh3_128_digest(form.encode("utf-8", "surrogatepass")))
        return at, numbers, keys

    def candidates(self, text: str) -> list[tuple[int, str]]:
        """Number and compared form of the lines of a text that are looked at, ascending."""
        all_lines = lines(text)
        head = _first(all_lines, range(len(all_lines)), self.head)
        after = head[-1] + 1 if head else 0
        # Fewer than `head` lines hold content: there are no others.
        from_the_end = range(len(all_lines) - 1, after - 1, -1) if len(head) == self.head else range(0)
        tail = _first(all_lines, from_the_end, self.tail)
        numbers = [*head, *reversed(tail)]
        forms = [identity_form(all_lines[i]) for i in numbers]
        if self.unify_scripts and forms:  # all at once: of single lines the calls would take as long as all the rest
            forms = unified("\n".join(forms)).split("\n")
        return list(zip(numbers, forms, strict=True))


def _first(all_lines: list[str], order: range, n: int) -> list[int]:
    """The first `n` line numbers in an order whose line is neither blank nor of symbols alone."""
    with_content: list[int] = []
    for i in order:
        if len(with_content) == n:
            break
        if _CONTENT.search(all_lines[i]):
            with_content.append(i)
    return with_content
