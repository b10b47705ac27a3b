"""Which of two corpora teaches more? One small model, the same tokens, several seeds, held to clean text of other sites.

    python -m model.ablate --config configs/model/ablation.yaml
    python -m model.ablate --config configs/model/ablation.yaml --set 'seeds=[0,1]' --set out=out/ablation/two

Bits per byte of the held-out text, by language, and the differences between corpora with intervals (intervals.py in
model/study/ablation/). A corpus is any folder of Parquet or JSONL with text, language and address: what a stage of the pipeline
leaves, or another system's output. From each corpus the documents of held-out sites, and those that share long runs with
held-out text, are dropped and counted.

    out/ablation/
      config.yaml                the options
      tokenizer.json             trained on equal bytes of each corpus, unless the options name one
      data/                      tokens of the corpora and of the held-out text
      runs/*.json                one trained model each: loss of each held-out document
      result.json, report.md, differences.svg

Kill it: the same command trains only what is not in runs/ yet. A run made with other options, corpora or held-out text is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from model.base.command import config_command
from model.base.config import dump
from model.base.files import write_text
from model.study.ablation import report
from model.study.ablation.config import AblationConfig
from model.study.ablation.data import read_data
from model.study.ablation.runs import jobs_of, run_all


def ablate(config: AblationConfig) -> str:
    """Train what is not trained yet; write result, report and picture; give the report."""
    out = Path(config.out)
    data = read_data(config)
    write_text(out / "config.yaml", dump(config))
    result = report.result(config, data, run_all(config, jobs_of(config, data)))
    page = report.markdown(result)
    write_text(out / "result.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    write_text(out / "report.md", page)
    write_text(out / "differences.svg", report.picture(result))
    return f"{page}\n{out}/result.json, report.md, differences.svg"


def main(arguments: Sequence[str] | None = None) -> int:
    return config_command(
        "ablate",
        AblationConfig,
        ablate,
        arguments,
        example="configs/model/ablation.yaml",
        description="Compare corpora: one small model, the same tokens, several seeds, bits per byte of held-out clean text.",
        epilog="An example with every key that is not a default: configs/model/ablation.yaml. What the numbers mean: "
        "docs/model_ablation.md.",
    )


if __name__ == "__main__":
    raise SystemExit(main())
