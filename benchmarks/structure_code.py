"""Code, tables and Markdown against gold: `python benchmarks/structure_code.py [--data DIR]`.

Code: lines with their indentation in the fences of the gold Markdown (llm-webkit-bench, defuddle-fixtures), how many of
them come out in fences. Tables: those of at least five rows of text in two columns or more, by lexbor's tree, whose rows
come out all, none, in part, or with a hole: a row lost between two that are there. Markdown: small pages of
defuddle-fixtures whose gold has code, a table or a list, and no formula, equal to it after `normalised`. Beside it
trafilatura's Markdown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import machine
import trafilatura
from gold import rows
from selectolax.lexbor import LexborHTMLParser

from classifiers.clutter.pages import read_bytes
from extraction import extract
from extraction.decode import decode

SETS = ("llm-webkit-bench", "defuddle-fixtures")
OF_TABLES = {
    "pages with gold": ("wcxb-dev", "zh-gold", "llm-webkit-bench", "defuddle-fixtures"),
    "crawled pages": ("aed-424", "en-web", "zh-web"),
}
"""Sets whose tables are looked at; trafilatura takes an hour for the second."""

SMALL = 10_000
"""Bytes of a page that Markdown is compared on: on larger ones the choice of lines counts for more than their form."""

MIN_ROWS = 5
OTHER_THEMES = ("footnotes--", "general--", "comments--", "extractor--")
"""Pages of defuddle-fixtures about footnotes, and about what it knows of single sites: not compared as Markdown."""

WRONG_GOLD = {
    "math_img_3": (34, "quotations of a forum stand in fences"),
    "math_mathhelpforum_2": (3, "quotations of a forum stand in fences"),
    "code_5": (10, "names in cells and signatures of several inline elements stand in fences"),
    "code_1": (1, "inline code stands in a fence"),
    "math_stackexchange_1": (1, "inline code stands in a fence"),
    "code-blocks--chroma-linenums": (1, "a lambda's `[](uint8_t x)` was taken for a link and is gone"),
    "general--obsidian.md-blog-verify-obsidian-sync-encryption": (1, "backticks are escaped in a fence"),
}
"""Lines of code in the gold that are wrong, read by hand: how many of a page, and why."""

_HEAD = re.compile(r"\A```json\n.*?\n```\n", re.DOTALL)
_FENCE = re.compile(r"^(\s*(?:> ?)*\s*)(`{3,}|~{3,})\s*([^\s`]*)")
WRONG_MARKDOWN = {
    "code-blocks--chroma-linenums": "a lambda's `[](uint8_t x)` was taken for a link and is gone",
    "codeblocks--rockthejvm.com-articles-kotlin-101-type-classes": "a box of the site's own becomes a callout of Obsidian",
    "issues--159-lean-verso-empty-line-preserved": "blocks of code and of output, one after the other, become one",
    "issues--280-texinfo-footnotes": "links become footnotes of Obsidian",
}
"""Small pages whose gold is wrong, or speaks a dialect that Markdown has not, read by hand."""

Extractor = Callable[[str], str]


def of_lines(html: str) -> str:
    return extract(html, format="markdown").text


def of_trafilatura(html: str) -> str:
    return trafilatura.extract(html, output_format="markdown", include_tables=True) or ""


WAYS: dict[str, Extractor] = {"lines": of_lines, "trafilatura": of_trafilatura}


def gold_pages(data: Path, name: str) -> Iterator[tuple[str, str, str]]:
    """Name, HTML and gold Markdown of the pages of a set."""
    gold = {row["record_id"]: row for row in rows(data / "html" / f"{name}.gold.jsonl.gz")}
    for record_id, body, declared in read_bytes(data / "html" / f"{name}.warc.gz"):
        if record_id in gold:
            row = gold[record_id]
            yield row["source_id"], decode(body, declared).text, _HEAD.sub("", row["main_content"])


def fences(markdown: str) -> list[tuple[str, list[str]]]:
    """Language and lines of fenced code, without the indentation of the fence and that of all lines; a tab is four
    spaces: the golds differ in both."""
    out: list[tuple[str, list[str]]] = []
    open_fence: tuple[str, str] | None = None
    for line in markdown.split("\n"):
        found = _FENCE.match(line)
        if open_fence is None:
            if found:
                open_fence = found[1], found[2]
                out.append((found[3].lower(), []))
        elif found and found[2].startswith(open_fence[1]) and not found[3]:
            open_fence = None
        else:
            out[-1][1].append(_code_line(line, open_fence[0]))
    return [(language, dedent("\n".join(lines)).split("\n")) for language, lines in out]


def _code_line(line: str, indent: str) -> str:
    return line.removeprefix(indent).replace("\xa0", " ").expandtabs(4).rstrip()


def code_lines(markdown: str) -> Counter[str]:
    return Counter(line for _, lines in fences(markdown) for line in lines if line)


def code(data: Path) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Share of the gold's lines of code that come out as such; and what the engine `lines` misses, a page each."""
    out: dict[str, Any] = {}
    missed: dict[str, list[str]] = {}
    for name in SETS:
        found: Counter[str] = Counter()
        total = pages = wrong = 0
        for page, html, gold in gold_pages(data, name):
            expected = code_lines(gold)
            if not expected:
                continue
            pages += 1
            total += expected.total()
            wrong += WRONG_GOLD.get(page, (0, ""))[0]
            for way, call in WAYS.items():
                missing = expected - code_lines(call(html))
                found[way] += expected.total() - missing.total()
                if way == "lines" and missing:
                    missed[page] = sorted(missing.elements())
        out[name] = {"pages": pages, "code_lines": total, "wrong": wrong} | {
            way: {"of_all": round(found[way] / total, 4), "of_right": round(min(1.0, found[way] / (total - wrong)), 4)}
            for way in WAYS
        }
    return out, missed


# --- Tables ----------------------------------------------------------------------------------------------------------


def _dense(text: str) -> str:
    """Letters and digits alone."""
    return re.sub(r"[\W_]+", "", text)


def data_tables(html: str) -> Iterator[list[str]]:
    """Rows of the larger tables of a page: without headings, forms or tables in them, of short cells. Only rows of some length,
    whose text stands nowhere else on the page."""
    tree = LexborHTMLParser(html)
    whole = _dense(tree.body.text(deep=True)) if tree.body else ""
    for node in tree.css("table"):
        if node.css(
            "table table, table h1, table h2, table form, table pre, table script, table select, table ul, table svg"
        ):
            continue
        rows_of_text = []
        widths: Counter[int] = Counter()
        for row in node.css("tr"):
            cells = [_dense(cell.text(deep=True)) for cell in row.css("td, th")]
            cells = [cell for cell in cells if cell]
            if cells:
                widths[len(cells)] += 1
                rows_of_text.append("".join(cells))
        several = sum(n for width, n in widths.items() if width > 1)
        if len(rows_of_text) >= MIN_ROWS and 2 * several > len(rows_of_text) and max(map(len, rows_of_text)) < 1000:
            sure = [row for row in rows_of_text if len(row) >= 8 and whole.count(row) == 1]
            if len(sure) > 1:
                yield sure


def table_verdict(table: list[str], text: str) -> str:
    """Whether `all` rows, `none`, or those at one end (`part`) are in a text, or some are missing between (`hole`)."""
    there = [row in text for row in table]
    if all(there):
        return "all"
    if not any(there):
        return "none"
    first, last = there.index(True), len(there) - there[::-1].index(True)
    return "part" if all(there[first:last]) else "hole"


def tables(data: Path) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Verdicts by sets and way; and the tables that the engine `lines` keeps in part."""
    verdicts: dict[str, Counter[str]] = {}
    broken: list[str] = []
    for sets, names in OF_TABLES.items():
        ways = WAYS if sets == "pages with gold" else {"lines": of_lines}
        for name in names:
            for record_id, body, declared in read_bytes(data / "html" / f"{name}.warc.gz"):
                html = decode(body, declared).text
                found = list(data_tables(html)) if "<table" in html.lower() else []
                for way, call in ways.items() if found else ():
                    text = _dense(call(html))
                    for table in found:
                        verdict = table_verdict(table, text)
                        verdicts.setdefault(f"{way}, {sets}", Counter())[verdict] += 1
                        if way == "lines" and verdict in ("part", "hole"):
                            broken.append(f"{name} {record_id} {verdict} {table[0][:40]}")
    return {way: {v: n[v] for v in ("all", "none", "part", "hole")} for way, n in verdicts.items()}, broken


# --- Markdown --------------------------------------------------------------------------------------------------------

_LINK = re.compile(r"!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\([^()\s]*(?:\([^()]*\)[^()\s]*)*(?: \"[^\"]*\")?\)")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_FOOTNOTE = re.compile(r"\[\^[^\]]+\]:?")
_DELIMITER = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")


def normalised(markdown: str) -> list[str]:
    """Lines of Markdown without the differences that do not count: images, targets of links, footnote marks,
    emphasis and inline code (the text has none), levels of headings (the gold drops the title and moves the others),
    numbers of items, blank lines, spaces, backslashes, indentation of blocks in items, dashes below the header of a
    table, rules. Code keeps all but the indentation of its fence."""
    out: list[str] = []
    open_fence: tuple[str, str] | None = None
    for line in markdown.replace("\xa0", " ").replace("\u200b", "").split("\n"):
        found = _FENCE.match(line)
        if open_fence is not None:
            if found and found[2].startswith(open_fence[1]) and not found[3]:
                open_fence = None
                out.append("```")
            elif line.strip():
                out.append(_code_line(line, open_fence[0]))
            continue
        if found:
            open_fence = found[1], found[2]
            out.append(f"```{found[3].lower()}")
            continue
        line = _FOOTNOTE.sub("", _LINK.sub(r"\1", _LINK.sub(r"\1", _IMAGE.sub("", line))))
        line = re.sub(r"[*_`\\]|~~", "", line).strip() if not re.fullmatch(r"\s*[-*_]{3,}\s*", line) else ""
        line = re.sub(r"^#+ ", "# ", line)
        line = re.sub(r"^(?:[-+]|\d+[.)]) ", "- ", line)
        if _DELIMITER.fullmatch(line):
            line = "|---|"
        line = " ".join(line.split())
        if line.strip("-> ") or line == "|---|":
            out.append(line)
    return out


def markdown(data: Path) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Share of the small pages whose Markdown is that of the gold; and the differences of the others (`-` is the gold)."""
    equal: Counter[str] = Counter()
    pages = 0
    differences: dict[str, list[str]] = {}
    for page, html, gold in gold_pages(data, "defuddle-fixtures"):
        if len(html.encode()) > SMALL or "$" in gold or not _is_structured(gold) or page.startswith(OTHER_THEMES):
            continue
        pages += 1
        expected = normalised(gold)
        title = _title(html)
        for way, call in WAYS.items():
            found = normalised(call(html))
            if found and found[0] not in expected and _dense(found[0][2:]) in _dense(title):
                found = found[1:]  # the gold has no title
            equal[way] += found == expected
            if way == "lines" and found != expected:
                gone, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
                differences[page] = [f"- {line}" for line in gone] + [f"+ {line}" for line in more] or ["order"]
    right = pages - len(WRONG_MARKDOWN)
    shares = {
        way: {"of_all": round(equal[way] / pages, 4), "of_right": round(min(1.0, equal[way] / right), 4)}
        for way in WAYS
    }
    return {"pages": pages, "wrong": len(WRONG_MARKDOWN), "equal": dict(equal)} | shares, differences


def _is_structured(gold: str) -> bool:
    return any(re.match(r"\s*(?:```|\||[-*] |\d+\. )", line) for line in gold.split("\n"))


def _title(html: str) -> str:
    found = re.search(r"<title[^>]*>(.*?)</title>", html, re.DOTALL | re.IGNORECASE)
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", html, re.DOTALL | re.IGNORECASE)
    return " ".join(match[1] for match in (found, heading) if match)


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/")
    data = parser.parse_args().data
    of_code, missed = code(data)
    for page, lines in missed.items():
        machine.tell(f"{page}: {len(lines)} lines of code missed: {lines[:5]}")
    of_markdown, differences = markdown(data)
    for page, lines in differences.items():
        machine.tell("\n  ".join([page, *(line[:150] for line in lines)]))
    of_tables, broken = tables(data)
    for table in broken:
        machine.tell(table)
    machine.save("structure_code", {"code": of_code, "tables": of_tables, "markdown": of_markdown})


if __name__ == "__main__":
    main()
