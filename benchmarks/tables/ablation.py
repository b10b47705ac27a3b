"""Ablation: models trained on the corpora of each stage."""

from benchmarks.tables._markdown import Json
from model.study.ablation.report import tables


def render(result: Json) -> str:
    machine, software = result["machine"], result["software"]
    return (
        f"{tables(result)}\n`python -m model.ablate --config configs/model/ablation.yaml`, {machine['processor']} "
        f"({machine['cores']} cores), Python {software['python']}, torch {software['torch']}, commit {machine['commit'][:10]}.\n"
    )
