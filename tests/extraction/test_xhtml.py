"""XHTML: what browsers read as XML, and what stays HTML."""

from __future__ import annotations

import time

import pytest

from extraction import extract
from extraction.xhtml import as_html, is_xhtml

PROSE = [
    "The ferry to the island leaves twice a day, once at dawn and once after the fish market has closed for the evening.",
    "Visitors often ask whether the island will be abandoned, and most of the islanders answer that it has been before.",
    "The school closed eight years ago, when the number of pupils fell to three, and its classroom is used for meetings.",
]
XHTML = '<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml"><head><title>T</title>{head}</head><body>{body}</body></html>'
BODY = "".join(f"<p>{sentence}</p>" for sentence in PROSE)


@pytest.mark.parametrize(
    ("html", "content_type", "expected"),
    [
        (XHTML, "application/xhtml+xml", True),
        (XHTML, "application/vnd.wap.xhtml+xml", True),
        (XHTML, "text/xml", True),
        (XHTML, "text/html", False),
        (XHTML, None, True),
        ("<html><body><p>x", "application/xhtml+xml", False),
        ('<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN"><html xmlns="http://www.w3.org/1999/xhtml">', None, False),
        ('<html xmlns="http://www.w3.org/1999/xhtml">', "application/xhtml+xml", True),
        ("<p>x", None, False),
    ],
)
def test_type_and_evidence(html: str, content_type: str | None, expected: bool) -> None:
    assert is_xhtml(html.encode(), content_type) is expected


@pytest.mark.parametrize("engine", ["lines", "trafilatura"])
@pytest.mark.parametrize(
    "empty",
    ["<script src='a.js'/>", "<iframe src='/ad' />", "<textarea name='x'/>", "<title/>", "<style/>", "<noscript/>"],
)
def test_an_empty_element_swallows_nothing(engine: str, empty: str) -> None:
    for head, body in ((empty, BODY), ("", BODY.replace("</p><p>", f"</p>{empty}<p>", 1))):
        text = extract(
            XHTML.format(head=head, body=body).encode(), engine=engine, content_type="application/xhtml+xml"
        ).text
        assert [sentence for sentence in PROSE if sentence not in text] == [], (head, body)


@pytest.mark.parametrize("engine", ["lines", "trafilatura"])
def test_cdata_is_text(engine: str) -> None:
    body = "".join(f"<p><![CDATA[{sentence} 1 < 2 & so on.]]></p>" for sentence in PROSE)
    text = extract(XHTML.format(head="", body=body).encode(), engine=engine, content_type="application/xhtml+xml").text
    assert all(f"{sentence} 1 < 2 & so on." in text for sentence in PROSE)


def test_as_html() -> None:
    cases = {
        b"<div/><br/><img src='a'/>x": b"<div></div><br/><img src='a'/>x",
        b'<a title="x/>y">z</a>': b'<a title="x/>y">z</a>',
        b"<script>//<![CDATA[\nif (a < b) {}\n//]]></script><p><![CDATA[<b>]]></p>": (
            b"<script>//<![CDATA[\nif (a < b) {}\n//]]></script><p>&lt;b&gt;</p>"
        ),
        b"<svg:g/>": b"<svg:g></svg:g>",
        b"a /> b": b"a /> b",
        b"<p>plain</p>": b"<p>plain</p>",
    }
    assert {source: as_html(source) for source in cases} == cases


@pytest.mark.parametrize("piece", [b"<a/>", b"/>", b"<![CDATA[x]]>", b"<![CDATA[", b"<script><![CDATA[x]]>", b"<x '/>"])
def test_linear(piece: bytes) -> None:
    start = time.process_time()
    as_html(piece * 100_000)
    assert time.process_time() - start < 5
