"""Write the shipped costs of `corpusmill estimate` from the outputs of a chain that ran with the shipped configs.

python benchmarks/growth.py --pages 40000 --keep made && python -m scripts.costs made/out-40000
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from pipeline.config import load
from pipeline.inspection.costs import SHIPPED, measured
from pipeline.outputs import read_record
from pipeline.stage import STAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path, help="folder of the four stages' outputs")
    folder = parser.parse_args().outputs
    costs = {}
    for stage in STAGES:
        record = read_record(str(folder / stage))
        one = asdict(measured(load(Path("configs") / f"{stage}.yaml", [], stage), record.last_pass))
        for of_step in (one, *one["steps"].values()):
            of_step.pop("source")
        costs[stage] = one
    SHIPPED.write_text(json.dumps(costs, indent=1, sort_keys=True) + "\n")
    told = (f"{stage} of {one['rows']:,} rows" for stage, one in costs.items())
    print(f"{SHIPPED}: {', '.join(told)}")


if __name__ == "__main__":
    main()
