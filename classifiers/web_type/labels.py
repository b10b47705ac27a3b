"""The web types, defined in GUIDE.md."""

from classifiers.answer import one_of

LABELS = (
    "article", "documentation", "encyclopedia", "forum", "listing", "collection",
    "product", "service", "tool", "media", "adult", "error",
)  # fmt: skip
DETAIL = ("article", "documentation", "encyclopedia")
"""Text-rich detail pages, which the report keeps."""

ANSWER = one_of(LABELS)
