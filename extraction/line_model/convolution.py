"""A small convolution over the lines of a page, beside the trees: it sees what stands far around a line, they cut sharper.

Columns are standardised; those that number things (tags, classes of characters) go through embeddings. Then three dilated
convolutions with residuals over the lines, 5 wide, and what the page is like as a whole in between. It predicts with
numba alone, one page at a time; `classifiers.clutter.convolution` trains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from extraction.kernels import compiled

WIDTH = 32
DILATIONS = (1, 3, 9)
KERNEL = 5
POOL_AFTER = 2
"""Convolutions before the page's means are added."""

NUMBERS = ("element", "block", "parent", "grandparent", "first character", "last character", "kind")
"""Columns that number things."""

N_NUMBERS = 160
CLIP = 5.0

Parameters = dict[str, npt.NDArray[np.float32]]
Floats = npt.NDArray[np.float32]


def layout(columns: Sequence[str]) -> tuple[list[int], list[int]]:
    """Which columns are standardised and which go through embeddings. Those of the lines around are left out: the
    convolution sees these lines themselves."""
    of_line = [i for i, name in enumerate(columns) if name.rpartition(", ")[2].lstrip("+-") not in ("1", "2", "3")]
    return [i for i in of_line if columns[i] not in NUMBERS], [i for i in of_line if columns[i] in NUMBERS]


def predict(parameters: Parameters, x: Floats, lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Logits, shape (lines,). On one thread, in one order: a matrix library would take all cores for a page.

    :param x: the columns, float32 (lines, columns).
    :param lengths: words of each line.
    """
    p = parameters
    out = np.zeros(len(x), np.float64)
    _network(
        x, p["plain"].astype(np.int64), p["numbered"].astype(np.int64), p["mean"], p["scale"], p["in.weight"], p["in.bias"],
        p["embedding"], p["norm.weight"], p["norm.bias"], p["conv.weight"], p["conv.bias"], p["pool.weight"], p["pool.bias"],
        p["out.weight"], p["out.bias"], lengths.astype(np.float64), out,
    )  # fmt: skip
    return out


_WIDTH, _KERNEL, _POOL_AFTER, _CLIP, _N_NUMBERS = WIDTH, KERNEL, POOL_AFTER, np.float32(CLIP), N_NUMBERS
_DILATIONS = np.array(DILATIONS)


@numba.njit(fastmath={"contract"})  # multiply and add in one instruction
def _add(out: Any, a: Any, x: Any, b: Any, y: Any, c: Any, z: Any, d: Any, w: Any) -> None:
    for i in range(len(out)):
        out[i] += a * x[i] + b * y[i] + c * z[i] + d * w[i]


@compiled(
    "in:f4* in:i8 in:i8 in:f4 in:f4 in:f4* in:f4 in:f4** in:f4* in:f4* in:f4*** in:f4* in:f4* in:f4 in:f4 in:f4 in:f8 io:f8"
)
def _network(  # type: ignore[no-untyped-def]
    x, plain, numbered, mean, scale, in_weight, in_bias, embedding, norm_weight, norm_bias, conv_weight, conv_bias,
    pool_weight, pool_bias, out_weight, out_bias, lengths, out,
):  # fmt: skip
    # Everything is (channels, lines): the innermost loops run over the lines and have one instruction for many of them.
    n = len(x)
    inner = np.zeros(((len(plain) + 3) // 4 * 4, n), np.float32)
    for i in range(n):
        for j in range(len(plain)):
            inner[j, i] = min(_CLIP, max(-_CLIP, (x[i, plain[j]] - mean[j]) * scale[j]))
    h = np.zeros((_WIDTH, n), np.float32)
    for c in range(_WIDTH):
        for i in range(n):
            h[c, i] = in_bias[c]
        for j in range(0, len(inner), 4):
            a = in_weight[j, c]
            b = in_weight[j + 1, c] if j + 1 < len(plain) else np.float32(0)
            d = in_weight[j + 2, c] if j + 2 < len(plain) else np.float32(0)
            e = in_weight[j + 3, c] if j + 3 < len(plain) else np.float32(0)
            _add(h[c], a, inner[j], b, inner[j + 1], d, inner[j + 2], e, inner[j + 3])
    for i in range(n):
        for j in range(len(numbered)):
            number = min(_N_NUMBERS - 1, max(0, np.int64(x[i, numbered[j]])))
            for c in range(_WIDTH):
                h[c, i] += embedding[j, number, c]
    for c in range(_WIDTH):
        for i in range(n):
            h[c, i] = max(h[c, i], np.float32(0))
    middle = np.zeros(n, np.float32)
    spread = np.zeros(n, np.float32)
    sums = np.zeros(n, np.float32)
    for layer in range(len(_DILATIONS)):
        dilation = _DILATIONS[layer]
        pad = dilation * (_KERNEL // 2)
        normal = np.zeros((_WIDTH, n + 2 * pad), np.float32)
        middle[:] = 0
        spread[:] = 0
        for c in range(_WIDTH):
            for i in range(n):
                middle[i] += h[c, i] / np.float32(_WIDTH)
        for c in range(_WIDTH):
            for i in range(n):
                spread[i] += (h[c, i] - middle[i]) * (h[c, i] - middle[i]) / np.float32(_WIDTH)
        for i in range(n):
            spread[i] = np.float32(1) / np.sqrt(spread[i] + np.float32(1e-5))
        for c in range(_WIDTH):
            for i in range(n):
                normal[c, pad + i] = (h[c, i] - middle[i]) * spread[i] * norm_weight[layer, c] + norm_bias[layer, c]
        for c in range(_WIDTH):
            for i in range(n):
                sums[i] = conv_bias[layer, c]
            for k in range(_KERNEL):
                at = k * dilation
                for j in range(0, _WIDTH, 4):
                    a = conv_weight[layer, k, j, c]
                    b = conv_weight[layer, k, j + 1, c]
                    d = conv_weight[layer, k, j + 2, c]
                    e = conv_weight[layer, k, j + 3, c]
                    end = at + n
                    _add(
                        sums, a, normal[j, at:end], b, normal[j + 1, at:end], d, normal[j + 2, at:end], e, normal[j + 3, at:end]
                    )  # fmt: skip
            for i in range(n):
                h[c, i] += max(sums[i], np.float32(0))
        if layer + 1 == _POOL_AFTER:
            total = max(1.0, lengths.sum())
            page = np.zeros(2 * _WIDTH, np.float64)  # the mean over words, the mean over lines
            for c in range(_WIDTH):
                for i in range(n):
                    page[c] += h[c, i] * (lengths[i] / total)
                    page[_WIDTH + c] += h[c, i] / n
            for c in range(_WIDTH):
                added = np.float64(pool_bias[c])
                for j in range(2 * _WIDTH):
                    added += page[j] * pool_weight[j, c]
                for i in range(n):
                    h[c, i] += np.float32(added)
    for i in range(n):
        out[i] = out_bias[0]
    for c in range(_WIDTH):
        for i in range(n):
            out[i] += h[c, i] * out_weight[c]
