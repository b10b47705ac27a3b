"""Input and output on an S3 store: the same rows as on a disk, and a rerun finds them finished."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import dump
from tests.spark.helpers import ROOT, rows, run, stage_config

pytestmark = pytest.mark.long
FILES = ("pages/wcxb-listing.warc.gz", "pages/zh-cwce.warc.gz", "odd/truncated.warc")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A real S3 server on this machine, with a bucket."""
    pytest.importorskip("moto", reason="needs the extra `long`: scripts/setup.sh long")
    s3fs = pytest.importorskip("s3fs", reason="needs the extra `long`: scripts/setup.sh long")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    for key, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(key, value)
    with (tmp_path / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "-p", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    fs.mkdir("bucket")
    yield fs
    server.terminate()
    server.wait()


def test_stage_on_an_object_store(spark: Any, store: Any, tmp_path: Path) -> None:
    for name in FILES:
        store.put_file(str(ROOT / "data/sample" / name), f"bucket/in/{name}")
    config = stage_config("preparation", ["s3://bucket/in/"], "s3://bucket/out", spark={"master": "local[2]"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(dump(config)))
    command = [sys.executable, "tests/spark/killed_run.py", "preparation", str(tmp_path / "config.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    logs = []
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        logs.append(done.stderr)
    assert "nothing new" in logs[1]
    store.get("bucket/out", str(tmp_path / "fetched"), recursive=True)
    assert not (tmp_path / "fetched" / "_work").exists()
    assert not (tmp_path / "fetched" / "_lease.json").exists()
    run(stage_config("preparation", [str(ROOT / "data/sample" / n) for n in FILES], tmp_path / "local"), spark)
    # Records are the same; what names the file they came from differs.
    without = ("source_file", "file_no")
    assert sorted(map(str, rows(tmp_path / "fetched", without=without).to_pylist())) == sorted(
        map(str, rows(tmp_path / "local", without=without).to_pylist())
    )
