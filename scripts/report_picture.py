"""Take docs/pictures/report.png, the README's picture: two parts of the demo's report, as a browser shows them.

    scripts/setup.sh long && make demo && python scripts/report_picture.py

Chromium is the machine's (CHROMIUM, chromium, google-chrome), else Playwright's own.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "pictures" / "report.png"
WIDTH, HEIGHT = 900, 760
FRAMES = """<body style="margin:0;display:flex;gap:12px;background:#888">{}</body>"""
FRAME = """<iframe src="{}" style="border:0;width:{}px;height:{}px"></iframe>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=ROOT / "out" / "demo" / "report.html")
    options = parser.parse_args()
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, chromium_sandbox=os.geteuid() != 0)
        page = browser.new_page(viewport={"width": 2 * WIDTH + 12, "height": HEIGHT}, color_scheme="light")
        page.goto(options.report.resolve().as_uri())
        frames = [FRAME.format(f"{page.url}{part}", WIDTH, HEIGHT) for part in ("#funnel", "#samples")]
        target = options.report.resolve().with_name(".picture.html")
        target.write_text(FRAMES.format("".join(frames)), encoding="utf-8")
        try:
            page.goto(target.as_uri())
            left, right = page.frames[1:]
            left.evaluate("scrollTo(0, 0)")
            for name, value in (("stage", "model_based"), ("language", "zh")):
                right.locator(f"#filter [name={name}]").select_option(value)
            right.locator("#samples").evaluate("e => e.scrollIntoView()")
        finally:
            target.unlink()
        page.screenshot(path=OUT)
        browser.close()
    print(OUT)


if __name__ == "__main__":
    main()
