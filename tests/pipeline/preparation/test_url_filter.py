"""The URL filter: rules, reasons, and the shipped lists against addresses that must pass."""

from __future__ import annotations

import hashlib
import importlib.resources
import lzma
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from pipeline.preparation.url_filter import SHIPPED, SubWords, TokenWords, UrlFilter, readable, tokens
from pipeline.schema import Document, Drop

SHIPPED_FOLDER = importlib.resources.files("pipeline.preparation") / "url_lists"


def judge(step: UrlFilter, *urls: str | None) -> list[Drop | None]:
    docs = [Document(doc_id=f"{i:032x}", source_file="-", url=u) for i, u in enumerate(urls)]
    verdicts = step.process(docs)
    assert all(v is d for v, d in zip(verdicts, docs, strict=True) if not isinstance(v, Drop))
    return [v if isinstance(v, Drop) else None for v in verdicts]


def files(folder: Path, **texts: str) -> dict[str, str]:
    out = {}
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        out[name] = str(folder / f"{name}.txt")
    return out


@pytest.fixture
def small(tmp_path: Path) -> UrlFilter:
    f = files(
        tmp_path,
        domains="bad.com\n赌场.中国\n",
        urls="http://host.org/malware/\nhttps://host.org/下载\n",
        hard="smut\n博彩\n",
        soft="cards\ndice\nＷＨＥＥＬ\n筹码\n轮盘\n",
        soft2="dice\nfilth\n",
        sub="megaspam\nhost:lucky\n!luckystar\n免费彩金\n",
        allow="good.bad.com\nhttp://bad.com/about\n",
    )
    return UrlFilter(
        default_lists=[],
        domains={"adult": [f["domains"]]},
        urls={"malware": [f["urls"]]},
        hard_words={"gambling": [f["hard"]]},
        soft_words={"gambling": [f["soft"]], "adult": [f["soft2"]]},
        sub_words={"spam": [f["sub"]]},
        allow=[f["allow"]],
    )


@pytest.mark.parametrize(
    ("url", "reason", "value"),
    [
        ("http://bad.com/", "blocked_domain_adult", "bad.com"),
        ("https://www.BAD.com:8080/x", "blocked_domain_adult", "bad.com"),
        ("https://notbad.com/x", None, None),
        ("https://bad.com.example.org/x", None, None),
        ("https://例.赌场.中国/", "blocked_domain_adult", "赌场.中国".encode("idna").decode()),
        ("https://good.bad.com/x", None, None),
        ("https://bad.com/about#team", None, None),
        ("https://bad.com/about/us", "blocked_domain_adult", "bad.com"),
        ("https://host.org/malware", "blocked_url_malware", "https://host.org/malware"),
        ("https://host.org/malware/2", None, None),
        ("http://host.org/" + quote("下载"), "blocked_url_malware", "http://host.org/" + quote("下载")),
        ("https://a.org/best-smut.html", "hard_word_gambling", "smut"),
        ("https://a.org/best-SMUT_x", "hard_word_gambling", "smut"),
        ("https://smut.a.org/", "hard_word_gambling", "smut"),
        ("https://a.org/?q=%73mut", "hard_word_gambling", "smut"),
        ("https://a.org/smutty", None, None),
        ("https://a.org/" + quote("网络博彩网"), "hard_word_gambling", "博彩"),
        ("https://a.org/网络博彩网", "hard_word_gambling", "博彩"),
        ("https://a.org/" + quote("网络博彩网".encode("gb18030")), "hard_word_gambling", "博彩"),
        ("https://" + "博彩网.com".encode("idna").decode() + "/", "hard_word_gambling", "博彩"),
        ("https://a.org/" + quote("博物馆"), None, None),
        ("https://a.org/cards/dice", "soft_words_gambling", "cards dice"),
        ("https://a.org/cards/cards", None, None),
        ("https://a.org/cards", None, None),
        ("https://a.org/filth/cards", None, None),
        ("https://a.org/filth/dice", "soft_words_adult", "dice filth"),
        ("https://a.org/wheel/" + quote("筹码"), "soft_words_gambling", "wheel 筹码"),
        ("https://a.org/" + quote("筹码和轮盘"), "soft_words_gambling", "筹码 轮盘"),
        ("https://a.org/ｗｈｅｅｌ/ｄｉｃｅ", "soft_words_gambling", "dice wheel"),
        ("https://a.org/xmegaspamx", "sub_word_spam", "megaspam"),
        ("https://a.org/" + quote("领免费彩金啊"), "sub_word_spam", "免费彩金"),
        ("https://getluckynow.org/", "sub_word_spam", "lucky"),
        ("https://a.org/getluckynow", None, None),
        ("https://luckystar.org/", None, None),
        ("https://luckystar.lucky.org/", "sub_word_spam", "lucky"),
        ("https://a.org/", None, None),
        ("https://a.org/%ff%fe%00", None, None),
        ("https://a.org/\ud800😀", None, None),
        ("https://a.org/%", None, None),
    ],
)
def test_rules(small: UrlFilter, url: str, reason: str | None, value: str | None) -> None:
    (drop,) = judge(small, url)
    assert (None if drop is None else (drop.reason, drop.value)) == (None if reason is None else (reason, value))


def test_verdicts_do_not_depend_on_the_batch(small: UrlFilter) -> None:
    urls = [
        "http://bad.com/",
        None,
        "https://a.org/smut",
        "https://a.org/xmegaspamx",
        "urn:x:1",
        "https://a.org/cards/dice",
    ]
    assert judge(small, *urls) == [judge(small, u)[0] for u in urls]
    assert judge(small) == []


def test_the_order_of_rules(small: UrlFilter) -> None:
    url = "https://bad.com/smut/megaspam/cards/dice"
    assert judge(small, url)[0] == Drop("blocked_domain_adult", value="bad.com")
    assert judge(small, url.replace("bad.com", "a.org"))[0] == Drop("hard_word_gambling", value="smut")
    assert judge(small, "https://a.org/megaspam/cards/dice")[0] == Drop("sub_word_spam", value="megaspam")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [None, None, None]),
        ({"missing_url": "drop"}, [Drop("no_url"), Drop("no_url"), None]),
        ({"bad_url": "drop"}, [None, None, Drop("bad_url", value="urn:wcxb:17")]),
    ],
)
def test_rows_without_a_usable_url(options: dict[str, str], expected: list[Drop | None]) -> None:
    step = UrlFilter.model_validate({"default_lists": [], **options})
    assert judge(step, None, "", "urn:wcxb:17") == expected


def test_more_soft_words_may_be_asked_for(small: UrlFilter) -> None:
    three = small.model_copy(update={"min_soft_words": 3})
    assert judge(three, "https://a.org/cards/dice", "https://a.org/cards/dice/wheel") == [
        None,
        Drop("soft_words_gambling", value="cards dice wheel"),
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"default_lists": ["porn"]}, "no shipped list 'porn'; shipped: adult, gambling, phishing"),
        ({"domains": {"Bad Name": []}}, "expected a category name such as adult"),
        ({"min_soft_words": 1}, "greater than or equal to 2"),
        ({"lists": []}, "lists"),
    ],
)
def test_config_errors(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        UrlFilter.model_validate(config)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("domains", "a.com\nb c\n", "x.txt, line 2: expected a domain"),
        ("urls", "# head\nurn:x\n", "x.txt, line 2: expected a URL"),
        ("hard_words", "ok\ntwo words\n", "x.txt, line 2: expected one word of letters and digits, found 'two words'"),
        ("soft_words", "a-b\n", "x.txt, line 1: expected one word"),
        ("sub_words", "abc\nhost:ab\n", "x.txt, line 2: expected 3 or more characters"),
        ("sub_words", "彩\n", "x.txt, line 1: expected 3 or more characters (2 of Chinese)"),
    ],
)
def test_list_errors_name_file_and_line(tmp_path: Path, kind: str, text: str, message: str) -> None:
    path = files(tmp_path, x=text)["x"]
    step = UrlFilter.model_validate({"default_lists": [], kind: {"adult": [path]}})
    with pytest.raises(ValueError, match=re.escape(message)):
        step.load()


def test_config_survives_a_round_trip(small: UrlFilter) -> None:
    assert UrlFilter.model_validate(small.model_dump(mode="json")) == small


def test_the_fingerprint_follows_every_list(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    paths = [tmp_path / "a" / "domains", tmp_path / "b" / "domains"]
    for path in paths:
        path.write_text("x.com\n")
    step = UrlFilter(default_lists=["gambling"], domains={"adult": [str(p) for p in paths]})
    before = step.fingerprint()
    assert {str(p) for p in paths} | {"shipped:gambling.domains.txt", "shipped:allow.txt"} <= set(before["resources"])
    assert not any("adult" in name for name in before["resources"])
    for path in paths:
        path.write_text("y.com\n")
        after = step.fingerprint()
        assert after != before
        before = after


def test_thousands_of_sub_words(tmp_path: Path) -> None:
    words = [f"word{i}x" for i in range(3000)]
    sub = SubWords({"spam": [files(tmp_path, sub="\n".join(words))["sub"]]})
    hits = sub.find([f"a.org/{w}y" for w in words[::7]] + ["a.org/word1"])
    assert [hits[i].word for i in sorted(hits)] == words[::7]


def test_words_of_several_categories(tmp_path: Path) -> None:
    path = files(tmp_path, w="dice\n赌场\n澳门赌场\n")["w"]
    words = TokenWords({"a": [path], "b": [path]})
    assert words.find("a.org/dice", ["a", "org", "dice"]) == [("a", "dice"), ("b", "dice")]
    assert [h.word for h in words.find("a.org/澳门赌场", [])] == ["澳门赌场", "澳门赌场"]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("HTTPS://Example.COM/A%20b", "example.com/a b"),
        ("http://xn--fsqu00a.com/x", "例子.com/x"),
        ("http://xn--.com/", "xn--.com/"),
        ("http://a.com/%C2%BD%EF%BC%A1", "a.com/1⁄2a"),
        ("a.com/x", "a.com/x"),
    ],
)
def test_readable(url: str, text: str) -> None:
    assert readable(url) == text
    assert readable(text) == text


def test_tokens() -> None:
    assert tokens("a.com/x_y-z?q=1") == ["a", "com", "x", "y", "z", "q", "1"]
    assert tokens("a.com/看porn视频_é") == ["a", "com", "看", "porn", "视频", "é"]


# Addresses that the shipped lists must let pass: places, names, science, health, law, news, shops; invented paths on
# real or plausible hosts.
GOOD = [
    "https://www.scunthorpe.co.uk/cockburn-street/penistone-road",
    "https://analytics.google.com/analytics/web",
    "https://www.cocktailparty.com/recipes/pussyfoot-cocktail",
    "https://example.org/peacock-hancock-dickens/",
    "https://www.therapist.com/find-a-therapist",
    "https://msexchange.org/articles/sextant",
    "https://www.penisland-pens.com/",
    "https://www.pornic.fr/office-de-tourisme",
    "https://www.ville-pornichet.fr/plages",
    "https://www.xxxlutz.de/sofa",
    "https://news.example.com/2014/01/milf-peace-deal-in-mindanao",
    "https://www.espn.com/nfl/super-bowl-xxx-recap",
    "https://university.edu/commencement/magna-cum-laude-2021",
    "https://health.example.org/sex-education-for-teenagers",
    "https://www.nhs.uk/conditions/anal-cancer/",
    "https://www.cancer.org/cancer/types/penile-vaginal-cancer",
    "https://www.planet.com/same-sex-marriage-gay-lesbian-rights",
    "https://museum.example.org/nude-in-renaissance-art",
    "https://www.law.example.edu/pornography-and-the-first-amendment",
    "https://www.guardian.com/society/revenge-porn-law-explained",
    "https://stopporn.org/help",
    "https://www.bing.com/search?q=lingerie",
    "https://www.groupe-casino.fr/en/investors",
    "https://www.groupe-casino.fr/finance/rapport-annuel",
    "https://nsw.gov.au/casino-town-visitor-guide",
    "https://www.imdb.com/title/tt0381061/casino-royale",
    "https://www.britannica.com/topic/roulette-gambling-game",
    "https://zh.wikipedia.org/wiki/%E7%99%BE%E5%AE%B6%E4%B9%90",
    "https://zh.wikipedia.org/wiki/六合彩",
    "https://en.wikipedia.org/wiki/Online_casino",
    "https://en.wikipedia.org/wiki/Pornhub",
    "https://baike.baidu.com/item/色情电影/123",
    "https://www.gambleaware.org/online-gambling-help",
    "https://responsiblegambling.org/for-the-public/",
    "https://www.gamblingcommission.gov.uk/",
    "https://www.example.com/poker-face-lyrics",
    "https://www.example.com/the-best-bet-for-your-money-odds",
    "https://github.com/user/slots-vue-component",
    "https://docs.python.org/3/reference/datamodel.html#slots",
    "https://www.alphabet.com/investor",
    "https://betsy-ross.org/",
    "https://www.betterhomes.com/bet-you-did-not-know",
    "https://example.cn/六合区/六合村",
    "https://example.cn/六合/天气",
    "https://www.example.cn/成人教育/招生",
    "https://www.example.cn/澳门旅游/攻略",
    "https://www.example.cn/体育彩票管理中心",
    "https://www.example.cn/博物馆/博览会",
    "https://www.example.cn/性能优化/性别平等",
    "https://www.example.cn/无码头/港口",
    "https://www.example.cn/激情岁月/电影",
    "https://www.paypal.com/signin",
    "https://appleid.apple.com/account",
    "https://www.amazon.com/gp/css/account/info",
    "https://accounts.google.com/signin",
    "https://login.microsoftonline.com/common",
    "https://www.chase.com/personal/secure",
    "https://www.adulteducation.gov/programs",
    "https://www.titsworth.com/",
    "https://www.assassinscreed.com/",
    "https://www.sperm-whale.org/",
    "https://shitake.example.com/mushrooms",
    "https://www.cumberland.gov/cumulative-report",
    "https://escorts-tractors.example.in/escorts-group-annual-report",
    "https://www.ford.co.uk/escort-service-manual",
    "https://blog.example.com/2020/horny-toad-lizard",
    "https://www.zhihu.com/question/20000000",
    "https://www.gov.cn/zhengce/2020/打击网络赌博",
]

BAD = [
    ("https://www.pornhub.com/view_video.php?viewkey=1", "sub_word_adult"),
    ("https://cn.pornhub.com/", "sub_word_adult"),
    ("https://chaturbate.com/", "blocked_domain_adult"),
    ("https://some.site.xxx/", "blocked_domain_adult"),
    ("https://tube8.tech/", "blocked_domain_adult"),
    ("https://blog.example.com/free-blowjobs", "hard_word_adult"),
    ("https://blog.example.com/horny-milf-pictures", "soft_words_adult"),
    ("https://example.com/call-girls-in-delhi", "sub_word_adult"),
    ("https://example.cn/成人小说/1.html", "hard_word_adult"),
    ("https://example.tw/成人影音", "hard_word_adult"),
    ("https://example.cn/" + quote("亚洲无码".encode("gbk")), "hard_word_adult"),
    ("https://example.cn/人妻熟女", "soft_words_adult"),
    ("https://www.bet365.com/", "blocked_domain_gambling"),
    ("https://anything.casino/", "blocked_domain_gambling"),
    ("https://best-casinos.example.com/", "sub_word_gambling"),
    ("https://university.edu/slot-gacor-hari-ini", "sub_word_gambling"),
    ("https://gov.example.id/situs/togel", "hard_word_gambling"),
    ("https://blog.example.com/roulette-and-blackjack", "soft_words_gambling"),
    ("https://example.cn/百家乐", "hard_word_gambling"),
    ("https://example.cn/" + quote("澳门葡京娱乐"), "hard_word_gambling"),
    ("https://" + "百家乐.com".encode("idna").decode() + "/", "hard_word_gambling"),
    ("https://example.cn/赌场/老虎机", "soft_words_gambling"),
    ("https://account-paypal.txtbrafouse.info/", "blocked_domain_phishing"),
]


@pytest.mark.parametrize("url", GOOD)
def test_the_shipped_lists_let_good_addresses_pass(url: str) -> None:
    assert judge(UrlFilter(), url) == [None]


@pytest.mark.parametrize(("url", "reason"), BAD)
def test_the_shipped_lists_name_the_category(url: str, reason: str) -> None:
    (drop,) = judge(UrlFilter(), url)
    assert drop is not None
    assert drop.reason == reason


def test_shipped_lists_can_be_left_out() -> None:
    assert judge(UrlFilter(default_lists=["adult"]), "https://www.bet365.com/", "https://www.pornhub.com/") == [
        None,
        Drop("sub_word_adult", value="porn"),
    ]
    assert judge(UrlFilter(default_lists=[]), "https://www.pornhub.com/") == [None]


def test_shipped_lists_and_weights_are_found_in_a_zip(tmp_path: Path) -> None:
    package = Path(str(importlib.resources.files("pipeline")))
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        for file in package.rglob("*"):
            if "preparation" in file.parts or file.parent == package:
                archive.write(file, Path("pipeline") / file.relative_to(package))
    program = """
import pipeline
from pipeline.preparation.language import Language
from pipeline.preparation.url_filter import UrlFilter
from pipeline.schema import Document
doc = Document(doc_id="0" * 32, source_file="-", url="https://www.bet365.com/", text="这是一个用来测试语言识别的中文句子。")
print(pipeline.__file__)
print(UrlFilter().process([doc])[0].reason, Language().process([doc])[0].language)
print(len(UrlFilter().fingerprint()["resources"]), len(Language().fingerprint()["resources"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "code.zip")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    place, verdicts, resources = done.stdout.splitlines()
    assert place.startswith(str(tmp_path / "code.zip"))
    assert verdicts == "blocked_domain_gambling zh"
    assert resources == "11 1"


def test_the_readme_describes_the_shipped_files() -> None:
    readme = (SHIPPED_FOLDER / "README.md").read_text(encoding="utf-8")
    rows = {
        m[1]: (int(m[2].replace(",", "")), m[3])
        for m in re.finditer(r"\| (\S+) \|.*?\| ([\d,]+) \|.*?`(\w+)` \|", readme)
    }
    described = {}
    size = 0
    for folder, prefix in ((SHIPPED_FOLDER, ""), (SHIPPED_FOLDER / "evidence", "evidence/")):
        for file in folder.iterdir():
            if ".txt" in file.name:
                raw = file.read_bytes()
                size += len(raw)
                text = lzma.decompress(raw) if file.name.endswith(".xz") else raw
                entries = [line for line in text.decode().splitlines() if line and not line.startswith("#")]
                assert len(set(entries)) == len(entries), file.name
                described[prefix + file.name] = (len(entries), hashlib.sha256(raw).hexdigest())
    assert rows == described
    assert size < 4_000_000
    assert {name.split(".")[0] for name in described if "/" not in name} == {*SHIPPED, "allow"}
