"""The scanner of lines against a real parser: `python benchmarks/line_scan.py [--data DIR]`.

Agreement: the visible words of every shared page (a Chinese character is a word) by the scanner and by lexbor's tree
(selectolax), as F1
of the two multisets a page. Left out on both sides: scripts, styles, templates, vector graphics, form fields, media
fallbacks, readings
of ruby. Speed: CPU seconds of one process on the same pages, fastest of three passes; lexbor's parse alone beside
it. Hostile pages: CPU seconds for n and for 4n repetitions; the scan is linear if the ratio stays near 4.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
from resiliparse.parse.html import HTMLTree
from selectolax.lexbor import LexborHTMLParser

from classifiers.clutter.align import tokens
from classifiers.clutter.metrics import multiset_f1
from classifiers.clutter.pages import read_html
from extraction import extract
from extraction.line_model.model import load
from extraction.lines import scan, text_of

SKIPPED = frozenset(
    (  # noqa: SIM905
        "script style template head title svg math select textarea iframe noembed noframes video audio canvas "
        "object applet rt rp rtc datalist"
    ).split()
)
HOSTILE: dict[str, Callable[[int], str]] = {
    "attributes of one tag": lambda n: "<p " + "a=b class='c d' " * n + ">x",
    "nested divs": lambda n: "<div>" * n + "x",
    "nested formatting": lambda n: "<b><i>" * n + "x" + "</b>" * n,
    "ends without beginnings": lambda n: "<span>" * n + "</b></i></p>" * n + "x",
    "one text": lambda n: "word " * 10 * n,
    "open comments": lambda n: "<!--" * n,
    "open scripts": lambda n: "<script>" * n,
    "open quotes": lambda n: "<a b='" * n,
    "tables in tables": lambda n: "<table><tr><td>" * n + "x",
    "rows of a table": lambda n: "<table>" + "<tr><td>a<td>b" * n,
    "lists in lists": lambda n: "<ul><li>x" * n,
    "ampersands": lambda n: "<p>" + "&" * 10 * n,
    "lines": lambda n: "<p>x" * n,
    "less-than signs": lambda n: "<" * 10 * n,
}


def visible(html: bytes) -> str:
    """Text of lexbor's tree, a space between blocks."""
    root = LexborHTMLParser(html.decode("utf-8", "replace")).body
    if root is None:
        return ""
    out: list[str] = []
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            out.append(node)
            continue
        name = node.tag
        if name == "-text":
            out.append(node.text_content or "")
        elif name not in SKIPPED and not name.startswith(("-", "!")):
            around = "" if name in INLINE else " "
            out.append(around)
            stack.append(around)
            stack.extend(reversed(list(node.iter(include_text=True))))
    return "".join(out)


INLINE = frozenset(
    (  # noqa: SIM905
        "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label map mark nobr q ruby rb s "
        "samp slot small span strike strong sub sup time tt u var wbr data output"
    ).split()
)


def agreement(pages: dict[str, list[bytes]]) -> dict[str, Any]:
    out = {}
    for name, group in pages.items():
        values, missing, extra = [], Counter(), Counter()
        for html in group:
            ours = tokens("\n".join(text for _, text, _ in text_of(html, scan(html))))
            theirs = tokens(visible(html))
            values.append(multiset_f1(ours, theirs))
            if values[-1] < 0.99:
                missing.update({"pages": int(len(theirs) > len(ours))})
                extra.update({"pages": int(len(ours) > len(theirs))})
        v = np.array(values)
        out[name] = {
            "pages": len(v),
            "mean": round(float(v.mean()), 4),
            "p01": round(float(np.quantile(v, 0.01)), 4),
            "min": round(float(v.min()), 4),
            "share_from_0.99": round(float((v >= 0.99).mean()), 4),
            "below_0.99_with_less": missing["pages"],
            "below_0.99_with_more": extra["pages"],
        }
    return out


def fastest(call: Callable[[bytes], Any], pages: list[bytes]) -> float:
    """CPU seconds of a call on all pages."""
    return machine.fastest(machine.each, call, pages)[0]


def compile_seconds() -> dict[str, float]:
    """CPU seconds until the first page is extracted, in a fresh process: with an empty cache folder, and again."""
    code = "import time; from extraction import extract; extract(b'<p>x'); print(time.process_time())"
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first_on_a_machine", "first_in_a_process"):
            env = {"CORPUSMILL_CACHE": folder, "PATH": "", "PYTHONPATH": ":".join(sys.path)}
            done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
            out[name] = round(float(done.stdout), 2)
    return out


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and warc/")
    data = parser.parse_args().data
    files = {
        "wcxb-dev": ["html/wcxb-dev.warc.gz"],
        "zh-gold": ["html/zh-gold.warc.gz"],
        "zh-blogs": ["html/zh-blogs.warc.gz"],
        "crawls": ["warc/aut/example.warc.gz", "warc/resiliparse/warcfile.warc.gz", "warc/resiliparse/clipped.warc.gz"],
    }
    pages = {name: [html for path in paths for _, html in read_html(data / path)] for name, paths in files.items()}
    load("dom")
    extract(b"<p>load")
    judged = pages["wcxb-dev"] + pages["zh-gold"]
    size, n = sum(map(len, judged)), len(judged)
    ways: dict[str, Callable[[bytes], Any]] = {
        "scan": scan,
        "scan and text of all lines": lambda html: text_of(html, scan(html)),
        "lexbor, parse alone (resiliparse)": lambda html: HTMLTree.parse_from_bytes(html, "utf-8"),
    }
    speed = {}
    for name, call in ways.items():
        seconds = fastest(call, judged)
        speed[name] = {"pages_per_cpu_s": round(n / seconds), "mb_per_cpu_s": round(size / seconds / 1e6)}
    hostile = {}
    for name, make in HOSTILE.items():
        small, large = (fastest(lambda html: text_of(html, scan(html)), [make(k).encode()]) for k in (50_000, 200_000))
        hostile[name] = {"seconds_n": round(small, 4), "seconds_4n": round(large, 4), "ratio": round(large / small, 1)}
    machine.save(
        "line_scan",
        {
            "agreement": agreement(pages),
            "speed": {"pages": n, "bytes": size, **speed},
            "start": compile_seconds(),
            "hostile": hostile,
        },
    )


if __name__ == "__main__":
    main()
