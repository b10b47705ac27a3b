"""Structural anomalies (dots.llm1 C.2): broken encodings, stuffed keywords, link lists, calendars, placeholders, walls."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import numpy as np
import regex
from pydantic import Field

from extraction.kernels import compiled
from pipeline.rule_based.c4 import prose
from pipeline.rule_based.prompts import share_of_lines
from pipeline.rule_based.statistics import statistics
from pipeline.rule_based.stories import EN, PROSE, ZH, story
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule, bound

SOURCE = "dots.llm1 C.2 (structural anomalies); values measured"
CHARACTERS = "share of characters"

# UTF-8 read as Latin-1 or Windows-1252 ("â€™", "Ã©", "ä¸­"), GBK read as Latin-1 ("ÖÐ¹ú"), the replacement character, and what
# it becomes when it is read as GBK ("锟斤拷"); memory patterns of C programs shown as GBK ("烫烫烫", "屯屯屯").
_MOJIBAKE = regex.compile(
    "[ÃÂ][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â[\u0080€][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
    "|(?:[äåæçèéï][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ€]{2}){2,}|ð[\u009f\u0178][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ€]{2}"
    "|(?:[ÐÑØÙÎÏ][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]){3,}"
    # Only letters begin a character here: "····" and "××××" are no mojibake.
    "|[À-ÖØ-ö][\u00a1-\u00fe](?:[\u00b0-\u00f7][\u00a1-\u00fe]){2,}[À-ÖØ-ö\u00b0-\u00b6\u00b8-\u00bf][\u00a1-\u00fe]"
    "|\ufffd|锟斤拷|锟斤|烫{3,}|屯{3,}"
)
# UTF-8 read as GBK: the first two bytes of Chinese punctuation, of curly quotes and of the byte order mark. Each is a rare
# character; one alone may be meant.
_AS_GBK = re.compile("[锛銆鈥锘][^\\s\u0000-\u00ff]?")
_AS_GBK_LEAST = 3


# One of these is in every match: a class of characters is found 20 times as fast as the patterns.
_SUSPECT = re.compile("[\u00b0-\u00f7\ufffd锟烫屯锛銆鈥锘]")


class Mojibake(Rule):
    """Drop documents of which more than 0.5 % of the characters come from a wrong encoding: "â€™", 锛, 锟斤拷, U+FFFD."""

    step: Literal["mojibake"] = "mojibake"
    unit: ClassVar[str] = CHARACTERS
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "mojibake"
    max: Limits | None = {"default": 0.005}
    drops: ClassVar[Examples] = (
        Example(
            story("dairy").replace("the", "theâ€™s", 9).replace("mill", "mÃ©ll")
            + "\n"
            + story("brewery").replace("and", "â€œandâ€\u009d"),
            reason="mojibake",
            url="https://mojibake.made.example/mill",
            title="The mill",
        ),
        Example(ZH.encode().decode("latin-1"), "zh", "mojibake"),
        Example(ZH.encode("gb18030").decode("latin-1"), "zh", "mojibake"),
        Example("锟斤拷锟斤拷", "zh", "mojibake"),
    )
    keeps: ClassVar[Examples] = (
        *PROSE,
        Example("«Où est l’été?» «À côté, à Orléans; ça va, Noël, naïve, cœur, garçon.»"),
        Example("锛是一种化学元素锑的旧译。", "zh"),  # once is no pattern
        Example("烫烫的水，屯在村里", "zh"),
    )

    def measure(self, doc: Document) -> float | None:
        text = doc.text or ""
        if not text:
            return None
        if text.isascii() or not _SUSPECT.search(text):
            return 0.0
        as_gbk = _AS_GBK.findall(text)
        matches = _MOJIBAKE.findall(text) + (as_gbk if len(as_gbk) >= _AS_GBK_LEAST else [])
        return sum(map(len, matches)) / len(text)

    def evidence(self, doc: Document) -> str | None:
        match = _MOJIBAKE.search(doc.text or "") or _AS_GBK.search(doc.text or "")
        return match[0] if match else None


_SEPARATOR = regex.compile(r"\s*[,，、|｜/;；·•#]\s*|\s{2,}")


_CLOSING = "\"'”’」』》）)"
_ENDS = ("", *".!?。！？；")
_ONE_SEPARATOR = re.compile(r"[,，、|｜/;；·•#]|  ")


class KeywordStuffing(Rule):
    """Drop documents of which more than 40 % of the characters are lines of keywords.

    Such a line has 10 items or more between commas, bars or the like, short in the mean (20 characters, Chinese 8), and no end of
    a sentence. Code and rows of tables do not count.
    """

    step: Literal["keyword_stuffing"] = "keyword_stuffing"
    unit: ClassVar[str] = CHARACTERS
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "keyword_stuffing"
    max: Limits | None = {"default": 0.4}
    items: int = Field(10, gt=1, description="items that make a line of keywords")
    item_length: Limits = Field({"default": 20, "zh": 8}, description="mean characters of an item, at most")
    drops: ClassVar[Examples] = (
        Example(
            "red shoes, blue shoes, cheap shoes, best shoes, men shoes, kids shoes, sale shoes, new shoes, top shoes, "
            f"buy shoes, winter shoes, leather shoes\n{story('workshop')[:150]}",
            reason="keyword_stuffing",
            url="https://keywords.made.example/",
        ),
        Example("红鞋、蓝鞋、便宜鞋、好鞋、买鞋、男鞋、童鞋、促销鞋、新鞋、名鞋、女鞋", "zh", "keyword_stuffing"),
    )
    keeps: ClassVar[Examples] = (
        *PROSE,
        Example("他说：“红、黄、蓝、绿、青、橙、紫、黑、白、灰、粉，都是颜色。”", "zh"),
    )

    def measure(self, doc: Document) -> float | None:
        stats = statistics(doc.text or "", doc.language)
        if not stats.text:
            return None
        longest = bound(self.item_length, doc.language) or 0
        total = 0
        for _, line in prose(doc):
            if len(line) < 2 * self.items or line[-1] in _ENDS or line.rstrip(_CLOSING)[-1:] in _ENDS:
                continue
            if len(_ONE_SEPARATOR.findall(line[:20_000])) < self.items - 1:
                continue
            items = [i for i in _SEPARATOR.split(line[:20_000]) if i]
            if len(items) >= self.items and sum(map(len, items)) <= longest * len(items):
                total += len(line)
        return total / len(stats.text)


class LinkShare(Rule):
    """Drop documents of which more than 50 % of the characters are in lines that are links (80 % of the line or more)."""

    step: Literal["link_share"] = "link_share"
    unit: ClassVar[str] = CHARACTERS
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "link_list"
    max: Limits | None = {"default": 0.5}
    line: float = Field(0.8, gt=0, le=1, description="share of a line's characters in links from which it is one")
    drops: ClassVar[Examples] = (Example("first\nother\nthird", "en", "link_list", line_link_share=(0.8, 0.8, 0.0)),)
    keeps: ClassVar[Examples] = (
        Example("first\nother\nthird", line_link_share=(1.0, 0.0, 0.0)),
        Example("first\nother\nthird", line_link_share=(0.7, 0.7, 0.7)),
    )

    def measure(self, doc: Document) -> float | None:
        text, shares = doc.text or "", doc.line_link_share
        if not text or not shares:
            return None
        lengths = np.fromiter(map(len, text.split("\n")), np.int64)
        if len(lengths) != len(shares):
            return None
        return float(lengths[np.asarray(shares, np.float32) >= np.float32(self.line)].sum() / max(1, lengths.sum()))


@compiled("in:i8 io:i8")
def _longest_run(numbers, out):  # type: ignore[no-untyped-def]
    best = run = 0
    for i in range(len(numbers)):
        run = run + 1 if i and numbers[i] == numbers[i - 1] + 1 else 1
        if run > best:
            best = run
    out[0] = best


_DAY = frozenset("日号號")
_EVERY_MONTH = frozenset(f"{n}" for n in range(10, 29))
_DAYS = frozenset(f"{n}" for n in range(100)) | frozenset(f"{n:02}" for n in range(10))
_MONTH = " ".join(map(str, range(1, 32)))


class Calendar(Rule):
    """Drop documents that are a calendar: more than 27 whole numbers, each one more than the one before, and no word between
    (日 and 号 aside), which make up a tenth of the words or more. An article beside a small calendar stays.
    """

    version: ClassVar[int] = 2

    step: Literal["calendar"] = "calendar"
    unit: ClassVar[str] = "consecutive numbers"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "calendar"
    max: Limits | None = {"default": 27}
    share: float = Field(0.1, ge=0, le=1, description="share of the document's words that the numbers must have")
    drops: ClassVar[Examples] = (
        Example(
            f"Days on which the mill is open to be seen:\n{_MONTH}\n{story('smithy')}\n{story('sawmill')}",
            reason="calendar",
            url="https://calendar.made.example/may",
            title="The mill in May",
        ),
        Example("2019年5月\n" + "\n".join(f"{n}日" for n in range(1, 32)), "zh", "calendar"),
    )
    keeps: ClassVar[Examples] = (
        Example(f"{_MONTH}\n" + f"{EN}\n" * 40),  # an article beside a calendar
        Example("\n".join(f"{n} {EN}" for n in range(1, 40))),  # a numbered list
        Example(" ".join(map(str, range(10, 500, 7)))),
    )

    def measure(self, doc: Document) -> float | None:
        stats = statistics(doc.text or "", doc.language)
        if not stats.words:
            return None
        if "19" not in stats.text or not stats.vocabulary >= _EVERY_MONTH:  # they are in every calendar of a month
            return 0.0
        # Words that are no number of at most two digits get numbers of their own, which continue nothing.
        numbers = [int(w) if w in _DAYS else -2 * i - 10 for i, w in enumerate(stats.words) if w not in _DAY]
        out = np.zeros(1, np.int64)
        _longest_run(np.array(numbers, np.int64), out)
        return float(out[0]) if out[0] > 1 and out[0] >= self.share * len(stats.words) else 0.0


class NumberShare(Rule):
    """Drop documents of which more than 40 % of the letters and digits are digits: tables of numbers, logs, timetables."""

    version: ClassVar[int] = 2

    step: Literal["number_share"] = "number_share"
    unit: ClassVar[str] = "share of letters and digits"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "number_table"
    max: Limits | None = {"default": 0.4}
    drops: ClassVar[Examples] = (
        Example(
            "The heights of the river, in millimetres, day by day.\n"
            + "\n".join(" ".join(str(1000 + 37 * i * k % 9000) for k in range(1, 9)) for i in range(1, 30)),
            reason="number_table",
            url="https://numbers.made.example/",
        ),
        Example("12:05 13:10 14:15\n15:20 16:25 17:30", "en", "number_table"),
        Example("１２０５ １３１０ 车次", "zh", "number_table"),
    )
    keeps: ClassVar[Examples] = (
        Example("In 1912 the bridge of 1890 was 37 m wide."),
        Example("2019年5月3日，北京市有2100万人口，其中外来人口超过三分之一。", "zh"),
    )

    def measure(self, doc: Document) -> float | None:
        stats = statistics(doc.text or "", doc.language)
        total = int(stats.lengths.sum())
        return min(1.0, stats.counts[0] / total) if total else None


class _Phrases(Rule):
    """Short documents with much of their text in lines with phrases of one kind."""

    kind: ClassVar[str]
    unit: ClassVar[str] = CHARACTERS
    source: ClassVar[str] = SOURCE
    longest: Limits = Field(description="characters of a document that is looked at")
    longest_line: int = Field(300, gt=0, description="characters of a line that is looked at")

    def measure(self, doc: Document) -> float | None:
        longest = bound(self.longest, doc.language)
        if longest is not None and len(doc.text or "") > longest:
            return 0.0
        return share_of_lines(doc, self.kind, self.longest_line)[0]

    def evidence(self, doc: Document) -> str | None:
        return share_of_lines(doc, self.kind, self.longest_line)[1]


class Placeholder(_Phrases):
    """Drop unfinished pages: short, with 15 % of their characters in lines such as "coming soon", "lorem ipsum", 网站建设中."""

    step: Literal["placeholder"] = "placeholder"
    kind: ClassVar[str] = "placeholder"
    above: ClassVar[str] = "placeholder"
    max: Limits | None = {"default": 0.15}
    longest: Limits = {"default": 3000, "zh": 1000}
    drops: ClassVar[Examples] = (
        Example(
            "Coming soon: this page is under construction. Check back soon, the mill will be here with all that can be told "
            "of it.\nThe people of the village are at work on it, and those who want to help them with their hands are "
            "welcome at the mill.",
            reason="placeholder",
            url="https://placeholder.made.example/",
            title="The mill",
        ),
        Example("Acme\nComing soon", "en", "placeholder"),
        Example("Lorem ipsum dolor sit amet, consectetur", "en", "placeholder"),
        Example("网站建设中，敬请期待", "zh", "placeholder"),
    )
    keeps: ClassVar[Examples] = (
        Example(f"{EN}\n{EN}\nThe second volume is coming soon to a shop near you, they say, and will cost less."),
        Example(f"{ZH}新版本即将上线。", "zh"),
    )


class ConsentWall(_Phrases):
    """Drop pages that are a question for consent to cookies: 25 % of their characters in lines that speak of it."""

    step: Literal["consent_wall"] = "consent_wall"
    kind: ClassVar[str] = "cookie"
    above: ClassVar[str] = "consent_wall"
    max: Limits | None = {"default": 0.25}
    longest: Limits = {"default": 6000, "zh": 2000}
    drops: ClassVar[Examples] = (
        Example(
            "We use cookies to have the pages of the mill shown to you, and our partners process data with your consent or "
            "with legitimate interest.\n"
            "You can accept all cookies, reject all of them, or manage cookies to be used and have your consent preferences "
            "changed at any time.\n"
            "By continuing to use this site you agree to the use of cookies that is told of in the cookie notice of the mill "
            f"and of its partners.\n{story('tannery')}",
            reason="consent_wall",
            url="https://consent.made.example/mill",
            title="We value your privacy",
        ),
        Example("We use cookies and similar tools.\nAccept all cookies\nManage consent", "en", "consent_wall"),
        Example("本网站使用Cookie，继续浏览即表示您同意我们使用", "zh", "consent_wall"),
    )
    keeps: ClassVar[Examples] = (Example(f"{EN}\n{EN}\n{EN}\nWe use cookies."),)


class LoginWall(_Phrases):
    """Drop pages that ask for login or payment: short, with 10 % of their characters in lines that do."""

    step: Literal["login_wall"] = "login_wall"
    kind: ClassVar[str] = "login"
    above: ClassVar[str] = "login_wall"
    max: Limits | None = {"default": 0.1}
    longest: Limits = {"default": 2500, "zh": 800}
    drops: ClassVar[Examples] = (
        Example(
            "You must be logged in to see this thread. Please log in, or create your account, it is free of cost.\n"
            "Forgot your password? Already have an account? Log in to continue.\n"
            "This is a place where the people of the village talk about the mill that they have rebuilt with their own hands.",
            reason="login_wall",
            url="https://login.made.example/thread/17",
            title="Thread 17: the mill",
        ),
        Example(
            "您需要登录后才能查看本帖内容，没有账号的用户请先注册。\n忘记密码？请联系管理员找回密码，谢谢您的支持与理解。\n"
            "这里是村民讨论磨坊修复工作的地方，欢迎大家来分享自己的经验和照片，也可以提出问题。",
            "zh",
            "login_wall",
            url="https://login.made.example/thread/18",
            title="磨坊讨论区",
        ),
        Example("Please log in to continue\nForgot your password?", "en", "login_wall"),
        Example("您需要登录后才可以查看\n还没有账号？立即注册", "zh", "login_wall"),
    )
    keeps: ClassVar[Examples] = (
        Example(
            f"{EN}\nHe wrote that visitors who want to read on must first be let in by the guard, who said: please sign in, sir."
        ),
        Example(f"{ZH}今天的访客很多。", "zh"),
    )


class ErrorPage(_Phrases):
    """Drop error pages, empty search results and robot checks: short, with 15 % of their characters in lines that say so."""

    step: Literal["error_page"] = "error_page"
    kind: ClassVar[str] = "error"
    above: ClassVar[str] = "error_page"
    max: Limits | None = {"default": 0.15}
    longest: Limits = {"default": 2000, "zh": 600}
    drops: ClassVar[Examples] = (
        Example(
            f"404 Not Found\nThe page you requested could not be found.\n{story('museum')[:180]}",
            reason="error_page",
            url="https://error.made.example/b",
        ),
        Example("Oops!\nThe page you requested could not be found.", "en", "error_page"),
        Example("抱歉，没有找到相关内容\n返回上一页", "zh", "error_page"),
    )
    keeps: ClassVar[Examples] = (
        Example("The function returns null if the key does not exist."),
        Example("文件已删除，可以用恢复工具找回来。", "zh"),
        Example(f"{EN}\n" * 40 + "Page not found"),  # too long for an error page
    )


_MARKUP = re.compile(
    r"</?(?:div|span|a|p|br|img|script|style|table|td|tr|ul|li|input|form|iframe|font|h[1-6])[ >/]|&(?:nbsp|amp|lt|gt|quot|#\d+);"
    r"|\"[\w$-]+\"\s*:\s*[\[{\"\d]|\{[^{}:]{0,50}:[^{};]{0,100};|function\s*\(|\bvar \w+ ?=|\$\(|=> ?\{"
)
_MARKS = ("<", '":', "&", "{", "function", "var ", "$(")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_%-]{120}")


class MarkupGarbage(Rule):
    """Drop documents of which more than 50 % of the characters are in lines with markup, JSON, CSS, scripts or base64.

    Lines that the page marked as code do not count: code on pages about code is content.
    """

    step: Literal["markup_garbage"] = "markup_garbage"
    unit: ClassVar[str] = CHARACTERS
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "markup"
    max: Limits | None = {"default": 0.5}
    drops: ClassVar[Examples] = (
        Example('<div class="x"><span>a</span></div>', "en", "markup"),
        Example('{"id": 1, "name": {"first": 2}}', "en", "markup"),
        Example(".a { color: red; margin: 0 }", "en", "markup"),
        Example("A1b2" * 40, "en", "markup"),  # base64
    )
    keeps: ClassVar[Examples] = (
        Example("A1b2" * 40, line_tags=("code",)),
        Example("The <em> tag and the & sign are explained here, as {curly} braces are."),
        Example("他用 <- 表示赋值，用 {} 表示集合。", "zh"),
    )

    def measure(self, doc: Document) -> float | None:
        text = doc.text or ""
        if not text:
            return None
        marks = [m for m in _MARKS if m in text]
        long_words = statistics(text, doc.language).counts[2] >= 120
        if not marks and not long_words:
            return 0.0
        tags = doc.line_tags
        total = 0
        for i, line in enumerate(text.split("\n")):
            if tags is not None and i < len(tags) and tags[i] in ("code", "pre"):
                continue
            if long_words and len(line) >= 120 and _LONG_WORD.search(line, 0, 5000):
                total += len(line)
                continue
            for mark in marks:
                if mark in line:
                    total += len(line) if _MARKUP.search(line, 0, 5000) else 0
                    break
        return total / len(text)
