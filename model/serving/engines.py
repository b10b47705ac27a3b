"""Formats of the inference engines. No torch here: `model.serve` starts at once.

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

from typing import Any, Literal, get_args

from model.base.errors import ExportError
from model.training.run_folder import CONFIG

Engine = Literal["transformers", "vllm", "sglang", "llama.cpp"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DEFAULT_PRECISION: dict[Engine, Precision] = {
    **{"transformers": "float32", "llama.cpp": "float32"},
    **{"vllm": "bfloat16", "sglang": "bfloat16"},
}
"""vLLM and SGLang compute in two bytes; llama.cpp's converter chooses for itself (`--outtype`)."""
DOTS, GLM = "Dots1ForCausalLM", "Glm4MoeForCausalLM"
SAME = (
    *("vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers", "head_dim"),
    *("num_attention_heads", "num_key_value_heads", "n_shared_experts", "n_routed_experts", "num_experts_per_tok"),
    *("first_k_dense_replace", "routed_scaling_factor", "norm_topk_prob", "n_group", "topk_group", "hidden_act"),
    *("max_position_embeddings", "rms_norm_eps", "attention_bias", "tie_word_embeddings", "eos_token_id"),
)
"""Keys of the same meaning in both configurations, whose defaults differ: each must be there."""
BESIDE = (
    *("initializer_range", "attention_dropout", "use_cache", "bos_token_id", "pad_token_id", "dtype"),
    "transformers_version",
)
"""More of them, that no engine computes with."""


def architecture(config: dict[str, Any]) -> str:
    """Name the class of a config.json, or what it says instead."""
    named = config.get("architectures") or [config.get("model_type", "none")]
    return str(named[0])


def config_for(engine: Engine, config: dict[str, Any]) -> dict[str, Any]:
    """Make the config.json of an engine.

    :param config: of a training export, or one that this function made.
    :raises ExportError: another architecture, or what the engine cannot compute.
    """
    named = architecture(config)
    if named == GLM and engine != "llama.cpp":
        return config
    if config.get("cross_layer", 1) > 1:
        raise ExportError(
            f"{CONFIG} has cross_layer {config['cross_layer']}: no engine has layers that share keys and values, "
            "model.architecture.cross_layer.load reads such a model"
        )
    if named != DOTS:
        expected = DOTS if engine == "llama.cpp" else f"{DOTS} or {GLM}"
        raise ExportError(f"{CONFIG} is of {named}, {engine} needs {expected}; export from the run or its export/")
    if engine in ("vllm", "sglang"):
        return glm4_moe(config)
    if engine == "llama.cpp" and config["num_key_value_heads"] != config["num_attention_heads"]:
        raise ExportError(
            f"llama.cpp's dots1 has as many KV heads as heads, found {config['num_key_value_heads']} KV heads "
            f"for {config['num_attention_heads']} heads"
        )
    return config | {"scoring_func": "sigmoid"}


def glm4_moe(config: dict[str, Any]) -> dict[str, Any]:
    """Make the configuration of GLM-4.5 that computes what dots.llm1's does.

    `rope_theta` and `partial_rotary_factor` stand twice: vLLM and SGLang with transformers 5 read `rope_parameters`, those
    with transformers 4 the top level. No layer is for speculation (`num_nextn_predict_layers`).

    :raises ExportError: a key is missing; or layers that look at a window only, which GLM-4.5 has not.
    """
    missing = [k for k in (*SAME, "rope_parameters") if k not in config]
    if missing:
        raise ExportError(f"{CONFIG} lacks {', '.join(missing)}; expected what transformers 5 writes for {DOTS}")
    if "sliding_attention" in (config.get("layer_types") or []):
        raise ExportError("layer_types has sliding_attention, vLLM's and SGLang's model has full attention only")
    rope = config["rope_parameters"]
    return {k: config[k] for k in (*SAME, *BESIDE) if k in config} | {
        "architectures": [GLM],
        "model_type": "glm4_moe",
        "use_qk_norm": True,
        "partial_rotary_factor": 1.0,
        "rope_theta": rope["rope_theta"],
        "rope_parameters": rope | {"partial_rotary_factor": 1.0},
        "num_nextn_predict_layers": 0,
    }
