"""What each inference engine reads: config.json in its terms, weights in its precision. Plain JSON and safetensors, no model.

| engine | architecture in config.json | why |
|---|---|---|
| transformers | Dots1ForCausalLM | stock; the training export as it is |
| llama.cpp | Dots1ForCausalLM | its converter knows it; as many KV heads as heads |
| vllm, sglang | Glm4MoeForCausalLM | the same sums under a name that both know |

vLLM had Dots1 until 0.23 (0.15 computed (routed + shared) x factor) and SGLang 0.5.23 has none. GLM-4.5's layers are those of
dots.llm1 with `use_qk_norm` and rotation of the whole head: sigmoid scores, the bias for the choice only, weights that sum to 1,
routed x factor + shared; both engines keep its router in FP32. Tensors have the same names, so only config.json differs.
Read at the versions in docs/model_serving.md.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import safe_open
from safetensors.torch import save_file

Engine = Literal["transformers", "vllm", "sglang", "llama.cpp"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DEFAULT_PRECISION: dict[Engine, Precision] = {
    **{"transformers": "float32", "llama.cpp": "float32"},
    **{"vllm": "bfloat16", "sglang": "bfloat16"},
}
"""vLLM and SGLang compute in two bytes; llama.cpp's converter chooses for itself (`--outtype`)."""

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
DOTS, GLM = "Dots1ForCausalLM", "Glm4MoeForCausalLM"
ROUTER = (".mlp.gate.weight", ".mlp.gate.e_score_correction_bias")
"""Ends of names of what stays FP32 in any precision (report, 2.4); transformers casts the first of them as it loads."""

SAME = (
    *("vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers", "head_dim"),
    *("num_attention_heads", "num_key_value_heads", "n_shared_experts", "n_routed_experts", "num_experts_per_tok"),
    *("first_k_dense_replace", "routed_scaling_factor", "norm_topk_prob", "n_group", "topk_group", "hidden_act"),
    *("max_position_embeddings", "initializer_range", "rms_norm_eps", "attention_bias", "attention_dropout"),
    *(
        "tie_word_embeddings",
        "use_cache",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "dtype",
        "transformers_version",
    ),
)
"""Keys of the same meaning in both configurations."""


class ExportError(ValueError):
    """A model that cannot be written: what was found, what was expected."""


def architecture(config: dict[str, Any]) -> str:
    """The class that a config.json names, or what it says instead."""
    named = config.get("architectures") or [config.get("model_type", "none")]
    return str(named[0])


def config_for(engine: Engine, config: dict[str, Any]) -> dict[str, Any]:
    """config.json of an engine.

    :param config: of a training export, or one that this function made.
    :raises ExportError: another architecture, or what the engine cannot compute.
    """
    found = architecture(config)
    if found == GLM and engine != "llama.cpp":
        return config
    if found != DOTS:
        expected = DOTS if engine == "llama.cpp" else f"{DOTS} or {GLM}"
        raise ExportError(f"{CONFIG} is of {found}, {engine} needs {expected}; export from the run or its export/")
    if engine in ("vllm", "sglang"):
        return glm4_moe(config)
    if engine == "llama.cpp" and config["num_key_value_heads"] != config["num_attention_heads"]:
        raise ExportError(
            f"llama.cpp's dots1 has as many KV heads as heads, found {config['num_key_value_heads']} KV heads "
            f"for {config['num_attention_heads']} heads"
        )
    return config | {"scoring_func": "sigmoid"}


def glm4_moe(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of GLM-4.5 that computes what dots.llm1's does.

    `rope_theta` and `partial_rotary_factor` stand twice: vLLM and SGLang with transformers 5 read `rope_parameters`, those
    with transformers 4 the top level. No layer is for speculation (`num_nextn_predict_layers`).

    :raises ExportError: layers that look at a window only, which GLM-4.5 has not.
    """
    if "sliding_attention" in (config.get("layer_types") or []):
        raise ExportError("layer_types has sliding_attention, vLLM's and SGLang's model has full attention only")
    rope = config["rope_parameters"]
    return {k: config[k] for k in SAME if k in config} | {
        "architectures": [GLM],
        "model_type": "glm4_moe",
        "use_qk_norm": True,
        "partial_rotary_factor": 1.0,
        "rope_theta": rope["rope_theta"],
        "rope_parameters": rope | {"partial_rotary_factor": 1.0},
        "num_nextn_predict_layers": 0,
    }


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model's folder."""
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return config


def convert(source: Path, out: Path, engine: Engine, precision: Precision) -> Path:
    """Write a model's folder for an engine: its config.json, weights file by file, all other files as they are.

    :param source: a folder of config.json and *.safetensors.
    :param out: replaced, when the new one is whole.
    :raises ExportError: see `config_for`; or `out` is the source, or holds something other than a model.
    """
    config = config_for(engine, read_config(source)) | {"dtype": precision}
    config.pop("torch_dtype", None)
    check_out(out)
    if out.resolve() == source.resolve():
        raise ExportError(f"{out} is the model itself; choose another --out")
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    total = 0
    for path in sorted(p for p in source.iterdir() if p.is_file()):
        if path.suffix == ".safetensors":
            total += cast(path, part / path.name, getattr(torch, precision))
        elif path.name not in (CONFIG, INDEX):
            shutil.copyfile(path, part / path.name)
    if (source / INDEX).exists():
        index = json.loads((source / INDEX).read_text())
        index["metadata"] = index.get("metadata", {}) | {"total_size": total}
        (part / INDEX).write_text(json.dumps(index, indent=1) + "\n")
    (part / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    return out


def cast(source: Path, out: Path, dtype: torch.dtype) -> int:
    """Write the tensors of a file in another precision, the router's in FP32.

    :returns: bytes of the tensors.
    """
    with safe_open(source, framework="pt") as f:
        tensors = {k: f.get_tensor(k).to(torch.float32 if k.endswith(ROUTER) else dtype) for k in f.keys()}  # noqa: SIM118
        metadata = f.metadata()
    save_file(tensors, out, metadata=metadata)
    return sum(t.nbytes for t in tensors.values())


def check_out(out: Path) -> None:
    """Refuse to replace what is no model.

    :raises ExportError: a file, or a folder with content and no config.json.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / CONFIG).exists())):
        raise ExportError(f"{out} is there and is no model (no {CONFIG}); choose another --out")
