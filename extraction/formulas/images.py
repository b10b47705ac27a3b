"""Formulas that a page shows as images: the TeX in the `alt` or in the address."""

from __future__ import annotations

import html as references
import re
from urllib.parse import unquote, unquote_plus

from extraction.formulas.source import clean_tex, looks_like_tex

_CLASSES = (
    b"tex|latex|latexImg|mathtex|mathcode|mathImg|mwe-math|mwe-tex|math|equation|formula|eeimg"  # words of a class
)
_CLASS = re.compile(rb"(?:^|[\s_-])(?:" + _CLASSES + rb")(?:$|[\s_-])", re.IGNORECASE)
_RENDERERS = ("codecogs", "mimetex", "mathtex", ".latex", "latexeditor")
"""Parts of the addresses of services whose whole query is the TeX."""
_SERVICES = ("latex", "tex", "equation", "math", "chart", "formula", "render")
_FIELDS = frozenset(("latex", "tex", "formula", "math", "eq", "chl", "formdata"))
_SPACES = (("&space;", " "), ("@plus;", "+"), ("&plus;", "+"), ("&hash;", "#"))
_PARAMETERS = re.compile(r"&(?:bg|fg|s|c|zoom|chf|chco|chs|mode|inverse|dpi)=[^&]*")
_SETTINGS = re.compile(
    r"\\(?:inline|dpi ?\{\d+\}|bg_\w+|fn_\w+|opaque|large|Large|LARGE|huge|Huge|small|tiny|normalsize"
    r"|usepackage(?:\[[^\]]{0,100}\])?\{[^}]{0,100}\})(?![a-zA-Z])"
)
"""What tells a service how to draw."""
_DISPLAY = re.compile(r"\\begin ?\{(?:align|equation|gather|multline|eqnarray)|\\displaystyle\b")


def tex_of_image(attributes: dict[bytes, bytes]) -> tuple[str, bool] | None:
    """TeX of an image and whether it is set off; None for other images."""
    values = {
        name: references.unescape(value.decode("utf-8", "replace"))
        for name, value in attributes.items()
        if name in _READ
    }
    classes = attributes.get(b"class", b"")
    source = next(
        (tex for name in ("src", "data-src", "data-original") if (tex := _in_address(values.get(name.encode(), "")))),
        "",
    )
    alt = values.get(b"alt", "").strip()
    known = source or _CLASS.search(classes) is not None
    raw = next(
        (values[name] for name in (b"data-latex", b"data-tex", b"data-formula", b"data-math") if values.get(name)), ""
    )
    if not raw and (_is_wrapped(alt) or looks_like_tex(alt) or (known and _may_be_tex(alt, bool(source)))):
        raw = alt
    raw = raw or source
    tex = _SETTINGS.sub("", clean_tex(raw)).strip()
    if not tex:
        return None
    display = b"display" in classes or raw.startswith(("$$", "\\[")) or _DISPLAY.match(raw) is not None
    return tex, display


_READ = frozenset(
    (b"alt", b"src", b"data-src", b"data-original", b"data-latex", b"data-tex", b"data-formula", b"data-math")
)


def _is_wrapped(alt: str) -> bool:
    """Between delimiters, or in the wrapper of Wikipedia."""
    inside = re.fullmatch(r"\$([^$]+)\$|\$\$(.+)\$\$|\\\((.+)\\\)|\\\[(.+)\\\]", alt, re.DOTALL)
    return alt.startswith(("{\\displaystyle", "{\\textstyle")) or inside is not None


def _may_be_tex(alt: str, service: bool) -> bool:
    """Whether the `alt` of an image that is known for a formula is its source, not a caption ("[公式]", "formula 3")."""
    if not alt or alt.startswith("[") or re.match(r"https?:|//|data:|(?i:equation|formula|latex|math|image)\b", alt):
        return False
    return (
        bool(re.search(r"[\\^_=+<>{}|/-]", alt))
        or len(alt) < 3
        or (not service and bool(re.fullmatch(r"[\w()', .]{1,12}", alt)))
    )


def _in_address(address: str) -> str:
    """TeX in the address of an image: of services that render it, or an encoded backslash in the last part of the path."""
    if address.startswith("data:"):
        return ""
    path, _, query = address.partition("?")
    place = path.lower()
    if query and any(name in place for name in _RENDERERS):
        tail = query.partition("formdata=")[2] or query
        for written, meant in _SPACES:
            tail = tail.replace(written, meant)
        return unquote(_PARAMETERS.sub("", tail))
    if query and any(name in place for name in _SERVICES):
        fields = dict(field.partition("=")[::2] for field in reversed(query.split("&")))
        if "chart" not in place or fields.get("cht") == "tx":
            return next((unquote_plus(fields[name]) for name in fields if name in _FIELDS), "")
    last = unquote(path.rpartition("/")[2]) if "%5C" in path or "%5c" in path else ""
    return last if looks_like_tex(last) else ""
