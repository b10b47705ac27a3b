"""Costs of a model: parameters, FLOPs of training, bytes of its cache. No torch here.

FLOPs: a product of (m, k) and (k, n) is 2mkn; training is three times the forward pass; attention is counted over the places that
a token sees, half a sequence on average; the embedding is a look-up and costs none; recomputation is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from model.architecture.config import ModelOptions


@dataclass(frozen=True)
class Parameters:
    """Counts of parameters; `active` are those that one token meets, embedding and head included."""

    total: int
    active: int
    embedding: int
    head: int
    expert: int
    experts: int

    @property
    def multiplied(self) -> int:
        """Active parameters that take part in a product: all but the embedding (norms are too few to matter)."""
        return self.active - self.embedding


def parameters(m: ModelOptions) -> Parameters:
    """Count a model's parameters; the router's biases are buffers."""
    table = m.vocab_size * m.hidden_size
    heads, kv = m.num_attention_heads * m.head_dim, m.num_key_value_heads * m.head_dim
    attention = m.hidden_size * 2 * heads + m.head_dim
    keys_and_values = m.hidden_size * 2 * kv + m.head_dim
    norms = 2 * m.hidden_size
    dense = 3 * m.hidden_size * m.intermediate_size
    expert = 3 * m.hidden_size * m.moe_intermediate_size
    router = m.n_routed_experts * m.hidden_size
    common = 2 * table + m.hidden_size + m.num_hidden_layers * (attention + norms) + m.kv_layers * keys_and_values
    common += m.first_k_dense_replace * dense
    shared = m.moe_layers * (router + m.n_shared_experts * expert)
    return Parameters(
        total=common + shared + m.moe_layers * m.n_routed_experts * expert,
        active=common + shared + m.moe_layers * m.num_experts_per_tok * expert,
        embedding=table,
        head=table,
        expert=expert,
        experts=m.moe_layers * m.n_routed_experts,
    )


def training_flops(m: ModelOptions, sequence_length: int) -> float:
    """Count the FLOPs to train on one token, forward and backward."""
    seen = sequence_length / 2
    attention = 4 * m.num_hidden_layers * m.num_attention_heads * m.head_dim * seen
    return 3 * (2 * parameters(m).multiplied + attention)


def cache_bytes(m: ModelOptions, places: int = 1, width: int = 2) -> int:
    """Count the bytes of a sequence's keys and values in a cache.

    :param width: bytes of a number; 2 in bf16.
    """
    return 2 * m.kv_layers * m.num_key_value_heads * m.head_dim * places * width
