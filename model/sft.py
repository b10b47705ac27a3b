"""Fine-tune an exported model on conversations (the report's first phase).

    python -m model.sft --config configs/model/sft.yaml
    python -m model.sft --config configs/model/sft.yaml --set start=out/model/tiny/export --set train.rate=1e-3

How: model/posttraining/sft.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.base.command import config_parser, exit_code
from model.base.config import load_as
from model.posttraining.finetune import unfinished
from model.posttraining.sft import SftConfig, run


def main(arguments: Sequence[str] | None = None) -> int:
    description = "Supervised fine-tuning of an exported model on conversations."
    options = config_parser("sft", "configs/model/sft.yaml", description=description).parse_args(arguments)

    def tune() -> None:
        config = load_as(SftConfig, options.config, options.set)
        unfinished(config.out)
        summary = run(config)
        print(
            f"{summary['steps']:,} steps, {summary['targets']:,} of {summary['tokens']:,} tokens learned, "
            f"{summary['seconds']:.0f} s: loss of the last tenth {summary['loss']:.4f} nats; {config.out}/export"
        )

    return exit_code(tune)


if __name__ == "__main__":
    raise SystemExit(main())
