"""Every command that README.md and docs/*.md show, in a copy of the repository: each runs, or is listed with a reason.

The long test runs them and writes docs/commands.md; the short ones hold that page, and the list of what is not run, to the
documentation.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.stage import STAGES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "commands.md"
WRITTEN = {"docs/commands.md", "docs/configuration.md", "docs/console.md"}
"""Pages that are generated: they show no commands of their own."""

FIRST = [
    "docs/lines.md",
    "docs/tokenization.md",
    "docs/rule_based.md",
    "docs/cluster.md",
    "docs/model_based.md",
    "README.md",
]
"""Pages in the order of running, quick ones first; the others follow by name, recipes last."""

STARTS = re.compile(
    r"(?:\w+=\S+ )*(?:make|spark-submit|spark-class|python3?|pip|export|corpusmill|jupyter|git|cp|mkdir|curl|kill"
    r"|\.|scripts/\S+|workers/\S+|\w+=\".*\")(?: |$)"
)
"""How a line of an indented block begins that is a command. In fenced blocks of shell every line is one."""

SHELL = {"sh", "bash", "shell", "console"}
FILE = re.compile(r"<!-- file: (\S+) -->")
"""Stands before a fenced block that is a file in full: it is written before the page's commands are run."""

NOT_RUN = {
    "make demo-model": "installs packages; scripts/demo_model.sh is what it runs",
    "python -m model.train --config configs/model/hunyuan-tiny.yaml": "trains for minutes; a smaller one is trained by tests",
    "python -m model.train": "trains for minutes; run by scripts/demo_model.sh",
    "scripts/demo_posttrain.sh": "trains for minutes, on what scripts/demo_model.sh makes",
    **dict.fromkeys(
        ("python -m model.sft", "python -m model.rft", "python -m model.dpo", "python -m model.answer"),
        "needs a trained model; run by scripts/demo_posttrain.sh",
    ),
    "python -m model.metrics": "of runs that scripts/demo_model.sh makes, which ends with it",
    "python -m model.serve tiny.gguf": "needs llama.cpp; tests/model/serving/test_llama_cpp.py",
    "python -m model.serve": "waits for requests; tests/model/serving/test_serve.py starts it by this line",
    "curl http://127.0.0.1:8000/v1/": "asks the server of the line before it; made by tests/model/serving/test_serve.py",
    "python -m model.export": "of a run that scripts/demo_model.sh makes; tests/model/serving/test_export_engines.py",
    "python llama.cpp/convert_hf_to_gguf.py": "needs llama.cpp's source; tests/model/serving/test_llama_cpp.py",
    "python -m model.analyse": "of runs that scripts/demo_model.sh makes",
    "scripts/ablation_corpora.sh": "needs the pages of the extraction benchmarks",
    "python scripts/peer_corpus.py": "needs those pages, and datatrove",
    "python -m model.ablate": "trains for half an hour on corpora that those two make; a test runs it small",
    "make demo": "run once before the others, by scripts/demo.sh, or a finished one is copied",
    "make golden": "runs the demo again; the tests hold what it writes to the code",
    "make test": "the tests themselves",
    "make test-all": "the tests themselves",
    "make check": "installs the copy into the environment; CI runs it",
    "make format": "changes the code",
    "make wheel": "installs the copy into the environment; tests/contracts/test_packaging.py builds the wheel",
    "pip install": "changes the environment",
    "scripts/setup.sh": "installs packages",
    "python3 -m venv workers": "installs packages",
    "workers/bin/": "of the environment that the line before it makes",
    "spark-class org.apache.spark.deploy": "needs machines: MASTER is a placeholder",
    "spark-submit --master spark://MASTER": "needs a standalone cluster",
    "spark-submit --master yarn": "needs YARN; not tried",
    "spark-submit --master k8s://": "needs Kubernetes; not tried",
    "spark-submit --conf spark.executor.resource.gpu": "needs GPUs; not tried",
    "export AWS_ENDPOINT_URL": "of an object store that is a placeholder",
    "spark-submit jobs/preparation.py --config configs/preparation.yaml --set 'input.paths=[s3://": "needs an object store; "
    "tests/spark/test_object_store.py runs one",
    "python -m classifiers.huggingface": "needs a checkpoint and the extra hf, trains for long",
    "python -m classifiers.annotate quality --pages out/mine/rule_based": "needs a language model's endpoint; "
    "the recipes have a stand-in",
    "python -m classifiers.quality.train --labels labels.jsonl --pages out/mine/rule_based": "needs the labels of the line "
    "before it; the recipes train on others",
    "python mine/query.py": "needs duckdb, which is no dependency",
}
"""The beginnings of commands that are not run, each with the reason."""


INSTALLS = re.compile(r"\bmake\b|setup\.sh|\bpip\b")
"""What might install the copy into the environment that it shares with the repository: such commands must be listed above."""


@dataclass(frozen=True)
class Command:
    """A command, its continuation lines joined."""

    page: str
    line: int
    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not run; None if it is."""
        return next((why for start, why in NOT_RUN.items() if self.text.startswith(start)), None)


def commands_of(page: str, text: str) -> list[Command]:
    """The commands that a page shows, and in which line each begins."""
    out: list[Command] = []
    fence: str | None = None
    open_line = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fence, open_line = (line.strip("` ") if fence is None else None), False
            continue
        shown = line.strip()
        if open_line:
            last = out.pop()
            out.append(Command(page, last.line, last.text + shown))
        elif (STARTS.match(shown) and line.startswith("    ")) if fence is None else is_shell(fence, shown):
            out.append(Command(page, number, shown))
        else:
            continue
        last = out.pop()
        open_line = last.text.endswith("\\")
        text_ = last.text[:-1] if open_line else last.text.partition("  #")[0].strip()
        out.append(Command(page, last.line, text_))
    return out


def is_shell(fence: str, shown: str) -> bool:
    """Whether a line of a fenced block is a command: each one of shell that is no comment."""
    return fence in SHELL and shown != "" and not shown.startswith("#")


def files_of(text: str) -> dict[str, str]:
    """Files that a page shows in full, path to content."""
    out: dict[str, str] = {}
    name: str | None = None
    block: list[str] | None = None
    for line in text.splitlines():
        mark = FILE.match(line)
        if mark:
            name = mark[1]
        elif line.startswith("```") and name is not None:
            if block is None:
                block = []
            else:
                out[name], name, block = "\n".join(block) + "\n", None, None
        elif block is not None:
            block.append(line)
    return out


def pages() -> list[str]:
    """README.md and docs/*.md in the order of running."""
    names = ["README.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").glob("*.md")))]
    others = [p for p in names if p not in FIRST and p not in WRITTEN and p != "docs/recipes.md"]
    last = [p for p in names if p == "docs/recipes.md"]
    return [*(p for p in FIRST if p in names), *others, *last]


def all_commands() -> list[Command]:
    return [c for p in pages() for c in commands_of(p, (ROOT / p).read_text(encoding="utf-8"))]


def table(results: dict[Command, str]) -> str:
    """The page docs/commands.md."""
    rows = [
        f"| `{c.text.replace('|', chr(92) + '|')}` | {c.page}:{c.line} | {outcome} |" for c, outcome in results.items()
    ]
    ran = sum(outcome.startswith("passed") for outcome in results.values())
    return "\n".join(
        [
            "# Commands",
            "",
            "Every command of README.md and docs/*.md, as `tests/contracts/test_commands.py` ran it in a copy of the repository:",
            "in this order, after the demo. For the files of the reader (`crawl/`, `more.warc.gz`, `page.html`, `takedowns.txt`)",
            "some of the sample stand there. Written by that test (`make test-all`); seconds are of the machine it ran on.",
            "Commands that came to the documentation since it last ran whole are listed too: they were run by hand.",
            "",
            f"{len(results)} commands, {ran} run.",
            "",
            "| command | where | result |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def test_commands_are_found() -> None:
    text = "    make demo   # x\n\n```sh\n# no\na \\\n  b\n```\n\n    - {step: x}\n    python -m y  # z\n```yaml\nx: 1\n```\n"
    assert [(c.line, c.text) for c in commands_of("p", text)] == [(1, "make demo"), (5, "a b"), (10, "python -m y")]


def test_files_are_found() -> None:
    text = "<!-- file: a/b.py -->\n```python\nx = 1\n\ny = 2\n```\n```sh\nz\n```\n"
    assert files_of(text) == {"a/b.py": "x = 1\n\ny = 2\n"}


def test_every_reason_is_of_a_command() -> None:
    texts = [c.text for c in all_commands()]
    unused = [start for start in NOT_RUN if not any(t.startswith(start) for t in texts)]
    assert not unused, f"not in the documentation any more: {unused}"


def test_nothing_that_installs_is_run() -> None:
    installing = [c for c in all_commands() if c.reason is None and INSTALLS.search(c.text)]
    assert not installing, "list them in NOT_RUN: they would change the environment"


def test_page_lists_every_command() -> None:
    listed = set(
        re.findall(r"^\| `(.*)` \| [^|]+ \| (?:passed|not run)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    )
    missing = [c for c in all_commands() if c.text.replace("|", "\\|") not in listed]
    assert not missing, (
        f"run `python -m pytest {Path(__file__).relative_to(ROOT)}`: {[(c.page, c.line) for c in missing]}"
    )


def is_current(demo: Path) -> bool:
    """Whether an output of the demo is finished and of the configs as they are."""
    for stage in STAGES:
        record, config = demo / stage / "_run.json", ROOT / "configs" / "demo" / f"{stage}.yaml"
        if not record.exists() or not (demo / stage / "_SUCCESS").exists():
            return False
        made = load(config if config.exists() else ROOT / "configs" / f"{stage}.yaml").fingerprint()
        if json.loads(record.read_text(encoding="utf-8"))["fingerprint"] != json.loads(json.dumps(made)):
            return False
    return True


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    assert not INSTALLS.search(command), command
    environment = {**os.environ, "PYTHONPATH": str(folder), "SPARK_LOCAL_IP": "127.0.0.1", "PIP_DRY_RUN": "1"}
    return subprocess.run(
        ["bash", "-c", f". scripts/env.sh && {command}"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def make_copy(folder: Path) -> Path:
    """The repository's files, its environment, the demo's outputs, and what stands for files of the reader's own."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    if (ROOT / ".java").exists():
        (folder / ".java").symlink_to(ROOT / ".java")
    if is_current(ROOT / "out" / "demo"):
        shutil.copytree(ROOT / "out" / "demo", folder / "out" / "demo")
    else:
        done = run("scripts/demo.sh", folder)
        assert done.returncode == 0, done.stderr[-3000:]
    shutil.copytree(folder / "out" / "demo" / "rule_based", folder / "out" / "rule_based")
    sample = folder / "data" / "sample"
    (folder / "crawl").mkdir()
    for name in ("pages/wcxb-article-1.warc.gz", "crawl/common-crawl.warc.gz"):
        shutil.copy2(sample / name, folder / "crawl")
    shutil.copy2(sample / "pages" / "zh-cwce.warc.gz", folder / "more.warc.gz")
    sentence = "The river rises in the hills and flows to the sea. "
    (folder / "page.html").write_text(f"<html><body><article><p>{sentence * 40}</p></article></body></html>")
    (folder / "takedowns.txt").write_text("example.com\n")
    return folder


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_copy(tmp_path_factory.mktemp("copy"))


@pytest.mark.long
def test_every_command_runs(copy: Path) -> None:
    results: dict[Command, str] = {}
    failed: list[str] = []
    for page in pages():
        text = (copy / page).read_text(encoding="utf-8")
        for name, content in files_of(text).items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_text(content, encoding="utf-8")
        for command in commands_of(page, text):
            if command.reason is not None:
                results[command] = f"not run: {command.reason}"
                continue
            began = time.monotonic()
            done = run(command.text, copy)
            seconds = time.monotonic() - began
            results[command] = f"passed in {seconds:.0f} s" if done.returncode == 0 else f"failed: {done.returncode}"
            print(f"{results[command]:>16}  {page}:{command.line}", flush=True)
            if done.returncode != 0:
                failed.append(f"{page}:{command.line}: {command.text}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    PAGE.write_text(table(results), encoding="utf-8")
    assert not failed, "\n\n".join(failed)
