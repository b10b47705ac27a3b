"""Compiled functions: numba, on one thread, at their first call, kept on disk; and what several of them call."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
import numpy as np

from extraction import characters

F = TypeVar("F", bound=Callable[..., Any])
caching: Any = importlib.import_module("numba.core.caching")


class Compiled:
    """A numba function of one signature, compiled at its first call: importing this package must stay cheap, and the scanner of
    HTML alone takes 14 CPU seconds.

    The machine code is kept in `cache_folder()`, under a name that says all it was made from: the function and its module, every
    function and constant that it uses, their options, and the versions of Python and numba (numba's own cache knows only the
    file of the outermost function). numba itself adds the processor. Where the folder cannot be had, each process compiles for
    itself.
    """

    def __init__(self, signature: str, function: Callable[..., Any]) -> None:
        self._signature = signature
        self._function = function
        functools.update_wrapper(self, function)

    @functools.cached_property
    def _compiled(self) -> Callable[..., Any]:
        # `in:u1` is a one-dimensional C array that is only read, `io:u1` one that is written; a number alone is a scalar.
        compiled: Any = numba.njit(nogil=True)(self._function)
        folder = cache_folder()
        if folder is not None:
            with contextlib.suppress(OSError):  # the folder was taken away just now
                compiled._cache = _Cache(self._function)
        compiled.compile(tuple(_numba_type(name) for name in self._signature.split()))
        compiled.disable_compile()
        return cast(Callable[..., Any], compiled)

    def __call__(self, *arguments: Any) -> Any:
        return self._compiled(*arguments)


def compiled(signature: str) -> Callable[[Callable[..., Any]], Compiled]:
    """Decorator: `Compiled` of `signature`."""
    return functools.partial(Compiled, signature)


def cache_folder() -> Path | None:
    """Where machine code is kept: `$CORPUSMILL_CACHE`, or `corpusmill` in the user's cache folder. None if there is no folder
    there that this user alone can write: what lies in it gets executed."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(os.environ.get("CORPUSMILL_CACHE") or os.path.join(base, "corpusmill"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    mine = status.st_uid == os.getuid() and not status.st_mode & 0o022
    return folder if mine and os.access(folder, os.W_OK | os.X_OK) else None


def fingerprint(function: Callable[..., Any]) -> str:
    """Hash of all that a compiled function is made from.

    :raises TypeError: if it uses something that cannot be told apart by value.
    """
    digest = hashlib.sha256()
    for part in _parts(function, set()):
        digest.update(part.encode())
    return digest.hexdigest()


def _parts(function: Any, seen: set[int]) -> Iterator[str]:
    code = function.__code__
    yield function.__module__  # machine code that was kept names its module, and is useless where that has moved
    yield repr((code.co_code, code.co_names, code.co_varnames, code.co_consts))
    for name in code.co_names:
        value = function.__globals__.get(name)
        if value is None or id(value) in seen:
            continue
        yield name
        inner = getattr(value, "py_func", None) or (value._function if isinstance(value, Compiled) else None)
        if inner is not None:
            seen.add(id(value))
            yield repr(getattr(value, "targetoptions", None))
            yield from _parts(inner, seen)
        elif isinstance(value, bool | int | float | str | tuple | np.generic):
            yield repr(value)
        elif isinstance(value, np.ndarray):
            yield f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        elif (
            isinstance(value, type | types.ModuleType)
            and (value.__module__ if isinstance(value, type) else value.__name__) in _KNOWN
        ):
            yield repr(value)
        else:
            raise TypeError(
                f"{function.__qualname__} uses {name}, a {type(value).__name__}: its value is not part of the cache's key"
            )


_KNOWN = ("numpy", "numba", "math", "builtins")


def helper(function: F) -> F:
    """Decorator of a function that compiled ones call. It can make views of arrays but no arrays: no references to them are
    counted, which took a fifth of the scanner's time."""
    return cast(F, cast(Any, numba.njit)(_nrt=False)(function))


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    """One folder for all functions, whatever file they come from (a zip too)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        versions = f"numba {numba.__version__} llvmlite {llvmlite.__version__} numpy {np.__version__}"
        self._stamp = f"{versions} {fingerprint(function)}"

    def get_cache_path(self) -> str:
        folder = cache_folder()
        if folder is None:
            raise OSError("no cache folder")
        return os.fspath(folder)

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return hashlib.sha256(self._stamp.encode()).hexdigest()[:24]

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator:
        return cls(function)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]  # as in the class above it


class _Cache(caching.Cache):  # type: ignore[misc]
    _impl_class = _Implementation


def _numba_type(name: str) -> Any:
    use, _, item = name.rpartition(":")
    number = getattr(numba.types, np.dtype(item.rstrip("*")).name)
    if not use:
        return number
    return numba.types.Array(number, 1 + item.count("*"), "C", readonly=use == "in")


# --- Characters and hashes: as in `extraction.characters`, a definition never gets another answer ----------------------

FNV_PRIME, FNV_START = np.uint32(characters.FNV_PRIME), np.uint32(characters.FNV_START)
FNV64_PRIME, FNV64_START = np.uint64(1099511628211), np.uint64(14695981039346656037)


@helper
def fnv1a(value: Any, other: Any) -> Any:
    """One step of FNV-1a, 32 bits; `other` is a byte, or any number of 32 bits."""
    return np.uint32((np.uint32(value) ^ np.uint32(other)) * FNV_PRIME)


@helper
def fnv1a_64(value: Any, byte: Any) -> Any:
    """One step of FNV-1a, 64 bits."""
    return (value ^ np.uint64(byte)) * FNV64_PRIME


@helper
def utf8_size(lead: Any) -> Any:
    """Bytes of the character whose first byte is `lead`, from 0xC0 on: 2, 3 or 4."""
    return 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


@helper
def utf8_point(data: Any, place: Any, size: Any) -> Any:
    """Code point of the character of `size` bytes, two or more, at `place`. Nothing is checked."""
    first = np.int64(data[place])
    second = np.int64(data[place + 1]) & 0x3F
    if size == 2:
        return (first & 0x1F) << 6 | second
    third = np.int64(data[place + 2]) & 0x3F
    if size == 3:
        return (first & 0x0F) << 12 | second << 6 | third
    return (first & 0x07) << 18 | second << 12 | third << 6 | (np.int64(data[place + 3]) & 0x3F)


@helper
def is_han_of_jieba(point: Any) -> Any:
    """jieba's own range: the runs that a segmenter cuts for fuzzy deduplication, whose fingerprints are stored."""
    return 0x4E00 <= point <= 0x9FD5


@helper
def is_cjk(point: Any) -> Any:
    """Han, kana and Hangul, each a word of its own for the line model's weights."""
    return (
        0x3400 <= point < 0xA000 or 0x3040 <= point < 0x3100 or 0xAC00 <= point < 0xD7B0 or 0x20000 <= point < 0x32000
    )


@helper
def is_cjk_or_supplementary(point: Any) -> Any:
    """`is_cjk` and all that takes four bytes, emoji too: words for the weights of the page classifiers."""
    return point >= 0x10000 or is_cjk(point)


@helper
def is_unspaced(point: Any) -> Any:
    """Letters of scripts without spaces (Thai to Burmese, Khmer, kana, Han), each a word for the embedder's stored vectors."""
    return (
        0x3400 <= point <= 0x9FFF
        or 0x3040 <= point <= 0x30FF
        or 0x0E00 <= point <= 0x109F
        or 0x1780 <= point <= 0x17FF
        or 0x20000 <= point <= 0x3FFFF
    )


@helper
def is_unspaced_or_symbol(point: Any) -> Any:
    """`is_unspaced`, CJK symbols, bopomofo and compatibility: a token of fuzzy deduplication, whose fingerprints are stored."""
    return is_unspaced(point) or 0x3000 <= point <= 0x33FF or 0xF900 <= point <= 0xFAFF


@helper
def is_wide_sentence_end(point: Any) -> Any:
    """One of 。！？；"""
    return point in (0x3002, 0xFF01, 0xFF1F, 0xFF1B)
