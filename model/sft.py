"""Fine-tune an exported model on conversations (the report's first phase).

    python -m model.sft --config configs/model/sft.yaml
    python -m model.sft --config configs/model/sft.yaml --set start=out/model/tiny/export --set train.rate=1e-3

How: model/posttraining/sft.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.base.command import config_command
from model.posttraining.finetune import unfinished
from model.posttraining.sft import SftConfig, run


def tune(config: SftConfig) -> str:
    """Run, and say how it went."""
    unfinished(config.out)
    summary = run(config)
    return (
        f"{summary['steps']:,} steps, {summary['targets']:,} of {summary['tokens']:,} tokens learned, "
        f"{summary['seconds']:.0f} s: loss of the last tenth {summary['loss']:.4f} nats; {config.out}/export"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    description = "Supervised fine-tuning of an exported model on conversations."
    return config_command("sft", SftConfig, tune, arguments, description=description)


if __name__ == "__main__":
    raise SystemExit(main())
