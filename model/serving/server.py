"""An engine's own server for a model: its command line, the folder that it reads, its life as a process.

The server is a process of its own: vLLM where it is installed and a GPU is there, else `transformers serve`; SGLang and llama.cpp
on demand. It reads a temporary folder of links to the model's files, with config.json in the engine's terms
(model/serving/engines.py), named as the model is to be called: `transformers serve` answers to the name on its command line only.
Nothing is downloaded or copied.

The folder gets what a base model lacks, for the server alone:

    chat_template.jinja       messages joined as plain text, which the model continues, or the file of --chat-template
    generation_config.json    for transformers: sampling on, temperature 1, so that a request's temperature has an effect
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import http.client
import importlib.util
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
from types import FrameType
from typing import Any, NoReturn

from model.base.errors import ServeError
from model.serving.engines import Engine, config_for
from model.training.run_folder import CONFIG, find, is_model, read_config

TEMPLATE = "chat_template.jinja"
GENERATION = "generation_config.json"
PLAIN = (
    "{% for message in messages %}{{ message['content'] }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}"
)
"""The chat template of a base model: contents alone, a blank line between them."""
SAMPLING = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
"""`transformers serve` is greedy whatever a request's temperature unless the model's own configuration says `do_sample`."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)
OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE = 10.0
"""Seconds that a server has to end what it is answering."""


@dataclass(frozen=True)
class Plan:
    """Server to start."""

    engine: Engine
    name: str
    host: str
    port: int
    command: tuple[str, ...]
    folder: Path

    @property
    def asked(self) -> str:
        """Host to ask at."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    @property
    def url(self) -> str:
        """Address of the server's API."""
        return f"http://{f'[{self.asked}]' if ':' in self.asked else self.asked}:{self.port}/v1"

    @property
    def shell(self) -> str:
        """Line of shell that starts it."""
        words = [*(f"{k}={v}" for k, v in OFFLINE.items()), *self.command]
        return f"cd {shlex.quote(str(self.folder))} && {shlex.join(words)}"

    @property
    def curl(self) -> str:
        """Command that asks the server."""
        body = json.dumps({"model": self.name, "prompt": "The river", "max_tokens": 32})
        return f"curl {self.url}/completions -H 'Content-Type: application/json' -d '{body}'"


def locate(path: Path) -> tuple[Path, str]:
    """Find the model's folder, or a file of llama.cpp, and its name: the run's.

    :raises ServeError: a checkpoint, which wants an export first.
    :raises ExportError: no model there.
    """
    if path.is_file() and path.suffix == ".gguf":
        return path, path.stem
    folder = find(path)
    if not is_model(folder) and is_model(path / "export"):
        print(f"note: {path}/export is of an earlier moment than {folder.name}", file=sys.stderr)
        folder = path / "export"
    if not is_model(folder):
        raise ServeError(
            f"{folder} is a checkpoint of training; export it first: python -m model.export {folder} --out FOLDER"
        )
    resolved = folder.resolve()
    return folder, resolved.parent.name if resolved.name == "export" else resolved.name


def choose(model: Path) -> Engine:
    """Choose the engine of `--engine auto`."""
    if model.suffix == ".gguf":
        return "llama.cpp"
    if program("vllm") is None:
        return "transformers"
    import torch

    return "vllm" if torch.cuda.is_available() else "transformers"


def program(name: str) -> str | None:
    """Find a command in this environment, else on the path."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def installed(module: str) -> bool:
    """Tell whether a module is installed."""
    return importlib.util.find_spec(module) is not None


def stage(model: Path, name: str, engine: Engine, template: Path | None, place: Path) -> Path:
    """Make the folder that a server reads.

    :param place: an empty folder.
    :returns: `place / name`, of links to the model's files and of what differs from them.
    :raises ExportError: see `config_for`.
    """
    folder = place / name
    written = {CONFIG: json.dumps(config_for(engine, read_config(model)), indent=2)}
    if template is not None:
        written[TEMPLATE] = template.read_text(encoding="utf-8")
    elif not has_template(model):
        written[TEMPLATE] = PLAIN
    if engine == "transformers":
        path_of_model = model / GENERATION
        generation: dict[str, Any] = (
            json.loads(path_of_model.read_text(encoding="utf-8")) if path_of_model.exists() else {}
        )
        written[GENERATION] = json.dumps(SAMPLING | generation, indent=1)
    folder.mkdir(parents=True)
    for path in model.iterdir():
        if path.name not in written:
            (folder / path.name).symlink_to(path.resolve())
    for file, text in written.items():
        (folder / file).write_text(text + "\n", encoding="utf-8")
    return folder


def has_template(model: Path) -> bool:
    """Tell whether a model's tokenizer has a chat template."""
    config = model / "tokenizer_config.json"
    tokenizer_config = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    return (model / TEMPLATE).exists() or bool(tokenizer_config.get("chat_template"))


def command_for(
    engine: Engine, model: Path, name: str, host: str, port: int, dtype: str | None, template: Path | None
) -> list[str]:
    """Make the command line of an engine's server.

    :raises ServeError: the engine is not installed: what installs it.
    """
    at = ["--host", host, "--port", str(port)]
    if engine == "transformers":
        if not installed("transformers") or not installed("uvicorn"):
            raise ServeError("transformers serve is not installed: pip install 'corpusmill[model]'")
        precision = ["--dtype", dtype] if dtype else []
        return [sys.executable, "-m", "transformers.cli.transformers", "serve", name, *at, *precision]
    if engine == "vllm":
        # Not FP16: there vLLM divides the shared experts' part by the factor, and these layers do not make up for it.
        vllm = required("vllm", "vLLM", "pip install vllm, in an environment of its own: it pins torch")
        return [vllm, "serve", str(model), "--served-model-name", name, "--dtype", dtype or "bfloat16", *at]
    if engine == "sglang":
        # Its fusion of shared experts is for one of them.
        sglang = required("sglang", "SGLang", "pip install sglang, in an environment of its own: it pins torch")
        served = ["--model-path", str(model), "--served-model-name", name, "--dtype", dtype or "bfloat16"]
        return [sglang, "serve", *served, "--disable-shared-experts-fusion", *at]
    chat = ["--chat-template-file", str(template)] if template else []
    if (server := program("llama-server")) is not None:
        return [server, "--model", str(model), "--alias", name, *at, *chat]
    if installed("llama_cpp") and installed("sse_starlette"):
        if template:
            raise ServeError("llama-cpp-python's server takes no template file; install llama.cpp's llama-server")
        return [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--model_alias", name, *at]
    raise ServeError(
        "llama.cpp is not installed: its llama-server on the path, or pip install 'llama-cpp-python[server]'"
    )


def required(command: str, engine: str, how: str) -> str:
    """Find the command of an engine.

    :raises ServeError: it is not installed; `how` says what installs it.
    """
    path = program(command)
    if path is None:
        raise ServeError(f"{engine} is not installed (no {command} on the path): {how}")
    return path


def free_port(host: str, port: int) -> int:
    """Check that a port is free, or find any free one for 0.

    :raises ServeError: it is in use, or the host is none of this machine.
    """
    if not 0 <= port <= 65535:
        raise ServeError(f"expected a port of 0 to 65535, found {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(address)
            return int(s.getsockname()[1])
    except OSError as error:
        raise ServeError(f"cannot listen at {host}:{port}: {error.strerror or error}; choose another --port") from None


class Stopped(Exception):
    """SIGTERM or SIGINT, as an exception."""


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Make SIGTERM and SIGINT raise `Stopped` once; later ones are not heard, so that what they would cut short ends in peace."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    before = {s: signal.signal(s, stop) for s in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def answers(plan: Plan) -> bool:
    """Tell whether the server lists its model, or would for a key that an engine's own option asks for."""
    connection = http.client.HTTPConnection(plan.asked, plan.port, timeout=5)
    try:
        connection.request("GET", "/v1/models")
        return connection.getresponse().status in (200, 401)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def end_with_parent() -> None:
    """Ask, in a server before it starts, for SIGTERM if this process is killed. Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started, which are one process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(plan: Plan) -> int:
    """Start the server, say when it answers, and wait for its end.

    :returns: 0 after Ctrl-C or SIGTERM, 1 if the server ended by itself.
    """
    process: subprocess.Popen[bytes] | None = None
    with stopping():
        try:
            process = subprocess.Popen(
                plan.command,
                cwd=plan.folder,
                env=os.environ | OFFLINE,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches this process alone, which ends the server
                preexec_fn=end_with_parent,
            )
            while process.poll() is None and not answers(plan):
                time.sleep(0.2)
            if process.poll() is None:
                print(f"ready: {plan.url} serves {plan.name!r} ({plan.engine}), try:\n  {plan.curl}", flush=True)
            code = process.wait()
            print(f"error: the server ended by itself (exit code {code}); its messages are above", file=sys.stderr)
            return 1
        except Stopped:
            return 0
        finally:
            for each in SIGNALS:
                signal.signal(each, signal.SIG_IGN)
            if process is not None:
                end(process)


def prepare(options: argparse.Namespace, place: Path) -> Plan:
    """Plan a server, and make its folder.

    :raises ServeError, ExportError: see there.
    """
    model, name = locate(options.model)
    name = options.name or name
    if not NAME.fullmatch(name):
        raise ServeError(f"the model's name is {name!r}, expected letters, digits, . _ - (and / between): --name")
    engine: Engine = choose(model) if options.engine == "auto" else options.engine
    template: Path | None = options.chat_template and options.chat_template.resolve()
    if template is not None and not template.is_file():
        raise ServeError(f"{template}: no such file; --chat-template wants a file of Jinja")
    port = options.port if options.dry_run and options.port else free_port(options.host, options.port)
    if engine == "llama.cpp":
        if model.suffix != ".gguf":
            raise ServeError(
                f"{model} is no .gguf file: python -m model.export {options.model} --out FOLDER --engine llama.cpp, then "
                "llama.cpp's convert_hf_to_gguf.py FOLDER"
            )
        served = model.resolve()
    elif model.suffix == ".gguf":
        raise ServeError(f"{model} is a file of llama.cpp, found --engine {engine}")
    else:
        if template is None and not has_template(model):
            print(
                "note: no chat template, as of a base model; chat messages are joined as plain text (--chat-template)",
                file=sys.stderr,
            )
        served = stage(model, name, engine, template, place)
    command = command_for(engine, served, name, options.host, port, options.dtype, template)
    return Plan(engine, name, options.host, port, (*command, *options.extra), place)
