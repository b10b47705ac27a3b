"""Personal data (dots.llm1 4.1: sites likely to hold much of it are left out): found, counted or masked, in Chinese and English.

What is looked for has a form that can be checked: the check digit of a Chinese resident ID, Luhn's of a bank card, an issuer's
prefix, an address that a network can route. What merely looks like a number (orders, dates, prices, versions) stays.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import string
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from extraction.kernels import compiled
from pipeline.schema import Document
from pipeline.steps import CrossDocumentStep, DocumentStep, Example, Examples, Limits, Rule

Action = Literal["off", "count", "mask"]
SOURCE = "dots.llm1 4.1; forms by their standards"
STEP = "pii"

_FULL_WIDTH = {chr(ord(c) + 0xFEE0): c for c in string.digits + string.ascii_letters + "@.-+"}
_WIDE = re.compile(f"[{''.join(_FULL_WIDTH)}]")  # 10 times as fast as str.translate where there are few

# Letters and digits of ASCII bound a number: in Chinese text no space stands around it. What signs beside it mean is told by
# `_left` and `_right`: people write "0851-85621234/13800138000" and "微信_13900139001", files are called "img_13800138000.jpg".
_START, _END = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_EXTENSION = r"(?:(?:-| ?#| ?[,，]? ?(?:ext|x)\.? ?| ?(?:转|轉|分机|分機) ?)\d{1,5})?"
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-=])[A-Za-z0-9](?:[A-Za-z0-9._%+\-]{0,62}[A-Za-z0-9_])?"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,5}[A-Za-z]{2,18}(?![A-Za-z0-9])"
)
_RESERVED_MAIL = re.compile(
    r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net|edu)|[\w-]+\.(?:example|test|invalid|localhost)|(?:your)?domain\.com|company\.com)$",
    re.IGNORECASE,
)
_FILE_END = re.compile(r"\.(?:png|jpe?g|gif|webp|svg|js|css|min|html?)$", re.I)
_LOGIN = re.compile(r"\b(?:ssh|scp|sftp|rsync|git clone|ssh-copy-id)\s(?:\S+\s){0,4}$", re.IGNORECASE)
_ID = re.compile(_START + r"[1-8]\d(?:[ \-]?\d){15}[ \-]?[\dXx]" + _END)
_CARD = re.compile(_START + r"(?:3[47]\d{2}[ -]?\d{6}[ -]?\d{5}|[2-6]\d{3}(?:[ -]?\d{4}){3}(?:[ -]?\d{1,3})?)" + _END)
_MOBILE = re.compile(
    r"(?<![0-9A-Za-z+])(?:\+?86[ -]?|\(\+?86\) ?|（\+?86） ?|0086[ -]?)?1(?:3\d|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])"
    r"(?:[ -]?\d){8}" + _END
)
_AREA = r"0(?:10|2\d|[3-9]\d{2})"
_LANDLINE = re.compile(
    _START + rf"(?:\({_AREA}\)[ -]?|（{_AREA}）[ -]?|{_AREA}[ -])[2-9]\d{{2,3}}[ -]?\d{{4}}" + _EXTENSION + _END
)
_TAIWAN = re.compile(
    _START
    + r"(?:09\d{2}[ -]?\d{3}[ -]?\d{3}|09\d{2}-\d{6}|(?:\(0[2-8]\d{0,2}\) ?|（0[2-8]\d{0,2}） ?|0[2-8]\d{0,2}-)\d{3,4}-?\d{3,4})"
    + _EXTENSION
    + _END
)
_HONG_KONG = re.compile(_START + r"(?:\(852\) ?|（852） ?|852[ -])?[235679]\d{3}[ -]?\d{4}" + _END)
_INTERNATIONAL = re.compile(
    r"(?<![0-9A-Za-z+])(?:\+|00)[1-9]\d{0,2}[ .\-]?(?:\(0?\d{1,4}\)[ .\-]?)?\d{1,4}(?:[ .\-]?\d{2,4}){2,4}"
    r"(?: ?[,，]? ?(?:ext|x)\.? ?\d{1,5})?" + _END
)
_NORTH_AMERICAN = re.compile(
    r"(?<![0-9A-Za-z.\-_/=+(])(?:1[ .\-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[\-.])[2-9]\d{2}[\-. ]\d{4}(?![0-9A-Za-z\-])"
)
_DATE = re.compile(r"(?<!\d)(?:19|20)\d{2}[-./ ](?:0?[1-9]|1[0-2])(?:[-./ ]|$)")
_CUE = re.compile(
    r"(?:电话|電話|手机|手機|座机|座機|行動|专线|專線|热线|熱線|传真|傳真|致电|致電|联系|聯絡|聯繫|请洽|請洽|洽|微信|tel|phone|fax|mobile|cell|call|dial|ring|"
    r"whatsapp|hotline|contact|text|sms)[^0-9A-Za-z\n]{0,6}$|[☎📞📱✆]\W{0,3}$",
    re.IGNORECASE,
)
_EXTENSION_AT_END = re.compile(r"(?: ?#| ?[,，]? ?(?:ext|x)\.? ?| ?(?:转|轉|分机|分機) ?)\d{1,5}$")
_LABEL = re.compile(r"[A-Za-z]+$")
_WORDS = "tel phone mobile mob cell fax whatsapp wechat weixin vx wx sms hotline call contact id card idcard no qq email bank"
_LABELS = frozenset(re.split(" ", _WORDS))
_MOBILE_GROUPS = frozenset(((11,), (3, 4, 4)))
_OTHER_MOBILE_GROUPS = frozenset(((3, 8), (7, 4), (5, 6), (4, 4, 3), (4, 3, 4), (3, 3, 5), (5, 3, 3)))
_ID_GROUPS = frozenset(
    ((18,), (6, 8, 4), (6, 4, 4, 4), (3, 3, 8, 4), (3, 3, 4, 4, 4), (6, 12), (14, 4), (6, 4, 8), (4, 4, 4, 4, 2))
)
_IP_CUE = re.compile(
    r"(?:\bip\b|ip地址|地址|来自|來自|from|host|server|服务器|登录|peer|client|addr(?:ess)?|ping)\W{0,3}$",
    re.IGNORECASE,
)
_AS_SECTION = re.compile(
    r"\s*(?:节|節|章|条|條|款|版|号补丁|release\b|section\b|update\b|build\b|patch\b)", re.IGNORECASE
)
_FICTION = re.compile(r"555[\-. ]?01\d{2}$|[\-. )]555[\-. ]\d{4}$")
_IP4 = re.compile(r"(?<![0-9A-Za-z.\-_/])(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z\-_]|\.\d)")
_IP6 = re.compile(
    r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::|[0-9A-Fa-f]{1,4})(?::?[0-9A-Fa-f]{1,4}){0,6}(?![0-9A-Za-z:])"
)
_VERSION = re.compile(
    r"(?:version|ver\.?|v|release|版本|固件|firmware|build|chrome/|safari/|edg/|mozilla/|section|chapter|§|oid)\s*:?\s*$",
    re.IGNORECASE,
)
_AT = re.compile("@")
# Patterns that begin with a sign are found at the speed of a search for it.
_DOTTED = re.compile(r"\.\d{1,3}\.\d{1,3}\.\d")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:")


@compiled("in:u4 io:i8 io:i8")
def _numbers(codes, places, count):  # type: ignore[no-untyped-def]
    """Start and end of stretches with seven digits or more, at most two signs of phone numbers between two of them."""
    n = digits = gap = 0
    start = 0
    last = -1
    for i in range(len(codes) + 1):
        c = codes[i] if i < len(codes) else np.uint32(0)
        if 48 <= c <= 57:
            if digits == 0:
                start = i
            digits += 1
            gap = 0
            last = i
            continue
        gap += 1
        if gap > 2 or not (c == 32 or c == 46 or c == 40 or c == 41 or c == 45 or c == 0xFF08 or c == 0xFF09):
            if digits >= 7:
                places[2 * n] = start
                places[2 * n + 1] = last + 1
                n += 1
            digits = 0
    count[0] = n


# fmt: off
_REGIONS = frozenset((
    "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44", "45", "46",
    "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71", "81", "82", "83",
))  # GB/T 2260
# fmt: on


def _left(text: str, start: int) -> bool | None:
    """Whether a number may begin here, by what stands before; None: yes, if another number ends there."""
    sign = text[start - 1] if start else ""
    if sign not in "./-_=":
        return True
    before = text[start - 2] if start > 1 else " "
    if "://" in text[max(0, start - 200) : start].rpartition(" ")[2]:
        return False
    if before.isascii() and before.isdigit():
        return None
    if before.isascii() and before.isalpha():
        label = _LABEL.search(text, max(0, start - 16), start - 1)
        return sign != "=" and label is not None and label[0].lower() in _LABELS
    return not before.isascii() or before.isspace() or before in "()[]:"


def _right(text: str, end: int) -> bool | None:
    """The same of its end."""
    sign = text[end] if end < len(text) else ""
    if sign not in "./-_":
        return True
    after = text[end + 1] if end + 1 < len(text) else " "
    if after.isascii() and after.isdigit():
        return None
    if after.isascii() and after.isalpha():
        return sign == "/" or (sign == "-" and after.isupper())
    return True


def _groups(number: str) -> tuple[int, ...]:
    """Lengths of the groups in which a number is written."""
    return tuple(len(group) for group in re.split(r"[ \-]", number))


def _has_cue(text: str, start: int) -> bool:
    return _CUE.search(text, max(0, start - 24), start) is not None


def _email(text: str, start: int, end: int) -> bool:
    address = text[start:end]
    if ".." in address or _RESERVED_MAIL.search(address) or _FILE_END.search(address):
        return False
    line = text[max(0, start - 200) : start].rpartition("\n")[2]
    if "://" in line.rpartition(" ")[2] or _LOGIN.search(line):
        return False  # user:password@host of an address, a login
    behind = text[end : end + 2]
    return not (behind[:1] == ":" and (behind[1:].isalnum() or behind[1:] in ("/", "~")) and behind[1:].isascii())


def _resident_id(text: str, start: int, end: int) -> bool:
    """GB 11643: region, date of birth, and the check digit of ISO 7064 MOD 11-2."""
    if _groups(text[start:end]) not in _ID_GROUPS:
        return False
    number = text[start:end].replace(" ", "").replace("-", "")
    try:
        born = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    check = "10X98765432"[sum(w * int(c) for w, c in zip(weights, number, strict=False)) % 11]
    return check == number[17].upper() and number[:2] in _REGIONS and 1870 <= born.year <= 2030


def _card(text: str, start: int, end: int) -> bool:
    """ISO/IEC 7812: length and prefix of an issuer, Luhn's check digit."""
    digits = [int(c) for c in text[start:end] if c.isdigit()]
    number = "".join(map(str, digits))
    n = len(digits)
    prefix = (
        (n == 15 and number[:2] in ("34", "37"))
        or (n in (16, 19) and number[0] == "4")
        or (n == 16 and ("51" <= number[:2] <= "55" or "2221" <= number[:4] <= "2720"))
        or (n == 16 and (number[:4] == "6011" or number[:2] == "65"))
        or (n in (16, 17, 18, 19) and number[:2] == "62")
        or (n == 16 and "3528" <= number[:4] <= "3589")
    )
    luhn = sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(reversed(digits))) % 10 == 0
    return prefix and luhn and len(set(digits)) > 2


def _phone(text: str, start: int, end: int) -> bool:
    number = _EXTENSION_AT_END.sub("", text[start:end])
    digits = [c for c in number if c.isdigit()]
    return 7 <= len(digits) <= 15 and len(set(digits)) > 2 and not _FICTION.search(number)


def _mobile(text: str, start: int, end: int) -> bool:
    """Chinese mobile numbers in the usual groups; in others where the text says that it is a phone."""
    number = re.sub(r"^(?:\+?86|0086|[(（]\+?86[)）])[ -]?", "", text[start:end])
    groups = _groups(number)
    usual = groups in _MOBILE_GROUPS or (groups in _OTHER_MOBILE_GROUPS and _has_cue(text, start))
    return usual and _phone(text, start, end)


def _taiwan(text: str, start: int, end: int) -> bool:
    """Mobile numbers 09.. with hyphens; others where the text says that it is a phone."""
    digits = _EXTENSION_AT_END.sub("", text[start:end])
    n = sum(c.isdigit() for c in digits)
    if n not in (9, 10):
        return False
    if digits.startswith("09") and n == 10:
        return (digits.count("-") > 0 or _has_cue(text, start)) and _phone(text, start, end)
    return _has_cue(text, start) and _phone(text, start, end)


def _hong_kong(text: str, start: int, end: int) -> bool:
    """Eight digits behind 852, or where the text says that it is a phone."""
    return (text[start] in "(（8" and "852" in text[start : start + 5]) or (
        _has_cue(text, start) and _phone(text, start, end)
    )


def _international(text: str, start: int, end: int) -> bool:
    """E.164 behind +, or behind 00 and a country code that stands by itself or a word for phones."""
    number = text[start:end]
    if sum(c.isdigit() for c in number) < (9 if number[0] == "+" else 11) or _DATE.search(number):
        return False
    groups = re.split(r"[ .\-]", number.lstrip("+"))
    if len(groups) > 3 and {len(group) for group in groups} == {2}:
        return False  # a set of numbers
    if re.fullmatch(r"\d{4}\.\d{4}\.\d{4}", number):
        return False  # an address of a network card
    if number[0] != "+" and not re.match(r"00[1-9]\d{0,2}[ .\-(]", number) and not _has_cue(text, start):
        return False
    return _phone(text, start, end)


def _north_american(text: str, start: int, end: int) -> bool:
    """The North American plan, whose area codes are not 400, China's service numbers."""
    return not text[start:end].lstrip("1 .-(").startswith("400") and _phone(text, start, end)


def _ip(text: str, start: int, end: int) -> bool:
    """An address that is routed on the Internet, and no version number."""
    written = text[start:end]
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    if _VERSION.search(text[max(0, start - 16) : start]) or written in ("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.2.3.4"):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        first = [int(p) for p in written.split(".")]
        if _AS_SECTION.match(text, end) or text[max(0, start - 1) : start] in ("第", "v", "V"):
            return False
        if sum(part <= 12 for part in first) > 2 and not _IP_CUE.search(text, max(0, start - 16), start):
            return False
        return (
            address.is_global
            and not address.is_multicast
            and first[0] > 0
            and not (first[0] < 20 and first[3] == 0)
            and max(first) > 31
        )
    return address.is_global and written.count(":") >= 3


Check = Callable[[str, int, int], bool]
KINDS: dict[str, list[tuple[Any, Check]]] = {
    "email": [(_EMAIL, _email)],
    "id_number": [(_ID, _resident_id)],
    "bank_card": [(_CARD, _card)],
    "phone": [
        (_MOBILE, _mobile),
        (_LANDLINE, _phone),
        (_INTERNATIONAL, _international),
        (_NORTH_AMERICAN, _north_american),
        (_TAIWAN, _taiwan),
        (_HONG_KONG, _hong_kong),
    ],
    "ip_address": [(_IP4, _ip), (_IP6, _ip)],
}
"""Kinds in the order in which they are looked for: what one has taken the next does not see."""


def find(text: str, kinds: tuple[str, ...] = tuple(KINDS)) -> list[tuple[int, int, str]]:
    """Start, end and kind of the personal data in a text, in order; nothing overlaps.

    The patterns run only where something can be: around an at sign, around seven digits close together, around points or
    colons between digits.
    """
    seen = text if text.isascii() else _WIDE.sub(lambda m: _FULL_WIDTH[m[0]], text)
    windows: dict[str, Sequence[tuple[int, int]]] = {}
    if "email" in kinds and "@" in seen:
        windows["email"] = [(max(0, m.start() - 66), m.start() + 130) for m in _AT.finditer(seen)]
    numbers = [k for k in ("id_number", "bank_card", "phone") if k in kinds]
    if numbers:
        codes = np.frombuffer(seen.encode("utf-32-le", "surrogatepass"), np.uint32)
        places, count = np.empty(2 * (len(codes) // 7) + 2, np.int64), np.zeros(1, np.int64)
        _numbers(codes, places, count)
        pairs = places[: 2 * int(count[0])].reshape(-1, 2).tolist()
        around = tuple((max(0, a - 8), b + 12) for a, b in pairs)
        windows |= dict.fromkeys(numbers, around)
    if "ip_address" in kinds:
        places_of_ip = [*_DOTTED.finditer(seen), *_COLONS.finditer(seen)]
        windows["ip_address"] = sorted((max(0, m.start() - 20), m.end() + 40) for m in places_of_ip)
    spans: list[tuple[int, int, str]] = []
    taken: set[int] = set()
    for kind in KINDS:
        for pattern, check in KINDS[kind] if kind in windows else ():
            reached = 0
            for begin, stop in windows[kind]:
                for match in pattern.finditer(seen, max(begin, reached), stop):
                    start, end = match.span()
                    # The window's end is no boundary: what it cuts off is found by the next window or not at all.
                    if end == stop and stop < len(seen) and seen[stop].isalnum() and seen[stop].isascii():
                        continue
                    if "\n" in match[0] or not check(seen, start, end) or not taken.isdisjoint(range(start, end)):
                        continue
                    spans.append((start, end, kind))
                    taken.update(range(start, end))
                    reached = end
    spans.sort()
    return [span for i, span in enumerate(spans) if _stands(seen, spans, i)]


_OF_SIGNS = frozenset(("id_number", "bank_card", "phone"))


def _stands(text: str, spans: list[tuple[int, int, str]], i: int) -> bool:
    """Whether what stands around a number lets it be one: another one may be joined to it by a sign."""
    start, end, kind = spans[i]
    if kind not in _OF_SIGNS:
        return True
    left, right = _left(text, start), _right(text, end)
    if (
        kind == "id_number"
        and left is False
        and text[start - 1] in "_-"
        and "://" not in text[max(0, start - 200) : start]
    ):
        left = True  # a name before it: its check digit says that it is one
    if left is None:
        left = (i > 0 and spans[i - 1][1] == start - 1) or kind == "id_number"
    if right is None:
        right = (i + 1 < len(spans) and spans[i + 1][0] == end + 1) or kind == "id_number"
    return left and right


class Pii(DocumentStep):
    """Mask (or count) e-mail addresses, phone numbers, Chinese resident IDs, bank cards and IP addresses.

    What was found is counted in `findings`; masked, it is replaced by the kind's placeholder. Lines stay lines. Addresses that
    are reserved (example.com, 127.0.0.1, 192.168.*, 555 numbers) stay.
    """

    step: Literal["pii"] = "pii"
    version: ClassVar[int] = 2
    source: ClassVar[str] = SOURCE
    audited: ClassVar[bool] = True
    email: Action = Field("mask", description="off, count, or mask")
    phone: Action = Field("mask", description="Chinese mobile and landline, international")
    id_number: Action = Field("mask", description="Chinese resident identity number")
    bank_card: Action = Field("mask", description="bank card")
    ip_address: Action = Field("mask", description="public IPv4 and IPv6 addresses")
    placeholders: dict[str, str] = Field(
        {
            "email": "[EMAIL]",
            "phone": "[PHONE]",
            "id_number": "[ID]",
            "bank_card": "[CARD]",
            "ip_address": "[IP]",
        },
        description="what stands for masked data, by kind",
    )
    keeps: ClassVar[Examples] = (
        Example("a@example.com and b@test.example are reserved"),
        Example("127.0.0.1 and 192.168.1.1 and 10.0.0.1"),
        Example("订单号：20231108123456789012", "zh"),
    )
    changes: ClassVar[Examples] = (
        Example("ring (415) 862-0594, from 116.234.127.77", left="ring [PHONE], from [IP]"),
        Example(
            "电话13800138000\n邮箱a@b.org.cn，备用c@d.org\n正文",
            "zh",
            left="电话[PHONE]\n邮箱[EMAIL]，备用[EMAIL]\n正文",
        ),
    )

    def __call__(self, doc: Document) -> Document:
        text = doc.text
        kinds = tuple(kind for kind in KINDS if getattr(self, kind) != "off")
        spans = find(text, kinds) if text else []
        if not text or not spans:
            return doc
        counts = {kind: sum(k == kind for _, _, k in spans) for kind in dict.fromkeys(k for _, _, k in spans)}
        findings = [{"step": self.step, "name": k, "line": None, "count": n} for k, n in sorted(counts.items())]
        pieces, reached = [], 0
        for start, end, kind in spans:
            if getattr(self, kind) == "mask":
                pieces += [text[reached:start], self.placeholders.get(kind, f"[{kind.upper()}]")]
                reached = end
        pieces.append(text[reached:])
        return doc.evolve(text="".join(pieces), findings=[*(doc.findings or ()), *findings])


def count(findings: Sequence[dict[str, Any]] | None) -> int:
    """Number of pieces of personal data that were found in a document."""
    return sum(f["count"] for f in findings or () if f["step"] == STEP)


class PiiDensity(Rule):
    """Drop documents with more than 10 pieces of personal data per 1,000 characters, if there are five or more: directories."""

    step: Literal["pii_density"] = "pii_density"
    unit: ClassVar[str] = "findings per 1,000 characters"
    source: ClassVar[str] = SOURCE
    above: ClassVar[str] = "personal_data"
    max: Limits | None = {"default": 10}
    min_findings: int = Field(5, gt=0, description="with fewer the value is 0")
    drops: ClassVar[Examples] = (
        Example(
            "x" * 999, "en", "personal_data", findings=({"step": STEP, "name": "email", "line": None, "count": 10},)
        ),
    )
    keeps: ClassVar[Examples] = (
        Example("x" * 1000, findings=({"step": STEP, "name": "email", "line": None, "count": 10},)),
        Example("x", findings=({"step": STEP, "name": "email", "line": None, "count": 1},)),
    )

    def measure(self, doc: Document) -> float | None:
        n = count(doc.findings)
        if not doc.text:
            return None
        return 1000 * n / len(doc.text) if n >= self.min_findings else 0.0


class PiiDomains(CrossDocumentStep):
    """Drop all documents of domains where most pages hold personal data (dots.llm1 4.1).

    A domain with `min_documents` documents or more, of which more than `max_share` have `min_findings` findings of the step pii.
    A document is judged by its domain up to and with its own generation: later files revoke nothing.
    """

    step: Literal["pii_domains"] = "pii_domains"
    source: ClassVar[str] = SOURCE
    min_documents: int = Field(20, gt=0, description="documents of a domain from which it is judged")
    max_share: float = Field(0.7, ge=0, le=1, description="share of its documents with personal data, at most")
    min_findings: int = Field(3, gt=0, description="findings that make a document one with personal data")
    columns: ClassVar[tuple[str, ...]] = ("domain", "findings")

    def hits(self, rows: pa.Table) -> pa.Array:
        """Whether each row (n) has `min_findings` findings or more."""
        column = (
            rows["findings"].combine_chunks() if isinstance(rows["findings"], pa.ChunkedArray) else rows["findings"]
        )
        flat = pc.list_flatten(column)
        parents = pc.list_parent_indices(column).to_numpy()
        totals = [0] * len(column)
        for parent, step, n in zip(
            parents.tolist(),
            pc.struct_field(flat, "step").to_pylist(),
            pc.struct_field(flat, "count").to_pylist(),
            strict=True,
        ):
            if step == STEP:
                totals[parent] += n
        return pa.array([n >= self.min_findings for n in totals], pa.bool_())
