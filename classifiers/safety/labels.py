"""The labels of the safety classifier, defined in GUIDE.md."""

from classifiers.answer import one_of

LABELS = ("safe", "adult", "gambling", "spam")
ANSWER = one_of(LABELS)
