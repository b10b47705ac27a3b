"""Training is repeatable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from extraction.line_model.model import Form


@pytest.mark.long
@pytest.mark.parametrize("form", ["dom", "text"])
def test_the_same_data_and_seed_give_the_same_weights(form: Form, tmp_path: Path) -> None:
    for name in ("lightgbm", "torch", "selectolax"):
        pytest.importorskip(name)
    from classifiers.clutter import pages as of_pages
    from classifiers.clutter.examples import examples_of
    from classifiers.clutter.train import fit

    # The pages of documentation packages lie beside the annotations, so that no other data are needed.
    with pytest.MonkeyPatch.context() as patch:
        text = (of_pages.ANNOTATIONS / "pages.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        annotations = tmp_path / "annotations"
        annotations.mkdir()
        (annotations / "pages.jsonl").write_text("".join(line for line in text if '"package": null' not in line))
        (annotations / "regions.jsonl").write_text("")
        (annotations / "documentation.jsonl.gz").write_bytes(
            (of_pages.ANNOTATIONS / "documentation.jsonl.gz").read_bytes()
        )
        patch.setattr(of_pages, "ANNOTATIONS", annotations)
        pages = of_pages.load_annotated(tmp_path)
    assert len(pages) > 30
    # Four groups at least, so that every fold of training has pages.
    pages = [dataclasses.replace(page, group=f"{page.group}{i % 3}") for i, page in enumerate(pages)]
    written = []
    for seed in (1, 1, 2):
        folder = tmp_path / f"weights-{len(written)}"
        folder.mkdir()
        fit(examples_of(pages, form), form, seed).save(folder, {})
        written.append((folder / f"{form}.safetensors").read_bytes())
    assert written[0] == written[1]
    assert written[0] != written[2]
