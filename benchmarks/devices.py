"""Peak speed of devices: known GPUs by their makers' data sheets, a CPU by products measured here."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch

PEAKS = {
    # Dense bf16 with tensor cores, TFLOP/s, by NVIDIA's data sheet of each; half of what they print "with sparsity".
    "B200": 2250.0,
    "GH200": 989.4,
    "H200": 989.4,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.4,  # SXM: "H100 80GB HBM3"
    "H800": 989.4,
    "H20": 148.0,
    "A100": 312.0,
    "A800": 312.0,
    "A10": 125.0,
    "L40S": 362.0,
    "L4": 121.0,
    "RTX 4090": 165.2,
}


def peak_tflops(name: str) -> float | None:
    """Peak of a GPU by its name as torch gives it, the longest that fits (an H100 PCIe is no H100 SXM); else None."""
    words = name.replace("-", " ")
    padded = f" {words} "
    fitting = [known for known in PEAKS if f" {known} " in padded]
    return PEAKS[max(fitting, key=len)] if fitting else None


def describe(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor()
    return f"CPU, {name}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured_tflops(device: torch.device, dtype: torch.dtype, side: int | None = None, repeats: int = 4) -> float:
    """A square product, the fastest of `repeats`: by the clock on a GPU; without one of CPU time, so of one core."""
    side = side or (8192 if device.type == "cuda" else 1024)
    a = torch.randn(side, side, device=device, dtype=dtype)
    b = torch.randn(side, side, device=device, dtype=dtype)
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    best = float("inf")
    for _ in range(repeats + 1):
        synchronise(device)
        begin = clock()
        a @ b
        synchronise(device)
        best = min(best, clock() - begin)
    return 2 * side**3 / best / 1e12
