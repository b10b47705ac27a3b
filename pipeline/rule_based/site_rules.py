"""Rules for one site each (dots.llm1 C.2: the top 1,000 sites are 60 % of the data, and have rules made by hand).

A file of rules is YAML, keyed by domain or host; the most specific name that a page's host ends in decides:

    example.com:
      note: why, with an example
      checked: what the rules were tried on
      drop: {url: '/tag/|/page/\\d+', title: '^Login'}     # or `drop: true`: the whole site
      keep_only: {url: '/(article|post)/\\d+'}             # what does not match goes
      cut_lines: ['Share this( post)?', '相关阅读：.*']     # lines that match as a whole
      cut_after: ['^Comments \\(\\d+\\)$']                  # from the first such line to the end
      cut_before: ['^Skip to content$']                    # up to and with the last such line, among the first 30 lines

Patterns are regular expressions of the `regex` package, searched in URL and title, matched against whole lines in
`cut_lines`. Lines of more than 500 characters are never cut by a pattern.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import unquote

import fsspec
import regex
import yaml
from pydantic import AfterValidator, Field, ValidationError

from extraction.domains import host_of
from extraction.text import lines
from pipeline.lines import cut_lines
from pipeline.removal import suffixes
from pipeline.rule_based.stories import EN, ZH
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Example, Examples
from pipeline.strict import Strict, UniqueKeys

HEAD_LINES = 30
FIRST_LINES = 5
"""Lines that `cut_after` never begins with: a page can open with its list of contents."""
LONGEST = 500
"""Characters of a line that a pattern is tried on (a longer one stays), and of a title; of a URL four times as many."""
SECONDS = 1.0
"""Time for one pattern on one line; a pattern that needs more is an error of the rule (`step_error`)."""


def _pattern(value: str) -> str:
    try:
        compiled = regex.compile(value)
    except regex.error as e:
        raise ValueError(f"{value!r} is no regular expression: {e}") from e
    if compiled.fullmatch(""):
        raise ValueError(f"{value!r} matches an empty line: it would match everything")
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


class Where(Strict):
    """Patterns for a page; one that matches is enough."""

    url: Pattern | None = Field(None, description="searched in the URL")
    title: Pattern | None = Field(None, description="searched in the title")
    first_line: Pattern | None = Field(None, description="searched in the first line of the text")


class SiteRules(Strict):
    """The rules of one site."""

    note: str = Field("", description="why, with an example")
    checked: str = Field(description="what the rules were tried on")
    drop: Literal[True] | Where | None = None
    keep_only: Where | None = None
    cut_lines: list[Pattern] = Field(default_factory=list)
    cut_after: list[Pattern] = Field(default_factory=list)
    cut_before: list[Pattern] = Field(default_factory=list)


class _Compiled:
    """The rules of one site, ready to use."""

    def __init__(self, rules: SiteRules) -> None:
        self.drop_all = rules.drop is True
        self.drop = _where(rules.drop if isinstance(rules.drop, Where) else None)
        self.keep_only = _where(rules.keep_only)
        # One by one: joined patterns would share their groups and flags.
        self.lines, self.after, self.before = (
            [regex.compile(p) for p in patterns] for patterns in (rules.cut_lines, rules.cut_after, rules.cut_before)
        )

    def cut(self, text: str) -> set[int]:
        """Numbers of the lines that go."""
        stripped = [line.strip() for line in lines(text)]
        short = [(i, line) for i, line in enumerate(stripped) if line and len(line) <= LONGEST]
        gone: set[int] = set()
        for pattern in self.lines:
            gone.update(i for i, line in short if pattern.fullmatch(line, timeout=SECONDS))
        for pattern in self.after:
            first = next((i for i, x in short if i >= FIRST_LINES and pattern.search(x, timeout=SECONDS)), None)
            if first is not None:
                gone.update(range(first, len(stripped)))
        for pattern in self.before:
            heads = [i for i, line in short if i < HEAD_LINES and pattern.search(line, timeout=SECONDS)]
            if heads:
                gone.update(range(heads[-1] + 1))
        return gone


def _where(where: Where | None) -> list[tuple[str, Any]]:
    if where is None:
        return []
    patterns = [(name, getattr(where, name)) for name in Where.model_fields]
    return [(name, regex.compile(pattern)) for name, pattern in patterns if pattern is not None]


def _matching(where: list[tuple[str, Any]], doc: Document) -> str | None:
    """Part of a page that matches: `url: /tag/`. URLs are tried as they are and without percent-escapes."""
    for name, pattern in where:
        if name == "url":
            url = (doc.url or "")[: 4 * LONGEST]
            values = [url, unquote(url)]
        else:
            values = [(lines(doc.text or "")[0] if name == "first_line" else doc.title or "")[:LONGEST]]
        for value in values:
            match = pattern.search(value, timeout=SECONDS)
            if match:
                return f"{name}: {match[0]}"
    return None


def parse_rules(text: str, origin: str) -> dict[str, SiteRules]:
    """The rules of a file by domain or host.

    :raises ValueError: with file, site and key, if something is not as it must be.
    """
    try:
        data = yaml.load(text, UniqueKeys) or {}
    except yaml.YAMLError as e:
        raise ValueError(f"{origin} is not YAML: {' '.join(str(e).split())}") from e
    if not isinstance(data, dict):
        raise ValueError(f"{origin}: expected a mapping of domains to rules, found {type(data).__name__}")
    by_host = {}
    for site, rules in data.items():
        host = host_of(str(site))
        if host is None or host != str(site) or "." not in host:
            raise ValueError(f"{origin}: {site!r} is no domain in lower case (punycode for others than ASCII)")
        try:
            by_host[host] = SiteRules.model_validate(rules)
        except ValidationError as e:
            # Of a union the branch that fits best: a mapping is meant as one.
            first = max(e.errors(), key=lambda x: len(x["loc"]) - 10 * ("literal[True]" in x["loc"]))
            where = ".".join(str(p) for p in first["loc"])
            message = str(first["msg"]).removeprefix("Value error, ")
            raise ValueError(f"{origin}: {site}{'.' + where if where else ''}: {message}") from e
    return by_host


def shipped_rules() -> dict[str, SiteRules]:
    """The rules that come with the package: `sites.yaml`."""
    return parse_rules(_shipped_text(), "sites.yaml")


def _shipped_text() -> str:
    return resources.files("pipeline.rule_based").joinpath("sites.yaml").read_text(encoding="utf-8")


class SiteRulesStep(DocumentStep):
    """Apply rules made for one site each: drop pages, cut lines, keep only pages of one kind (dots.llm1 C.2)."""

    step: Literal["site_rules"] = "site_rules"
    source: ClassVar[str] = "dots.llm1 C.2; rules by reading the sites' pages (sites.yaml)"
    shipped: bool = Field(True, description="use the rules that come with the package (sites.yaml)")
    files: list[str] = Field(
        default_factory=list, description="files of further rules; they replace a site's shipped ones"
    )
    audited: ClassVar[bool] = True
    drops: ClassVar[Examples] = (
        Example(EN, "en", "site_page_dropped", url="https://en.wikipedia.org/wiki/Special:Search"),
        Example(ZH, "zh", "site_dropped", url="https://item.taobao.com/item.htm?id=1"),
        Example(ZH, "zh", "site_page_not_wanted", url="https://www.bilibili.com/video/BV1"),
    )
    keeps: ClassVar[Examples] = (
        Example(EN, url="https://en.wikipedia.org/wiki/River"),
        Example(ZH, "zh", url="https://zh.wikipedia.org/wiki/%E6%B2%B3%E6%B5%81"),
    )

    def resources(self) -> list[str]:
        return list(self.files)

    def fingerprint(self) -> dict[str, Any]:
        import hashlib

        text = _shipped_text() if self.shipped else ""
        return {**super().fingerprint(), "sites": hashlib.sha256(text.encode()).hexdigest()}

    def check(self) -> None:
        _rules.cache_clear()
        _rules(self.shipped, tuple(self.files))

    def load(self) -> None:
        _rules(self.shipped, tuple(self.files))

    def __call__(self, doc: Document) -> Document | Drop:
        rules = _rules(self.shipped, tuple(self.files))
        host = host_of(doc.url) if doc.url else None
        site = next((rules[s] for s in suffixes(host) if s in rules), None) if host else None
        if site is None:
            return doc
        if site.drop_all:
            return Drop("site_dropped", value=host)
        matching = _matching(site.drop, doc)
        if matching is not None:
            return Drop("site_page_dropped", value=matching)
        if site.keep_only and _matching(site.keep_only, doc) is None:
            return Drop("site_page_not_wanted", value=doc.url)
        cut = cut_lines(doc, self.step, site.cut(doc.text or ""))
        return cut if (cut.text or "").strip() or not (doc.text or "").strip() else Drop("no_text_left")


@functools.lru_cache(maxsize=4)
def _rules(shipped: bool, files: tuple[str, ...]) -> dict[str, _Compiled]:
    """The worker process's one copy of the rules of these files."""
    by_host = shipped_rules() if shipped else {}
    for path in files:
        with fsspec.open(path, "rb", compression="infer") as f:
            try:
                text = f.read().decode("utf-8")
            except UnicodeDecodeError as e:
                raise ValueError(f"{path}: expected UTF-8: {e}") from e
            by_host |= parse_rules(text, path)
    return {site: _Compiled(rules) for site, rules in by_host.items()}
