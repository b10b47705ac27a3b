"""Write a trained model in Hugging Face's format, for `transformers`, vLLM, SGLang, llama.cpp.

    python -m model.export out/model/tiny --out out/model/tiny-vllm --engine vllm
    python -m model.export out/model/tiny/checkpoints/tokens-000000000393216 --out out/model/tiny-393216

What is exported: a folder in this format; a run's folder, for its `export/`, or its last checkpoint where that is later; or one
checkpoint (model/serving/convert.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import transformers

from model.base.command import exit_code
from model.serving.convert import write
from model.serving.engines import DEFAULT_PRECISION, ENGINES, PRECISIONS, architecture
from model.training.run_folder import find, read_config


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.export", description="Write a trained model for an inference engine."
    )
    parser.add_argument("source", type=Path, help="a run's folder, one of its checkpoints, or a folder of config.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; a model that is there is replaced")
    parser.add_argument("--engine", choices=ENGINES, default="transformers", help="who is to read it (transformers)")
    parser.add_argument(
        "--dtype",
        choices=PRECISIONS,
        help="of the weights, but the router's (FP32); bfloat16 for vllm and sglang, else float32",
    )
    parser.add_argument("--shards", help="folder of the shards, for a checkpoint's tokenizer; else as in config.yaml")
    options = parser.parse_args(arguments)

    def export() -> None:
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        precision = options.dtype or DEFAULT_PRECISION[options.engine]
        source = find(options.source)
        out = write(source, options.out, options.engine, precision, options.shards)
        print(f"{source} -> {out}: {architecture(read_config(out))}, {precision}, for {options.engine}")
        if options.engine == "llama.cpp":
            print(f"next, in llama.cpp's folder: python convert_hf_to_gguf.py {out.resolve()} --outtype bf16")

    return exit_code(export)


if __name__ == "__main__":
    raise SystemExit(main())
