"""llama.cpp itself, where it is: converter, logits, tokens, server. `LLAMA_CPP` is the folder of its source.

pip install llama-cpp-python        # builds it; its source distribution has llama.cpp in vendor/
LLAMA_CPP=llama_cpp_python-0.3.36/vendor/llama.cpp python -m pytest tests/model/serving/test_llama_cpp.py -s
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("llama_cpp", reason="needs llama-cpp-python")
if "LLAMA_CPP" not in os.environ:
    pytest.skip("needs LLAMA_CPP, the folder of llama.cpp's source, for its converter", allow_module_level=True)

from llama_cpp import GGML_TYPE_F32, Llama  # noqa: E402
from pyarrow import fs  # noqa: E402

from model.architecture.config import ModelOptions  # noqa: E402
from model.data.shards import Shards  # noqa: E402
from model.export import main  # noqa: E402
from model.serving.convert import write  # noqa: E402
from model.training.export import export  # noqa: E402
from model.training.run_folder import read_config  # noqa: E402
from tests.model.made_model import EOD, TEXT, weights  # noqa: E402
from tests.model.paths import ROOT  # noqa: E402

pytestmark = pytest.mark.long

SOURCE = Path(os.environ["LLAMA_CPP"]).resolve()
QWEN = ROOT / "pipeline" / "tokenization" / "tokenizers" / "qwen"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training export with the demo's tokenizer: two shared experts, top 3 of 8, biases that change who is chosen."""
    transformers.utils.logging.disable_progress_bar()
    sizes = {"hidden_size": 32, "n_shared_experts": 2, "n_routed_experts": 8, "num_experts_per_tok": 3}
    options = ModelOptions.model_validate({"preset": "tiny", **sizes})
    shards = Shards(
        **{"filesystem": fs.LocalFileSystem(), "folder": str(QWEN), "seed": 0, "eod_id": 151_643, "eod_token": EOD},
        **{"vocab_size": 151_669, "tokenizer_file": "tokenizer.json", "tokenizer_sha256": "", "shards": ()},
    )
    folder = tmp_path_factory.mktemp("made") / "tiny" / "export"
    folder.parent.mkdir()
    return export(weights(options), options, shards, folder)


def to_gguf(folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Convert by llama.cpp's converter, in FP32."""
    script = [
        sys.executable,
        str(SOURCE / "convert_hf_to_gguf.py"),
        str(folder),
        "--outtype",
        "f32",
        "--outfile",
        str(out),
    ]
    path = os.pathsep.join([str(SOURCE / "gguf-py"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(script, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def converted(made: Path) -> tuple[Path, str]:
    """The file, and what the converter said."""
    out, file = made.parent / "llama", made.parent / "tiny.gguf"
    assert main([str(made), "--out", str(out), "--engine", "llama.cpp"]) == 0
    done = to_gguf(out, file)
    assert done.returncode == 0, done.stderr
    return file, done.stderr


@pytest.fixture(scope="module")
def llama(converted: tuple[Path, str]) -> Any:
    """The model in llama.cpp, its cache in FP32."""
    settings: dict[str, Any] = {"n_ctx": 128, "n_threads": 1, "logits_all": True, "verbose": False, "flash_attn": False}
    model = Llama(str(converted[0]), type_k=GGML_TYPE_F32, type_v=GGML_TYPE_F32, **settings)
    yield model
    model.close()


def test_logits(made: Path, llama: Any) -> None:
    ids = torch.randint(0, 151_643, (1, 64), generator=torch.Generator().manual_seed(3))
    llama.eval(ids[0].tolist())
    logits = torch.from_numpy(llama.scores[: ids.shape[1]].copy())
    with torch.no_grad():
        stock = transformers.AutoModelForCausalLM.from_pretrained(made)(ids).logits[0]
    difference = float((logits - stock).abs().max())
    print(f"\nlargest difference of logits {difference:.2e}, their standard deviation {float(stock.std()):.2f}")
    assert stock.std() > 0.5
    assert difference < 1e-4


def test_tokens(made: Path, llama: Any) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(made)
    for text in [*TEXT, "don't  2024-11-28\n\n\tx = 1,000.5  ", f"a{EOD}b"]:
        assert llama.tokenize(text.encode(), add_bos=False, special=True) == tokenizer(text)["input_ids"]
    assert llama.metadata["tokenizer.ggml.pre"] == "qwen2"


def test_another_word_for_the_scores_is_refused(made: Path, tmp_path: Path) -> None:
    """What the converter of this version says of what older ones wanted."""
    out = write(made, tmp_path / "out", "llama.cpp", "float32")
    (out / "config.json").write_text(json.dumps(read_config(out) | {"scoring_func": "noaux_tc"}))
    done = to_gguf(out, tmp_path / "out.gguf")
    assert done.returncode != 0
    assert "noaux_tc" in done.stderr


def test_its_server(made: Path, converted: tuple[Path, str], tmp_path: Path) -> None:
    """`python -m model.serve FILE.gguf`: the same words as transformers', and a clean end."""
    pytest.importorskip("sse_starlette", reason="needs llama-cpp-python[server]")
    openai = pytest.importorskip("openai", reason=REASON)
    tokenizer = transformers.AutoTokenizer.from_pretrained(made)
    ids = tokenizer("The river", return_tensors="pt")
    model = transformers.AutoModelForCausalLM.from_pretrained(made)
    out = model.generate(**ids, max_new_tokens=8, do_sample=False)[0, ids["input_ids"].shape[1] :]
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    log = tmp_path / "log"
    with log.open("w") as f:
        command = [sys.executable, "-m", "model.serve", str(converted[0]), "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=f, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 180
        while "ready: " not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
            done = client.completions.create(model="tiny", prompt="The river", max_tokens=8, temperature=0)
        assert done.choices[0].text == tokenizer.decode(out)
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
