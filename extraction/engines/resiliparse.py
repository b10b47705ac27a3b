"""resiliparse's main content: rules on class names and tags over a lexbor tree. 10 times faster than trafilatura,
less exact."""

from __future__ import annotations

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from extraction import engines
from extraction.blocks import lines_of_reduced_html
from extraction.engines import Page
from extraction.result import Line


def main_content(tree: HTMLTree) -> list[Line]:
    """Main content of a parsed page."""
    reduced = extract_plain_text(
        tree, preserve_formatting="minimal_html", main_content=True, links=True, alt_texts=False
    )
    return lines_of_reduced_html(reduced)


def all_text(tree: HTMLTree) -> str:
    """All visible text of a parsed page, as one line."""
    text: str = extract_plain_text(tree, preserve_formatting=False, main_content=False, alt_texts=False)
    return text


class Engine(engines.TreeEngine):
    """Both profiles are the same."""

    def lines(self, page: Page) -> list[Line]:
        return main_content(HTMLTree.parse(page.prepared.html))
