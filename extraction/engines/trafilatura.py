"""trafilatura with this project's settings, adjustments and rescue (dots.llm1 C.1 names the tool and "own
adjustments").

trafilatura's default is a cascade: its own rules, then readability and jusText on copies of the tree, then a plain
dump, then all of it again with other settings. Most of that time goes into second opinions. Here a page takes one of
three ways:

- Chinese pages: readability's scoring of paragraphs (trafilatura's fork of it), which beats the rules there; the next
  way if it finds next to nothing.
- Other pages: trafilatura's rules with their recall setting, without comments, without the cascade.
- Rescue: where the rules keep little and resiliparse's main content (a fifth of the cost) is clearly more, that is
  taken; where all of them find next to nothing, text that the page carries as data (JSON-LD, Discourse).

The profile `fast` asks resiliparse first and stops there if it kept most of the page: then there is little to cut.

Constants were chosen on WCXB-dev and zh-gold; `benchmarks/engines.py` chooses them again in each fold of a
cross-validation over hosts and reports that figure beside the one for the constants below.

Before trafilatura sees the tree: scripts are cut (`prepare`), preformatted code is marked so that it keeps its lines,
line-number gutters go. Nothing is cached between pages, `deduplicate` is never used: it makes the text of a page
depend on the pages before it.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring
from resiliparse.parse.html import HTMLTree
from trafilatura.htmlprocessing import convert_tags, prune_unwanted_nodes, tree_cleaning
from trafilatura.main_extractor import extract_content
from trafilatura.readability_lxml import Document as Readability
from trafilatura.settings import Extractor
from trafilatura.utils import repair_faulty_html
from trafilatura.xpaths import RAW_TREE_PRUNE_XPATH, REMOVE_COMMENTS_AND_LISTS_XPATH

from extraction import engines
from extraction.blocks import lines_of
from extraction.characters import HAN
from extraction.embedded import embedded_html
from extraction.engines import Page
from extraction.engines.resiliparse import all_text, main_content
from extraction.result import Line

RESCUE_BELOW = 3000
"""Characters (white space aside) below which the rules' result may be replaced."""

RESCUE_RATIO = 1.5
"""How many times longer resiliparse's result must be."""

FAST_SHARE = 0.65
"""Share of the page's text from which `fast` is content with resiliparse's result."""

READABILITY_MIN = 100
"""Characters from which readability's result on a Chinese page is believed."""

EMBEDDED_BELOW = 250
"""Characters below which text in JSON-LD or preloaded data is looked for."""

CHINESE_SHARE = 0.2
"""Share of Han characters in the text of a page from which it is Chinese; Japanese is told by its kana."""

KANA_SHARE = 0.1
"""Share of kana among kana and Han characters from which a page is Japanese."""

logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it logs an error for every page without text

_OPTIONS = Extractor(fast=True, recall=True, comments=False, links=True)
_PARSER = HTMLParser(encoding="utf-8", collect_ids=False, default_doctype=False, remove_comments=True, remove_pis=True)
# The class of every element is chosen in C instead of by a Python call each.
_PARSER.set_element_class_lookup(etree.ElementDefaultClassLookup(element=HtmlElement))
_HAN = re.compile(f"[{HAN}]+")
_KANA = re.compile("[\u3041-\u30ff]+")
_GUTTER = ("gutter", "lineno", "line-number", "linenumber")


class Engine(engines.TreeEngine):
    """See the module."""

    def lines(self, page: Page) -> list[Line]:
        quick_tree = HTMLTree.parse(page.prepared.html)
        text = all_text(quick_tree)
        quick = main_content(quick_tree)
        chosen = _chosen(page, text, quick, self.options.profile)
        if _size(chosen) < EMBEDDED_BELOW:
            embedded = embedded_html(page.prepared)
            if embedded is not None:
                tree = _parse(f"<html><body>{embedded}</body></html>")
                embedded_lines = lines_of(tree) if tree is not None else []
                if _size(embedded_lines) > _size(chosen):
                    return embedded_lines
        return chosen


def _chosen(page: Page, text: str, quick: list[Line], profile: str) -> list[Line]:
    quick_size = _size(quick)
    if is_chinese(text):
        paragraphs = readability_lines(page)
        if _size(paragraphs) >= READABILITY_MIN:
            return paragraphs
    elif (
        profile == "fast" and "<pre" not in page.prepared.html and quick_size >= FAST_SHARE * len("".join(text.split()))
    ):
        return quick
    ruled = rule_lines(page)
    size = _size(ruled)
    return quick if size < RESCUE_BELOW and quick_size > RESCUE_RATIO * size else ruled


def rule_lines(page: Page) -> list[Line]:
    """trafilatura's own rules."""
    tree = _parse(page.prepared.html)
    if tree is None:
        return []
    _mark_code(tree, page.prepared.html)
    tree = prune_unwanted_nodes(tree, RAW_TREE_PRUNE_XPATH)
    if not any(
        '"DiscussionForumPosting"' in script for script in page.prepared.json_ld
    ):  # there the comments are the posts
        tree = prune_unwanted_nodes(tree, REMOVE_COMMENTS_AND_LISTS_XPATH)
    try:
        body, _ = extract_content(convert_tags(tree_cleaning(tree, _OPTIONS), _OPTIONS), _OPTIONS)
    except (AttributeError, IndexError, TypeError, ValueError):  # what strange trees do to it; the other ways remain
        return []
    return lines_of(body)


def readability_lines(page: Page) -> list[Line]:
    """readability's paragraph scoring, in trafilatura's fork."""
    tree = _parse(page.prepared.html)
    if tree is None:
        return []
    _mark_code(tree, page.prepared.html, rename=False)
    try:
        content = _parse(Readability(tree, min_text_length=25).summary())
    except (AttributeError, IndexError, TypeError, ValueError):  # as above
        return []
    return lines_of(content) if content is not None else []


def is_chinese(text: str) -> bool:
    """Whether a page's visible text is Chinese."""
    han = sum(map(len, _HAN.findall(text)))
    kana = sum(map(len, _KANA.findall(text)))
    return han > CHINESE_SHARE * len("".join(text.split())) and kana < KANA_SHARE * (han + kana)


def _size(lines: list[Line]) -> int:
    return sum(len("".join(line.text.split())) for line in lines)


def _parse(html: str) -> Any | None:
    html = repair_faulty_html(html, html[:50].lower())
    try:
        return document_fromstring(html.encode("utf-8", "surrogatepass"), parser=_PARSER)
    except etree.ParserError:  # an empty document
        return None


def _mark_code(tree: Any, html: str, rename: bool = True) -> None:
    """Let preformatted text through the rules as code: they would join the lines of a <pre> that does not look like
    code, and drop figures and highlighting tables around it. Line-number gutters go."""
    if "<pre" not in html:
        return
    if any(word in html for word in _GUTTER):
        for element in list(tree.iter("td", "span", "div", "pre")):
            name = element.get("class")
            if name and any(word in name for word in _GUTTER) and element.getparent() is not None:
                element.drop_tree()
    for pre in list(tree.iter("pre")):
        widest = None
        around = pre.getparent()
        while around is not None and around.tag in ("td", "tr", "tbody", "table", "figure", "div"):
            if not _same_text(around, pre):
                break
            if around.tag in ("table", "figure"):
                widest = around
            around = around.getparent()
        if widest is not None and widest.getparent() is not None:
            widest.addprevious(pre)
            widest.drop_tree()
        if rename and (pre.text_content().strip().count("\n") or pre.find(".//br") is not None):
            pre.tag = "code"


def _same_text(holder: Any, pre: Any) -> bool:
    return len(holder.text_content().split()) == len(pre.text_content().split())
