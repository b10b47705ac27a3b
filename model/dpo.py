"""Optimise the preferences of a fine-tuned model, with an SFT term and an average of the weights.

    python -m model.dpo --config configs/model/dpo.yaml

How: model/posttraining/dpo.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.base.command import config_command
from model.posttraining.dpo import DpoConfig, run
from model.posttraining.finetune import unfinished


def tune(config: DpoConfig) -> str:
    """Run, and say how it went."""
    unfinished(config.out)
    summary = run(config)
    return (
        f"{summary['steps']:,} steps, {summary['pairs']:,} pairs, {summary['seconds']:.0f} s: last tenth loss "
        f"{summary['loss']:.4f}, chosen preferred {summary['preferred']:.1%}, margin {summary['margin']:.3f}; "
        f"{config.out}/export"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    description = "Preference optimisation of a fine-tuned model, with an SFT term and an average."
    return config_command("dpo", DpoConfig, tune, arguments, description=description)


if __name__ == "__main__":
    raise SystemExit(main())
