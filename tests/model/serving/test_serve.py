"""A real server, started and asked as the documentation says; what it answers, how it ends, what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)
openai = pytest.importorskip("openai", reason=REASON)
pytest.importorskip("uvicorn", reason=REASON)
pytest.importorskip("fastapi", reason=REASON)

from model import serve  # noqa: E402
from model.serving import server as serving  # noqa: E402
from tests.model.made_model import write_model  # noqa: E402
from tests.model.paths import ROOT  # noqa: E402

PAGES = ["docs/model_serving.md"]
MARK = re.compile(r"<!-- served: (\w+) -->\n```\w+\n(.*?)```", re.DOTALL)
IM = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def shown(kind: str) -> list[str]:
    """List what the documentation shows of a kind."""
    return [text for page in PAGES for k, text in MARK.findall((ROOT / page).read_text(encoding="utf-8")) if k == kind]


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int
    folder: Path
    log: Path

    def ask(self, text: str) -> str:
        """Make a call of the documentation, at this server's port."""
        assert "127.0.0.1:8000" in text
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        with openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0) as client:
            yield client


def start(command: list[str], folder: Path, place: Path) -> Server:
    """Start a server and wait until it says that it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    log = place / "log"
    with log.open("w") as f:
        environment = ENVIRONMENT | {"TMPDIR": str(place), "PYTHONUNBUFFERED": "1"}
        options: dict[str, Any] = {"cwd": place, "env": environment, "stdout": f, "stderr": subprocess.STDOUT}
        process = subprocess.Popen([*command, "--port", str(port)], text=True, **options)
    until = time.monotonic() + 180
    while "ready: " not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)
    return Server(process, port, folder, log)


def group(pid: int) -> list[str]:
    """List the command lines of the processes whose parents lead to this one, itself left out."""
    processes = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [(int(a), int(b), c) for a, b, c in (line.split(None, 2) for line in processes.splitlines())]
    inside, out = {pid}, []
    for _ in range(4):
        for child, parent, args in rows:
            if parent in inside and child not in inside:
                inside.add(child)
                out.append(f"{child} {args}")
    return out


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The base model, as the documentation's first command starts it."""
    place = tmp_path_factory.mktemp("served")
    folder = write_model(place / "out" / "model" / "tiny" / "export")
    commands = {text.strip() for text in shown("start")}
    assert len(commands) == 1, "one way to start it, on every page"
    python, *arguments = shlex.split(commands.pop())
    assert python == "python"
    base_server = start([sys.executable, *arguments], folder, place)
    yield base_server
    base_server.process.kill() if base_server.process.poll() is None else None
    base_server.process.wait()


def greedy(folder: Path, prompt: str, tokens: int) -> str:
    """Continue a prompt by transformers, in this process."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer(prompt, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    return str(tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


@pytest.fixture(scope="module")
def expected(server: Server) -> str:
    text = greedy(server.folder, "The river", 16)
    assert len(text) > 8
    return text


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_as_documented(server: Server, expected: str) -> None:
    pieces = []
    for text in shown("curl"):
        done = subprocess.run(["bash", "-c", server.ask(text)], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        choice = answer["choices"][0]
        pieces.append(choice["text"] if answer["object"] == "text_completion" else choice["message"]["content"])
        assert answer["model"] == "tiny"
    assert len(pieces) >= 2
    assert set(pieces) == {expected}, "the plain template of a base model leaves one message as it is"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_printed_curl_works(server: Server) -> None:
    line = server.log.read_text().partition("try:\n")[2].splitlines()[0]
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["usage"]["completion_tokens"] > 0


def test_python_as_documented(server: Server, expected: str, tmp_path: Path) -> None:
    """OpenAI's client: completion, chat, and chat in a stream."""
    for number, text in enumerate(shown("python")):
        script = tmp_path / f"call{number}.py"
        script.write_text(server.ask(text), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=True, env=ENVIRONMENT, encoding="utf-8"
        )
        calls = text.count(".create(")
        assert calls >= 1
        assert done.stdout == (expected + "\n") * calls


def test_completions_stream_and_stop(server: Server, expected: str) -> None:
    ask: dict[str, Any] = {"model": "tiny", "prompt": "The river", "temperature": 0}
    with server.client() as client:
        parts = [p.choices[0].text for p in client.completions.create(max_tokens=16, stream=True, **ask)]
        short = client.completions.create(max_tokens=3, **ask)
    assert len(parts) > 4
    assert "".join(parts) == expected
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 3)
    assert expected.startswith(short.choices[0].text)


def test_several_messages_of_a_base_model(server: Server) -> None:
    messages: list[Any] = [{"role": "system", "content": "A mill."}, {"role": "user", "content": "The river"}]
    with server.client() as client:
        reply = client.chat.completions.create(model="tiny", messages=messages, max_tokens=8, temperature=0)
    assert reply.choices[0].message.content == greedy(server.folder, "A mill.\n\nThe river", 8)
    assert "no chat template" in server.log.read_text()


def test_temperature_has_an_effect(server: Server, expected: str) -> None:
    def sample(seed: int, temperature: float) -> str:
        ask: dict[str, Any] = {"model": "tiny", "prompt": "The river", "max_tokens": 16}
        return str(client.completions.create(seed=seed, temperature=temperature, **ask).choices[0].text)

    with server.client() as client:
        samples = [sample(seed, 2.0) for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    assert expected not in samples


def test_models_and_another_name(server: Server) -> None:
    with server.client() as client:
        assert [m.id for m in client.models.list()] == ["tiny"]
        with pytest.raises(openai.BadRequestError) as error:
            client.completions.create(model="large", prompt="x", max_tokens=1)
    assert error.value.response.json() == {"detail": "Server is pinned to 'tiny'; requested 'large'."}


def test_a_port_in_use(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main([str(server.folder), "--port", str(server.port)]) == 2
    assert f"cannot listen at 127.0.0.1:{server.port}: Address already in use" in capsys.readouterr().err
    assert serve.main([str(server.folder), "--port", "99999"]) == 2
    assert "expected a port of 0 to 65535, found 99999" in capsys.readouterr().err


def test_sigterm_leaves_nothing(server: Server) -> None:
    """The last of the tests that ask the server: it ends with 0, with its processes, its folder and its port."""
    place = server.log.parent
    assert len(group(server.process.pid)) >= 1
    assert list(place.glob("corpusmill-serve-*"))
    children = [int(line.split()[0]) for line in group(server.process.pid)]
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0, server.log.read_text()
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
    assert list(place.glob("corpusmill-serve-*")) == []
    with socket.create_server(("127.0.0.1", server.port)):
        pass


@pytest.mark.long
def test_the_server_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "tiny")
    running = start([sys.executable, "-m", "model.serve", str(folder)], folder, tmp_path)
    children = [int(line.split()[0]) for line in group(running.process.pid)]
    assert children
    running.process.kill()
    running.process.wait(10)
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < until, "the engine's server still runs"
        time.sleep(0.1)


@pytest.mark.long
def test_a_chat_template_of_the_models_own_and_a_name(tmp_path: Path) -> None:
    """A post-trained export; the name has a slash; Ctrl-C ends it."""
    folder = write_model(tmp_path / "chat")
    (folder / "chat_template.jinja").write_text(IM)
    command = [sys.executable, "-m", "model.serve", str(folder), "--name", "mill/tiny-chat"]
    running = start(command, folder, tmp_path)
    try:
        messages: list[Any] = [{"role": "user", "content": "The river"}]
        ask: dict[str, Any] = {"model": "mill/tiny-chat", "max_tokens": 12, "temperature": 0}
        with running.client() as client:
            reply = client.chat.completions.create(messages=messages, **ask)
        prompt = "<|im_start|>user\nThe river<|im_end|>\n<|im_start|>assistant\n"
        assert reply.choices[0].message.content == greedy(folder, prompt, 12)
        assert "no chat template" not in running.log.read_text()
    finally:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 0


@pytest.mark.long
def test_a_server_that_fails_is_told(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(b"no weights")
    done = subprocess.run(
        [sys.executable, "-m", "model.serve", str(folder), "--port", "0"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"TMPDIR": str(tmp_path)},
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 1
    assert "the server ended by itself" in done.stderr
    assert not list(tmp_path.glob("corpusmill-serve-*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("made") / "small" / "export")


def test_stage_links_and_changes_nothing(made: Path, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in made.iterdir()}
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages[0]['content'] }}!")
    folder = serving.stage(made, "a/b", "transformers", template, tmp_path)
    assert folder == tmp_path / "a" / "b"
    assert (folder / "model.safetensors").is_symlink()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False).strip() == "x!"
    assert json.loads((folder / "generation_config.json").read_text())["do_sample"] is True
    assert {p.name: p.read_bytes() for p in made.iterdir()} == before
    config = json.loads((serving.stage(made, "c", "vllm", None, tmp_path) / "config.json").read_text())
    assert config["architectures"] == ["Glm4MoeForCausalLM"]


def test_what_the_model_says_of_sampling_is_kept(made: Path, tmp_path: Path) -> None:
    model = shutil.copytree(made, tmp_path / "own")
    (model / "generation_config.json").write_text('{"do_sample": false, "eos_token_id": [0, 2]}')
    folder = serving.stage(model, "own", "transformers", None, tmp_path / "place")
    generation = json.loads((folder / "generation_config.json").read_text())
    assert (generation["do_sample"], generation["eos_token_id"]) == (False, [0, 2])


def test_the_command_of_each_engine(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--dry-run, with programs that are only named."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(serving, "program", lambda name: f"/bin/{name}")
    weights = tmp_path / "small.gguf"
    weights.touch()

    def command(engine: str, model: Path, *more: str) -> list[str]:
        assert serve.main([str(model), "--engine", engine, "--dry-run", "--port", "0", *more]) == 0
        place, _, line = capsys.readouterr().out.strip().partition(" && ")
        words = [w for w in shlex.split(line) if "=" not in w]
        at = words.index("--host")
        assert words[at : at + 3] == ["--host", "127.0.0.1", "--port"]
        return [w.replace(shlex.split(place)[1], "PLACE") for w in words[:at] + words[at + 4 :]]

    assert command("transformers", made)[1:] == ["-m", "transformers.cli.transformers", "serve", "small"]
    assert command("vllm", made, "--", "--tensor-parallel-size", "8") == [
        *("/bin/vllm", "serve", "PLACE/small", "--served-model-name", "small", "--dtype", "bfloat16"),
        *("--tensor-parallel-size", "8"),
    ]
    assert command("sglang", made, "--name", "x") == [
        *("/bin/sglang", "serve", "--model-path", "PLACE/x", "--served-model-name", "x", "--dtype", "bfloat16"),
        "--disable-shared-experts-fusion",
    ]
    assert command("auto", weights) == ["/bin/llama-server", "--model", str(weights), "--alias", "small"]
    for folder in tmp_path.glob("corpusmill-serve-*/small"):
        assert (folder / "config.json").exists(), "left, so that the command can be run"


def test_auto_is_vllm_on_a_gpu(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "program", lambda name: f"/bin/{name}")
    for there, engine in ((True, "vllm"), (False, "transformers")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert serving.choose(made) == engine
    monkeypatch.setattr(serving, "program", lambda name: None)
    assert serving.choose(made) == "transformers"


def test_refusals(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "program", lambda name: None)
    monkeypatch.setattr(serving, "installed", lambda module: False)
    (tmp_path / "notes.txt").touch()
    weights = tmp_path / "a.gguf"
    weights.touch()
    checkpoint = tmp_path / "run" / "checkpoints" / "tokens-000000000000064"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    shutil.copytree(made, tmp_path / "other")
    config = json.loads((made / "config.json").read_text()) | {"architectures": ["LlamaForCausalLM"]}
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    for arguments, message in [
        ([tmp_path], "no model (in it a.gguf, notes.txt, other, run); expected config.json with *.safetensors"),
        ([tmp_path / "none"], "no model (no such folder)"),
        ([tmp_path / "notes.txt"], "no model (a file)"),
        ([tmp_path / "run"], f"export it first: python -m model.export {checkpoint} --out FOLDER"),
        ([tmp_path / "other"], "config.json is of LlamaForCausalLM, transformers needs Dots1ForCausalLM"),
        ([made, "--name", "a b"], "the model's name is 'a b', expected letters"),
        ([made, "--chat-template", tmp_path / "none"], "no such file"),
        ([made, "--engine", "vllm"], "vLLM is not installed (no vllm on the path): pip install vllm"),
        ([made, "--engine", "sglang"], "SGLang is not installed"),
        ([made], "transformers serve is not installed"),
        ([made, "--engine", "llama.cpp"], "is no .gguf file: python -m model.export"),
        ([weights], "llama.cpp is not installed"),
        ([weights, "--engine", "vllm"], "is a file of llama.cpp, found --engine vllm"),
    ]:
        assert serve.main([*map(str, arguments), "--port", "0"]) == 2
        assert message in capsys.readouterr().err
