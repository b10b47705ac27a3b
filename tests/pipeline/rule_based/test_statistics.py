"""What the rules count, against plain implementations."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rule_based import statistics as module
from pipeline.rule_based.statistics import TextStatistics, ends_sentence, statistics, word_list


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("", "en", []),
        ("... — !?", "en", []),
        ("Don't e-mail 3.14 times, OK?", "en", ["Don't", "e-mail", "3.14", "times", "OK"]),
        ("It’s «fine».", "en", ["It’s", "fine"]),
        ("end. Next", "en", ["end", "Next"]),
        ("'quoted' -dashed-", "en", ["quoted", "dashed"]),
        ("Größe naïve Ω", "de", ["Größe", "naïve", "Ω"]),
        ("我们在北京学习。", "zh", ["我们", "在", "北京", "学习"]),
        ("我們在北京學習。", "zh", ["我們", "在", "北京", "學習"]),
        ("「你好」，世界！", "zh", ["你好", "世界"]),
        ("用 Python 写代码", "zh", ["用", "Python", "写", "代码"]),
        ("……。！？", "zh", []),
        ("😀 hello 😀", "en", ["hello"]),
        ("हिन्दी भाषा में लिखा गया।", "hi", ["हिन्दी", "भाषा", "में", "लिखा", "गया"]),
        ("தமிழ் மொழி", "ta", ["தமிழ்", "மொழி"]),
        ("يُكتَبُ العَرَبِيُّ", "ar", ["يُكتَبُ", "العَرَبِيُّ"]),
        ("שָׁלוֹם עוֹלָם", "he", ["שָׁלוֹם", "עוֹלָם"]),
        ("می\u200cخواهم بروم", "fa", ["می\u200cخواهم", "بروم"]),
        ("Tiếng Việt có dấu", "vi", ["Tiếng", "Việt", "có", "dấu"]),
        ("x\u0323\u0301y a\u0301-b", "en", ["x\u0323\u0301y", "a\u0301-b"]),  # marks that compose with no letter
        ("\u0301 \u0301a", "en", ["a"]),  # a mark alone is no word
        ("I ❤\ufe0f it, 1\ufe0f\u20e3 time", "en", ["I", "it", "1", "time"]),  # those of emoji are none
        ("👨\u200d👩\u200d👧 family", "en", ["family"]),
        ("😀你好😀", "zh", ["你好"]),
    ],
)
def test_words(text: str, language: str, words: list[str]) -> None:
    stats = TextStatistics(text, language)
    assert stats.words == words
    assert stats.lengths.tolist() == [len(w) for w in words]
    assert stats.vocabulary == set(words)


@pytest.mark.parametrize(
    ("text", "language", "chinese"),
    [
        ("我们在北京学习。", None, True),
        ("我們在北京學習。", None, True),
        ("We study in Beijing.", None, False),
        ("We study in 北京.", None, False),
        ("我们在北京学习。", "en", False),
        ("We study in Beijing.", "zh", True),
        ("", None, False),
        ("a" * 1000 + "北" * 5000, None, False),
    ],
)
def test_language_decides_or_the_beginning_of_the_text(text: str, language: str | None, chinese: bool) -> None:
    assert TextStatistics(text, language).is_chinese is chinese


def test_chinese_text_without_a_language_is_segmented() -> None:
    assert TextStatistics("我们在北京学习。", None).words == ["我们", "在", "北京", "学习"]


@pytest.mark.parametrize(
    ("text", "lines", "paragraphs"),
    [
        ("", [], []),
        ("\n\n\n", [], []),
        ("a\nb", ["a", "b"], ["a\nb"]),
        ("a\n\nb\n", ["a", "b"], ["a", "b"]),
        ("  a  \n \n\tb", ["a", "b"], ["a  \n \n\tb"]),
        ("第一行\n第二行\n\n\n第三行", ["第一行", "第二行", "第三行"], ["第一行\n第二行", "第三行"]),
    ],
)
def test_lines_and_paragraphs(text: str, lines: list[str], paragraphs: list[str]) -> None:
    stats = TextStatistics(text, "en")
    assert stats.lines == lines
    assert stats.paragraphs == paragraphs


def plain_duplicates(pieces: list[str]) -> tuple[int, int]:
    again = [piece for i, piece in enumerate(pieces) if piece in pieces[:i]]
    return len(again), sum(map(len, again))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["", "a", "bb", "你好", "a line", "一行文字", " a"]), max_size=20))
def test_duplicates_are_those_of_a_plain_count(pieces: list[str]) -> None:
    stats = TextStatistics("\n".join(pieces), "en")
    assert stats.duplicate_lines == plain_duplicates([p.strip() for p in pieces if p.strip()])
    stats = TextStatistics("\n\n".join(p.strip() or "x" for p in pieces), "en")
    assert stats.duplicate_paragraphs == plain_duplicates([p.strip() or "x" for p in pieces])


def plain_top(words: list[str], n: int) -> set[int]:
    """Characters in the commonest n-gram; more than one may be the commonest."""
    counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(counts.values(), default=0)
    return {most * sum(map(len, gram)) for gram, k in counts.items() if k == most} if most > 1 else {0}


def plain_repeated(words: list[str], n: int) -> int:
    """Characters in n-grams that occurred before; behind such an n-gram the search goes on after its last word."""
    seen: set[tuple[str, ...]] = set()
    characters = i = 0
    while i <= len(words) - n:
        gram = tuple(words[i : i + n])
        if gram in seen:
            characters += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return characters


def assert_ngrams(words: list[str]) -> None:
    text = " ".join(words)
    stats = TextStatistics(text, "en")
    assert stats.words == words
    size = max(1, len(text))
    for n in (2, 3, 4):
        assert stats.repeated_ngrams[n - 2] in {min(1, c / size) for c in plain_top(words, n)}, n
    for n in range(5, 11):
        assert stats.repeated_ngrams[n - 2] == plain_repeated(words, n) / size, n


@settings(deadline=None)  # the first example pays for compiling
@given(st.lists(st.sampled_from(["a", "bb", "ccc", "北京", "don't"]), max_size=60))
def test_ngram_shares_are_those_of_a_plain_dictionary(words: list[str]) -> None:
    assert_ngrams(words)


@pytest.mark.parametrize("seed", range(4))
def test_ngram_shares_of_longer_texts(seed: int) -> None:
    rng = random.Random(seed)
    vocabulary = [f"{'w' * rng.randint(1, 6)}{i}" for i in range((3, 20, 200, 5000)[seed])]
    assert_ngrams(rng.choices(vocabulary, k=3000))
    block = rng.choices(vocabulary, k=40)
    assert_ngrams([*block, *rng.choices(vocabulary, k=100), *block, *block])


@pytest.mark.parametrize(
    ("text", "language"), [("", "en"), ("word", "en"), ("one two three four five six", "en"), ("我们在北京学习", "zh")]
)
def test_ngram_that_occurs_once_is_not_repeated(text: str, language: str) -> None:
    assert TextStatistics(text, language).repeated_ngrams.tolist() == [0.0] * 9


def test_overlapping_repeats_are_counted_once() -> None:
    shares = TextStatistics(" ".join(["aa"] * 100), "en").repeated_ngrams
    assert all(share <= 200 / 299 for share in shares[3:])


def test_longest_text_is_judged_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_TEXT", 10)
    assert TextStatistics("one two three", "en").words == ["one", "two", "th"]
    assert TextStatistics("one two th", "en").words == ["one", "two", "th"]


def test_same_text_in_another_language_is_counted_anew() -> None:
    text = "我们在北京学习。"
    assert statistics(text, "zh") is statistics(text, "zh")
    assert len(statistics(text, "zh").words) == 4
    assert len(statistics(text, "en").words) == 1


def test_word_lists_have_chinese_and_english_each_word_once() -> None:
    for name in ("stop_words", "policy_phrases"):
        by_language = word_list(name)
        assert {"en", "zh"} <= set(by_language)
        assert all(words and all(w.strip() == w != "" for w in words) for words in by_language.values())
    assert {"the", "of", "and"} <= set(word_list("stop_words")["en"])
    assert {"的", "们", "們", "这", "這"} <= set(word_list("stop_words")["zh"])


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("It ends.", True),
        ("It ends. [12]", True),
        ("It ends.[1][2, 3]", True),
        ("它结束了。［3］", True),
        ("It ends. [1] [2]", True),
        ("It ends [12]", False),
        ("It ends. [note]", False),
        ("It ends. [1] there [2]", False),
        ("a]", False),
        ("]", False),
    ],
)
def test_a_sentence_may_end_before_marks_of_footnotes(line: str, ends: bool) -> None:
    assert ends_sentence(line, (".", "。")) is ends


@pytest.mark.parametrize(
    "line", ["a" + " " * 300_000 + "b]", "." + "[1] " * 60_000 + "x]", "a [1," + " " * 300_000 + "2]"]
)
def test_the_end_of_a_line_is_looked_at_once(line: str) -> None:
    start = time.process_time()
    assert not ends_sentence(line, (".",))
    assert time.process_time() - start < 1
