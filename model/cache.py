"""Measure the keys and values that generation keeps.

    python -m model.cache --preset hunyuan-large

Beside the preset's cache: that of the same heads as plain multi-head attention, every layer with its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from model.architecture.config import PRESETS
from model.base.command import exit_code
from model.study.cache import report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.cache",
        description="Measure the key-value cache of a preset against one of all heads and layers, in bf16 on the CPU. Width, "
        "experts and vocabulary are cut down, which a cache does not depend on.",
    )
    parser.add_argument("--preset", default="hunyuan-tiny", help=f"one of {', '.join(PRESETS)}; hunyuan-tiny")
    parser.add_argument("--prompt", type=int, default=256, help="places computed at once; 256")
    parser.add_argument("--new", type=int, default=16, help="tokens decoded after them; 16")
    options = parser.parse_args(arguments)
    return exit_code(lambda: print(report(options.preset, options.prompt, options.new)))


if __name__ == "__main__":
    raise SystemExit(main())
