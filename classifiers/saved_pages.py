r"""Fetch the annotated pages that stand as saved files in public repositories: the pages are not shipped, their names are.

    python -m classifiers.saved_pages --data DATA [--from https://github.com/ | --from mirrors/]

`annotations/saved_pages.jsonl` names each page by repository, commit and path, with the licence as found there. This writes
them to DATA/html/saved-pages.warc.gz, where training and evaluation look for them. Each repository is fetched at its commit,
without history and without other files; git directories under a local folder (`owner+name/.../`) are read where they are. A
page that cannot be had is told and left out; what is there already is not fetched again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifiers.labelled import ANNOTATIONS, SAVED

LIST = ANNOTATIONS / "saved_pages.jsonl"
HOST = "https://github.com/"


def record_id(repository: str, commit: str, path: str) -> str:
    """The record id of a saved page: the same wherever it is fetched."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{repository}/{commit}/{path}')}>"


def blobs(repository: str, commit: str, paths: list[str], origin: str) -> Iterator[tuple[str, bytes]]:
    """Files of a repository at a commit. :raises OSError: if the commit cannot be had."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = next(iter(sorted(Path(origin).glob(f"{repository.replace('/', '+')}/**/HEAD"))), None)
        git = ["git", "-C", str(folder.parent if folder else scratch)]
        if folder is None:
            _run([*git, "init", "-q", "--bare"])
            _run([*git, "fetch", "-q", "--depth", "1", "--filter=blob:none", f"{origin}{repository}", commit])
        for path in paths:
            try:
                yield path, _run([*git, "show", f"{commit}:{path}"])
            except OSError as e:
                print(f"{repository} {path}: left out: {e}", file=sys.stderr)


def _run(command: list[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2] or f"exit {done.returncode}")
    return done.stdout


def record_of(row: dict[str, Any], body: bytes) -> bytes:
    """A response record of its own gzip member."""
    name = record_id(row["source"], row["commit"], row["path"])
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    address = row["url"] or "http://unknown.invalid/" + name[10:-1]
    head = (
        f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: {name}\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
        f"WARC-Target-URI: {address}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + http + b"\r\n\r\n", 9, mtime=0)


def fetch(rows: list[dict[str, Any]], origin: str, out: Path) -> int:
    """Write the pages to a WARC file. :returns: how many could not be had."""
    by_repository: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_repository[row["source"], row["commit"]].append(row)
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch, written = out.with_suffix(".part"), 0
    with scratch.open("wb") as f:
        for n, ((repository, commit), own) in enumerate(sorted(by_repository.items()), 1):
            print(f"{n} of {len(by_repository)}: {repository}", file=sys.stderr)
            named = {row["path"]: row for row in own}
            try:
                for path, body in blobs(repository, commit, list(named), origin):
                    f.write(record_of(named[path], body))
                    written += 1
            except OSError as e:
                print(f"{repository}: left out: {e}", file=sys.stderr)
    scratch.rename(out)
    return len(rows) - written


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds html/")
    parser.add_argument("--from", dest="origin", default=HOST, help=f"where the repositories are (default: {HOST})")
    parser.add_argument("--list", type=Path, default=LIST, help="the pages (default: the annotated ones)")
    options = parser.parse_args()
    out = options.data / SAVED
    if out.exists():
        print(f"{out} is there already", file=sys.stderr)
        return 0
    rows = [json.loads(line) for line in options.list.read_text(encoding="utf-8").splitlines()]
    missing = fetch(rows, options.origin, out)
    print(f"{out}: {len(rows) - missing:,} pages; {missing:,} could not be had", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
