"""C4's rules (Raffel et al. 2020, Exploring the Limits of Transfer Learning, 2.2), for Chinese too.

C4 judges lines first and documents after. A line in Chinese has no spaces: its "words" are counted in characters.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from extraction.text import lines
from pipeline.lines import cut_lines
from pipeline.rule_based.statistics import ends_sentence, statistics, word_list
from pipeline.rule_based.stories import EN, PROSE, ZH, story
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep, Example, Examples, Limits, Rule, bound

C4 = "C4 (Raffel et al. 2020), 2.2"
_END = tuple(".!?\"'”’。！？；」』》…）．｡")
_COUNTED = tuple("。！？；")
_CLOSING = "\"'”’」』》）"
# Code, tables and headings are not sentences, and are known by their tags.
_NO_PROSE = frozenset(("code", "pre", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6"))


class LineStep(DocumentStep):
    """Base of steps that cut the lines of which `is_unwanted` holds; the document goes if none is left."""

    audited: ClassVar[bool] = True
    source: ClassVar[str] = C4

    def unwanted(self, doc: Document) -> list[int]:
        """Numbers of the lines that go."""
        raise TypeError(f"{type(self).__name__} must define unwanted")

    def __call__(self, doc: Document) -> Document | Drop:
        numbers = self.unwanted(doc)
        if not numbers:
            return doc
        cut = cut_lines(doc, self.step, numbers)
        return cut if (cut.text or "").strip() else Drop("no_text_left", value=len(numbers))


def prose(doc: Document) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that their tags do not show to be code, table rows or headings."""
    tags = doc.line_tags
    for i, line in enumerate(lines(doc.text or "")):
        if tags is None or i >= len(tags) or tags[i] not in _NO_PROSE:
            yield i, line


class C4TerminalPunctuation(LineStep):
    """Cut lines that do not end in a terminal punctuation mark. Not in the shipped config.

    It takes headings, list items, tables and code along: see the loss in benchmarks/rules.py.
    """

    step: Literal["c4_terminal_punctuation"] = "c4_terminal_punctuation"
    version: ClassVar[int] = 2
    drops: ClassVar[Examples] = (Example("a\nb", "en", "no_text_left"),)
    keeps: ClassVar[Examples] = (
        Example("It ends in a point.\nDoes it end here?"),
        Example("她说：“今天天气很好”", "zh"),
    )
    changes: ClassVar[Examples] = (
        Example(f"{EN}\nIt does not end,", left=EN),
        Example(f"{ZH}\n今天天气很好……", "zh", left=ZH),
    )

    def unwanted(self, doc: Document) -> list[int]:
        numbered = enumerate(map(str.strip, lines(doc.text or "")))
        return [i for i, line in numbered if line and (not ends_sentence(line, _END) or line.endswith(("...", "…")))]


class C4ShortLines(LineStep):
    """Cut lines of fewer than 5 words (Chinese: 8 characters). Not in the shipped config, for the same reason.

    Lines that their tags show to be code, table rows or headings stay.
    """

    step: Literal["c4_short_lines"] = "c4_short_lines"
    min_words: Limits = Field({"default": 5, "zh": 8}, description="words of a line; in Chinese characters")
    drops: ClassVar[Examples] = (Example("首页\n登录\n注册", "zh", "no_text_left"),)
    keeps: ClassVar[Examples] = (*PROSE, Example(f"x = 1\n{EN}", line_tags=("code", "p")))
    changes: ClassVar[Examples] = (
        Example(f"{EN}\nNot five words, but four.\nFour words are few.", left=f"{EN}\nNot five words, but four."),
    )

    def unwanted(self, doc: Document) -> list[int]:
        chinese = statistics(doc.text or "", doc.language).is_chinese
        least = bound(self.min_words, "zh" if chinese else doc.language) or 0
        tags = doc.line_tags
        out = []
        for i, line in enumerate(map(str.strip, lines(doc.text or ""))):
            if line and (tags is None or tags[i] not in _NO_PROSE):
                size = len(line) if chinese else len(line.split())
                if size < least:
                    out.append(i)
        return out


_SWITCH = "启用|啟用|開啟|开启|打开|打開|禁用|停用|关闭|關閉"
_JAVASCRIPT = re.compile(
    r"java ?script (?:is|must be|needs? to be|has been|seems to be|appears to be)(?: currently| either)? "
    r"(?:not )?(?:disabled|enabled|turned (?:on|off)|required (?:to|for|in order))"
    r"|(?:enable|activate|turn on|switch on) java ?script(?! (?:strict|debug|minif|error|source|warn|lint|check|valid|logg))"
    r"|(?:does not|doesn.t|not) support java ?script|browser has java ?script disabled"
    r"|(?:site|page|app(?:lication)?|feature|content|browser) requires? java ?script|java ?script(?: is)? required\.?$"
    rf"|(?:请|請|需要).{{0,8}}(?:{_SWITCH}).{{0,10}}java ?script|java ?script ?(?:已被|已|被|未)(?:{_SWITCH})"
    rf"|(?:浏览器|瀏覽器).{{0,4}}(?:{_SWITCH}|不支持|不支援)了? ?java ?script|不支持 ?java ?script",
    re.IGNORECASE,
)


class C4Javascript(LineStep):
    """Cut short lines that tell to turn JavaScript on. C4 cuts every line with the word, which costs pages about JavaScript."""

    step: Literal["c4_javascript"] = "c4_javascript"
    longest: int = Field(300, gt=0, description="characters of a line that is looked at")
    drops: ClassVar[Examples] = (Example("Please enable JavaScript.", "en", "no_text_left"),)
    keeps: ClassVar[Examples] = (
        Example(f"{EN}\nJavaScript is a language of the web."),
        Example(f"{ZH}\nJavaScript 是一种编程语言。", "zh"),
    )
    changes: ClassVar[Examples] = (
        Example(
            f"Please enable JavaScript to have the pictures of the mill shown.\n{story('chapel')}\n{story('tower')}",
            left=f"{story('chapel')}\n{story('tower')}",
            url="https://script.made.example/app",
            title="The mill",
        ),
        Example(f"{ZH}\n您的浏览器不支持JavaScript", "zh", left=ZH),
    )

    def unwanted(self, doc: Document) -> list[int]:
        lower = statistics(doc.text or "", doc.language).lower
        if "javascript" not in lower and "java script" not in lower:
            return []
        return [i for i, line in prose(doc) if len(line) <= self.longest and _JAVASCRIPT.search(line)]


_TO_READERS = re.compile("[您你请請]|同意|本站|本网站|我们|我們")


class C4PolicyLines(LineStep):
    """Cut short lines that hold a phrase of cookie or terms-of-use notices (`word_lists/policy_phrases.yaml`).

    C4 cuts lines of any length; here lines of at most `longest` characters, since articles discuss privacy policies too. For
    the same reason a Chinese sentence goes only if it addresses the reader (您, 同意, 我们 and the like).
    """

    step: Literal["c4_policy_lines"] = "c4_policy_lines"
    longest: Limits = Field({"default": 120, "zh": 40}, description="characters of a line that is looked at")
    drops: ClassVar[Examples] = (Example("隐私政策\n\n", "zh", "no_text_left"),)
    keeps: ClassVar[Examples] = (Example(f"{EN}\nI ate two cookies."), Example(f"{ZH}\n政策很好。", "zh"))
    changes: ClassVar[Examples] = (
        Example(
            f"{story('bridge')}\n{story('barn')}\nTerms of use | Privacy policy",
            left=f"{story('bridge')}\n{story('barn')}",
            url="https://policy.made.example/mill",
            title="Stones of the mill",
        ),
    )

    def unwanted(self, doc: Document) -> list[int]:
        lower = statistics(doc.text or "", doc.language).lower
        phrases = [p for p in _policy() if p in lower]
        if not phrases:
            return []
        longest = bound(self.longest, doc.language) or 0
        short = ((i, line) for i, line in prose(doc) if len(line) <= longest)
        return [
            i
            for i, line in short
            if any(p in line.lower() for p in phrases)
            and (not line.rstrip().endswith("。") or _TO_READERS.search(line))
        ]


@functools.cache
def _policy() -> tuple[str, ...]:
    return tuple(p for phrases in word_list("policy_phrases").values() for p in phrases)


class C4LoremIpsum(Rule):
    """Drop documents that hold "lorem ipsum"."""

    step: Literal["c4_lorem_ipsum"] = "c4_lorem_ipsum"
    unit: ClassVar[str] = "occurrences"
    source: ClassVar[str] = C4
    above: ClassVar[str] = "lorem_ipsum"
    max: Limits | None = {"default": 0}
    drops: ClassVar[Examples] = (
        Example(
            f"{story('kiln')}\nLorem ipsum dolor sit amet, consectetur adipiscing elit.\n{story('windmill')}",
            reason="lorem_ipsum",
            url="https://lorem.made.example/",
        ),
        Example("示例：LOREM IPSUM", "zh", "lorem_ipsum"),
    )
    keeps: ClassVar[Examples] = (Example("Lorem and ipsum"), Example("占位文字", "zh"))

    def measure(self, doc: Document) -> float:
        return statistics(doc.text or "", doc.language).lower.count("lorem ipsum")


class C4CurlyBrace(Rule):
    """Drop documents with a curly brace. Not in the shipped config: it drops every page with code."""

    step: Literal["c4_curly_brace"] = "c4_curly_brace"
    unit: ClassVar[str] = "curly braces"
    source: ClassVar[str] = C4
    above: ClassVar[str] = "curly_brace"
    max: Limits | None = {"default": 0}
    drops: ClassVar[Examples] = (Example("int main() {", "en", "curly_brace"), Example("代码 { }", "zh", "curly_brace"))
    keeps: ClassVar[Examples] = (Example("int main()"), Example("代码", "zh"))

    def measure(self, doc: Document) -> float:
        return (doc.text or "").count("{")


class C4Sentences(Rule):
    """Drop documents of fewer than 3 sentences (Chinese: 2, tuned: sentences are long, and news is short).

    A sentence ends in . ! ? before white space, or in a Chinese full stop; a line of 6 words (Chinese: 12 characters) or more
    without such an end is one too, since lines are blocks of a page.
    """

    step: Literal["c4_sentences"] = "c4_sentences"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "sentences"
    source: ClassVar[str] = C4
    below: ClassVar[str] = "too_few_sentences"
    min: Limits | None = {"en": 3, "zh": 2}
    drops: ClassVar[Examples] = (
        Example("Home\nShop\nCart", "en", "too_few_sentences"),
        Example("首页\n商店\n登录", "zh", "too_few_sentences"),
    )
    keeps: ClassVar[Examples] = PROSE

    def measure(self, doc: Document) -> float:
        stats = statistics(doc.text or "", doc.language)
        n = stats.counts[1]
        for line in stats.lines:
            if ends_sentence(line, _END):
                n += not line.rstrip(_CLOSING).endswith(_COUNTED)
            else:
                n += len(line) >= 12 if stats.is_chinese else line.count(" ") >= 5
        return n
