from __future__ import annotations

import gzip
from typing import Any

import pytest

from pipeline.preparation.record_filter import MAX_CONTROL_SHARE, RecordFilter
from pipeline.schema import Document, Drop

HTML = "<!DOCTYPE html><html><body><p>hello 你好</p></body></html>".encode()


def doc(**fields: Any) -> Document:
    return Document(
        **{"doc_id": "0" * 32, "source_file": "f", "http_status": 200, "content_type": "text/html", "html": HTML}
        | fields
    )


XHTML = b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>x</p></body></html>'
RSS = b'<?xml version="1.0"?><!-- made --><rss version="2.0"><channel><title>News</title></channel></rss>'
MAIL = (
    b"From: <Saved>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n boundary=b\r\n\r\n--b\r\n\r\n<p>x</p>"
)


CASES: list[tuple[dict[str, Any], tuple[str, object] | None]] = [
    ({}, None),
    ({"content_type": "application/xhtml+xml"}, None),
    ({"http_status": None, "record_type": "resource"}, None),
    ({"http_status": 301}, ("status", 301)),
    ({"http_status": 206}, ("status", 206)),
    ({"content_type": None}, None),
    ({"content_type": None, "html": b"just words"}, ("not_html", "unknown")),
    ({"content_type": "application/octet-stream"}, None),
    ({"content_type": "text/plain", "html": b"User-agent: *"}, ("not_html", "text/plain")),
    ({"content_type": "application/json", "html": b"{}"}, ("not_html", "application/json")),
    ({"content_type": "image/png", "html": b"\x89PNG\r\n\x1a\n"}, ("binary", "png")),
    ({"content_type": "text/html", "html": b"fragment without a tag"}, None),
    ({"html": b"\r\n %PDF-1.7 ..."}, ("binary", "pdf")),
    ({"html": b"\xff\xd8\xff\xe0"}, ("binary", "jpeg")),
    ({"html": b"PK\x03\x04..."}, ("binary", "zip")),
    ({"html": gzip.compress(HTML, mtime=0)}, ("binary", "gzip")),
    ({"html": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}, ("binary", "ole")),
    ({"html": b"\x00\x00\x00\x20ftypisom"}, ("binary", "media")),
    ({"html": bytes(range(256)) * 8}, ("binary", "control_bytes")),
    ({"html": b"a" * 98 + b"\x00" * 2}, None),  # at the bound
    ({"html": b"a" * 97 + b"\x00" * 3}, ("binary", "control_bytes")),
    ({"html": HTML.decode().encode("utf-16")}, None),
    ({"content_type": None, "html": HTML.decode().encode("utf-16")}, None),
    ({"html": HTML.decode().encode("utf-16-le")}, None),  # without a mark
    ({"html": HTML.decode().encode("utf-16-be")}, None),
    ({"content_type": None, "html": HTML.decode().encode("utf-16-be")}, None),
    ({"html": HTML.decode().encode("utf-32")}, None),
    ({"html": b"\x00\x00\xfe\xff" + HTML.decode().encode("utf-32-be")}, None),
    ({"html": b"a\x00b\x00" * 200}, ("binary", "control_bytes")),  # every second byte is 0, but nothing is markup
    ({"html": "<p>日本</p>".encode("iso-2022-jp")}, None),
    ({"content_type": "application/xml", "html": XHTML}, None),
    ({"content_type": "text/xml", "html": XHTML}, None),
    ({"content_type": "text/xml", "html": XHTML.decode().encode("utf-16")}, None),
    (
        {"content_type": "text/xml", "html": b"<?xml version='1.0'?><html><p>no namespace</p></html>"},
        ("not_html", "text/xml"),
    ),
    ({"content_type": "text/xml", "html": b"<book><p>x</p></book>"}, ("not_html", "text/xml")),
    ({"content_type": "image/svg+xml", "html": XHTML}, ("not_html", "image/svg+xml")),
    ({"html": RSS}, ("not_html", "rss")),
    ({"html": b"\xef\xbb\xbf" + RSS}, ("not_html", "rss")),
    ({"html": RSS.decode().encode("utf-16")}, ("not_html", "rss")),
    ({"html": b"<feed xmlns='http://www.w3.org/2005/Atom'></feed>"}, ("not_html", "feed")),
    ({"html": b"<?xml version='1.0'?>\n<rdf:RDF xmlns='x'><item/></rdf:RDF>"}, ("not_html", "rdf:rdf")),
    ({"html": b"<urlset><url><loc>http://a.example/</loc></url></urlset>"}, ("not_html", "urlset")),
    ({"content_type": "application/rss+xml", "html": RSS}, ("not_html", "application/rss+xml")),
    ({"html": b"<p>The tag <rss> is told of.</p>"}, None),
    ({"html": b"<!DOCTYPE html><feed><p>x</p></feed>"}, None),  # an element of the page's own
    ({"html": b"<feedback><p>x</p></feedback>"}, None),
    ({"html": b' {"status": "ok", "text": "<p>hello</p>"}'}, ("not_html", "json")),
    ({"html": b"[1, 2]"}, ("not_html", "json")),
    ({"html": b"[1, 2] are notes. <p>x</p>"}, None),
    ({"html": b"{{ a template }} <p>x</p>"}, None),
    ({"html": b"[" * 900}, None),
    ({"html": b"12"}, None),
    ({"html": MAIL}, ("not_html", "mhtml")),
    ({"content_type": "multipart/related", "html": MAIL}, ("not_html", "multipart/related")),
    ({"html": b"Note: a page\nContent-Type: text/html\n\n<p>x</p>"}, None),
    ({"html": b"<!-- -->" + b" \n" * 200 + b"<p>x</p>"}, None),  # a rule that tries spaces in all ways never ends
    ({"html": b"<!-- -->" * 100 + b"<rss "}, ("not_html", "rss")),
    ({"html": b""}, ("empty_body", 0)),
    ({"html": b"<p>" + b"x" * 997}, None),
    ({"html": b"<p>" + b"x" * 998}, ("too_large", 1001)),
    ({"html": None, "text": "词" * 1001, "http_status": None}, ("too_large", 1001)),
    ({"html": None, "text": " \n", "http_status": None}, ("empty_body", 2)),
    ({"html": None, "text": None, "http_status": None}, ("empty_body", 0)),
]


@pytest.mark.parametrize(("fields", "expected"), CASES)
def test_record_filter(fields: dict[str, Any], expected: tuple[str, object] | None) -> None:
    record = doc(**fields)
    verdict = RecordFilter(max_bytes=1000)(record) if len(record.html or b"") < 1100 else RecordFilter()(record)
    if expected is None:
        assert verdict is record
    else:
        assert isinstance(verdict, Drop)
        assert (verdict.reason, verdict.value) == expected


def test_the_control_bound_is_the_one_tested() -> None:
    assert MAX_CONTROL_SHARE == 0.02


def test_statuses_by_config() -> None:
    step = RecordFilter(statuses=(200, 203), without_status=False)
    assert isinstance(step(doc(http_status=203)), Document)
    verdict = step(doc(http_status=None))
    assert isinstance(verdict, Drop)
    assert (verdict.reason, verdict.value) == ("status", "none")
