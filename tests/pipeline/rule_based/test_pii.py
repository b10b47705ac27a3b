"""Personal data: what is found, what only looks like it, and what is masked."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.rule_based.pii import Pii, PiiDensity, PiiDomains, find
from pipeline.schema import Document, Drop, to_table
from tests.pipeline.rule_based.helpers import document

FOUND = [
    # e-mail
    ("Write to jane.doe@mailhost.org.", "jane.doe@mailhost.org", "email"),
    ("请联系zhang_san@qq.com，谢谢", "zhang_san@qq.com", "email"),
    ("邮箱：lisi@163.com。", "lisi@163.com", "email"),
    ("<a.b+c@uni-ulm.de>", "a.b+c@uni-ulm.de", "email"),
    ("投诉信箱： 315@jxtdw.com", "315@jxtdw.com", "email"),
    ("wang＠sina.com.cn", "wang＠sina.com.cn", "email"),
    ("E-mail:info@hydestreetcs.co.uk;", "info@hydestreetcs.co.uk", "email"),
    # Chinese mobile numbers
    ("电话13800138000，", "13800138000", "phone"),
    ("手机：138 0013 8000", "138 0013 8000", "phone"),
    ("请致电+86 13911112345咨询", "+86 13911112345", "phone"),
    ("联系人李先生18612345678（微信同号）", "18612345678", "phone"),
    ("联系電話：0086-13500001234", "0086-13500001234", "phone"),
    ("１３８００１３８０００", "１３８００１３８０００", "phone"),
    ("tel 13912345678", "13912345678", "phone"),
    # landlines
    ("电话：010-62781234", "010-62781234", "phone"),
    ("传真 0755-86153989", "0755-86153989", "phone"),
    ("热线（021）54098577", "（021）54098577", "phone"),
    ("服务热线(020)85501999-8819", "(020)85501999-8819", "phone"),
    # international and North American
    ("Call +49 711 1234567 today", "+49 711 1234567", "phone"),
    ("WhatsApp +44-753-713-2163", "+44-753-713-2163", "phone"),
    ("ring (415) 862-0594", "(415) 862-0594", "phone"),
    ("fax 212-678-3595, please", "212-678-3595", "phone"),
    ("1-888-768-6861", "1-888-768-6861", "phone"),
    ("电话：00852-27100021", "00852-27100021", "phone"),
    # resident identity numbers, with the check digit of GB 11643
    ("身份证11010519491231002X。", "11010519491231002X", "id_number"),
    ("身份证号码：11010519491231002x", "11010519491231002x", "id_number"),
    ("ID 440524188001010014", "440524188001010014", "id_number"),
    # bank cards, with Luhn's
    ("卡号6222021234567890128", None, None),
    ("card 4012 8888 8888 1881", "4012 8888 8888 1881", "bank_card"),
    ("Mastercard 5105-1051-0510-5100", "5105-1051-0510-5100", "bank_card"),
    ("Amex 371449635398431", "371449635398431", "bank_card"),
    ("银联6250941006528599", "6250941006528599", "bank_card"),
    # IP addresses
    ("from 116.234.127.77:11502", "116.234.127.77", "ip_address"),
    ("登录IP：183.60.212.163，", "183.60.212.163", "ip_address"),
    ("host 2001:4860:4860::8888 up", "2001:4860:4860::8888", "ip_address"),
]

NOT_FOUND = [
    "",
    "admin@localhost",
    "icon@2x.png is a file",
    "npm install @types/node@18.11.9 lodash@4.17.21",
    "git@github.com:user/repo.git",
    "doi:10.1016/j.cell.2020.01.001 arXiv:2506.05767",
    "CAS 7732-18-5, chr7:117559590-117559600",
    "lat 48.858370, 2.294481",
    "@handle and name @ place",
    "foo@bar",
    "按下@键",
    "order 12345678901234",
    "ISBN 978-3-16-148410-0",
    "ISBN：9787302423287",
    "2024-01-01 12:30:45",
    "时间戳1700000000",
    "1700000000000",
    "价格：￥13800.00",
    "$1,380,013.80",
    "人口13800138人",
    "version 1.2.3.4",
    "版本 10.4.2.1",
    "Chrome/116.0.5845.96",
    "0.0.0.0/0",
    "255.255.255.0",
    "999.1.1.1",
    "12:30:45",
    "aa:bb:cc",
    "身份证号：110105194912310021",
    "编号110105199913310029",
    "card 4012 8888 8888 1882",
    "9999 9999 9999 9999",
    "555-0123 is in films, and (212) 555-0199 too",
    "pi is 3.14159265358979",
    "http://host/p/13800138000/x",
    "file_13800138000_a",
    "sha 1380013800013800138000",
    "A13800138000B",
    "1380013800",
    "1980-2020",
    "第12345678号",
    "QQ群",
    "G20230001234567",
    "10-15 km, 100-200 m",
    "00:1A:2B:3C:4D:5E",
    "1111111111",
]


@pytest.mark.parametrize(("text", "expected", "kind"), [f for f in FOUND if f[1]])
def test_finds(text: str, expected: str, kind: str) -> None:
    assert [(text[a:b], k) for a, b, k in find(text)] == [(expected, kind)]


@pytest.mark.parametrize("text", NOT_FOUND)
def test_leaves_alone(text: str) -> None:
    assert [text[a:b] for a, b, _ in find(text)] == []


def test_masks_and_counts() -> None:
    doc = Pii()(Pii.changes[1].document())
    assert doc.findings == [
        {"step": "pii", "name": "email", "line": None, "count": 2},
        {"step": "pii", "name": "phone", "line": None, "count": 1},
    ]
    plain = document("nothing here")
    assert Pii()(plain) is plain
    assert Pii()(document(None)).text is None


def test_each_kind_is_masked_counted_or_left() -> None:
    text = "13800138000 a@b.org.cn 116.234.127.77"
    step = Pii(phone="off", email="count", placeholders={"ip_address": "<ip>"})
    doc = step(document(text))
    assert doc.text == "13800138000 a@b.org.cn <ip>"
    assert {f["name"]: f["count"] for f in doc.findings or ()} == {"email": 1, "ip_address": 1}


def test_density_at_the_bound() -> None:
    step = PiiDensity(max=10, min_findings=2)
    findings = [{"step": "pii", "name": "email", "line": None, "count": 10}]
    other = [{"step": "decontaminate", "name": "x", "line": 1, "count": 99}]
    assert isinstance(step(document("x" * 1000, findings=[*findings, *other])), Document)
    dropped = step(document("x" * 999, findings=findings))
    assert isinstance(dropped, Drop)
    assert dropped.reason == "personal_data"
    few = [{**findings[0], "count": 1}]
    assert step.measure(document("x", findings=few)) == 0
    assert step.measure(document("text", findings=None)) == 0
    assert step.measure(document(None)) is None


def test_hits_by_row() -> None:
    docs = [
        document("a", findings=[{"step": "pii", "name": "email", "line": None, "count": 2}]),
        document("b"),
        document("c", findings=[{"step": "other", "name": "email", "line": None, "count": 9}]),
        document(
            "d",
            findings=[
                {"step": "pii", "name": "email", "line": None, "count": 1},
                {"step": "pii", "name": "phone", "line": None, "count": 2},
            ],
        ),
    ]
    table = to_table(docs)
    assert PiiDomains(min_findings=3).hits(table).to_pylist() == [False, False, False, True]
    assert PiiDomains(min_findings=2).hits(table.slice(1)).to_pylist() == [False, False, True]
    assert PiiDomains(min_findings=1).hits(pa.table(table.slice(0, 2))).to_pylist() == [True, False]


@pytest.mark.parametrize(
    "text", ["1" * 10**6, "a@" * 500_000, "1.2.3." * 160_000, "13800138000 " * 80_000, "(0" * 500_000]
)
def test_a_line_of_a_megabyte_is_done(text: str) -> None:
    assert isinstance(find(text), list)
