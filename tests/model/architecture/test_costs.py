"""Parameters and FLOPs against torch, and by hand."""

from __future__ import annotations

from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)


from model.architecture import costs  # noqa: E402
from model.architecture.build import build  # noqa: E402
from model.architecture.config import PRESETS, ModelOptions  # noqa: E402
from model.architecture.costs import parameters  # noqa: E402
from model.architecture.dots1 import dots1_config  # noqa: E402
from tests.model.made_hunyuan import batch, generating, options, small  # noqa: E402


def preset(name: str) -> ModelOptions:
    return ModelOptions.model_validate(name)


def test_hunyuan_large_has_about_the_published_sizes() -> None:
    """389B and 52B in the paper; the head is another matrix than the embedding here."""
    m = ModelOptions.model_validate("hunyuan-large")
    model = build(dots1_config(m), attention="sdpa", experts="grouped_mm")
    total = sum(p.numel() for p in model.parameters())
    experts = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    counted = costs.parameters(m)
    assert (counted.total, counted.active) == (total, total - experts + experts // 16)
    assert (counted.total, counted.active) == (389_527_156_480, 52_147_828_480)
    assert costs.training_flops(m, 4096) == pytest.approx(
        3 * (2 * (counted.active - counted.embedding) + 4 * 64 * 80 * 80 * 2048)
    )


@pytest.mark.parametrize("changed", [{}, {"cross_layer": 3}, {"cross_layer": 1, "num_key_value_heads": 4}])
def test_flops_are_those_that_torch_counts(changed: dict[str, Any]) -> None:
    """Forward: products of all weights that a token meets, and of attention over all places, which eager computes."""
    from torch.utils.flop_counter import FlopCounterMode

    m, length = options(**changed), 20
    model = generating(small(**changed))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(batch(rows=1, length=length)["input_ids"], use_cache=False)
    norms = sum(p.numel() for p in model.parameters() if p.dim() == 1)
    multiplied = costs.parameters(m).multiplied - norms
    assert counter.get_total_flops() == 2 * length * multiplied + 4 * 3 * 4 * 8 * length * length
    assert costs.training_flops(m, length) == 3 * (2 * (multiplied + norms) + 4 * 3 * 4 * 8 * length / 2)


def test_dots_llm1_has_the_published_sizes() -> None:
    """142,774,373,888 parameters, 14,016,581,120 active: counted on the published configuration."""

    options = preset("dots.llm1")
    model = build(dots1_config(options), attention="sdpa", experts="grouped_mm")
    assert all(p.device == torch.device("meta") for p in model.parameters())
    total = sum(p.numel() for p in model.parameters())
    experts = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    active = total - experts + experts * options.num_experts_per_tok // options.n_routed_experts
    assert (total, active) == (142_774_373_888, 14_016_581_120)
    counted = parameters(options)
    assert (counted.total, counted.active) == (total, active)


@pytest.mark.parametrize("name", PRESETS)
def test_the_calculator_counts_what_torch_counts(name: str) -> None:

    model = build(dots1_config(preset(name)), attention="sdpa", experts="grouped_mm")
    assert parameters(preset(name)).total == sum(p.numel() for p in model.parameters())
