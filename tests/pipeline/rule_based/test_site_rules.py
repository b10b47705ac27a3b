"""Rules for one site each: which site's rules hold, what they do, what is wrong with a file of them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import regex

from pipeline.lines import restore_lines
from pipeline.rule_based import site_rules as module
from pipeline.rule_based.site_rules import (
    FIRST_LINES,
    HEAD_LINES,
    LONGEST,
    SiteRulesStep,
    parse_rules,
    shipped_rules,
)
from pipeline.schema import Document, Drop

TEXT = "\n".join(f"A line about rivers, number {i}." for i in range(10))


@pytest.fixture(autouse=True)
def _no_rules_of_other_tests() -> None:
    module._rules.cache_clear()


def document(url: str | None, text: str | None = TEXT, title: str | None = None) -> Document:
    n = 0 if text is None else text.count("\n") + 1
    return Document(
        doc_id="0" * 32,
        source_file="a",
        url=url,
        title=title,
        text=text,
        language="en",
        line_tags=["p"] * n,
        line_link_share=[0.0] * n,
    )


def rules(tmp_path: Path, text: str, *, shipped: bool = False) -> SiteRulesStep:
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return SiteRulesStep(shipped=shipped, files=[str(path)])


def cut(step: SiteRulesStep, doc: Document) -> list[int]:
    """Numbers of the lines that the step cuts; they can be put back."""
    verdict = step(doc)
    assert isinstance(verdict, Document)
    assert restore_lines(verdict) == doc
    assert all(r["step"] == "site_rules" for r in verdict.removed_lines or ())
    return [r["line"] for r in verdict.removed_lines or ()]


# ---- which rules hold


SITES = """
example.com: {checked: made, drop: {url: '/top/'}}
news.example.com: {checked: made, drop: {url: '/news/'}}
a.news.example.com: {checked: made, drop: {url: '/a/'}}
xn--fiqs8s.cn: {checked: made, drop: true}
"""


@pytest.mark.parametrize(
    ("url", "dropped"),
    [
        ("https://example.com/top/1", True),
        ("https://www.example.com/top/1", True),
        ("https://EXAMPLE.com:8080/top/1", True),
        ("https://example.com/news/1", False),
        ("https://news.example.com/news/1", True),
        ("https://news.example.com/top/1", False),
        ("https://b.news.example.com/news/1", True),
        ("https://a.news.example.com/a/1", True),
        ("https://a.news.example.com/news/1", False),
        ("https://notexample.com/top/1", False),
        ("https://example.com.cn/top/1", False),
        ("https://中国.cn/", True),
        ("urn:example.com/top/", False),
        ("", False),
        (None, False),
    ],
)
def test_most_specific_host_wins(tmp_path: Path, url: str | None, dropped: bool) -> None:
    doc = document(url)
    verdict = rules(tmp_path, SITES)(doc)
    assert isinstance(verdict, Drop) if dropped else verdict is doc


def test_file_of_the_user_replaces_the_rules_of_a_shipped_site(tmp_path: Path) -> None:
    page = document("https://www.youtube.com/watch?v=1")
    assert SiteRulesStep()(page) == Drop("site_dropped", value="www.youtube.com")
    step = rules(tmp_path, "youtube.com: {checked: made, cut_lines: ['Subscribe']}", shipped=True)
    assert step(page) is page
    other = document("https://www.pinterest.com/1")
    assert step(other) == Drop("site_dropped", value="www.pinterest.com")
    assert rules(tmp_path, "{}")(other) is other


def test_last_file_wins(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml.gz"
    one.write_text("example.com: {checked: made, drop: true}")
    two.write_bytes(gzip.compress(b"example.com: {checked: made, keep_only: {url: /a/}}"))
    page = document("https://example.com/a/")
    assert SiteRulesStep(shipped=False, files=[str(one), str(two)])(page) is page
    assert isinstance(SiteRulesStep(shipped=False, files=[str(two), str(one)])(page), Drop)


# ---- what they do


@pytest.mark.parametrize(
    ("rule", "url", "title", "expected"),
    [
        ("drop: true", "https://e.com/a", None, Drop("site_dropped", value="e.com")),
        ("drop: {url: '/tag/|page=\\d+'}", "https://e.com/tag/x", None, Drop("site_page_dropped", value="url: /tag/")),
        (
            "drop: {url: '/tag/|page=\\d+'}",
            "https://e.com/?page=2",
            None,
            Drop("site_page_dropped", value="url: page=2"),
        ),
        ("drop: {url: '/tag/|page=\\d+'}", "https://e.com/article", None, None),
        (
            "drop: {url: '/标签/'}",
            "https://e.com/%E6%A0%87%E7%AD%BE/1",
            None,
            Drop("site_page_dropped", value="url: /标签/"),
        ),
        ("drop: {title: '^Login'}", "https://e.com/", "Login to E", Drop("site_page_dropped", value="title: Login")),
        ("drop: {title: '^登[录錄]'}", "https://e.com/", "登錄", Drop("site_page_dropped", value="title: 登錄")),
        ("drop: {title: '^Login'}", "https://e.com/", "How to Login", None),
        ("drop: {title: '^Login'}", "https://e.com/", None, None),
        (
            "drop: {first_line: 'number 0'}",
            "https://e.com/",
            None,
            Drop("site_page_dropped", value="first_line: number 0"),
        ),
        ("drop: {first_line: 'number 1'}", "https://e.com/", None, None),
        (
            "drop: {url: /tag/, title: Login}",
            "https://e.com/",
            "Login",
            Drop("site_page_dropped", value="title: Login"),
        ),
        ("keep_only: {url: '/article/\\d+'}", "https://e.com/article/1", None, None),
        (
            "keep_only: {url: '/article/\\d+'}",
            "https://e.com/list",
            None,
            Drop("site_page_not_wanted", value="https://e.com/list"),
        ),
        ("keep_only: {title: 文章}", "https://e.com/list", "一篇文章", None),
        (
            "keep_only: {title: 文章}",
            "https://e.com/list",
            None,
            Drop("site_page_not_wanted", value="https://e.com/list"),
        ),
        (
            "keep_only: {url: /a/}, drop: {url: /a/b}",
            "https://e.com/a/b",
            None,
            Drop("site_page_dropped", value="url: /a/b"),
        ),
    ],
)
def test_pages_are_dropped(tmp_path: Path, rule: str, url: str, title: str | None, expected: Drop | None) -> None:
    step = rules(tmp_path, f"e.com: {{checked: made, {rule}}}")
    doc = document(url, title=title)
    verdict = step(doc)
    assert verdict == expected if expected is not None else verdict is doc


def lines_with(line: str, at: int, n: int = 40) -> str:
    out = [f"第{i}行，说的是河流。" for i in range(n)]
    out[at] = line
    return "\n".join(out)


@pytest.mark.parametrize(
    ("rule", "line", "at", "expected"),
    [
        ("cut_lines: ['Share( this post)?']", "Share this post", 3, [3]),
        ("cut_lines: ['Share( this post)?']", "  Share ", 3, [3]),
        ("cut_lines: ['Share( this post)?']", "Share this post today", 3, []),
        ("cut_lines: ['相关阅读：.*']", "相关阅读：河流", 39, [39]),
        ("cut_lines: ['相关阅读：.*', '相關閱讀：.*']", "相關閱讀：河流", 0, [0]),
        ("cut_lines: ['相关阅读：.*']", "请看相关阅读：河流", 3, []),
        ("cut_lines: ['(?i)share']", "SHARE", 3, [3]),
        ("cut_lines: ['A.*']", "A" * LONGEST, 3, [3]),
        ("cut_lines: ['A.*']", "A" * (LONGEST + 1), 3, []),
        ("cut_after: ['^Comments \\(\\d+\\)$']", "Comments (12)", 30, list(range(30, 40))),
        ("cut_after: ['^Comments \\(\\d+\\)$']", "Comments (twelve)", 30, []),
        ("cut_after: ['^评论']", "评论区", FIRST_LINES, list(range(FIRST_LINES, 40))),
        ("cut_after: ['^评论']", "评论区", FIRST_LINES - 1, []),
        ("cut_before: ['^Skip to content$']", "Skip to content", 2, [0, 1, 2]),
        ("cut_before: ['^跳到内容$']", "跳到内容", HEAD_LINES - 1, list(range(HEAD_LINES))),
        ("cut_before: ['^跳到内容$']", "跳到内容", HEAD_LINES, []),
        ("cut_before: ['^Skip to content$']", "Skip to content now", 2, []),
    ],
)
def test_lines_are_cut(tmp_path: Path, rule: str, line: str, at: int, expected: list[int]) -> None:
    step = rules(tmp_path, f"e.com: {{checked: made, {rule}}}")
    assert cut(step, document("https://e.com/", lines_with(line, at))) == expected
    assert cut(step, document("https://f.com/", lines_with(line, at))) == []


def test_all_kinds_of_cuts_together(tmp_path: Path) -> None:
    step = rules(tmp_path, "e.com: {checked: made, cut_lines: [Share], cut_before: [Menu], cut_after: [^Comments]}")
    text = "Home\nMenu\nOne.\nShare\nTwo.\nThree.\nComments\nFine!\nComments"
    verdict = step(document("https://e.com/", text))
    assert isinstance(verdict, Document)
    assert verdict.text == "One.\nTwo.\nThree."
    assert restore_lines(verdict).text == text


def test_last_head_and_first_tail_count(tmp_path: Path) -> None:
    step = rules(tmp_path, "e.com: {checked: made, cut_before: [Menu], cut_after: [Tail]}")
    text = "Menu\nHome\nMenu\nOne.\nTwo.\nThree.\nTail\nFour.\nTail"
    assert cut(step, document("https://e.com/", text)) == [0, 1, 2, 6, 7, 8]


def test_page_of_which_no_line_stays_is_dropped(tmp_path: Path) -> None:
    step = rules(tmp_path, "e.com: {checked: made, cut_lines: ['分享', 'Share']}")
    assert step(document("https://e.com/", "分享\nShare")) == Drop("no_text_left")
    empty = document("https://e.com/", "")
    assert step(empty) is empty
    none = document("https://e.com/", None).evolve(line_tags=None, line_link_share=None)
    assert step(none) is none


def test_groups_of_one_pattern_do_not_disturb_another(tmp_path: Path) -> None:
    step = rules(tmp_path, "e.com: {checked: made, cut_lines: ['(?i)share', '(a)(b)\\1', 'Tweet']}")
    assert cut(step, document("https://e.com/", "SHARE\naba\nTweet\ntweet\nabb\nOne.")) == [0, 1, 2]


# ---- what is wrong with a file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "e.com: {checked: made, drop: {url: '('}}",
            r"rules\.yaml: e\.com\.drop\..*url: '\(' is no regular expression: ",
        ),
        (
            "e.com: {checked: made, cut_lines: ['a', '[']}",
            r"rules\.yaml: e\.com\.cut_lines\.1: '\[' is no regular expr",
        ),
        (
            "e.com: {checked: made, cut_after: ['a*']}",
            r"rules\.yaml: e\.com\.cut_after\.0: 'a\*' matches an empty line",
        ),
        ("e.com: {checked: made, cut_line: ['a']}", r"rules\.yaml: e\.com: unknown key 'cut_line' \(did you mean"),
        ("e.com: {checked: made, drop: {link: a}}", r"rules\.yaml: e\.com\.drop.*: unknown key 'link'"),
        ("e.com: {drop: true}", r"rules\.yaml: e\.com\.checked: Field required"),
        ("e.com: {checked: made, drop: false}", r"rules\.yaml: e\.com\.drop"),
        ("e.com: {checked: made, cut_lines: Share}", r"rules\.yaml: e\.com\.cut_lines: .*list"),
        ("e.com: [drop]", r"rules\.yaml: e\.com: "),
        ("e.com:", r"rules\.yaml: e\.com: "),
        ("E.com: {checked: made}", r"rules\.yaml: 'E\.com' is no domain in lower case"),
        ("https://e.com: {checked: made}", r"rules\.yaml: 'https://e\.com' is no domain"),
        ("e.com/a: {checked: made}", r"rules\.yaml: 'e\.com/a' is no domain"),
        ("中国.cn: {checked: made}", r"rules\.yaml: '中国\.cn' is no domain .*punycode"),
        ("com: {checked: made}", r"rules\.yaml: 'com' is no domain"),
        ("1: {checked: made}", r"rules\.yaml: 1 is no domain"),
        ("- e.com", r"rules\.yaml: expected a mapping of domains to rules, found list"),
        ("a site", r"rules\.yaml: expected a mapping of domains to rules, found str"),
        ("e.com: {checked: made", r"rules\.yaml is not YAML: "),
        ("e.com: {checked: 'made\\d'}\n\tf.com: {}", r"rules\.yaml is not YAML: "),
        ("e.com: {checked: a}\ne.com: {checked: b}", r"rules\.yaml is not YAML: .*'e\.com' stands twice"),
        ("e.com: {checked: a, checked: b}", r"rules\.yaml is not YAML: .*'checked' stands twice"),
    ],
)
def test_mistakes_are_clear_errors_before_any_work(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        rules(tmp_path, text).check()
    assert "\n" not in str(error.value)


def test_file_that_is_not_utf8_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes("e.com: {checked: 测试}".encode("gb18030"))
    with pytest.raises(ValueError, match=r"rules\.yaml: expected UTF-8"):
        SiteRulesStep(files=[str(path)]).check()


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_empty_file_has_no_rules(text: str) -> None:
    assert parse_rules(text, "rules.yaml") == {}


# ---- the rules that come with the package


def patterns(data: Any) -> list[str]:
    if isinstance(data, str):
        return [data]
    if isinstance(data, dict):
        return [p for v in data.values() for p in patterns(v)]
    return [p for v in data for p in patterns(v)] if isinstance(data, list) else []


def test_shipped_rules_are_checked_and_compile() -> None:
    shipped = shipped_rules()
    assert len(shipped) >= 30
    for site, one in shipped.items():
        assert one.checked.strip(), site
        acts = one.model_dump(exclude={"checked", "note"})
        assert any(acts.values()), f"{site} has no rule"
        for pattern in patterns(acts):
            regex.compile(pattern)
    assert {"youtube.com", "zhihu.com", "wikipedia.org"} <= set(shipped)


LONG = [
    "a" * LONGEST,
    "a " * (LONGEST // 2),
    "1" * LONGEST,
    "编辑于 " * (LONGEST // 4),
    "(" * LONGEST,
    ", " * (LONGEST // 2),
]


@pytest.mark.parametrize("line", LONG, ids=range(len(LONG)))
def test_shipped_patterns_are_fast_on_any_line(line: str) -> None:
    """A pattern has a time limit a line, beyond which it is an error: none of these comes to it."""
    text = "\n".join([line] * 3 + ["An end."])
    for site in shipped_rules():
        verdict = SiteRulesStep()(document(f"https://{site}/{line}", text, title=line))
        assert isinstance(verdict, Document | Drop), site


@pytest.mark.parametrize(
    "url",
    [
        "https://stackoverflow.com/questions/11227809/why-is-a-sorted-array-faster",
        "https://www.zhihu.com/question/19550225/answer/1",
        "https://github.com/python/cpython",
        "https://medium.com/@somebody/a-story-1",
        "https://blog.csdn.net/somebody/article/details/1",
        "https://arxiv.org/abs/2112.11446",
    ],
)
def test_shipped_rules_keep_articles(url: str) -> None:
    doc = document(url)
    assert SiteRulesStep()(doc) is doc


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://zh.wikipedia.org/wiki/%E7%89%B9%E6%AE%8A:%E6%90%9C%E7%B4%A2", "site_page_dropped"),
        ("https://stackoverflow.com/questions/tagged/python", "site_page_dropped"),
        ("https://www.zhihu.com/signin", "site_page_dropped"),
        ("https://github.com/python/cpython/commits/main", "site_page_dropped"),
    ],
)
def test_shipped_rules_drop_other_pages(url: str, reason: str) -> None:
    verdict = SiteRulesStep()(document(url))
    assert isinstance(verdict, Drop)
    assert verdict.reason == reason


# ---- fingerprint


def test_fingerprint_changes_with_the_shipped_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    before, without = SiteRulesStep().fingerprint(), SiteRulesStep(shipped=False).fingerprint()
    assert before == SiteRulesStep().fingerprint()
    text = module._shipped_text()
    monkeypatch.setattr(module, "_shipped_text", lambda: text + "\ne.com: {checked: made, drop: true}\n")
    assert SiteRulesStep().fingerprint() != before
    assert SiteRulesStep(shipped=False).fingerprint() == without


def test_fingerprint_changes_with_a_file_of_the_user(tmp_path: Path) -> None:
    before = rules(tmp_path, "e.com: {checked: made, drop: true}").fingerprint()
    assert rules(tmp_path, "e.com: {checked: made, drop: true}").fingerprint() == before
    assert rules(tmp_path, "e.com: {checked: made, drop: {url: a}}").fingerprint() != before


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    page = document("https://e.com/")
    step = rules(tmp_path, "e.com: {checked: made, drop: true}")
    assert isinstance(step(page), Drop)
    step = rules(tmp_path, "e.com: {checked: made, drop: {url: /tag/}}")
    step.check()
    assert step(page) is page
