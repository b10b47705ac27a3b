"""RefinedWeb's line-wise corrections (Penedo et al. 2023, The RefinedWeb Dataset, 3.2 and G.2), for Chinese too.

Lines of upper-case letters, of numbers alone, counters ("3 likes"), lines of one word, and short lines of navigation are
unwanted; the rule drops documents with many words in them, the step cuts them from the others. The step also cuts notices
(`phrases/notices.yaml`): the editor's name, the source, how to follow, the phone a letter was sent from.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import ClassVar, Literal

import yaml
from pydantic import Field

from extraction.text import lines
from pipeline.rule_based.c4 import LineStep
from pipeline.rule_based.stories import EN, PROSE, ZH, story
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule

REFINEDWEB = "RefinedWeb (Penedo et al. 2023), G.2"
_DIGIT = re.compile(r"\d")
_NUMBERS = re.compile(r"[(\[]?\d+(?:[ |·]+\d+)*[)\]]?")
_COUNTER = re.compile(
    r"\d[\d.,]*\s*[kKmM万萬千]?\+?\s*(?:likes?|shares?|comments?|views?|retweets?|reposts?|followers?|following|replies|reply"
    r"|votes?|points?|"
    r"次?浏览|次?瀏覽|次?阅读|次?閱讀|条?评论|則?評論|个?回复|個?回覆|人?点赞|個?讚|赞|人关注|人收藏|次?播放|次?分享|次?下载|樓|楼)"
    r"|(?:likes?|shares?|comments?|views?|followers?|replies|"
    r"浏览|瀏覽|阅读|閱讀|评论|評論|回复|回覆|点赞|赞|转发|收藏|播放|分享|下载|人气|热度|点击)"
    r"(?:量|数|數|次数)?\s*[:：(（]?\s*\d[\d.,]*\s*[万萬千kK]?\+?\s*[)）次]?",
    re.IGNORECASE,
)
_NAVIGATION = frozenset(
    """
    sign in to continue|sign in or sign up|sign in / register|share on facebook|share on twitter|share on x|share on linkedin
    share via email|sign in|sign up|sign out|log in|log out|login|logout|signup|sign in/sign up|sign in / sign up|log in/sign up
    log in / sign up
    login/register|login / register|log in or register|log in or sign up|sign in or register|register|register now|home|top
    back to top
    menu|search|more|edit|close|next|next post|next page|next article|previous|previous post|previous page|previous article|prev
    skip to content|skip to main content|read more|read full article|see more|see all|show more|show less|show all|view more
    view all
    load more|tweet|print|email|cancel|submit|click here|share|share this|share this article|share this post|share this page
    share this story|follow us|subscribe|subscribe now|reply|report|permalink|items in cart|item in cart|add to cart|my account
    登录|登入|登錄|註冊|注册|登录/注册|登录 / 注册
    首页|首頁|返回顶部|回到顶部|返回首页|上一篇|下一篇|上一页|下一页|上一頁|下一頁|更多
    查看更多
    阅读全文|閱讀全文|展开|收起|展开全文|分享|分享到|收藏|点赞|评论|回复|举报|打印|关闭|搜索|菜单|目录
    关注|立即购买|加入购物车|联系我们|關於我們
    关于我们
    """.strip()
    .replace("\n", "|")
    .replace("    ", "")
    .split("|")
)
_AROUND = " >»›→·|:：.…<«‹←"
_SHORT = 60
"""Characters up to which a line can be a counter or navigation."""
_KEPT_TAGS = frozenset(("code", "pre", "tr", "h1", "h2", "h3", "h4", "h5", "h6"))


_LONGEST_NOTICE = 120
_MACROS = {
    "{OPEN}": r"[（(\[【]?\s?",
    "{CLOSE}": r"\s?[）)\]】]?",
    "{NAME}": r"(?:[\u4e00-\u9fff·]{1,6}(?:[（(][\u4e00-\u9fff]{1,4}[）)])?|[a-z][\w.-]{0,15}(?: [a-z][\w.-]{0,15}){0,2})",
    "{OUTLET}": (
        r"(?:[《“]?[^\s，。！？；：:、]{0,16}(?:网|網|报|報|社|电视台|電視台|公众号|公眾號|新闻|新聞|在线|客户端|网络|網絡|杂志|周刊|论坛|微博|微信|百科"
        r"|知乎|头条|综合|原创|本站|app)[》”]?|(?:https?://|www\.)[\w./-]{3,60})"
    ),
    "{CAPITAL}": r"(?-i:[A-Z\u00c0-\u00de])[\w.'’-]*",
}
_MACROS["{NAMES}"] = (
    rf"{_MACROS['{NAME}']}(?:[、,，/ \u3000]{{1,3}}{_MACROS['{NAME}']}){{0,4}}(?:\s?[（(]?[a-z]{{0,3}}\d{{2,6}}[）)]?)?"
)
_MACROS["{PEOPLE}"] = (
    rf"{_MACROS['{CAPITAL}']}(?:,? (?:{_MACROS['{CAPITAL}']}|and|&|in|for|of|the|at|de|van|von|al|bin|el)){{0,30}}"
)


@dataclass(frozen=True, slots=True)
class _Notice:
    """A kind of notice: words of which a line has one, patterns of the whole line, and among how many last lines it is one
    (0: anywhere)."""

    kind: str
    holds: tuple[str, ...]
    pattern: re.Pattern[str]
    last: int


@functools.cache
def _notices() -> tuple[_Notice, ...]:
    text = resources.files("pipeline.rule_based").joinpath("phrases", "notices.yaml").read_text(encoding="utf-8")
    out = []
    for kind, of_kind in yaml.safe_load(text).items():
        pattern = "|".join(f"(?:{line})" for line in of_kind["lines"])
        for name, written in _MACROS.items():
            pattern = pattern.replace(name, written)
        out.append(_Notice(kind, tuple(of_kind["holds"]), re.compile(pattern, re.IGNORECASE), of_kind.get("last", 0)))
    return tuple(out)


def notices(text: str, tags: tuple[str, ...] | None) -> list[tuple[int, str]]:
    """Numbers and kinds of the lines that are notices."""
    lower = text.lower()
    of_kinds = [notice for notice in _notices() if any(word in lower for word in notice.holds)]
    if not of_kinds:
        return []
    of_text = lines(text)
    filled = [i for i, line in enumerate(of_text) if line and not line.isspace()]
    out = []
    for behind, i in enumerate(reversed(filled)):
        line = of_text[i].strip()
        if len(line) > _LONGEST_NOTICE or (tags is not None and tags[i] in _KEPT_TAGS):
            continue
        in_lower_case = line.lower()
        for notice in of_kinds:
            if notice.last and behind >= notice.last:
                continue
            if any(word in in_lower_case for word in notice.holds) and notice.pattern.fullmatch(line):
                out.append((i, notice.kind))
                break
    return out[::-1]


@functools.lru_cache(maxsize=512)
def _unwanted(text: str, tags: tuple[str, ...] | None) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    """Numbers of the unwanted lines but those of one word, numbers of those, characters of both, and those of all lines."""
    of_more_words: list[int] = []
    one_word: list[int] = []
    characters = total = 0
    cells = 0  # signs between cells in the line above
    for i, raw in enumerate(lines(text)):
        line = raw.strip()
        if not line:
            continue
        total += len(line)
        above, cells = cells, line.count("|")
        if tags is not None and tags[i] in _KEPT_TAGS:
            continue
        if len(line) > _SHORT and not line.isupper():  # most lines
            continue
        if _is_unwanted(line):
            if above and cells == above:  # a row of numbers below its header
                continue
            cells = 0
            of_more_words.append(i)
        elif len(line) <= _SHORT and line.isascii() and line.isalpha():
            one_word.append(i)
        else:
            continue
        characters += len(line)
    return tuple(of_more_words), tuple(one_word), characters, total


def _is_unwanted(line: str) -> bool:
    if len(line) <= _SHORT:
        if line.lower().strip(_AROUND) in _NAVIGATION:
            return True
        if _DIGIT.search(line) and (_NUMBERS.fullmatch(line) or _COUNTER.fullmatch(line)):
            return True
    # Upper case: at least three words, and twelve letters (an acronym is no shouting) that are most of the line.
    if not line.isupper() or line.count(" ") < 2:
        return False
    capitals = sum(map(str.isupper, line))
    return capitals >= 12 and 2 * capitals > len(line)


def _of(doc: Document) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    return _unwanted(doc.text or "", None if doc.line_tags is None else tuple(doc.line_tags))


class UnwantedLines(Rule):
    """Drop documents with a large share of characters in unwanted lines.

    RefinedWeb drops above 5 % of the words; good pages with lists, tables of numbers and code have up to 30 %
    (benchmarks/rules.py).
    """

    step: Literal["unwanted_lines"] = "unwanted_lines"
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = f"{REFINEDWEB} (0.05 of words), tuned"
    above: ClassVar[str] = "too_many_unwanted_lines"
    max: Limits | None = {"default": 0.3}
    drops: ClassVar[Examples] = (
        Example("WE SELL THE BEST SHOES\n128\n3 likes", "en", "too_many_unwanted_lines"),
        Example("阅读 128\n下一篇", "zh", "too_many_unwanted_lines"),
    )
    keeps: ClassVar[Examples] = (*PROSE, Example(f"READ MORE\n{EN}", line_tags=("h2", "p")))

    def measure(self, doc: Document) -> float | None:
        *_, unwanted, total = _of(doc)
        return unwanted / total if total else None


class CutUnwantedLines(LineStep):
    """Cut lines in upper case, of numbers alone, counters ("3 likes", "阅读 128"), navigation ("Read more", "下一篇") and notices
    ("责任编辑：张三", "Sent from my iPhone": `phrases/notices.yaml`).

    A sentence that holds such words is no such line. Lines of one word are cut only if `one_word` is set: they are often items
    of a list or speakers of a dialogue. Code, table rows and headings stay.
    """

    step: Literal["cut_unwanted_lines"] = "cut_unwanted_lines"
    version: ClassVar[int] = 2
    source: ClassVar[str] = f"{REFINEDWEB}; notices: ours"
    one_word: bool = Field(False, description="cut lines of one (Latin) word too, as RefinedWeb does")
    drops: ClassVar[Examples] = (
        Example("READ MORE\n128", "en", "no_text_left"),
        Example("上一篇\n下一篇\n\n", "zh", "no_text_left"),
    )
    keeps: ClassVar[Examples] = (
        Example(f"{EN}\nI have 12 comments"),
        Example(f"{ZH}\n阅读 128 页以后我睡着了。", "zh"),
        Example(f"{ZH}\n本书的责任编辑张三说，转载请注明出处。", "zh"),
    )
    changes: ClassVar[Examples] = (
        Example(
            f"THE MILL IS OPEN TO ALL VISITORS ON SUNDAYS\n{story('library')}\n{story('theatre')}\nRead more\n12 comments",
            left=f"{story('library')}\n{story('theatre')}",
            url="https://upper.made.example/mill",
            title="The mill",
        ),
        Example(f"{ZH}\n阅读 128", "zh", left=ZH),
        Example(f"{ZH}\n（责任编辑：张三）", "zh", left=ZH),
    )

    def unwanted(self, doc: Document) -> list[int]:
        numbers, one_word, *_ = _of(doc)
        of_text = notices(doc.text or "", None if doc.line_tags is None else tuple(doc.line_tags))
        return sorted({*numbers, *(i for i, _ in of_text), *(one_word if self.one_word else ())})
