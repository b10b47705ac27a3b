"""Encodings that were applied twice are undone where that is certain, and nothing else changes."""

import pytest

from extraction import extract
from extraction.decode import decode, to_utf8
from extraction.doubled import mended

ENGLISH = "It’s the miller’s daughter — “good as gold”, they said…"
GERMAN = "Sonntag, 13. März: Größe und Übung der Mühlen"
CHINESE = "磨坊的水轮在我们这里转了一百年，中国的磨坊都是这样的。"


def as_cp1252(text: str) -> str:
    """UTF-8 as Windows-1252 reads it; bytes that it lacks become C1 characters, as browsers have it."""
    return "".join(
        chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252") for b in text.encode()
    )


@pytest.mark.parametrize("text", [ENGLISH, GERMAN, CHINESE, "Мельница на реке — хорошая"])
@pytest.mark.parametrize("read", ["latin-1", "cp1252"])
def test_utf8_read_as_one_byte_a_character(text: str, read: str) -> None:
    wrong = text.encode().decode("latin-1") if read == "latin-1" else as_cp1252(text)
    assert mended(wrong.encode()) == (text.encode(), "cp1252")


def test_twice_over() -> None:
    assert mended(as_cp1252(as_cp1252(ENGLISH)).encode()) == (ENGLISH.encode(), "cp1252")


def test_gbk_read_as_latin_1() -> None:
    assert mended(CHINESE.encode("gb18030").decode("latin-1").encode()) == (CHINESE.encode(), "cp1252")


def test_utf8_read_as_gbk() -> None:
    text = "，".join(part for part in ("磨坊的水", "我们的轮", "他们的河", "中国的磨坊"))
    wrong = text.encode().decode("gb18030")
    assert mended(wrong.encode()) == (text.encode(), "gb18030")


def test_written_as_entities() -> None:
    wrong = b"It&acirc;&euro;&trade;s the miller&acirc;&euro;&trade;s"
    assert mended(wrong) == ("It’s the miller’s".encode(), "cp1252")


@pytest.mark.parametrize(
    "text",
    [
        "plain ASCII",
        "«Où est l’été?» «À côté, à Orléans; ça va, Noël, cœur»",
        "DÉJÀ VU, È attualmente, 106 × 106, ‘ß’, Tomáš Souček, ŠKODA",
        "INFORMAÇÃO, CORAÇÃO, SÃO, Ã, NÃO",
        CHINESE,
        "锛是一种化学元素锑的旧译。银和铜",
        "one slip, Ã©, in a page with é, è, à and ç in their places",
        "Â© once",
        "····· ×××× §§§§ ¶¶¶¶",
    ],
)
def test_what_may_be_meant_stays(text: str) -> None:
    assert mended(text.encode()) == (text.encode(), None)


def test_pages_are_mended_before_they_are_cleaned() -> None:
    wrong = ENGLISH.encode().decode("latin-1")
    page = f"<html><body><article><h1>Mill</h1><p>{wrong} {'The wheel turns in the stream. ' * 9}</p></article></body></html>"
    assert ENGLISH in extract(page.encode()).text
    assert ENGLISH in extract(page.encode(), engine="trafilatura").text
    assert to_utf8(page.encode())[1] == decode(page.encode()).charset == "utf-8 read as cp1252"


def test_a_page_of_one_byte_encoding_is_no_second_encoding() -> None:
    page = "<p>Où est l’été? À côté, à Orléans; ça va, Noël</p>".encode("cp1252")
    assert decode(page, "windows-1252").charset == "cp1252"
