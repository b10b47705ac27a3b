"""Text that a page carries as data: article bodies in JSON-LD, posts that the Discourse forum software preloads."""

from __future__ import annotations

import html as html_entities
import json
import re
from collections.abc import Iterator
from typing import Any

from extraction.prepare import Prepared

_BODY_KEYS = ("articleBody", "reviewBody")
_DISCOURSE = re.compile(r"""data-preloaded=(?:"([^"]*)"|'([^']*)')""")
_TAG = re.compile(r"</?(?:p|div|br|li|ul|ol|h[1-6]|blockquote|span|a|b|i|em|strong)\b[^>]*>", re.IGNORECASE)
_PARAGRAPH = re.compile(r"\n\s*\n|\n")


def embedded_html(page: Prepared) -> str | None:
    """The embedded text as HTML, or None. Repeated bodies (themes and plug-ins both write them) count once."""
    bodies = dict.fromkeys(_bodies(page))
    return "\n".join(bodies) or None


def _bodies(page: Prepared) -> Iterator[str]:
    for script in page.json_ld:
        if any(key in script for key in _BODY_KEYS):
            for text in _strings(_parsed(script), _BODY_KEYS):
                yield _as_html(text)
    match = _DISCOURSE.search(page.html) if "data-preloaded" in page.html else None
    if match:
        preloaded = _parsed(html_entities.unescape(match[1] or match[2]))
        for key, value in preloaded.items() if isinstance(preloaded, dict) else ():
            if key.startswith("topic_") and isinstance(value, str):
                yield from _strings(_parsed(value), ("cooked",))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _strings(root: Any, keys: tuple[str, ...]) -> Iterator[str]:
    """Values of `keys` in a JSON tree, in its order."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            for key in keys:
                if isinstance(node.get(key), str):
                    yield node[key]
            stack.extend(v for v in reversed(node.values()) if isinstance(v, (dict, list)))
        elif isinstance(node, list):
            stack.extend(reversed(node))


def _as_html(text: str) -> str:
    """A JSON-LD text, which may be plain, HTML or escaped HTML, as HTML."""
    text = html_entities.unescape(text)
    if _TAG.search(text):
        return f"<div>{text}</div>"
    return "".join(f"<p>{html_entities.escape(part)}</p>" for part in _PARAGRAPH.split(text) if part.strip())
