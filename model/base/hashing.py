"""Chance is a hash of (seed, numbers): the same on every machine, for any order of calls."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]


def mix(*values: Any) -> Hashes:
    """Hash whole numbers >= 0, element by element: each is added to the state, which SplitMix64's finaliser then scrambles
    (Steele, Lea and Flood, OOPSLA 2014).

    :param values: integers or arrays of them that broadcast together.
    :returns: uint64 array of the broadcast shape, at least one-dimensional.
    """
    state = np.zeros(1, dtype=np.uint64)
    for value in values:
        state = state + np.atleast_1d(np.asarray(value)).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return state


def uniform(*values: Any) -> npt.NDArray[np.float64]:
    """Give hashes as numbers in [0, 1)."""
    out: npt.NDArray[np.float64] = (mix(*values) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return out


def order(*values: Any) -> npt.NDArray[np.int64]:
    """Shuffle: the order of the hashes of `values`, one of which is usually `np.arange(n)`."""
    return np.argsort(mix(*values), kind="stable")


def digest64(text: str) -> int:
    """Hash a text: the first 64 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
