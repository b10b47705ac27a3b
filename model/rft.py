"""Sample answers, keep the right ones, fine-tune on them (the report's second phase).

    python -m model.rft --config configs/model/rft.yaml

The same command after a kill goes on with the next chunk of prompts. How: model/posttraining/rft.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.base.command import config_parser, exit_code
from model.base.config import load_as
from model.posttraining.rft import RftConfig, run


def main(arguments: Sequence[str] | None = None) -> int:
    description = "Sample answers, keep those that a verifier finds right, fine-tune on them. Goes on after a kill."
    options = config_parser("rft", "configs/model/rft.yaml", description=description).parse_args(arguments)

    def tune() -> None:
        config = load_as(RftConfig, options.config, options.set)
        summary = run(config)
        print(
            f"{summary['steps']:,} steps, {summary['targets']:,} tokens learned: loss of the last tenth "
            f"{summary['loss']:.4f} nats; {config.out}/export"
        )

    return exit_code(tune)


if __name__ == "__main__":
    raise SystemExit(main())
