"""URL filtering: drop pages by their address alone (dots.llm1 C.1), before anything is decoded.

The rules, in the order in which they are asked; the first that fires names the reason, `<rule>_<category>`:

    rule            list file                                 fires if
    blocked_domain  domains (text or compiled)                the host, or a domain above it, is listed
    blocked_url     urls (text or compiled)                   the URL is listed, compared by `pipeline.removal.url_key`
    hard_word       hard_words                                one listed word is a whole token of the URL
    sub_word        sub_words                                 a listed string occurs anywhere in the URL
    soft_words      soft_words                                `min_soft_words` different words of a category are tokens

An address on an allow list passes whatever the others say.

Words are looked for in the readable form of a URL (`readable`): escapes and punycode decoded, NFKC, lower case, no
scheme. Tokens are runs of letters and digits. Chinese, Japanese and Korean are written without spaces: words in their scripts
are looked for in runs of them, and count where a segmenter (jieba) sees borders at both ends: 百家乐 is no word of
百家乐器行. Where such a word begins or ends in Latin letters or digits, that end is one of a token: 日本av is no word of
日本aviation.

A list of words or sub-words may say `!pornichet`, which keeps words that occur inside of it (the town) from counting, or
`!/.../`, a regular expression that does the same. One of sub-words may say `host:casino`, which is looked for in the host
name alone.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from extraction.characters import CJK
from extraction.domains import host_of
from pipeline.preparation.domain_set import MAX_CATEGORIES, KeySet
from pipeline.removal import RemovalList, entries, url_key
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Example, Examples, file_sha256

Lists = Mapping[str, Sequence[str]]
"""Category to paths or URLs of its list files."""

KINDS = ("domains", "urls", "hard_words", "soft_words", "sub_words")
SHIPPED = ("adult", "gambling", "phishing")

_CJK = f"々{CJK}"
_HAS_CJK = re.compile(f"[{_CJK}]")
_TOKEN = re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+")
_SEPARATORS = {c: " " for c in range(128) if not chr(c).isalnum()}
_PUNYCODE = re.compile(r"xn--([a-z0-9-]+)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:[/\\]{2,}")
_HOST_END = re.compile(r"[/?#\\]")

_INSIDE_LATIN = re.compile(f"(?<=[^\\W_{_CJK}])[^\\W_{_CJK}]")

_MAX_RUN = 200
"""Characters of a run of Chinese that are segmented."""

# One RE2 automaton for 5,000 words overflows its memory and falls from 1.2M to 2.4k URLs/s; one
# for 1,000 words does not.
_WORDS_PER_PATTERN = 500


def readable(url: str) -> str:
    """A URL as a person would read it: percent-escapes decoded (as UTF-8, else GB18030), host names out of punycode,
    NFKC, lower case, without scheme."""
    scheme = _SCHEME.match(url)
    if scheme:
        url = url[scheme.end() :]
    if "%" in url:
        raw = unquote_to_bytes(url)
        try:
            url = raw.decode("utf-8")
        except UnicodeDecodeError:
            url = raw.decode("gb18030", "replace")
    if "xn--" in url:
        url = _PUNYCODE.sub(_from_punycode, url)
    if not url.isascii():
        url = unicodedata.normalize("NFKC", url)
    return url.lower()


def _from_punycode(label: re.Match[str]) -> str:
    try:
        return label[1].encode("ascii").decode("punycode")
    except ValueError:
        return label[0]


def tokens(text: str) -> list[str]:
    """Runs of letters and digits of a `readable` URL; Chinese, Japanese and Korean characters form their own runs."""
    return text.translate(_SEPARATORS).split() if text.isascii() else _TOKEN.findall(text)


class Hit(NamedTuple):
    """A listed word that occurs, and the category that lists it."""

    category: str
    word: str


def _read_words(lists: Lists) -> Iterator[tuple[str, str, str]]:
    """Category, word as it is compared, and place (for messages) of the entries of word lists."""
    for category in sorted(lists):
        for path in lists[category]:
            for number, line in entries(path):
                # A regular expression stays as it is: lower case would turn its \S into \s.
                word = line if line.startswith("!/") else unicodedata.normalize("NFKC", line).lower()
                yield category, word, f"{path}, line {number}"


def _exception(entry: str, place: str) -> str:
    """The regular expression of an entry that starts with `!`.

    :raises ValueError: with file name and line number, if it is none or would match nothing at all.
    """
    word = entry.removeprefix("!").strip()
    if not (len(word) > 2 and word.startswith("/") and word.endswith("/")):
        if len(word) < _shortest(word):
            raise ValueError(f"{place}: expected 3 or more characters (2 of Chinese), found {entry!r}")
        return re.escape(word)
    try:
        pattern = re.compile(word[1:-1])
    except re.error as error:
        raise ValueError(f"{place}: expected a regular expression between slashes, found {entry!r}: {error}") from error
    if pattern.groups or pattern.match(""):
        raise ValueError(
            f"{place}: expected a regular expression without groups that matches something, found {entry!r}"
        )
    return word[1:-1]


def _shortest(word: str) -> int:
    """Fewest characters of a string that may count wherever it occurs."""
    return 2 if _HAS_CJK.search(word) else 3


class TokenWords:
    """Words that count as whole tokens; words of Chinese, Japanese or Korean script count between borders of words."""

    def __init__(self, lists: Lists) -> None:
        """:raises ValueError: with file name and line number, if a word is not one token, or an exception is wrong."""
        self._category: dict[str, list[str]] = {}
        exceptions = []
        for category, word, place in _read_words(lists):
            if word.startswith("!"):
                exceptions.append(_exception(word, place))
                continue
            if not _HAS_CJK.search(word) and tokens(word) != [word]:
                raise ValueError(f"{place}: expected one word of letters and digits, found {word!r} (see sub_words)")
            self._category.setdefault(word, []).append(category)
        self._tokens = frozenset(w for w in self._category if not _HAS_CJK.search(w))
        inside = sorted((w for w in self._category if _HAS_CJK.search(w)), key=lambda w: (-len(w), w))
        # Matches do not overlap, the longest first: 澳门赌场 is one word, not also 赌场.
        self._inside = re.compile("|".join(map(re.escape, inside))) if inside else None
        self._exceptions = re.compile(_either(exceptions)) if exceptions else None

    def find(self, text: str, words: Sequence[str]) -> list[Hit]:
        """Different words that occur in a URL, in alphabetical order, once for each category that lists them.

        :param text: the URL in `readable` form.
        :param words: its `tokens`.
        """
        there = self._there(text, words)
        if there and self._exceptions is not None and self._exceptions.search(text):
            text = self._exceptions.sub("/", text)
            there &= self._there(text, tokens(text))
        return [Hit(c, w) for w in sorted(there) for c in self._category[w]] if there else []

    def _there(self, text: str, words: Sequence[str]) -> set[str]:
        there = set(self._tokens.intersection(words))
        if self._inside is not None and not text.isascii():
            there.update(m[0] for m in self._inside.finditer(text) if _is_segment(text, m.start(), m.end()))
        return there


def _is_segment(text: str, start: int, end: int) -> bool:
    """Whether words begin and end at these places of a run of Chinese characters, and tokens at those of Latin ones."""
    if _INSIDE_LATIN.match(text, start) or _INSIDE_LATIN.match(text, end):
        return False
    first, last = start, end
    while first > 0 and _HAS_CJK.match(text, first - 1):
        first -= 1
    while last < len(text) and _HAS_CJK.match(text, last):
        last += 1
    if (first, last) == (start, end):
        return True
    borders = {first}
    for word in _segments(text[first:last]):
        borders.add(max(borders) + len(word))
    return start in borders and end in borders


@functools.lru_cache(maxsize=1000)
def _segments(run: str) -> list[str]:
    import rjieba

    words: list[str] = rjieba.cut(run[:_MAX_RUN], True)
    return words


class SubWords:
    """Strings that count wherever they occur, unless inside of an exception."""

    def __init__(self, lists: Lists) -> None:
        """:raises ValueError: with file name and line number, if a string is too short to be meant, or an exception is
        wrong."""
        self._category: dict[tuple[bool, str], str] = {}
        exceptions = []
        for category, entry, place in _read_words(lists):
            if entry.startswith("!"):
                exceptions.append(_exception(entry, place))
                continue
            in_host = entry.startswith("host:")
            word = entry.removeprefix("host:").strip()
            if len(word) < _shortest(word):
                raise ValueError(f"{place}: expected 3 or more characters (2 of Chinese), found {entry!r}")
            self._category.setdefault((in_host, word), category)
        self._scopes = [
            (in_host, _screens(words), _exact(words, exceptions))
            for in_host in (True, False)
            if (words := [w for h, w in self._category if h is in_host])
        ]

    def find(self, texts: Sequence[str]) -> dict[int, Hit]:
        """The first string, in the host before elsewhere, that occurs in each URL.

        RE2 screens all URLs at once; the few that it lets through are looked at one by one, for exceptions and place.

        :param texts: n URLs in `readable` form.
        :returns: index of each URL in which one occurs.
        """
        hits: dict[int, Hit] = {}
        for in_host, screens, exact in self._scopes:
            fields = [_HOST_END.split(t, maxsplit=1)[0] for t in texts] if in_host else texts
            array = pa.array([t.encode("utf-8", "replace") for t in fields], pa.binary()).cast(pa.string())
            for screen in screens:
                mask = pc.match_substring_regex(array, screen)
                for i in pc.indices_nonzero(mask).to_pylist():
                    word = next((m["word"] for m in exact.finditer(fields[i]) if m["word"]), None)
                    if word is not None:
                        hits.setdefault(i, Hit(self._category[in_host, word], word))
        return hits


def _screens(words: Sequence[str]) -> list[str]:
    escaped = sorted(map(re.escape, words))
    return ["|".join(escaped[i : i + _WORDS_PER_PATTERN]) for i in range(0, len(escaped), _WORDS_PER_PATTERN)]


def _exact(words: Sequence[str], exceptions: Sequence[str]) -> re.Pattern[str]:
    """Finds exceptions (regular expressions) before words, longer before shorter ones: a match swallows what lies inside
    of it."""
    kept = _either(exceptions)
    return re.compile((f"(?:{kept})|" if kept else "") + f"(?P<word>{_either(map(re.escape, words))})")


def _either(patterns: Iterable[str]) -> str:
    return "|".join(sorted(patterns, key=lambda p: (-len(p), p)))


@dataclass(frozen=True)
class UrlRules:
    """The lists of one filter, read and compiled."""

    domains: KeySet
    urls: KeySet
    hard: TokenWords
    soft: TokenWords
    sub: SubWords
    allow: RemovalList
    min_soft_words: int

    def judge(self, urls: Sequence[str]) -> list[Drop | None]:
        """Judge URLs by the lists: a drop, or None for one that passes.

        :param urls: n URLs that have a host.
        """
        domain_hits = self.domains.find_domains([host_of(u) for u in urls])
        url_hits = self._listed_urls(urls)
        texts = [readable(u) for u in urls]
        sub_hits = self.sub.find(texts)
        out: list[Drop | None] = []
        for i, (url, text) in enumerate(zip(urls, texts, strict=True)):
            drop: Drop | None
            if i in domain_hits:
                category, domain = domain_hits[i]
                drop = Drop(f"blocked_domain_{category}", value=domain)
            elif i in url_hits:
                drop = Drop(f"blocked_url_{url_hits[i]}", value=url)
            else:
                drop = self._words(text, sub_hits.get(i))
            if drop is not None and self.allow.match_url(url) is not None:
                drop = None
            out.append(drop)
        return out

    def _listed_urls(self, urls: Sequence[str]) -> dict[int, str]:
        if not len(self.urls):
            return {}
        numbers = self.urls.find([(url_key(u) or "").encode("utf-8", "replace") for u in urls])
        return {i: self.urls.categories[n] for i, n in enumerate(numbers.tolist()) if n >= 0}

    def _words(self, text: str, sub_hit: Hit | None) -> Drop | None:
        words = tokens(text)
        hard = self.hard.find(text, words)
        if hard:
            return Drop(f"hard_word_{hard[0].category}", value=hard[0].word)
        if sub_hit is not None:
            return Drop(f"sub_word_{sub_hit.category}", value=sub_hit.word)
        soft = self.soft.find(text, words)
        if len(soft) >= self.min_soft_words:
            for category in sorted({hit.category for hit in soft}):
                of_category = [hit.word for hit in soft if hit.category == category]
                if len(of_category) >= self.min_soft_words:
                    return Drop(f"soft_words_{category}", value=" ".join(of_category))
        return None


class UrlFilter(DocumentStep):
    """Drop pages whose address is on a block list or made of listed words (dots.llm1 C.1).

    Lists are files (fsspec paths or URLs) by category, a name that the drop reason ends in. `corpusmill
    lists` converts and compiles them; `url_lists/README.md` beside this module describes the shipped ones.
    """

    step: Literal["url_filter"] = "url_filter"
    version: ClassVar[int] = 2
    default_lists: list[str] = Field(
        list(SHIPPED), description="categories of the shipped lists to use, with the shipped allow list; [] for none"
    )
    domains: dict[str, list[str]] = Field(
        {}, description="category: files of domains, which stand for their sub-domains too"
    )
    urls: dict[str, list[str]] = Field({}, description="category: files of URLs")
    hard_words: dict[str, list[str]] = Field({}, description="category: files of words of which one is enough")
    soft_words: dict[str, list[str]] = Field(
        {}, description="category: files of words of which `min_soft_words` are needed"
    )
    sub_words: dict[str, list[str]] = Field({}, description="category: files of strings that count anywhere in the URL")
    allow: list[str] = Field(
        [], description="files of domains and URLs that always pass, as `pipeline.removal` reads them"
    )
    min_soft_words: int = Field(2, ge=2, description="different soft words of one category in a URL (two: RefinedWeb)")
    missing_url: Literal["keep", "drop"] = Field("keep", description="what to do with rows without a URL (`no_url`)")
    bad_url: Literal["keep", "drop"] = Field("keep", description="what to do with URLs that have no host (`bad_url`)")
    drops: ClassVar[Examples] = (Example(url="https://www.pornhub.com/", reason="sub_word_adult"),)
    keeps: ClassVar[Examples] = (
        Example(url="https://www.essex.ac.uk/research/sussex-and-middlesex"),
        Example(url="https://www.expertsexchange.com/questions/1"),
        Example(),  # a row without a URL
    )

    @field_validator("default_lists")
    @classmethod
    def _shipped(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in SHIPPED:
                raise ValueError(f"no shipped list {name!r}; shipped: {', '.join(SHIPPED)}")
        return names

    @field_validator(*KINDS)
    @classmethod
    def _category_names(cls, lists: dict[str, list[str]]) -> dict[str, list[str]]:
        for name in lists:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"expected a category name such as adult (a-z, 0-9, _), found {name!r}")
        if len(lists) > MAX_CATEGORIES - len(SHIPPED):
            raise ValueError(f"expected at most {MAX_CATEGORIES - len(SHIPPED)} categories, found {len(lists)}")
        return lists

    def resources(self) -> Sequence[str]:
        by_kind = (getattr(self, kind) for kind in KINDS)
        return sorted({path for lists in by_kind for paths in lists.values() for path in paths} | set(self.allow))

    def fingerprint(self) -> dict[str, Any]:
        """Fingerprint, with lists by their full path (many are called `domains`) and the shipped ones by name."""
        with ExitStack() as files:
            paths = {f"shipped:{name}": path for name, path in _shipped_files(self.default_lists, files).items()}
            paths |= {path: path for path in self.resources()}
            return {
                "step": self.step,
                "version": type(self).version,
                "parameters": self.model_dump(mode="json", exclude={"step"}),
                "resources": {name: file_sha256(path) for name, path in paths.items()},
            }

    def rules(self) -> UrlRules:
        """The lists, read once per process and configuration.

        :raises ValueError: with file name and line number, if a line of a list is no entry.
        """
        return _rules(self.model_dump_json())

    def load(self) -> None:
        self.rules()

    def process(self, docs: list[Document]) -> list[Document | Drop]:
        rules = self.rules()
        out: list[Document | Drop] = list(docs)
        asked = []
        for i, doc in enumerate(docs):
            if not doc.url:
                if self.missing_url == "drop":
                    out[i] = Drop("no_url")
            elif host_of(doc.url) is None:
                if self.bad_url == "drop":
                    out[i] = Drop("bad_url", value=doc.url)
            else:
                asked.append(i)
        drops = rules.judge([docs[i].url or "" for i in asked])
        for i, drop in zip(asked, drops, strict=True):
            if drop is not None:
                out[i] = drop
        return out


@functools.lru_cache(maxsize=4)  # outside of the step, which is sent to workers and must stay small
def _rules(config: str) -> UrlRules:
    step = UrlFilter.model_validate_json(config)
    with ExitStack() as files:
        lists: dict[str, dict[str, list[str]]] = {kind: {} for kind in KINDS}
        allow = list(step.allow)
        for name, path in _shipped_files(step.default_lists, files).items():
            category, kind = name.split(".")[:2]
            if category == "allow":
                allow.append(path)
            else:
                lists[kind].setdefault(category, []).append(path)
        for kind in KINDS:
            for category, paths in getattr(step, kind).items():
                lists[kind].setdefault(category, []).extend(paths)
        return UrlRules(
            domains=KeySet.load(lists["domains"], "domain"),
            urls=KeySet.load(lists["urls"], "url"),
            hard=TokenWords(lists["hard_words"]),
            soft=TokenWords(lists["soft_words"]),
            sub=SubWords(lists["sub_words"]),
            allow=RemovalList.load(allow),
            min_soft_words=step.min_soft_words,
        )


def _shipped_files(categories: Sequence[str], files: ExitStack) -> dict[str, str]:
    """Shipped lists `<category>.<kind>.txt[.xz]`, and the allow list: name to a path that lasts while `files` is open.

    The name is not that of the path: what is unpacked from a zip gets a made-up one.
    """
    if not categories:
        return {}
    folder = importlib.resources.files("pipeline.preparation") / "url_lists"
    wanted = [f for f in folder.iterdir() if f.name.split(".")[0] in {*categories, "allow"} and ".txt" in f.name]
    wanted.sort(key=lambda f: f.name)
    return {f.name: str(files.enter_context(importlib.resources.as_file(f))) for f in wanted}
