"""Bytes of a key-value cache."""

from __future__ import annotations

import pytest

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
pytest.importorskip("tensorboard", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)


from model import cache as cache_command  # noqa: E402
from model.architecture import costs  # noqa: E402
from model.architecture.config import ModelOptions  # noqa: E402
from model.study import cache  # noqa: E402


@pytest.mark.parametrize(("preset", "ratio"), [("hunyuan-tiny", 1 / 8), ("hunyuan-large", 1 / 20)])
def test_bytes_of_the_cache(preset: str, ratio: float) -> None:
    """Hunyuan-Large: 8 of 80 heads, every other layer."""
    preset_options = ModelOptions.model_validate(preset)
    every = cache.multi_head(preset_options)
    size, whole = cache.measured(preset_options, 6, 2), cache.measured(every, 6, 2)
    assert size / whole == ratio
    assert (size, whole) == (costs.cache_bytes(preset_options, 8), costs.cache_bytes(every, 8))


def test_the_cache_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cache_command.main(["--preset", "hunyuan-tiny", "--prompt", "8", "--new", "2"]) == 0
    assert "0.1250 of it: 87.5% less, after 8 + 2 places" in capsys.readouterr().out
    assert cache_command.main(["--preset", "none"]) == 2
    assert "known presets: tiny" in capsys.readouterr().err
    assert cache_command.main(["--prompt", "0"]) == 2
