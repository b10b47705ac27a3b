"""Show the results of the benchmarks.

    python -m benchmarks.tables            print all
    python -m benchmarks.tables --write    put each between `<!-- results:NAME -->` and `<!-- /results -->` in the pages

`render(result)` of `benchmarks/tables/NAME.py` makes Markdown of `results/NAME.json`. A test of the documentation renders
all without the extra `bench`: a renderer imports nothing of it.
"""

import argparse
import re
from importlib import import_module
from pathlib import Path

from benchmarks.tables._markdown import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "classifiers").glob("*/CARD.md")])
MARK = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- /results -->)", re.DOTALL)
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def rendered(name: str) -> str:
    """Markdown of one result; the headline reads several results by itself."""
    render = import_module(f"benchmarks.tables.{name}").render
    text: str = render() if name == "headline" else render(load(name))
    return text


def filled(page: str) -> str:
    """A page with the current Markdown between its marks."""
    return MARK.sub(lambda mark: f"{mark[1]}\n{rendered(mark[2])}\n{mark[3]}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="change the pages, and print which have changed")
    if not parser.parse_args().write:
        print("\n\n".join(map(rendered, NAMES)))
        return
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        if (new := filled(old)) != old:
            page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: changed")


if __name__ == "__main__":
    main()
