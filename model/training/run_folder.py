"""Places of checkpoints and export in a run's folder. No torch here: `model.serve` starts at once.

out/model/tiny/
  checkpoints/tokens-000000000065536/state.json    last of a checkpoint's files: where it is, the checkpoint is complete
  export/config.json, *.safetensors                a model in Hugging Face's format
  summary.json                                     tokens that the export has seen
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from model.base.errors import ExportError

CONFIG = "config.json"
"""File of a folder in Hugging Face's format."""
PREFIX, STATE = "tokens-", "state.json"
"""Beginning of the name of a checkpoint's folder, and the file that is in each complete one."""


def checkpoints(run: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    return sorted(state.parent for state in run.glob(f"checkpoints/{PREFIX}*[0-9]/{STATE}"))


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json of a model's folder."""
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return config


def is_model(folder: Path) -> bool:
    """Tell whether a folder has a model in Hugging Face's format."""
    return (folder / CONFIG).is_file() and any(folder.glob("*.safetensors"))


def find(path: Path) -> Path:
    """Find the folder to read a model from: one in Hugging Face's format, or a checkpoint.

    :param path: either of them, or a run's folder.
    :raises ExportError: none of these.
    """
    if is_model(path) or (path / STATE).is_file():
        return path
    exported = path / "export"
    complete = checkpoints(path)
    if is_model(exported) and not (complete and tokens_of(complete[-1]) > exported_tokens(path)):
        return exported
    if complete:
        return complete[-1]
    if not path.exists():
        problem = "no such folder"
    elif not path.is_dir():
        problem = "a file"
    else:
        names = sorted(p.name for p in path.iterdir())
        problem = "in it " + (", ".join(names[:6]) + (", ..." if len(names) > 6 else "") if names else "nothing")
    raise ExportError(
        f"{path}: no model ({problem}); expected {CONFIG} with *.safetensors, a run's folder (export/ or "
        f"checkpoints/{PREFIX}*/), or one checkpoint"
    )


def tokens_of(place: Path) -> int:
    """Read the tokens that a checkpoint has seen from its name."""
    return int(place.name.removeprefix(PREFIX))


def exported_tokens(run: Path) -> int:
    """Read the tokens that a run's `export/` has seen from its summary; without one, more than any checkpoint's."""
    summary = run / "summary.json"
    return int(json.loads(summary.read_text())["tokens"]) if summary.exists() else sys.maxsize
