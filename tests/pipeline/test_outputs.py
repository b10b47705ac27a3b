"""Manifests, differences between fingerprints, the document table."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.outputs import InputFile, Manifest, PublishedFile, difference, read_all, read_manifest, require_manifest
from pipeline.schema import DOCUMENT
from pipeline.storage import write_json
from pipeline.strict import UserError


def manifest() -> Manifest:
    return Manifest(
        stage="preparation",
        fingerprint={"stage": "preparation"},
        inputs=[InputFile("a", {"size": 1}, 0, 0), InputFile("b", {"size": 2}, 1, 1)],
        files=[PublishedFile("documents/verdict=kept/x.parquet", "kept", 3, 10, "00", 0)],
    )


def test_manifest_survives_storing(tmp_path: Path) -> None:
    assert read_manifest(str(tmp_path)) is None
    write_json(str(tmp_path / "_manifest.json"), manifest().to_json())
    assert read_manifest(str(tmp_path)) == manifest()
    assert manifest().generations == 2
    assert (manifest().rows("kept"), manifest().rows("dropped")) == (3, 0)


def test_output_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    write_json(str(tmp_path / "_manifest.json"), {**manifest().to_json(), "schema_version": 99})
    with pytest.raises(UserError, match="has schema version 99, this code reads 5"):
        read_manifest(str(tmp_path))


def test_unfinished_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"is not a finished stage output: it has no _manifest\.json; run the stage first"
    ):
        require_manifest(str(tmp_path))


def test_empty_output_has_the_columns(tmp_path: Path) -> None:
    write_json(str(tmp_path / "_manifest.json"), {**manifest().to_json(), "files": []})
    assert read_all(str(tmp_path)).schema.equals(DOCUMENT)


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"a": {"x": 1}}, {"a": {"x": 1}}, []),
        ({"a": {"x": 1}}, {"a": {"x": 2}}, ["a.x: 1 -> 2"]),
        ({"a": {"x": 1}}, {"a": {}}, ["a.x: removed"]),
        ({"a": {}}, {"a": {"x": [1]}}, ["a.x: added"]),
        ({"steps": {"a": {}, "b": {}}}, {"steps": {"b": {}, "a": {}}}, ["steps: order ['a', 'b'] -> ['b', 'a']"]),
    ],
)
def test_differences_are_named(old: dict[str, object], new: dict[str, object], lines: list[str]) -> None:
    assert difference(old, new) == lines
