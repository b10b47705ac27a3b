"""Sample answers, keep the right ones, fine-tune on them (the report's second phase).

    python -m model.rft --config configs/model/rft.yaml

The same command after a kill goes on with the next chunk of prompts. How: model/posttraining/rft.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.base.command import config_command
from model.posttraining.rft import RftConfig, run


def tune(config: RftConfig) -> str:
    """Run, and say how it went."""
    summary = run(config)
    return (
        f"{summary['steps']:,} steps, {summary['targets']:,} tokens learned: loss of the last tenth "
        f"{summary['loss']:.4f} nats; {config.out}/export"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    description = "Sample answers, keep those that a verifier finds right, fine-tune on them. Goes on after a kill."
    return config_command("rft", RftConfig, tune, arguments, description=description)


if __name__ == "__main__":
    raise SystemExit(main())
