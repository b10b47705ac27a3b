"""Compiled functions of this package: numba, on one thread, at their first call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np


class Compiled:
    """A numba function of one signature, compiled at its first call: importing this package must stay cheap, and all of
    them together take 2.5 CPU seconds of a process (benchmarks/minhash.py).

    Not cached on disk: numba's cache is made of pickles, and knows neither imported modules nor an upgraded dependency.
    """

    def __init__(self, signature: str, function: Callable[..., Any]) -> None:
        self._signature = signature
        self._function = function
        functools.update_wrapper(self, function)

    @functools.cached_property
    def _compiled(self) -> Callable[..., Any]:
        # `in:u1` is a one-dimensional C array that is only read, `io:u1` one that is written; a number alone is a scalar.
        compiled: Callable[..., Any] = numba.njit(
            tuple(_numba_type(name) for name in self._signature.split()), nogil=True
        )(self._function)
        return compiled

    def __call__(self, *arguments: Any) -> Any:
        return self._compiled(*arguments)


def _numba_type(name: str) -> Any:
    use, _, item = name.rpartition(":")
    number = getattr(numba.types, np.dtype(item.rstrip("*")).name)
    if not use:
        return number
    return numba.types.Array(number, 1 + item.count("*"), "C", readonly=use == "in")


def compiled(signature: str) -> Callable[[Callable[..., Any]], Compiled]:
    """Decorator: `Compiled` of `signature`."""
    return functools.partial(Compiled, signature)
