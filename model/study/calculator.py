"""Costs of a recipe: FLOPs and steps of its stages, what each of many devices holds and exchanges. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from model.architecture.config import ModelOptions
from model.architecture.costs import cache_bytes, parameters, training_flops
from model.base.errors import ConfigError
from model.training.config import RunConfig, TrainOptions
from model.training.schedule import batch_sequences, learning_rate, stage_name


def hunyuan_flops(active: float, tokens: float) -> float:
    """Compute C = 9.59 N D + 2.3e8 D (Hunyuan-Large, arXiv:2411.02265, 2.3.1), N active parameters, D tokens."""
    return 9.59 * active * tokens + 2.3e8 * tokens


@dataclass(frozen=True)
class Devices:
    """Demands of training on each device, in bytes; activations are not counted.

    :ivar state: its share of weights, gradients and two moments in FP32.
    :ivar root: embedding and head, gathered in FP32 from the first layer of forward to the last of backward.
    :ivar layer: one layer of experts, gathered in FP32 while it computes; its gradients take as much once more.
    :ivar moved: the part of `layer` that other ranks hold shares of: it is gathered twice, and its gradients reduced.
    :ivar exchanged: rows of one token in one layer that leave the device on the way to the experts, in bf16, if experts are
        chosen evenly; as much comes back, and backward again both ways.
    """

    state: float
    root: int
    layer: int
    moved: int
    exchanged: float


def devices(m: ModelOptions, ranks: int, expert_parallel: int) -> Devices:
    """Compute what a device holds, when so many train a model together.

    :raises ConfigError: the numbers do not divide one another.
    """
    if ranks < 1 or expert_parallel < 1:
        raise ConfigError(f"expected 1 rank or more, found {ranks} ranks, {expert_parallel} of them sharing experts")
    for what, number in (("ranks", ranks), ("experts", m.n_routed_experts)):
        if number % expert_parallel:
            raise ConfigError(f"{number} {what} are no multiple of expert_parallel {expert_parallel}")
    p = parameters(m)
    before = m.cross_layer * m.num_hidden_layers  # the next layer makes keys and values
    sizes = [parameters(m.model_copy(update={"num_hidden_layers": n})).total for n in (before, before + 1)]
    layer = sizes[1] - sizes[0]
    base = layer - m.n_routed_experts * p.expert
    here = m.n_routed_experts // expert_parallel * p.expert
    return Devices(
        state=16 * p.total / ranks,
        root=4 * (p.embedding + p.head),
        layer=4 * (base + here),
        moved=4 * (base * (ranks > 1) + here * (ranks > expert_parallel)),
        exchanged=2 * m.num_experts_per_tok * m.hidden_size * (1 - 1 / expert_parallel),
    )


def devices_report(config: RunConfig, ranks: int, expert_parallel: int) -> str:
    """Make the lines that `--ranks` adds."""
    m, t = config.model, config.train
    d, without = devices(m, ranks, expert_parallel), devices(m, ranks, 1)
    ways = 6 if t.activation_checkpointing else 4  # there and back, forward, once more to recompute, and backward
    tokens = t.micro_batch * t.sequence_length
    # FSDP2 gathers a layer in forward and again in backward and sends its gradients.
    rows = [
        (d.state, f"weights, gradients, moments in FP32: a share of 1 / {ranks}"),
        (d.root, "embedding and head, gathered through a step"),
        (without.layer, "a layer of experts, gathered, without expert parallelism"),
        (d.layer, f"  with {m.n_routed_experts // expert_parallel} of its {m.n_routed_experts} experts"),
        (3 * without.moved * m.moe_layers, "gathered and reduced in a micro-batch, layers of experts, without"),
        (3 * d.moved * m.moe_layers, "  with"),
        (ways * d.exchanged * tokens * m.moe_layers, f"sent with {tokens:,} tokens to other ranks' experts and back"),
    ]
    return "\n".join(
        [
            f"{ranks:,} devices, {expert_parallel} share the experts; activations are not counted",
            *(f"{size / 2**30:>14,.2f} GiB  {what}" for size, what in rows),
            f"{d.exchanged:>14,.0f} B    of one token in one layer, in bf16, one way; {ways} ways",
        ]
    )


@dataclass(frozen=True)
class Segment:
    """Segment of a run with one stage and one batch."""

    stage: str
    until_tokens: float
    batch_tokens: int
    steps: float
    rate_from: float
    rate_to: float


def recipe(t: TrainOptions) -> list[Segment]:
    """Cut the run where the stage or the batch changes; steps as a fraction, since a step may cross a border."""
    borders = {t.tokens, *(s.until_tokens for s in t.stages), *(b.from_tokens for b in t.batches)}
    out: list[Segment] = []
    begin = 0.0
    for end in sorted(b for b in borders if 0 < b <= t.tokens):
        batch = batch_sequences(t.batches, begin) * t.sequence_length
        rates = learning_rate(t.stages, begin), learning_rate(t.stages, end)
        out.append(Segment(stage_name(t.stages, end), end, batch, (end - begin) / batch, *rates))
        begin = end
    return out


def report(config: RunConfig) -> str:
    """Make the page that the command prints."""
    m, t = config.model, config.train
    p, per_token = parameters(m), training_flops(m, t.sequence_length)
    whole = 2 * 2 * m.num_hidden_layers * m.num_attention_heads * m.head_dim
    simple, hunyuan = 6 * p.active * t.tokens, hunyuan_flops(p.active, t.tokens)
    lines = [
        f"parameters          {p.total:>18,}",
        f"active              {p.active:>18,}   with embedding and head",
        f"  embedding, head   {p.embedding:>18,}   each",
        f"experts             {p.experts:>18,}   of {p.expert:,}; {m.num_experts_per_tok} of {m.n_routed_experts} a layer",
        f"weights in bf16     {2 * p.total / 2**30:>18,.1f}   GiB",
        f"training state      {16 * p.total / 2**30:>18,.1f}   GiB: weights, gradients and two moments in FP32",
        f"KV cache a token    {cache_bytes(m):>18,}   bytes in bf16; {cache_bytes(m) / whole:.1%} of all heads and layers",
        "",
        f"FLOPs a token       {per_token:>18.4g}   training, sequences of {t.sequence_length:,}",
        f"FLOPs of the run    {per_token * t.tokens:>18.4g}   {t.tokens:.4g} tokens",
        f"  6 N D             {simple:>18.4g}   N active, D tokens",
        f"  9.59 N D + 2.3e8 D{hunyuan:>18.4g}   Hunyuan-Large's",
        "",
        f"{'stage':<12}{'until tokens':>14}{'batch, tokens':>16}{'steps':>12}{'rate from':>12}{'to':>10}{'FLOPs':>12}",
    ]
    begin = 0.0
    for s in recipe(t):
        cost = (s.until_tokens - begin) * per_token
        lines.append(
            f"{s.stage:<12}{s.until_tokens:>14.4g}{s.batch_tokens:>16,}{s.steps:>12,.0f}"
            f"{s.rate_from:>12.3g}{s.rate_to:>10.3g}{cost:>12.4g}"
        )
        begin = s.until_tokens
    lines.append(f"{'all':<12}{begin:>14.4g}{'':>16}{sum(s.steps for s in recipe(t)):>12,.0f}")
    return "\n".join(lines)
