"""The labels of the safety classifier, defined in GUIDE.md."""

LABELS = ("safe", "adult", "gambling", "spam")
