"""What is shipped: one wheel of four packages with their data, which is also the zip of `spark-submit --py-files`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.steps import discover

ROOT = Path(__file__).parents[2]
PACKAGES = ("classifiers", "extraction", "model", "pipeline")
NOT_PACKAGES = ("benchmarks", "configs", "jobs", "notebooks", "scripts", "tests")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def code_zip(wheel: Path) -> Path:
    """The wheel under the name that `--py-files` accepts."""
    return Path(shutil.copyfile(wheel, wheel.with_name("corpusmill.zip")))


def package_files(package: str) -> Iterator[str]:
    for path in (ROOT / package).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT).as_posix()


def run_with(place: Path, code: str, cwd: Path) -> str:
    """Output of Python code that finds the packages in `place` (a zip or a folder); isolated, in another folder."""
    program = f"import sys; sys.path.insert(0, {str(place)!r})\n{code}"
    command = [sys.executable, "-I", "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_the_four_packages_and_all_their_files(wheel: Path) -> None:
    """`.gitignore` also decides what hatchling ships: a pattern too many and a data file is missing."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if ".dist-info/" not in n} == set(PACKAGES)
    shipped = {f for p in PACKAGES for f in package_files(p)} | {f"pipeline/{f}" for f in package_files("configs")}
    assert {n for n in names if ".dist-info/" not in n} == shipped


def test_zip_is_importable_elsewhere_and_knows_every_step(code_zip: Path, tmp_path: Path) -> None:
    code = "import pipeline; from pipeline.steps import discover; print(pipeline.__file__, *discover(), sep='\\n')"
    where, *steps = run_with(code_zip, code, tmp_path).splitlines()
    assert where.startswith(str(code_zip))
    assert steps == [name for name, step in discover().items() if step.__module__.startswith("pipeline.")]


FINGERPRINTS = """
import json
from pipeline.steps import discover
found = {}
for name, step in discover().items():
    if step.__module__.startswith("pipeline.") and not any(f.is_required() for f in step.model_fields.values()):
        one = step()
        one.load()
        found[name] = one.fingerprint()
print(json.dumps(found))
"""


@pytest.mark.long
def test_steps_load_from_the_zip_and_are_the_same_steps(code_zip: Path, tmp_path: Path) -> None:
    """A list, model or weight that the zip gives under another name changes reasons and fingerprints."""
    from_zip = json.loads(run_with(code_zip, FINGERPRINTS, tmp_path))
    from_tree = json.loads(run_with(ROOT, FINGERPRINTS, tmp_path))
    assert "url_filter" in from_zip
    assert from_zip == from_tree


def test_zip_gives_its_data_files(code_zip: Path, tmp_path: Path) -> None:
    data = [f for p in PACKAGES for f in package_files(p) if not f.endswith(".py")]
    code = f"""
from importlib.resources import files
for name in {data!r}:
    package, _, rest = name.partition("/")
    print(name, len(files(package).joinpath(rest).read_bytes()))
"""
    sizes = dict(line.rsplit(" ", 1) for line in run_with(code_zip, code, tmp_path).splitlines())
    assert {name: int(size) for name, size in sizes.items()} == {f: (ROOT / f).stat().st_size for f in data}


PROBE = '''
"""A step that exists in the zip alone."""
from typing import Literal
from pipeline.schema import Document, Drop
from pipeline.steps import DocumentStep

class OnlyInTheZip(DocumentStep):
    step: Literal["only_in_the_zip"] = "only_in_the_zip"

    def __call__(self, doc: Document) -> Document | Drop:
        return doc.evolve(text="from the zip: " + (doc.text or ""))
'''


def test_job_runs_elsewhere_with_the_zip(code_zip: Path, tmp_path: Path) -> None:
    """Driver and workers use the zip, though this environment has the packages too: one step is in the zip alone."""
    shipped = tmp_path / "corpusmill.zip"
    shutil.copyfile(code_zip, shipped)
    with zipfile.ZipFile(shipped, "a") as z:
        z.writestr("pipeline/preparation/only_in_the_zip.py", PROBE)
    rows = [{"url": f"https://example.com/{i}", "text": text} for i, text in enumerate(("One page.", "一个网页。"))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = {
        "stage": "preparation",
        "input": {"paths": ["rows.jsonl"]},
        "output": {"path": "out"},
        "steps": [{"step": "only_in_the_zip"}],
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    spark_submit = Path(sys.executable).with_name("spark-submit")
    job = ROOT / "jobs" / "preparation.py"
    done = subprocess.run(
        [spark_submit, "--master", "local[2]", "--py-files", shipped, job, "--config", "config.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    import pyarrow.dataset as ds

    table = ds.dataset(tmp_path / "out" / "documents", format="parquet", partitioning="hive").to_table()
    assert sorted(zip(table["verdict"].to_pylist(), table["text"].to_pylist(), strict=True)) == [
        ("kept", "from the zip: One page."),
        ("kept", "from the zip: 一个网页。"),
    ]


def test_other_folders_are_no_packages() -> None:
    """An `__init__.py` there would make `tests`, `jobs` ... importable names that can hide others."""
    assert [p for folder in NOT_PACKAGES for p in (ROOT / folder).rglob("__init__.py")] == []


def test_no_script_hides_a_package() -> None:
    """The folder of a script that runs comes first on the path: `benchmarks/extraction.py` would stand for the package."""
    assert [p for folder in NOT_PACKAGES for p in (ROOT / folder).glob("*.py") if (ROOT / p.stem).is_dir()] == []


def text_files() -> Iterator[Path]:
    yield from (p for p in ROOT.iterdir() if p.is_file())
    for folder in (".ci", "docs", *PACKAGES, *NOT_PACKAGES):
        yield from (p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    yield ROOT / "data" / "sample" / "README.md"


def test_no_file_names_a_place_of_one_machine() -> None:
    """Home folders and mount points of whoever wrote it; package indexes are pip's business."""
    place = re.compile(
        r"(?<![\w.:/%*-])/(?:home|Users|root|work|mnt)/\w|pypi\.org/simple|pythonhosted\.org|--index-url"
    )
    places = []
    for path in text_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # weights, word lists in compressed form
            continue
        if path != Path(__file__):
            places += [f"{path.relative_to(ROOT)}: {m.group()}" for m in place.finditer(text)]
    assert places == []
