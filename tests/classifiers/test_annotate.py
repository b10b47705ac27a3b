"""`python -m classifiers.annotate` against a real server on this machine."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from classifiers import annotate, registry, training
from classifiers.quality.labels import DIMENSIONS

Answer = Callable[[dict[str, Any], int], "str | bytes | tuple[int, dict[str, str]]"]


class Server:
    """An endpoint in OpenAI's form. `answer` gets a request's body and how often its page was asked before."""

    def __init__(self, answer: Answer) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.asked: Counter[str] = Counter()
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    page = body["messages"][1]["content"]
                    before = outer.asked[page]
                    outer.asked[page] += 1
                    outer.bodies.append({"path": self.path, **body})
                    outer.headers.append(dict(self.headers))
                reply = answer(body, before)
                status, headers, data = 200, {}, b""
                if isinstance(reply, tuple):
                    status, headers = reply
                elif isinstance(reply, bytes):
                    data = reply
                else:
                    data = json.dumps({"choices": [{"message": {"content": reply}}]}).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


def page(i: int, language: str = "en", site: str | None = None) -> dict[str, Any]:
    text = f"The mill number {i} grinds flour." if language == "en" else f"第{i}座磨坊还在磨面粉。"
    return {"id": f"{i:032d}", "url": f"http://{site or f's{i}.com'}/{i}", "domain": site or f"s{i}.com",
            "title": f"Mill {i}", "language": language, "text": text}  # fmt: skip


def write(path: Path, pages: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(p, ensure_ascii=False) + "\n" for p in pages), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(task: str, pages: str, server: Server, out: Path, *more: str) -> int:
    return annotate.main(
        [task, "--pages", pages, "--model", "m1", "--base-url", server.url, "--out", str(out), "--yes", *more]
    )


def article(body: dict[str, Any], _: int) -> str:
    return '```json\n{"label": "article", "evidence": "grinds flour"}\n```'


def test_pages_are_asked_under_the_guide(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server, out = serve(article), tmp_path / "out.jsonl"
    assert run("web_type", write(tmp_path / "p.jsonl", [page(i) for i in range(12)]), server, out) == 0
    assert {(r["id"], r["web_type"], r["web_type_evidence"], r["model"], r["language"]) for r in read(out)} == {
        (f"{i:032d}", "article", "grinds flour", "m1", "en") for i in range(12)
    }
    guide = (Path(annotate.__file__).parent / "web_type" / "GUIDE.md").read_text(encoding="utf-8")
    for body, headers in zip(server.bodies, server.headers, strict=True):
        assert (body["path"], body["model"], body["temperature"]) == ("/v1/chat/completions", "m1", 0)
        assert guide in body["messages"][0]["content"]
        assert headers["Authorization"] == "Bearer secret"
    assert "TITLE: Mill 3" in "".join(b["messages"][1]["content"] for b in server.bodies)


@pytest.mark.parametrize(
    ("task", "bad", "complaint", "good", "value"),
    [
        ("web_type", "I think it is an article", "expected JSON", '{"label": "tool", "evidence": "Mill 1"}', "tool"),
        ("web_type", '{"label": "blog", "evidence": "Mill"}', "'blog'", '{"label": "tool", "evidence": "MILL  1"}', "tool"),
        ("safety", '{"label": "safe", "evidence": "roulette"}', "not in the page",
         '{"label": "safe", "evidence": "(nothing)"}', "safe"),
        ("web_type", '{"label": "tool", "evidence": "..."}', "no evidence", '{"label": "tool", "evidence": "Mill"}', "tool"),
        ("safety", '{"label": "safe"}', "no evidence", '{"label": "spam", "evidence": "flour"}', "spam"),
        ("quality", '{"fluency": 4, "coherence": 3, "redundancy": 3, "repetition": 3, "information": 2, "evidence": "flour"}',
         "from 0 to 3",
         '{"fluency": 2, "coherence": 3, "redundancy": 3, "repetition": 3, "information": 2, "evidence": "flour"}',
         [2, 3, 3, 3, 2]),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_hold_is_asked_again(
    serve: Any, tmp_path: Path, task: str, bad: str, complaint: str, good: str, value: Any
) -> None:
    server = serve(lambda _, before: good if before else bad)
    out = tmp_path / "out.jsonl"
    assert run(task, write(tmp_path / "p.jsonl", [page(1)]), server, out) == 0
    (row,) = read(out)
    assert row[task] == value
    first, second = server.bodies
    assert len(first["messages"]) == 2
    assert second["messages"][2] == {"role": "assistant", "content": bad}
    assert complaint in second["messages"][3]["content"]


def test_what_fails_three_times_is_told_and_the_rest_goes_on(serve: Any, tmp_path: Path) -> None:
    server = serve(lambda body, _: "no" if "number 2 " in body["messages"][1]["content"] else article(body, 0))
    out = tmp_path / "out.jsonl"
    assert run("web_type", write(tmp_path / "p.jsonl", [page(i) for i in range(4)]), server, out) == 1
    assert {r["id"] for r in read(out)} == {f"{i:032d}" for i in (0, 1, 3)}
    (failed,) = read(Path(f"{out}.failed"))
    assert failed["id"] == f"{2:032d}"
    assert "expected JSON" in failed["error"]
    assert len(server.bodies) == 3 + annotate.ATTEMPTS


@pytest.mark.parametrize(("status", "tries"), [(429, 2), (503, 2), (401, 1), (404, 1)])
def test_a_busy_server_is_asked_again_a_refusal_is_not(serve: Any, tmp_path: Path, status: int, tries: int) -> None:
    server = serve(lambda body, before: article(body, 0) if before else (status, {"Retry-After": "0"}))
    out = tmp_path / "out.jsonl"
    code = run("web_type", write(tmp_path / "p.jsonl", [page(1)]), server, out)
    assert (code, len(server.bodies), len(read(out))) == ((0, 2, 1) if tries == 2 else (1, 1, 0))


def test_a_second_run_goes_on_where_the_first_was_killed(serve: Any, tmp_path: Path, capsys: Any) -> None:
    server, out = serve(article), tmp_path / "out.jsonl"
    pages = write(tmp_path / "p.jsonl", [page(i) for i in range(6)])
    run("web_type", pages, server, out)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    asked = len(server.bodies)
    assert run("web_type", pages, server, out) == 0
    assert len(server.bodies) == asked + 3
    assert sorted(r["id"] for r in read(out)) == [f"{i:032d}" for i in range(6)]
    assert "6 pages (6 en), 3 done before" in capsys.readouterr().err
    assert run("web_type", pages, server, out) == 0
    assert len(server.bodies) == asked + 3


def test_the_cost_is_told_first_and_nothing_is_asked_without_consent(serve: Any, tmp_path: Path, capsys: Any) -> None:
    server, out = serve(article), tmp_path / "out.jsonl"
    pages = write(tmp_path / "p.jsonl", [page(1), page(2, "zh")])
    prices = ["--price-in", "1000000", "--price-out", "1000000"]
    arguments = ["web_type", "--pages", pages, "--model", "m", "--base-url", server.url, "--out", str(out)]
    assert annotate.main([*arguments, *prices]) == 1
    message = capsys.readouterr().err
    prompts = [annotate.prompt(annotate.TASKS["web_type"], p) for p in (page(1), page(2, "zh"))]
    read_tokens = sum(len(m[0]["content"]) / 4 for m in prompts)
    read_tokens += len(prompts[0][1]["content"]) / 4 + len(prompts[1][1]["content"]) / 1.6
    assert f"about {read_tokens:,.0f} tokens to read, 120 to write" in message
    assert f"about {read_tokens + 120:,.2f} at these prices" in message
    assert "not begun" in message
    assert server.bodies == []


def test_the_draw_is_balanced_and_the_same_for_any_order() -> None:
    rows = [page(i, "en") for i in range(300)] + [page(1000 + i, "zh") for i in range(20)]
    rows += [page(2000 + i, "en", "big.com") for i in range(300)]
    drawn = annotate.draw(iter(rows), 60, seed=1)
    assert {r["id"] for r in annotate.draw(iter(rows[::-1]), 60, seed=1)} == {r["id"] for r in drawn}
    assert {r["id"] for r in annotate.draw(iter(rows), 60, seed=2)} != {r["id"] for r in drawn}
    assert Counter(r["language"] for r in drawn) == {"en": 40, "zh": 20}
    many = [page(i, "en", f"s{i % 40}.com") for i in range(2000)] + rows
    few = annotate.draw(iter(many), 20, seed=3)
    assert {r["id"] for r in annotate.draw(iter(many[::-1]), 20, seed=3)} == {r["id"] for r in few}
    by_hash = sorted(many, key=lambda r: xxhash.xxh3_64_intdigest(f"3 {r['id']}".encode()))
    chinese = [r for r in by_hash if r["language"] == "zh"][:10]
    assert {r["id"] for r in few if r["language"] == "zh"} == {r["id"] for r in chinese}
    assert sum(r["domain"] == "big.com" for r in drawn) <= 6


def test_pages_come_from_a_stages_output_too(serve: Any, tmp_path: Path) -> None:
    folder = tmp_path / "stage" / "documents" / "verdict=kept"
    folder.mkdir(parents=True)
    rows = [
        {"doc_id": f"{i:032d}", "url": f"http://s{i}.com/", "language": "en", "text": page(i)["text"]} for i in range(3)
    ]
    pq.write_table(pa.Table.from_pylist([*rows, {"doc_id": "x", "text": "  "}]), folder / "a.parquet")
    server, out = serve(article), tmp_path / "out.jsonl"
    assert run("web_type", str(tmp_path / "stage"), server, out) == 0
    assert sorted(r["id"] for r in read(out)) == [f"{i:032d}" for i in range(3)]


def test_without_a_key_none_is_sent(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = serve(article)
    assert run("web_type", write(tmp_path / "p.jsonl", [page(1)]), server, tmp_path / "out.jsonl") == 0
    assert [h.get("Authorization") for h in server.headers] == [None]


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b'{"choices": []}'])
def test_what_is_no_answer_fails_that_page_alone(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(annotate.time, "sleep", lambda _: None)
    server = serve(lambda asked, _: body if "number 2 " in asked["messages"][1]["content"] else article(asked, 0))
    out = tmp_path / "out.jsonl"
    assert run("web_type", write(tmp_path / "p.jsonl", [page(i) for i in range(4)]), server, out) == 1
    assert {r["id"] for r in read(out)} == {f"{i:032d}" for i in (0, 1, 3)}
    assert [r["id"] for r in read(Path(f"{out}.failed"))] == [f"{2:032d}"]
    assert len(server.bodies) == 3 + annotate.ATTEMPTS


def test_the_command_tells_its_options() -> None:
    command = [sys.executable, "-m", "classifiers.annotate", "--help"]
    message = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert all(word in message for word in ("--pages", "--base-url", "--price-in", "web_type", "$OPENAI_API_KEY"))


def test_what_is_not_there_is_said(serve: Any, tmp_path: Path, capsys: Any) -> None:
    server = serve(article)
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    assert run("web_type", str(tmp_path / "a.parquet"), server, tmp_path / "o") == 2
    assert "no column 'text'; found body" in capsys.readouterr().err
    (tmp_path / "b.jsonl").write_text('{"body": "x"}\n\n')
    assert run("web_type", str(tmp_path / "b.jsonl"), server, tmp_path / "o") == 2
    assert "no column 'text'; found body" in capsys.readouterr().err
    assert run("web_type", str(tmp_path / "none.jsonl"), server, tmp_path / "o") == 2
    assert "none.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["quality", "safety", "web_type"])
def test_own_labels_make_a_model_of_ones_own(serve: Any, tmp_path: Path, task: str) -> None:
    """Annotate, train on it, load it, judge: each by its command."""
    if task != "safety":
        pytest.importorskip("lightgbm")
    trainer = registry.part(task, "train")
    train = getattr(trainer, "main", functools.partial(training.main, trainer))
    wanted = {"quality": ("good", "poor"), "safety": ("safe", "gambling"), "web_type": ("article", "service")}[task]
    kinds = [["mill", "river", "flour"], ["casino", "bonus", "slots"]]
    pages = [
        {"id": f"{i:032d}", "url": f"http://s{i % 30}.com/{i}", "language": "en",
         "text": "\n".join(f"The {kinds[i % 2][(i + j) % 3]} of the town {j}" for j in range(6))}
        for i in range(120)
    ]  # fmt: skip

    def answer(body: dict[str, Any], _: int) -> str:
        good = "mill" in body["messages"][1]["content"].partition("TEXT:")[2]
        if task == "quality":
            return json.dumps({**dict.fromkeys(DIMENSIONS, 3 if good else 0), "evidence": "of the town"})
        return json.dumps({"label": wanted[0 if good else 1], "evidence": "of the town"})

    source, labels = write(tmp_path / "pages.jsonl", pages), tmp_path / "labels.jsonl"
    assert run(task, source, serve(answer), labels, "--number", "100") == 0
    assert len(read(labels)) == 100
    out = tmp_path / "model"
    assert train(["--labels", str(labels), "--pages", source, "--out", str(out)]) == 0
    model = registry.load(task, str(out))
    others = [p for p in pages if p["id"] not in {r["id"] for r in read(labels)}]
    said = model.predict([p["text"] for p in others])
    assert said == [wanted[0 if "mill" in p["text"] else 1] for p in others]
    (tmp_path / "few.jsonl").write_text(json.dumps(pages[0]) + "\n")
    with pytest.raises(ValueError, match="99 of 100 annotated pages are not in"):
        train(["--labels", str(labels), "--pages", str(tmp_path / "few.jsonl"), "--out", str(out)])


def test_one_file_for_two_tasks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pages would else count as done for both."""
    pages, out = tmp_path / "pages.jsonl", tmp_path / "new" / "labels.jsonl"
    pages.write_text('{"id": "a", "text": "Words."}\n')
    out.parent.mkdir()
    out.write_text('{"id": "a", "web_type": "article"}\n')
    asked = ["--pages", str(pages), "--model", "m", "--base-url", "http://localhost:1/v1", "--out"]
    assert annotate.main(["quality", *asked, str(out)]) == 2
    assert "line 1 is no annotation of quality" in capsys.readouterr().err
    assert annotate.main(["web_type", *asked, str(out)]) == 0
    pages.write_text("[1]\n")
    assert annotate.main(["quality", *asked, str(tmp_path / "absent" / "labels.jsonl")]) == 2
    assert "expected an object" in capsys.readouterr().err
