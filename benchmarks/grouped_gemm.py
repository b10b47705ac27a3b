"""The products of experts: torch's grouped GEMM beside a loop over the experts, padded batches, Triton and TransformerEngine.

    python benchmarks/grouped_gemm.py [--loads out/model/tiny/experts.jsonl]

dots.llm1's report (arXiv:2506.05767, Table 1) has forward 638 to 745 TFLOP/s on an H800 with 4 or 8 groups. Its rows and sides
are inferred here, not read from it: an expert of the published model multiplies (rows, 4096) by (4096, 2 x 1408), gate and up at
once, and (rows, 1408) by (1408, 4096); a rank that trains on 8,192 tokens a step has 8,192 x 6 rows wherever experts are dealt to
ranks evenly, 4 experts of 128 to each of 32 ranks or 8 to each of 16.

Groups are even; uneven after Zipf, 1/rank, the last one empty; or, with `--loads`, as a run had them at its last recorded step.
Every way is held to the loop in FP32, result and gradients, before it is timed. FLOPs are those of the rows that there are, so
padding counts as time alone. Weights lie as the model keeps them, (groups, columns, inner). Time is that of the
fastest call.

Without a GPU it says so and measures one core by its CPU time, with fewer rows, and the experts of `tiny` besides: nothing in
that says anything of a GPU. Triton (benchmarks/triton_gemm.py) and TransformerEngine are tried on a GPU where they are
installed; neither has been run there yet.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import devices
import machine
import torch

REPEATS, AT_LEAST = 2, 0.1
REPORT_TFLOPS = (638, 745)
"""Forward, H800 (the report's Table 1)."""
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Norm of the difference to the FP32 loop, over the norm."""

Given = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""x (N, H), w (G, F, H), where groups end (G,) int32 on the device, and a gradient of the result (N, F)."""
Way = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Sequence[int]], torch.Tensor]
"""(x, w, ends, sizes) -> (N, F)."""


@dataclass(frozen=True)
class Case:
    """Rows of each group, and the sides of the product."""

    product: str
    groups: str
    sizes: tuple[int, ...]
    inner: int
    columns: int

    @property
    def flops(self) -> float:
        """FLOPs of the forward pass; the backward pass has twice as many."""
        return 2.0 * sum(self.sizes) * self.inner * self.columns


# --- ways -------------------------------------------------------------------------------------------------------------


def loop(x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """An expert after the other; its sizes are known to the host. Not `w[g]`: the gradient of each would be as large as w."""
    parts = zip(x.split(list(sizes)), w.unbind(), strict=True)
    return torch.cat([part @ weight.T for part, weight in parts if len(part)])


def grouped_mm(x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """torch's, as transformers' `grouped_mm` experts call it."""
    return torch.nn.functional.grouped_mm(x, w.transpose(1, 2), offs=ends)


def padded(x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """One batched product of groups padded to the largest."""
    largest = max(sizes)
    begins = ends - torch.tensor(sizes, device=x.device)
    rows = torch.arange(len(x), device=x.device)
    group = torch.searchsorted(ends, rows, right=True)
    place = group * largest + rows - begins[group]
    filled = x.new_zeros(len(sizes) * largest, x.shape[1]).index_copy(0, place, x)
    return torch.bmm(filled.view(len(sizes), largest, -1), w.transpose(1, 2)).flatten(0, 1)[place]


def triton_way() -> Way | None:
    """Our kernel, on a GPU with Triton."""
    if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        return None
    from triton_gemm import grouped

    return lambda x, w, ends, sizes: grouped(x, w.transpose(1, 2), ends)


class TransformerEngine:
    """TransformerEngine's GroupedLinear. Its weights are its own, so gradients go to them."""

    def __init__(self) -> None:
        self.key: torch.Tensor | None = None
        self.layer: Any = None

    def weights(self, w: torch.Tensor) -> list[torch.Tensor]:
        """The layer's weights, those of `w`."""
        if self.key is not w:
            import transformer_engine.pytorch as te

            self.layer = te.GroupedLinear(
                len(w), w.shape[2], w.shape[1], bias=False, params_dtype=w.dtype, device=w.device
            )
            with torch.no_grad():
                for g, weight in enumerate(w):
                    getattr(self.layer, f"weight{g}").copy_(weight)
            self.key = w
        return [getattr(self.layer, f"weight{g}") for g in range(len(w))]

    def __call__(self, x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
        self.weights(w)
        y: torch.Tensor = self.layer(x, list(sizes))
        return y


def ways() -> dict[str, Way]:
    """Ways available here; `loop` first."""
    engine = torch.cuda.is_available() and importlib.util.find_spec("transformer_engine") is not None
    candidates: dict[str, Way | None] = {
        "loop": loop,
        "torch grouped_mm": grouped_mm,
        "padded bmm": padded,
        "triton (ours)": triton_way(),
        "TransformerEngine": TransformerEngine() if engine else None,
    }
    return {name: way for name, way in candidates.items() if way is not None}


# --- measuring --------------------------------------------------------------------------------------------------------


def gradients(
    way: Way, y: torch.Tensor, x: torch.Tensor, w: torch.Tensor, dy: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of x and w; `y` may be differentiated again."""
    if isinstance(way, TransformerEngine):
        dx, *parts = torch.autograd.grad(y, (x, *way.weights(w)), dy, retain_graph=True)
        return dx, torch.stack(parts)
    dx, dw = torch.autograd.grad(y, (x, w), dy, retain_graph=True)
    return dx, dw


def given(case: Case, dtype: torch.dtype, device: torch.device) -> Given:
    generator = torch.Generator(device).manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    rows = sum(case.sizes)
    x = drawn(rows, case.inner).to(dtype).requires_grad_()
    w = (drawn(len(case.sizes), case.columns, case.inner) / case.inner**0.5).to(dtype).requires_grad_()
    ends = torch.tensor(case.sizes, device=device).cumsum(0).int()
    return x, w, ends, drawn(rows, case.columns).to(dtype)


def computed(way: Way, case: Case, what: Given) -> tuple[torch.Tensor, ...]:
    """Result, and gradients of x and w."""
    x, w, ends, dy = what
    y = way(x, w, ends, case.sizes)
    return tuple(t.detach() for t in (y, *gradients(way, y, x, w, dy)))


def exact(case: Case, what: Given) -> tuple[torch.Tensor, ...]:
    """The loop in FP32 on the same numbers."""
    x, w, ends, dy = what
    full_x, full_w = (t.detach().float().requires_grad_() for t in (x, w))
    return computed(loop, case, (full_x, full_w, ends, dy.float()))


def largest_error(actual: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """Norm of the difference over the norm, of the worst of result and gradients."""
    return max(float((a.float() - b).norm() / b.norm()) for a, b in zip(actual, expected, strict=True))


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    """The fastest call, after one to warm up: by the clock on a GPU, of CPU time without one.

    `REPEATS` calls, and more, up to 100, until they have taken `AT_LEAST` seconds: short calls vary more.
    """
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    call()
    best, total = float("inf"), 0.0
    for repeat in range(100):
        if repeat >= REPEATS and total >= AT_LEAST:
            break
        devices.synchronise(device)
        begin = clock()
        call()
        devices.synchronise(device)
        spent = clock() - begin
        best, total = min(best, spent), total + spent
    return best


def measure(case: Case, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """TFLOP/s of each way, forward and backward.

    :raises ArithmeticError: a way's result is not the loop's.
    """
    out: dict[str, Any] = {}
    what = given(case, dtype, device)
    expected = exact(case, what)
    x, w, ends, dy = what
    for name, way in ways().items():
        error = largest_error(computed(way, case, what), expected)
        if not error <= TOLERANCE[dtype]:
            raise ArithmeticError(f"{case.product}, {name}, {dtype}: differs from the FP32 loop by {error:.1e}")
        with torch.no_grad():
            forward = seconds(lambda way=way: way(x, w, ends, case.sizes), device)  # type: ignore[misc]
        y = way(x, w, ends, case.sizes)
        backward = seconds(lambda way=way, y=y: gradients(way, y, x, w, dy), device)  # type: ignore[misc]
        del y
        out[name] = {
            "forward_tflops": float(f"{case.flops / forward / 1e12:.4g}"),
            "backward_tflops": float(f"{2 * case.flops / backward / 1e12:.4g}"),
            "largest_error": float(f"{error:.2g}"),
        }
    return out


def zipf(rows: int, groups: int) -> tuple[int, ...]:
    """Rows in proportion to 1 / rank, the last group empty."""
    weights = [1 / (g + 1) for g in range(groups - 1)]
    sizes = [int(rows * w / sum(weights)) for w in weights]
    sizes[0] += rows - sum(sizes)
    return (*sizes, 0)


def last_load(path: Path) -> tuple[int, ...]:
    """Choices of each expert of the first layer, at the last recorded step of a run."""
    line = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    return tuple(line["load"][0])


def cases(on_gpu: bool, loads: Path | None) -> list[Case]:
    rows = 8192 * 6 if on_gpu else 256
    out = []
    for name, inner, columns in (("gate and up", 4096, 2 * 1408), ("down", 1408, 4096)):
        out += [Case(f"dots.llm1, {name}", "even", (rows // g,) * g, inner, columns) for g in (4, 8)]
        out.append(Case(f"dots.llm1, {name}", "Zipf", zipf(rows, 8), inner, columns))
    small = 1024  # a step of `tiny`: 512 tokens, top 2
    for name, inner, columns in (("gate and up", 64, 64), ("down", 32, 64)):
        out.append(Case(f"tiny, {name}", "even", (small // 16,) * 16, inner, columns))
        uneven = ("measured", last_load(loads)) if loads else ("Zipf", zipf(small, 16))
        out.append(Case(f"tiny, {name}", *uneven, inner, columns))
    return out


def show(results: Sequence[dict[str, Any]], peak: dict[str, float | None], on_gpu: bool) -> str:
    """The table on the terminal."""
    unit, scale = ("TFLOP/s", 1.0) if on_gpu else ("GFLOP/s", 1e3)
    head = ["product", "groups", "rows", "type", "way", f"forward {unit}", "x loop", "of peak"]
    head += [f"backward {unit}", "x loop", *(["of the report's forward"] if on_gpu else [])]
    rows = [head]
    for r in results:
        base = r["ways"]["loop"]
        for name, v in r["ways"].items():
            top = peak[r["dtype"]]
            row = [r["product"], f"{len(r['sizes'])} {r['groups']}", f"{sum(r['sizes']):,}", r["dtype"], name]
            row += [f"{v['forward_tflops'] * scale:,.1f}", f"{v['forward_tflops'] / base['forward_tflops']:.2f}"]
            row += [f"{v['forward_tflops'] / top:.0%}" if top else "-"]
            row += [f"{v['backward_tflops'] * scale:,.1f}", f"{v['backward_tflops'] / base['backward_tflops']:.2f}"]
            if on_gpu:
                row.append(" to ".join(f"{v['forward_tflops'] / t:.2f}" for t in reversed(REPORT_TFLOPS)))
            rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < 5 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--loads", type=Path, help="experts.jsonl of a run of tiny, for uneven groups as measured")
    args = parser.parse_args()
    torch.set_num_threads(1)
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    name = devices.describe(device)
    print(
        name if on_gpu else f"no GPU here: {name}; CPU time, fewer rows: nothing below says anything of a GPU",
        flush=True,
    )
    types = {"bf16": torch.bfloat16} if on_gpu else {"bf16": torch.bfloat16, "fp32": torch.float32}
    measured = {k: round(devices.measured_tflops(device, t), 4) for k, t in types.items()}
    peak: dict[str, float | None] = {"bf16": devices.peak_tflops(name)} if on_gpu else dict(measured)
    results = [
        {**asdict(case), "dtype": dtype, "ways": measure(case, kind, device)}
        for case in cases(on_gpu, args.loads)
        for dtype, kind in types.items()
    ]
    print(show(results, peak, on_gpu), flush=True)
    packages = [p for p in ("torch", "triton", "transformer_engine") if importlib.util.find_spec(p)]
    machine.save(
        "grouped_gemm",
        {
            "device": name,
            "gpu": on_gpu,
            "load_average": round(os.getloadavg()[0], 1),
            "versions": {p: importlib.metadata.version(p) for p in packages},
            "peak_tflops": peak,
            "peak_is": "of the data sheet" if on_gpu else "a product of 1,024 x 1,024 matrices in this run",
            "measured_square_tflops": measured,
            "report_forward_tflops_h800": REPORT_TFLOPS,
            "shapes": "inferred from the published model; the report's own rows and sides of Table 1 were not at hand",
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
