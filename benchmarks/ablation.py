"""Keep what `python -m model.ablate` found: results/ablation.json, with machine and commit.

    python benchmarks/ablation.py [out/ablation]

To be run at the commit that the models were trained at. Docs: `python -m benchmarks.tables --write`.
"""

from __future__ import annotations

import json
from pathlib import Path

import machine

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "out" / "ablation")
    options = parser.parse_args()
    if not (options.out / "result.json").exists():  # it takes half an hour and pages that are not in the repository
        print(f"nothing to keep: no result.json in {options.out}; docs/model_ablation.md has what makes one")
        return
    machine.save("ablation", json.loads((options.out / "result.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
