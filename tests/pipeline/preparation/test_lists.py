"""Converters of published lists, by their command line."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from pipeline.console.app import main
from pipeline.preparation.domain_set import KeySet


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_hosts_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "hosts"
    source.write_text(
        "# Title\n127.0.0.1 localhost\n::1 ip6-localhost\n0.0.0.0 0.0.0.0\n"
        "0.0.0.0 bad.com www.bad.com # two\n127.0.0.1\tAds.Example.NET\nnonsense\n0.0.0.0 single\n",
        encoding="utf-8",
    )
    out = tmp_path / "malware.domains.txt"
    assert main(["lists", "convert", "--format", "hosts", str(source), "--out", str(out)]) == 0
    assert lines(out) == ["ads.example.net", "bad.com"]
    printed = capsys.readouterr().out
    assert "3 names of the machine itself, such as 'localhost', 'ip6-localhost', '0.0.0.0'" in printed
    assert "1 lines that are no `address name`, such as 'nonsense'" in printed
    assert "1 of them below a listed domain" in printed
    assert "1 lines that are no domain, such as 'single'" in printed


def test_adblock_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "filters.txt"
    source.write_text(
        "[Adblock Plus 2.0]\n! Title: x\n||bad.com^\n||worse.org^$third-party\n||all.net^$all,important\n"
        "||cdn.com^$script\n||path.com/ads^\n@@||good.com^\nexample.com##.ad\n||赌场.com^\n"
        "||pop.com^$popup\n||good.com^\n||www.good.com^\n||off.com^\n||off.com^$badfilter\n||on.com^$document\n"
        "||on.com^$badfilter\n@@||ads.net^$third-party\n||ads.net^\n@@||x.bad.com^$document\n",
        encoding="utf-8",
    )
    out = tmp_path / "x.txt"
    assert main(["lists", "convert", "--format", "adblock", str(source), "--out", str(out)]) == 0
    assert lines(out) == ["ads.net", "all.net", "bad.com", "on.com", "赌场.com".encode("idna").decode()]
    said = capsys.readouterr().out
    for count, what in (
        (2, "rules that do not block a whole domain"),
        (4, "rules with a condition, such as '||worse.org^$third-party', '||cdn.com^$script', '||pop.com^$popup'"),
        (2, "domains that an exception takes back, such as 'good.com', 'www.good.com'"),
        (1, "rules that $badfilter takes back, such as '||off.com^'"),
        (1, "exceptions below a listed domain, which belong on an allow list, such as 'x.bad.com'"),
    ):
        assert f"{count} {what}" in said


def test_one_bad_byte_ends_no_conversion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "domains"
    source.write_bytes(b"good.com\ncaf\xe9.com\nother.com\n")
    out = tmp_path / "x.txt"
    assert main(["lists", "convert", "--format", "domains", str(source), "--out", str(out)]) == 0
    assert lines(out) == ["good.com", "other.com"]
    assert "1 lines that are not UTF-8, such as 'caf\xe9.com'" in capsys.readouterr().out


def test_ut1_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for category, domains, urls in [
        (
            "adult",
            "b.com\nwww.b.com\na.blogspot.fr\na.blogspot.de\n1.2.3.4\n",
            "b.com/x\nhost.org/page/\nhost.org/page\n",
        ),
        ("gambling", "casino.example\n", None),
        ("cooking", "soup.com\n", None),
    ]:
        (tmp_path / "ut1" / category).mkdir(parents=True)
        (tmp_path / "ut1" / category / "domains").write_text(domains)
        if urls:
            (tmp_path / "ut1" / category / "urls").write_text(urls)
    (tmp_path / "ut1" / "README").write_text("not a category")
    (tmp_path / "out").mkdir()
    command = ["lists", "convert", "--format", "ut1", str(tmp_path / "ut1"), "--out", str(tmp_path / "out")]
    assert main([*command, "--category", "adult", "--category", "gambling"]) == 0
    assert lines(tmp_path / "out" / "adult.domains.txt") == ["1.2.3.4", "a.blogspot.com", "b.com"]
    assert lines(tmp_path / "out" / "adult.urls.txt") == ["host.org/page"]
    assert lines(tmp_path / "out" / "gambling.domains.txt") == ["casino.example"]
    assert not (tmp_path / "out" / "cooking.domains.txt").exists()
    assert "1 of them under a listed domain" in capsys.readouterr().out
    assert main(command) == 0
    assert lines(tmp_path / "out" / "cooking.domains.txt") == ["soup.com"]


def test_a_folder_without_categories_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lists", "convert", "--format", "ut1", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "expected folders such as adult/ with a file `domains`, found []" in capsys.readouterr().err


def test_urls_and_compression(tmp_path: Path) -> None:
    source = tmp_path / "urls.txt"
    source.write_text("https://b.com/页\nhttp://a.com/x#y\n\n", encoding="utf-8")
    out = tmp_path / "urls.txt.xz"
    assert main(["lists", "convert", "--format", "urls", str(source), "--out", str(out)]) == 0
    assert lzma.decompress(out.read_bytes()) == b"a.com/x\nb.com/%E9%A1%B5\n"


def test_selection_by_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_text(
        "paypal-login.top\npaypal.com\nlogin.example.com\nunpaypaled-login.com\nporn-tube.com\n"
    )
    (tmp_path / "brands.txt").write_text("paypal\nporn\n!unpaypaled\n")
    (tmp_path / "actions.txt").write_text("login\ntube\n")
    command = ["lists", "convert", "--format", "domains", str(tmp_path / "in.txt"), "--out", str(tmp_path / "out.txt")]
    command += ["--containing", str(tmp_path / "brands.txt"), "--containing", str(tmp_path / "actions.txt")]
    assert main(command) == 0
    assert lines(tmp_path / "out.txt") == ["paypal-login.top", "porn-tube.com"]
    assert main([*command, "--uncaught"]) == 0
    assert lines(tmp_path / "out.txt") == ["paypal-login.top"]
    assert "1 domains that the shipped words drop already" in capsys.readouterr().out


def test_compile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("a.com\nb.com\n")
    (tmp_path / "b.txt").write_text("b.com\nc.com\n")
    out = str(tmp_path / "all.npy")
    assert main(["lists", "compile", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--out", out]) == 0
    assert "3 domains compiled to" in capsys.readouterr().out
    assert KeySet.load({"x": [out]}, "domain").find_domains(["www.c.com", "d.com"]) == {0: ("x", "c.com")}
    assert main(["lists", "compile", "--kind", "url", out, "--out", str(tmp_path / "u.npy")]) == 2
    assert "expected a compiled list of" in capsys.readouterr().err


def test_compiled_files_must_be_named_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("a.com\n")
    assert main(["lists", "compile", str(tmp_path / "a.txt"), "--out", str(tmp_path / "a.bin")]) == 2
    assert "expected an output name that ends in .npy" in capsys.readouterr().err


def test_a_missing_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lists", "convert", "--format", "hosts", str(tmp_path / "no"), "--out", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lists", "convert", "--help"]) == 0
    assert "corpusmill lists convert --format ut1 blacklists/ --out lists/" in " ".join(capsys.readouterr().out.split())
    assert main(["lists", "--help"]) == 0
    assert "compile" in capsys.readouterr().out


def test_an_unknown_format_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lists", "convert", "x", "--format", "host", "--out", "y"]) == 2
    assert "no format 'host' (did you mean 'hosts'?); there are: ut1, hosts" in capsys.readouterr().err
