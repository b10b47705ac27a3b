"""Rules on URL, title and domain (dots.llm1 C.2): pages that are lists, forms or errors by what they are called."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import regex
from pydantic import Field

from pipeline.rule_based.prompts import share_of_lines
from pipeline.rule_based.stories import EN, ZH, story
from pipeline.schema import Document
from pipeline.steps import Example, Examples, Limits, Rule

SOURCE = "dots.llm1 C.2 (domain, URL and title rules)"

# The path or query must say it plainly: "/login" as a whole segment, not "/blog/how-to-login", nor "/docs/api/login".
_URL = regex.compile(
    r"""(?xi)
    (?<!/(?:docs?|documentation|api|apis|reference|ref|manual|guides?|help|wiki|blog|tutorials?|man|questions?|kb)(?:/.*)?)
    /(?:log[-_]?in|sign[-_]?in|sign[-_]?up|sign[-_]?out|log[-_]?out|register|registration|lost[-_]?password
        |forgot[-_]?password|password[-_]?reset|wp-login|wp-admin
        |cart|checkout|basket|wishlist|shopping[-_]?cart|my[-_]?account)(?:\.\w{2,5})?/?(?:[?\#]|$)
    | /(?:search|suche|recherche|so|sou)(?:\.\w{2,5})?/?\?|[?&]search_?(?:query|term)?=[^&]|/\?s=[^&]
    | /(?:feed|rss|atom)(?:\.xml)?/?(?:[?\#]|$)|[?&]feed=[^&]
    | /(?:calendar|events?/month|events?/week)/?(?:\d{4}[-/]\d{1,2})?(?:[-/]\d{1,2})?/?(?:[?\#]|$)
    | /(?:print|printable)/?(?:[?\#]|$)|[?&](?:print|printable)=(?:1|true|yes)
    | /(?:tags?|categor(?:y|ies)|archives?)(?:/page/\d+)?/?(?:[?\#]|$)
    | /(?:tags?|categor(?:y|ies))/[^/]+/page/\d+/?(?:[?\#]|$)
    | [?&](?:action=(?:edit|history|login|register|reply)|mode=(?:login|register)|mod=(?:logging|register))
    | /member\.php\?|/profile\.php\?|/(?:user|usercp|memberlist|space)\.php
    """
)
_TITLE = regex.compile(
    r"""(?xi)
    ^\W*(?:
      (?:http\s*)?(?:error\s*)?(?:404|403|500|502|503)\s*(?:[-|–—:·,]\s*)?
        (?:$|error|(?:page\ |file\ )?not\ found|page|forbidden|internal|bad\ |service\ |找不到|页面|頁面)
      | (?:page\ not\ found|not\ found|access\ denied|forbidden|just\ a\ moment|attention\ required|are\ you\ a\ robot
        |security\ check|object\ moved|moved\ permanently)\s*(?:$|[-_|–—:·!.])
      | index\ of\ /
      | (?:log\ ?in|sign\ ?in|sign\ ?up|register|create\ (?:an\ )?account|forgot(?:ten)?\ (?:your\ )?password|shopping\ cart
        |your\ cart|checkout)\s*(?:$|[-_|–—:·])
      | search\ results?\s*(?:$|for\b|[-_|–—:·])|results\ for\ ["“'‘]
      | (?:untitled(?:\ document)?|new\ page|home\ page|test(?:\ page)?|domain\ for\ sale|coming\ soon|under\ construction)\s*$
      | (?:页面不存在|頁面不存在|页面未找到|找不到页面|找不到頁面|访问受限|拒绝访问|出错了|系统提示|提示信息|系统发生错误
        |错误页面|安全验证|百度安全验证|验证码)\s*(?:$|[-_|–—:·!！。])
      | (?:用户)?(?:登录|登入|登錄|注册|註冊|会员登录|會員登入|找回密码|购物车|購物車)\s*(?:$|[-_|–—:·])
      | .{0,20}(?:搜索结果|搜尋結果|搜索页)\s*(?:$|[-_|–—:·])|(?:标签|標籤|分类|分類|归档|歸檔|存档)\s*[:：]
      | (?:无标题(?:文档)?|未命名|测试页?|网站建设中|敬请期待|域名出售)\s*$
    )
    | [-_|–—:·]\s*(?:page\ not\ found|(?:error\ )?404(?:\ not\ found|\ error)?)\s*$"""
)


class _Pattern(Rule):
    unit: ClassVar[str] = "patterns that match"
    source: ClassVar[str] = SOURCE
    max: Limits | None = {"default": 0}
    extra: list[str] = Field(default_factory=list, description="further patterns (regular expressions, case ignored)")
    pattern: ClassVar[Any]

    def _value(self, doc: Document) -> str:
        raise TypeError(f"{type(self).__name__} must define _value")

    def measure(self, doc: Document) -> float:
        return float(self.evidence(doc) is not None)

    def evidence(self, doc: Document) -> str | None:
        value = self._value(doc)[:2000]
        for pattern in (self.pattern, *(regex.compile(p, regex.IGNORECASE) for p in self.extra)):
            match = pattern.search(value)
            if match:
                return str(match[0])
        return None


class UrlPattern(_Pattern):
    """Drop pages whose URL says that they are a login, cart, search result, feed, calendar, print version or list of tags."""

    step: Literal["url_pattern"] = "url_pattern"
    above: ClassVar[str] = "url_pattern"
    pattern: ClassVar[Any] = _URL
    drops: ClassVar[Examples] = (
        Example(
            f"{story('vineyard')}\n{story('orchard')}",
            reason="url_pattern",
            url="https://forum.made.example/member.php?u=4",
            title="A visitor of the mill",
        ),
        Example(EN, "en", "url_pattern", url="https://example.com/login"),
        Example(ZH, "zh", "url_pattern", url="https://bbs.example.com/member.php?mod=logging"),
    )
    keeps: ClassVar[Examples] = (
        Example(EN),
        Example(EN, url="https://example.com/blog/how-to-login"),
        Example(EN, url="https://example.com/docs/api/register"),
    )

    def _value(self, doc: Document) -> str:
        return doc.url or ""


class TitlePattern(_Pattern):
    """Drop pages whose title says that they are an error, a login, a directory listing, a search result or unfinished."""

    step: Literal["title_pattern"] = "title_pattern"
    above: ClassVar[str] = "title_pattern"
    pattern: ClassVar[Any] = _TITLE
    drops: ClassVar[Examples] = (
        Example(
            f"{story('pottery')}\n{story('quarry')}",
            reason="title_pattern",
            url="https://error.made.example/a",
            title="404 Not Found",
        ),
        Example(EN, "en", "title_pattern", title="Example | Page not found"),
        Example(ZH, "zh", "title_pattern", title="河流的搜索结果 - 示例"),
    )
    keeps: ClassVar[Examples] = (
        Example(EN),
        Example(EN, title="404: the story of an error page"),
        Example(ZH, "zh", title="登录注册功能的实现"),
    )

    def _value(self, doc: Document) -> str:
        return (doc.title or "").strip()


class ParkedDomain(Rule):
    """Drop the pages of parked domains: short, with phrases of sellers of domains in 10 % of their characters."""

    step: Literal["parked_domain"] = "parked_domain"
    unit: ClassVar[str] = "share of characters"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "parked_domain"
    max: Limits | None = {"default": 0.1}
    longest: int = Field(3000, gt=0, description="characters of a document that is looked at")
    drops: ClassVar[Examples] = (
        Example(
            "This domain is for sale! Interested in this domain? Make an offer on this domain and it can be yours today.\n"
            "The domain may be for sale by its owner. Buy this domain and have the name that people will remember with ease.\n"
            "Related searches\n"
            "Mills, bread, rivers, flour, stones, wheels, visits to the country.",
            reason="parked_domain",
            url="https://parked.made.example/",
            title="parked.made.example",
        ),
        Example("This domain is for sale.\nMake an offer on this domain today", None, "parked_domain"),
        Example("此域名出售\n联系我们购买此域名", None, "parked_domain"),
    )
    keeps: ClassVar[Examples] = (
        Example(f"{EN}\n" * 40 + "This domain is for sale.", None),
        Example(
            "He noticed that the island, its harbour and even its domain is for sale these days, and sighed.", None
        ),
    )

    def measure(self, doc: Document) -> float | None:
        if len(doc.text or "") > self.longest:
            return 0.0
        return share_of_lines(doc, "parked", 200)[0]

    def evidence(self, doc: Document) -> str | None:
        return share_of_lines(doc, "parked", 200)[1]
