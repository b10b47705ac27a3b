"""Manifests, differences between fingerprints, the document table."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.outputs import (
    InputFile,
    Manifest,
    PublishedFile,
    RunRecord,
    difference,
    read_all,
    read_manifest,
    read_record,
    require_manifest,
)
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
    with pytest.raises(UserError, match="has schema version 99, this code reads 6"):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"_manifest\.json is damaged: Expecting"),
        ("[]", r"_manifest\.json is damaged: expected an object, found list"),
        ('{"schema_version": 6}', r"_manifest\.json is damaged: stage: Field required, found \{'schema_version': 6\}"),
        ('{"schema_version": 6, "stage": "x", "fingerprint": {}}', "stage: Input should be 'preparation', .*found 'x'"),
        (
            '{"schema_version": 6, "stage": "rule_based", "fingerprint": {}, "files": [3]}',
            r"files\.0: .*, found 3",
        ),
    ],
)
def test_a_damaged_manifest_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "_manifest.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_manifest(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_damaged_run_record_is_told(tmp_path: Path) -> None:
    record = RunRecord("preparation", {}, {}, 5, [])
    record.write(str(tmp_path))
    assert read_record(str(tmp_path)) == record
    write_json(str(tmp_path / "_run.json"), record.to_json() | {"passes": {}})
    with pytest.raises(UserError, match=r"_run\.json is damaged: passes: .*, found \{\}"):
        read_record(str(tmp_path))


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
