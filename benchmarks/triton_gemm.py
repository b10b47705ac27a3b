"""A grouped GEMM in Triton, forward and backward, written plainly: no tensor memory accelerator, no tuning.

    y_NF = grouped(x_NH, w_GHF, ends_G)     # rows ends_G[g-1]:ends_G[g] of x by w_GHF[g]

Without a GPU it runs in Triton's interpreter (TRITON_INTERPRET=1, set before the import), which is for checking alone, in FP32
and FP16: the interpreter of 3.9 multiplies bf16 as the integers that it keeps them in. No GPU has run it.

Programs are as many as tiles could be for any division of the rows, so the sizes of the groups stay on the device; those
without a tile return.

Shapes: N rows, H and F the product's sides, G groups. Products in the inputs' type, sums in FP32.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

ROWS, COLUMNS, DEPTH = 128, 128, 64
"""A program's tile, and how much of the inner side it takes at once."""


@triton.jit
def _rows_kernel(
    x, w, y, ends, tile_group, tile_row, inner, columns, x_row, x_in, w_group, w_in, w_column, y_row,
    R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """One tile of y = x @ w[group]: R rows of one group, C columns."""
    tile = tl.program_id(0)
    group = tl.load(tile_group + tile)
    if group < 0:
        return
    rows = tl.load(tile_row + tile) + tl.arange(0, R)
    cols = tl.program_id(1) * C + tl.arange(0, C)
    mine, wanted = rows < tl.load(ends + group), cols < columns
    total = tl.zeros((R, C), dtype=tl.float32)
    for begin in range(0, inner, D):
        deep = begin + tl.arange(0, D)
        a = tl.load(
            x + rows[:, None].to(tl.int64) * x_row + deep[None] * x_in,
            mask=mine[:, None] & (deep < inner)[None],
            other=0.0,
        )
        b = tl.load(
            w + group.to(tl.int64) * w_group + deep[:, None] * w_in + cols[None] * w_column,
            mask=(deep < inner)[:, None] & wanted[None],
            other=0.0,
        )
        total = tl.dot(a, b, total, input_precision="ieee")
    place = y + rows[:, None].to(tl.int64) * y_row + cols[None]
    tl.store(place, total.to(y.dtype.element_ty), mask=mine[:, None] & wanted[None])


@triton.jit
def _weights_kernel(
    x, dy, dw, ends, inner, columns, x_row, dy_row, dw_group, dw_in,
    R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """One tile of dw[group] = x^T @ dy over the rows of the group; zero where it has none."""
    group = tl.program_id(0)
    ins = tl.program_id(1) * R + tl.arange(0, R)
    cols = tl.program_id(2) * C + tl.arange(0, C)
    begin = tl.load(ends + group - 1, mask=group > 0, other=0)
    end = tl.load(ends + group)
    total = tl.zeros((R, C), dtype=tl.float32)
    for row in range(begin, end, D):
        rows = row + tl.arange(0, D)
        mine = rows < end
        a = tl.load(
            x + rows[None].to(tl.int64) * x_row + ins[:, None], mask=(ins < inner)[:, None] & mine[None], other=0.0
        )
        b = tl.load(
            dy + rows[:, None].to(tl.int64) * dy_row + cols[None],
            mask=mine[:, None] & (cols < columns)[None],
            other=0.0,
        )
        total = tl.dot(a, b, total, input_precision="ieee")
    place = dw + group.to(tl.int64) * dw_group + ins[:, None] * dw_in + cols[None]
    tl.store(place, total.to(dw.dtype.element_ty), mask=(ins < inner)[:, None] & (cols < columns)[None])


def _tiles(ends_G: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Group (-1: none) and first row of each tile; as many tiles as any division of the rows could need."""
    begins_G = torch.cat([ends_G.new_zeros(1), ends_G[:-1]])
    until_G = torch.cumsum((ends_G - begins_G + ROWS - 1) // ROWS, 0)
    tiles = torch.arange(-(-rows // ROWS) + len(ends_G), device=ends_G.device)
    group = torch.searchsorted(until_G, tiles, right=True)
    known = group.clamp(max=len(ends_G) - 1)
    before = torch.where(known > 0, until_G[known - 1], 0)
    row = begins_G[known] + (tiles - before) * ROWS
    return torch.where(group < len(ends_G), known, -1).int(), row.int()


def _rows(x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    y = torch.empty(len(x), w.shape[2], dtype=x.dtype, device=x.device)
    group, row = _tiles(ends, len(x))
    grid = (len(group), triton.cdiv(w.shape[2], COLUMNS))
    strides = (*x.stride(), *w.stride(), y.stride(0))
    _rows_kernel[grid](
        x, w, y, ends, group, row, x.shape[1], w.shape[2], *strides, R=ROWS, C=COLUMNS, D=DEPTH, num_warps=8
    )
    return y


class _Grouped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, w, ends)
        return _rows(x, w, ends)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        x, w, ends = ctx.saved_tensors
        dy, x = dy.contiguous(), x.contiguous()
        dw = torch.empty(w.shape, dtype=w.dtype, device=w.device)
        grid = (len(ends), triton.cdiv(x.shape[1], ROWS), triton.cdiv(dy.shape[1], COLUMNS))
        strides = (x.stride(0), dy.stride(0), dw.stride(0), dw.stride(1))
        _weights_kernel[grid](
            x, dy, dw, ends, x.shape[1], dy.shape[1], *strides, R=ROWS, C=COLUMNS, D=DEPTH, num_warps=8
        )
        return _rows(dy, w.transpose(1, 2), ends), dw, None


def grouped(x_NH: torch.Tensor, w_GHF: torch.Tensor, ends_G: torch.Tensor) -> torch.Tensor:
    """
    :param ends_G: int32, where each group's rows end; the last is N.
    :returns: `(N, F)`.
    """
    y: torch.Tensor = _Grouped.apply(x_NH, w_GHF, ends_G)
    return y
