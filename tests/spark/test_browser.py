"""The report in a real browser: headless Chromium, at a desk and on a phone, light and dark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.inspection.report.data import read_stage
from pipeline.inspection.report.page import write_report
from pipeline.stage import STAGES

pytestmark = pytest.mark.long

SIZES = [("light", 1280), ("dark", 390)]
OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


@pytest.fixture(scope="module")
def report(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "run"
    shutil.copytree(chain, folder)
    write_report(str(folder), samples=3)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The machine's Chromium (or the one that CHROMIUM names), else Playwright's own."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as playwright:
        # Without a sandbox where root runs it, as in containers.
        chrome = playwright.chromium.launch(executable_path=path, args=OFFLINE, chromium_sandbox=os.geteuid() != 0)
        yield chrome
        chrome.close()


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}-{size[1]}")
def page(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Any]:
    """The report, opened; afterwards: no error was logged, and nothing but the file was asked for."""
    scheme, width = request.param
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    yield page
    assert wrong == []
    assert asked == [report.as_uri()]
    context.close()


def test_every_chart_draws_and_nothing_sticks_out(page: Any, chain: Path) -> None:
    width = page.evaluate("innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    drawn = page.evaluate(
        """() => [...document.querySelectorAll('figure.chart')].map(figure => {
            const svg = [...figure.querySelectorAll('svg')].filter(s => s.getClientRects().length);
            const marks = svg.length ? [...svg[0].querySelectorAll('.mark-rect path, .mark-rule line')] : [];
            const box = svg.length ? svg[0].getBoundingClientRect() : {width: 0, right: 1e9};
            return {name: figure.id || figure.querySelector('figcaption').textContent, shown: svg.length,
                    marks: marks.filter(m => m.getBoundingClientRect().width + m.getBoundingClientRect().height > 0).length,
                    right: box.right, width: box.width};
        })"""
    )
    stages = [read_stage(str(chain / stage), samples=0) for stage in STAGES]
    histograms = sum(len(s.histograms) for s in stages)
    assert len(drawn) == histograms + len({"funnel", "cpu_time", "clusters"}) + len(
        {s["axis"] for s in stages[-1].shares} - {"category"}
    )
    for chart in drawn:
        assert chart["shown"] == 1, chart
        assert chart["marks"] > 0, chart
        assert chart["width"] > 100
        assert chart["right"] <= width, chart


def test_text_can_be_told_from_paper(page: Any) -> None:
    """The contrast of text and of chart labels against what is behind them is at least 4.5 (WCAG 2.2, 1.4.3)."""
    ratios = page.evaluate(
        """() => {
            const light = css => {
                const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
                const [r, g, b] = css.match(/[\\d.]+/g).map(v => linear(v / 255));
                return .2126 * r + .7152 * g + .0722 * b;
            };
            const paper = light(getComputedStyle(document.body).backgroundColor);
            const found = {};
            for (const what of ['body', 'h2', '.soft', 'nav a', '.sample h4', '.sample .where', '.text p', 'th']) {
                const ink = light(getComputedStyle(document.querySelector(what)).color);
                found[what] = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
            }
            const label = light(getComputedStyle(document.querySelector('.chart svg .mark-text text')).fill);
            found.label = (Math.max(label, paper) + .05) / (Math.min(label, paper) + .05);
            return found;
        }"""
    )
    assert {what: ratio for what, ratio in ratios.items() if ratio < 4.5} == {}


def test_links_and_filters_work(page: Any) -> None:
    for link in page.locator("nav a").all():
        target = link.get_attribute("href")
        link.click()
        assert page.locator(target).evaluate("e => e.getBoundingClientRect().top < innerHeight")
    visible = "#pages .sample:not([hidden])"
    every = page.locator("#pages .sample").count()
    assert page.locator(visible).count() == every > 100
    link = page.locator("#step-table a[data-reason=duplicate_text]")
    link.click()
    chosen = page.locator(visible).all()
    assert 0 < len(chosen) <= 3
    assert {c.get_attribute("data-reason") for c in chosen} == {"duplicate_text"}
    assert page.locator("#filter output").text_content() == f"{len(chosen)} of {every} pages"
    page.locator("#filter button[type=reset]").click()
    page.wait_for_function(f"document.querySelectorAll({visible!r}).length === {every}")
    page.locator("#filter [name=language]").select_option("zh")
    page.locator("#filter [name=verdict]").select_option("kept")
    shown = page.locator(visible)
    assert 0 < shown.count() < every
    assert {s.get_attribute("data-language") for s in shown.all()} == {"zh"}
    page.locator("#filter button[type=reset]").click()
    page.locator("#filter [name=text]").fill("Flour of the mill")
    assert 0 < page.locator(visible).count() < 20


def test_cut_lines_are_struck_through_in_their_places(page: Any) -> None:
    cut = page.locator("#pages .sample .cut del").first
    assert cut.evaluate("e => getComputedStyle(e).textDecorationLine") == "line-through"
    assert page.locator("#pages .sample .cut .by").first.text_content()


def test_chinese_is_drawn(page: Any) -> None:
    """Of a font that has the characters: two different ones differ in pixels (a missing glyph is the same box for all)."""
    assert page.evaluate(
        """() => {
            const draw = c => { const k = document.createElement('canvas').getContext('2d');
                k.font = '40px ' + getComputedStyle(document.body).fontFamily; k.fillText(c, 5, 45);
                return k.getImageData(0, 0, 60, 60).data.join(); };
            return draw('语') !== draw('龙');
        }"""
    )
