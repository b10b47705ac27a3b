"""Pages encoded and labelled in every way, right and wrong: `python benchmarks/charset.py [--data DIR]`.

Pages of the annotated sets, UTF-8 now, are encoded as pages of their language are (Chinese ones in GBK and, in traditional
form by OpenCC, in Big5; Western ones in their ISO or Windows code page; UTF-16 without a mark), and labelled in the HTTP
header or in <meta>: rightly, not at all, or wrongly. A page counts as wrong if its text is not what was encoded. Beside it:
the decoding before (labels that fit are believed) and resiliparse's detector alone, which sees no label.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import machine
import xxhash
from opencc import OpenCC
from resiliparse.parse.encoding import detect_encoding

from classifiers.clutter.pages import annotation_rows, language_of, read_html, read_rows
from extraction.decode import codec_for, declared_in_head, decode, to_utf8

SETS = ("wcxb-dev", "zh-gold", "aed-424", "zh-pages", "trafilatura-990")
MOST = 20
"""Pages of a language."""

CODECS = {
    "zh": ("gb18030", "gbk", "utf-16-le"),
    "zh-Hant": ("big5hkscs", "gb18030", "utf-16-be"),
    "en": ("cp1252", "utf-16-le"),
    "de": ("cp1252", "iso8859_15"),
    "fr": ("cp1252",),
    "es": ("cp1252",),
    "pl": ("cp1250", "iso8859_2"),
    "ru": ("cp1251", "koi8-r", "utf-16-le"),
    "el": ("cp1253",),
    "ja": ("cp932", "euc_jp"),
    "ko": ("cp949",),
}
LABELS = (
    "",
    "right",
    "iso-8859-1",
    "us-ascii",
    "windows-1252",
    "windows-1251",
    "utf-8",
    "gbk",
    "big5",
    "shift_jis",
    "euc-kr",
)
SHARE = 0.98
"""Share of a page's characters that its encoding has to have."""

_META_CHARSET = re.compile(r"<meta[^>]*charset[^>]*>|<\?xml[^>]*>", re.IGNORECASE)


def pages(data: Path) -> dict[str, list[str]]:
    """Pages of each language, without what they say of their encoding."""
    chosen: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in SETS:
        rows = read_rows(data / "html" / f"{name}.gold.jsonl.gz")
        for record_id, html in read_html(data / "html" / f"{name}.warc.gz"):
            if record_id in rows:
                chosen[language_of(rows[record_id])].append((record_id, html.decode("utf-8", "replace")))
    regions = {row["record_id"]: row for row in annotation_rows("regions")}
    for source in sorted({row["source"] for row in regions.values() if row["package"] is None}):
        for record_id, html in read_html(data / source):
            if record_id in regions:
                chosen[regions[record_id]["language"]].append((record_id, html.decode("utf-8", "replace")))
    out = {}
    for language, found in chosen.items():
        found.sort(key=lambda pair: xxhash.xxh3_64_intdigest(pair[0].encode()))
        out[language] = [_META_CHARSET.sub("", html) for _, html in found if "\ufffd" not in html and "\0" not in html][
            :MOST
        ]
    to_traditional = OpenCC("s2t")
    out["zh-Hant"] = [to_traditional.convert(html) for html in out["zh"]]
    return out


def variants(html: str, codec: str) -> Iterator[tuple[str, str, bytes, str | None, str]]:
    """Label, its place, bytes, the header's label and the text of each variant of a page."""
    lost = sum(html.count(c) for c in set(html) if c >= "\x80" and not c.encode(codec, "ignore"))
    others = sum(c >= "\x80" for c in html)
    if others < 20 or lost > (1 - SHARE) * others:
        return
    for label in LABELS:
        name = {"gb18030": "gb2312", "cp932": "shift_jis", "cp949": "euc-kr", "big5hkscs": "big5"}.get(codec, codec)
        name = name.replace("_", "-") if label == "right" else label
        for place in ("header", "meta") if label else ("none",):
            text = f'<meta charset="{name}">{html}' if place == "meta" else html
            data = text.encode(codec, "xmlcharrefreplace")
            yield label or "none", place, data, name if place == "header" else None, data.decode(codec)


def before(html: bytes, declared: str | None) -> str:
    """What was done before: the first label whose bytes fit, else detection."""
    try:
        return html.decode("utf-8")
    except UnicodeDecodeError:
        pass
    for label in (declared, declared_in_head(html)):
        codec = codec_for(label)
        if codec:
            text = html.decode(codec, "replace")
            others = sum(c >= "\x80" for c in text)
            if text.count("\ufffd") <= 0.01 * max(1, others):
                return text
    return html.decode(codec_for(detect_encoding(html)) or "utf-8", "replace")


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/ and warc/")
    data = parser.parse_args().data
    wrong: dict[str, Counter[str]] = {name: Counter() for name in ("here", "before", "detector")}
    of_label: dict[str, Counter[str]] = {name: Counter() for name in wrong}
    total: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    seconds: list[float] = []
    examples: list[list[str]] = []
    for language, found in sorted(pages(data).items()):
        for codec in CODECS.get(language, ()):
            for html in found:
                for label, place, body, declared, truth in variants(html, codec):
                    key, of = f"{language} {codec}", f"{label} ({place})"
                    total[key] += 1
                    labels[of] += 1
                    start = time.process_time()
                    _, charset = to_utf8(body, declared)
                    seconds.append(time.process_time() - start)
                    texts = {
                        "here": decode(body, declared).text,
                        "before": before(body, declared),
                        "detector": body.decode(codec_for(detect_encoding(body)) or "utf-8", "replace"),
                    }
                    for name, text in texts.items():
                        if text != truth:
                            wrong[name][key] += 1
                            of_label[name][of] += 1
                            if name == "here":
                                examples.append([key, of, charset, truth[:60]])
        machine.tell(f"{language}: {sum(wrong['here'].values())} of {sum(total.values())}")
    for example in examples[:: max(1, len(examples) // 20)]:
        machine.tell("  " + " | ".join(example))

    def per_10_000(counts: Counter[str], of: Counter[str]) -> dict[str, float]:
        return {name: round(10_000 * counts[name] / n, 1) for name, n in sorted(of.items())}

    machine.save(
        "charset",
        {
            "variants": sum(total.values()),
            "wrong_per_10_000": {
                name: {
                    "all": round(10_000 * sum(counts.values()) / sum(total.values()), 1),
                    "encodings": per_10_000(counts, total),
                    "labels": per_10_000(of_label[name], labels),
                }
                for name, counts in wrong.items()
            },
            "ms_a_page": round(1000 * sum(seconds) / len(seconds), 3),
        },
    )


if __name__ == "__main__":
    main()
