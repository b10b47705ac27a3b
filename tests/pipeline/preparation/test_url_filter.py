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
        ("sub_words", "abc\n!ab\n", "x.txt, line 2: expected 3 or more characters (2 of Chinese), found '!ab'"),
        ("sub_words", "abc\n!/[a/\n", "x.txt, line 2: expected a regular expression between slashes, found '!/[a/'"),
        ("sub_words", "!/a*/\n", "x.txt, line 1: expected a regular expression without groups that matches something"),
        ("soft_words", "!/(ab)c/\n", "x.txt, line 1: expected a regular expression without groups"),
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


def test_exceptions_of_sub_words(tmp_path: Path) -> None:
    path = files(tmp_path, w="host:lucky\nmegaspam\n!luckystar\n!/(?<![a-z])unlucky\\D/\n")["w"]
    sub = SubWords({"spam": [path]})
    texts = [
        "luckystar.org/",
        "unlucky7.org/",
        "sunlucky7.org/",
        "unlucky.org/",
        "luckystar-lucky.org/",
        "a.org/megaspam",
    ]
    assert sorted(sub.find(texts)) == [1, 2, 4, 5]


def test_exceptions_of_words(tmp_path: Path) -> None:
    path = files(tmp_path, w="dice\n赌场\n!dice-soup\n!赌场旧址\n!/against-[a-z]+/\n")["w"]
    words = TokenWords({"a": [path]})

    def found(text: str) -> list[str]:
        return [hit.word for hit in words.find(text, tokens(text))]

    assert found("a.org/dice-soup") == found("a.org/赌场旧址") == found("a.org/against-dice") == []
    assert found("a.org/dice-soup/dice") == ["dice"]
    assert found("a.org/against-dice/赌场") == ["赌场"]


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


NEIGHBOURS = [
    # Chinese: what stands beside a spam word in the dictionary of the language; the borders of words lie elsewhere.
    ("绿色综合评价", "色综合 lies over the end of 绿色", None),
    ("特色综合体", "the same of 特色", None),
    ("景色综合整治", "the same of 景色", None),
    ("色综合网", "a spam title", "hard_word_adult"),
    ("国产自拍杆", "a stick for the camera, made in China", None),
    ("国产自拍视频", "a spam title", "hard_word_adult"),
    ("百家乐器行", "a hundred shops for instruments", None),
    ("百家乐团", "orchestras", None),
    ("百家乐平台", "a platform for baccarat", "hard_word_gambling"),
    ("皇冠体育馆", "a gymnasium", None),
    ("皇冠体育投注网", "a site for bets", "hard_word_gambling"),
    ("时时彩虹伞", "an umbrella", None),
    ("重庆时时彩", "a lottery of every ten minutes", "hard_word_gambling"),
    ("六合彩虹桥", "a bridge in Luhe", None),
    ("六合彩开奖", "draws of a lottery", "hard_word_gambling"),
    ("澳门金沙滩", "a beach", None),
    ("澳门金沙", "a casino", "hard_word_gambling"),
    ("全国无码头", "no quay", None),
    ("亚洲无码视频", "a spam title", "hard_word_adult"),
    ("真人娱乐性", "how entertaining it is", None),
    ("真人娱乐城", "a casino: 娱乐城 is one word", "hard_word_gambling"),
    ("永利娱乐城", "the same, of another house", "hard_word_gambling"),
    ("葡京娱乐场", "the same", "hard_word_gambling"),
    ("银河系娱乐", "entertainment of the Milky Way", None),
    ("节约炮弹", "to save shells", None),
    ("约炮软件", "an app for dates", "hard_word_adult"),
    ("狠狠干活", "to work hard", None),
    ("黄色小说明书", "a small yellow manual", None),
    ("黄色小说", "a genre of spam", "hard_word_adult"),
    ("成人影院校", "a school", None),
    ("成人影院在线", "a spam title", "hard_word_adult"),
    ("成人视频网", "视频网 is one word", "hard_word_adult"),
    ("成人电影院", "电影院 is one word", "hard_word_adult"),
    ("足球投注册", "to register", None),
    ("足球投注网", "a site for bets", "hard_word_gambling"),
    # Words that end in Latin letters end where a token does.
    ("日本aviation", "a longer Latin word", None),
    ("日本average", "the same", None),
    ("日本av女优", "a spam title", "hard_word_adult"),
    ("免费avi转换", "a file format", None),
    ("免费av1编码器", "a codec", None),
    ("免费av在线", "a spam title", "hard_word_adult"),
    ("赛车pk1000", "a longer number", None),
    ("赛车pk10", "a lottery", "hard_word_gambling"),
    ("visa片段与成人教育", "a piece of visa", None),
    ("成人a片", "two soft words", "soft_words_adult"),
    # What is said of spam, crimes and sport.
    ("警惕裸聊敲诈", "a warning of the police", None),
    ("裸聊直播", "what it warns of", "hard_word_adult"),
    ("聚众淫乱罪", "an offence", None),
    ("淫乱人妻", "spam", "hard_word_adult"),
    ("博彩公司看好主队", "one soft word: a report on football", None),
    ("博彩公司返水", "two", "soft_words_gambling"),
    ("打击网络赌博", "one soft word: a report of the police", None),
    ("体育彩票投注站", "shops of the state's lottery: 投注站 is one word", None),
]
"""Path (or host label, or query), why, and the reason of the drop."""

LATIN_NEIGHBOURS = [
    ("https://www.jeuxvideo.com/", "games in French", None),
    ("https://indianxvideos.example/", "a name", "sub_word_adult"),
    ("https://ipv4-c001.nflxvideo.net/range/0", "hosts of Netflix", None),
    ("https://www.mixxx.org/", "a mixer for disc jockeys", None),
    ("https://comixxx.example/", "a word that ends the same", "sub_word_adult"),
    ("https://xxx.lanl.gov/abs/hep-th/9711200", "a preprint server's first address", None),
    ("https://xxx.example/", "the same label elsewhere", "sub_word_adult"),
    ("https://www.xxxx.com.au/", "four Xs: a brewery", None),
    ("https://hotxxxx.example/", "not four Xs alone", "sub_word_adult"),
    ("https://superbowl.example/xxx", "a number in a path", None),
    ("https://xxxii-congreso.example/", "the 32nd", None),
    ("https://xxxiii.example/", "33", None),
    ("https://xxxvideo.example/", "v is no numeral here", "hard_word_adult"),
    ("https://xxxlinks.example/", "no furniture house", "sub_word_adult"),
    ("https://www.xxxlesnina.example/", "one", None),
    ("http://lcqjsjxxx.example/", "initials of pinyin, without a vowel", None),
    ("http://hdxxx.example/", "without a vowel too, but known", "sub_word_adult"),
    ("http://zhentaigroup.example/", "pinyin: zhen tai", None),
    ("http://cn-chentai.example/", "chen tai", None),
    ("http://animeshentai.example/", "within a word", "sub_word_adult"),
    ("http://sxnxxny.example/", "initials", None),
    ("http://desixnxx.example/", "a name", "sub_word_adult"),
    ("http://juntospornuestraeducacion.example/", "por nuestra", None),
    ("http://vecinosporninos.example/", "por niños", None),
    ("http://www.rittersporn-garten.example/", "larkspur in German", None),
    ("http://fersensporn.example/", "an ailment of the heel", None),
    ("http://girlsporn.example/", "no spur", "sub_word_adult"),
    ("http://pornchai-restaurant.example/", "a name in Thailand", None),
    ("http://cabinporn.example/", "pictures of cabins", None),
    ("http://passwordporno.example/", "no pictures of words", "sub_word_adult"),
    ("http://porncontrol.example/", "a blocker", None),
    ("http://www.yourbrainonporn.example/", "research", None),
    ("http://pornharmony.example/", "not of harm", "sub_word_adult"),
    ("https://magazine.example/liebe/oralsex-was-sie-wissen-muessen", "advice: a path with one such word", None),
    ("https://oralsexclips.example/", "a host", "sub_word_adult"),
    ("https://recipes.example/bukkake-udon-with-egg", "a dish", None),
    ("https://clips.example/bukkake/udon", "not the dish", "hard_word_adult"),
    ("https://sexetc.org/sex-ed/", "sex education that UT1 lists", None),
    ("https://news.example/online-casinos-gambling-addiction-uk", "on its harm", None),
    ("https://news.example/best-online-casinos-uk", "an advertisement", "sub_word_gambling"),
    ("https://www.stadtcasino-basel.example/", "a concert hall", None),
    ("https://casinotheater.example/", "a theatre", None),
    ("https://casino-h.schools.nsw.gov.au/", "a school in the town Casino", None),
    ("https://cockpit-project.example/peacock/shiitake/therapist", "letters within words", None),
    ("https://github.com/someone/slots/blob/main/slot.py", "slots of a program", None),
    ("https://www.scunthorpe.example/analytics/expertsexchange?tube=cam", "the same in a query", None),
    ("https://www.sussex.ac.uk/essex-middlesex", "counties", None),
]


@pytest.mark.parametrize(("text", "why", "reason"), NEIGHBOURS)
def test_neighbours_of_chinese_words(text: str, why: str, reason: str | None) -> None:
    written = [
        f"https://example.cn/tag/{text}/1.html",
        f"https://example.cn/tag/{quote(text)}.html",
        f"https://example.cn/{quote(text.encode('gb18030'))}",
        f"https://example.cn/search?q={quote(text)}&page=2",
        f"https://{text}.example.cn/",
        f"https://xn--{text.encode('punycode').decode()}.example.cn/",
    ]
    drops = judge(UrlFilter(), *written)
    assert [drop and drop.reason for drop in drops] == [reason] * len(written), why


@pytest.mark.parametrize(("url", "why", "reason"), LATIN_NEIGHBOURS)
def test_neighbours_of_latin_words(url: str, why: str, reason: str | None) -> None:
    (drop,) = judge(UrlFilter(), url)
    assert (drop and drop.reason) == reason, why


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
