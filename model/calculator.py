"""Costs of a model: parameters, FLOPs, and the steps of a recipe.

    python -m model.calculator                                      # configs/model/dots.llm1.yaml: the 11.2T recipe
    python -m model.calculator --config configs/model/tiny.yaml
    python -m model.calculator --ranks 256 --expert-parallel 8      # and what each of 256 devices holds, gathers and exchanges

What counts as a FLOP: model/architecture/costs.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.base.command import config_parser, exit_code
from model.study.calculator import devices_report, report
from model.training.config import load

DEFAULT = "configs/model/dots.llm1.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = config_parser("calculator", DEFAULT, default=DEFAULT, description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ranks", type=int, metavar="N", help="tell what each of N devices holds and exchanges")
    parser.add_argument(
        "--expert-parallel",
        type=int,
        metavar="P",
        help="ranks that share the experts of a layer; train.expert_parallel",
    )
    options = parser.parse_args(arguments)

    def calculate() -> None:
        config = load(options.config, options.set)
        pages = [report(config)]
        if options.ranks is not None:
            given = options.expert_parallel
            pages.append(
                devices_report(config, options.ranks, config.train.expert_parallel if given is None else given)
            )
        print("\n\n".join(pages))

    return exit_code(calculate)


if __name__ == "__main__":
    raise SystemExit(main())
