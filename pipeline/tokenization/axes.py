"""The axes of a mixture: what documents are counted by, as columns computed from document columns.

    category                a class of `classifiers/category/labels.yaml`, from the column of that name
    group, balance          its group, and its group for balancing
    language, source, domain
    quality_band            the stored probability that the page is good, between `quality_bands`: `<0.5`, `0.5-0.8`, `>=0.8`

The combinations of values that occur are counted on the driver, so their number is bounded: classes and bands are closed lists;
of an axis with named weights or shares all values without a name are one, `(other)`; and of domains, which have no
bound, the named ones alone are told apart. Languages are the few that the identification model knows, sources are names from
configs. A class, or a group, that a weight acts on is `(unsure)` where its stored probability is low: a weight does not
multiply by labels more than they can be trusted.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from classifiers.category.labels import BALANCE_OF, GROUP_OF, LABELS
from extraction.result import SCALE

AXES = ("category", "group", "balance", "language", "source", "domain", "quality_band")
"""All axes; those of a mixture keep this order, so that the cells of a class stand together."""

REPORTED = ("category", "group", "language")
"""Counted whether they are steered or not."""

CLASSES = ("category", "group", "balance")
"""The axes of classes, which the category classifier gives."""

OTHER = "(other)"
UNSURE = "(unsure)"
"""Value of an axis of classes of a document whose class, or group of classes, has too low a probability."""

_COLUMN = {"group": "category", "balance": "category", "quality_band": "scores"}
_CLASSES: Mapping[str, Mapping[str, str]] = {
    "category": {label: label for label in LABELS},
    "group": GROUP_OF,
    "balance": BALANCE_OF,
}


def axis_columns(
    rows: pa.Table,
    axes: Sequence[str],
    named: Mapping[str, Collection[str]],
    quality_bands: Sequence[float],
    min_probability: Mapping[str, float] | None = None,
) -> pa.Table:
    """The axes of documents, one string column an axis, n rows; null where a document has no value.

    :param rows: n documents with the columns `columns_of(axes, min_probability)`.
    :param named: of axes whose other values are one, the values that are not.
    :param min_probability: of axes of classes, the stored probability below which a value is UNSURE. A document whose class comes
        without scores is taken at its word.
    """
    bounds = min_probability or {}
    out = {}
    for axis in axes:
        column = rows[_COLUMN.get(axis, axis)]
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if axis == "quality_band":
            out[axis] = _bands(column, quality_bands)
        else:
            out[axis] = _mapped(column, _meaning(axis, named.get(axis)))
        if bounds.get(axis):
            sure = _probabilities(rows, out[axis], axis) >= bounds[axis]
            out[axis] = pc.if_else(pc.or_(pa.array(sure), pc.is_null(out[axis])), out[axis], UNSURE)
    return pa.table(out, schema=pa.schema([pa.field(a, pa.string()) for a in axes]))


def columns_of(axes: Sequence[str], min_probability: Mapping[str, float] | None = None) -> list[str]:
    """The document columns that `axis_columns` reads."""
    judged = ["scores"] if any((min_probability or {}).get(axis) for axis in axes) else []
    return list(dict.fromkeys([*(_COLUMN.get(a, a) for a in axes), *judged]))


def band_names(bounds: Sequence[float]) -> list[str]:
    """Names of the quality bands, the lowest first: [0.5, 0.8] gives `<0.5`, `0.5-0.8`, `>=0.8`."""
    inner = [f"{a:g}-{b:g}" for a, b in itertools.pairwise(bounds)]
    return [f"<{bounds[0]:g}", *inner, f">={bounds[-1]:g}"]


def check_axis(axis: str) -> None:
    """:raises ValueError: if there is no such axis, with the nearest name."""
    if axis not in AXES:
        raise ValueError(_unknown("axis", axis, AXES))


def check_value(axis: str, value: str, quality_bands: Sequence[float]) -> None:
    """:raises ValueError: if an axis of a closed list has no such value, with the nearest name."""
    known = (
        band_names(quality_bands)
        if axis == "quality_band"
        else sorted({*_CLASSES[axis].values()})
        if axis in _CLASSES
        else None
    )
    if known is not None and value not in known:
        raise ValueError(_unknown(axis, value, known))


def unbounded(axis: str) -> bool:
    """Tell whether an axis may have any number of values."""
    return axis == "domain"


def closed(axis: str) -> bool:
    """Tell whether an axis's values are a list known beforehand, so that those without a name need not be one."""
    return axis in _CLASSES or axis == "quality_band"


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        return f"unknown {kind} {name!r}; did you mean {' or '.join(repr(c) for c in close)}?"
    return f"unknown {kind} {name!r}; there are: {', '.join(known)}"


def _meaning(axis: str, named: Collection[str] | None) -> Callable[[str], str]:
    if axis in _CLASSES:
        classes = _CLASSES[axis]
        return lambda value: classes.get(value, OTHER)
    if named is None:
        return lambda value: value
    return lambda value: value if value in named else OTHER


def _mapped(column: pa.Array, meaning: Callable[[str], str]) -> pa.Array:
    """Look up the meaning of each distinct value once."""
    encoded = column.cast(pa.string()).dictionary_encode()
    meanings = pa.array([meaning(v) for v in encoded.dictionary.to_pylist()], pa.string())
    return meanings.take(encoded.indices)


def _probabilities(rows: pa.Table, values: pa.Array, axis: str) -> npt.NDArray[np.float64]:
    """Stored probability of each document's value on an axis of classes, the sum over its classes; 1 without scores."""
    column = rows["scores"]
    scores = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    flat, parents = pc.list_flatten(scores), pc.list_parent_indices(scores)
    own = pc.equal(pc.struct_field(flat, "classifier"), "category")
    flat, parents = flat.filter(own), parents.filter(own)
    of_class = _mapped(pc.struct_field(flat, "label"), _meaning(axis, None))
    same = pc.fill_null(pc.equal(of_class, values.take(parents)), False)
    p, places = np.ones(len(rows)), parents.to_numpy(zero_copy_only=False)
    p[places] = 0.0
    weights = pc.struct_field(flat, "score").to_numpy(zero_copy_only=False) * same.to_numpy(zero_copy_only=False)
    np.add.at(p, places, weights / SCALE)
    return p


def _bands(scores: pa.Array, bounds: Sequence[float]) -> pa.Array:
    flat, parents = pc.list_flatten(scores), pc.list_parent_indices(scores).to_numpy(zero_copy_only=False)
    good = pc.and_(
        pc.equal(pc.struct_field(flat, "classifier"), "quality"), pc.equal(pc.struct_field(flat, "label"), "good")
    )
    chosen = good.to_numpy(zero_copy_only=False).astype(bool)
    band = np.full(len(scores), -1)
    values = pc.struct_field(flat, "score").to_numpy(zero_copy_only=False)[chosen] / SCALE
    band[parents[chosen]] = np.searchsorted(bounds, values, side="right")
    return pa.array(band_names(bounds)).take(pa.array(band, mask=band < 0))
