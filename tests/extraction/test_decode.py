from __future__ import annotations

import pytest

from extraction.decode import codec_for, declared_in_head, decode

CHINESE = "今天天气很好，我们去公园散步。数据清洗是训练大模型的重要步骤，需要仔细处理每一个网页的编码问题。" * 4
TRADITIONAL = "今天天氣很好，我們去公園散步。資料清洗是訓練大模型的重要步驟，需要仔細處理每一個網頁的編碼問題。" * 4
FRENCH = "Un élève a mangé des crêpes à la fête de Noël, où il était très fatigué. " * 4
RUSSIAN = "Сегодня хорошая погода, и мы идём гулять в парк вместе с друзьями. " * 4
JAPANESE = "今日は天気がいいので、公園へ散歩に行きましょう。データの整理は大切です。" * 4


def page(text: str, meta: str = "") -> str:
    return f"<html><head>{meta}<title>x</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(
    ("text", "codec", "declared", "meta", "expected"),
    [
        (CHINESE, "utf-8", None, "", "utf-8"),
        (CHINESE, "utf-8", "gbk", "", "utf-8"),  # what decodes strictly is UTF-8, whatever is declared
        (CHINESE, "utf-8-sig", None, "", "utf-8"),
        (CHINESE, "utf-16", None, "", "utf-16-le"),
        (FRENCH, "utf-16-be", None, "", "utf-16-be"),  # without a mark
        (CHINESE, "utf-32", None, "", "utf-32-le"),  # whose mark begins with that of UTF-16
        (CHINESE, "utf-8-sig", "windows-1251", "", "utf-8"),  # the mark goes before the header
        (FRENCH, "utf-8", None, '<meta charset="unicode">', "utf-8"),
        (CHINESE, "utf-8", None, '<?xml version="1.0" encoding="gb2312"?>', "utf-8"),
        (CHINESE, "gb18030", "gb2312", "", "gb18030"),
        (CHINESE, "gb18030", None, '<meta charset="gb2312">', "gb18030"),
        (CHINESE, "gbk", None, "<META http-equiv=Content-Type content='text/html; charset=GBK'>", "gb18030"),
        (CHINESE, "gbk", "iso-8859-1", "", "gb18030"),  # a wrong label that fits: every byte is a letter
        (CHINESE, "gbk", "utf-8", "", "gb18030"),  # one that does not fit
        (CHINESE, "gbk", "no-such-charset", "", "gb18030"),
        (CHINESE, "gbk", None, "", "gb18030"),
        (TRADITIONAL, "big5", "big5", "", "big5hkscs"),
        (TRADITIONAL, "big5", None, "", "big5hkscs"),
        (FRENCH, "latin-1", "ISO-8859-1", "", "cp1252"),
        (RUSSIAN, "cp1251", None, "<meta charset=windows-1251>", "cp1251"),
        (RUSSIAN, "koi8-r", None, "", "koi8-r"),
        (JAPANESE, "euc-jp", "EUC-JP", "", "euc_jp"),
        (JAPANESE, "shift_jis", None, '<?xml version="1.0" encoding="Shift_JIS"?>', "cp932"),
        (JAPANESE, "iso-2022-jp", None, '<meta charset="iso-2022-jp">', "iso2022_jp"),
    ],
)
def test_charset(text: str, codec: str, declared: str | None, meta: str, expected: str) -> None:
    decoded = decode(page(text, meta).encode(codec), declared)
    assert decoded.charset == expected
    assert decoded.replaced_share == 0
    if expected != "cp1252" or codec == "latin-1":
        assert decoded.text == page(text, meta)


@pytest.mark.parametrize(("codec", "expected"), [("utf-8", "utf-8"), ("gbk", "gb18030"), ("big5", "big5hkscs")])
@pytest.mark.parametrize("declare", [True, False])
def test_a_bad_byte_costs_a_character_and_not_the_page(codec: str, expected: str, declare: bool) -> None:
    text = (TRADITIONAL if codec == "big5" else CHINESE) * 3
    body = page(text).encode(codec)
    for bad in (b"\xff", b"\x80\xff"):
        at = body.index("。".encode(codec), len(body) // 2)
        decoded = decode(body[:at] + bad + body[at:], codec if declare else None)
        assert decoded.charset == expected
        assert 0 < decoded.replaced_share < 0.01
        assert decoded.text.count(text[:40]) >= 8


def test_a_page_cut_inside_a_character() -> None:
    decoded = decode(page(CHINESE).encode()[: len(page("").encode()) - 18 + 100])
    assert decoded.charset == "utf-8"
    assert decoded.text.endswith("\ufffd") or decoded.replaced_share == 0


def test_any_bytes_decode() -> None:
    for body in (b"", b"\x00", bytes(range(256)) * 10, b"\xff\xfe", b"\xff" * 1000):
        decoded = decode(body)
        assert 0 <= decoded.replaced_share <= 1


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("gb2312", "gb18030"),
        (" GBK ", "gb18030"),
        ("x-gbk", "gb18030"),
        ("latin1", "cp1252"),
        ("us-ascii", "cp1252"),
        ("ks_c_5601-1987", "cp949"),
        ("big5", "big5hkscs"),
        ("utf8", "utf-8"),
        ("bogus", None),
        ("", None),
        (None, None),
    ],
)
def test_labels_follow_the_whatwg_table(label: str | None, codec: str | None) -> None:
    assert codec_for(label) == codec


def test_declared_in_head() -> None:
    assert declared_in_head(b"<meta name=a content=b><meta CHARSET = 'gbk'>") == "gbk"
    assert declared_in_head(b"<p>charset=gbk</p>") is None
