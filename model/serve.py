"""Serve a model by OpenAI's protocol, until Ctrl-C or SIGTERM.

    python -m model.serve out/model/tiny
    python -m model.serve out/model/tiny --engine vllm --port 8001 -- --tensor-parallel-size 8

An engine's own server does the work (model/serving/server.py): vLLM where it is installed and a GPU is there, else `transformers
serve`; SGLang and llama.cpp on demand.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from model.base.errors import ModelError
from model.serving.engines import ENGINES, PRECISIONS
from model.serving.server import prepare, run


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    cut = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(
        prog="python -m model.serve",
        description="Serve a model by OpenAI's protocol, until Ctrl-C or SIGTERM.",
        epilog="What follows -- goes to the engine's server as it is.",
    )
    parser.add_argument("model", type=Path, help="a run's folder, an export, or a .gguf file of llama.cpp")
    parser.add_argument(
        "--engine",
        choices=("auto", *ENGINES),
        default="auto",
        help="auto: vLLM if it and a GPU are there, else transformers",
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: every network (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0: a free one (8000)")
    parser.add_argument("--name", help="the model's name in requests; else the run's")
    parser.add_argument("--dtype", choices=PRECISIONS, help="bfloat16 for vllm and sglang, else as the weights are")
    parser.add_argument("--chat-template", type=Path, metavar="FILE", help="Jinja; in place of the model's")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the command, leave the folder that it reads, start nothing"
    )
    options = parser.parse_args(given[:cut])
    options.extra = given[cut + 1 :]
    place = Path(tempfile.mkdtemp(prefix="corpusmill-serve-"))
    kept = False
    try:
        plan = prepare(options, place)
        if options.dry_run:
            print(plan.shell)
            kept = True
            return 0
        return run(plan)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        if not kept:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
