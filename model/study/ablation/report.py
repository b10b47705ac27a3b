"""Results of `model.ablate`: numbers, a page of tables, a picture. Made from the stored losses alone; no torch here."""

from __future__ import annotations

import html
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from model.base.arrays import Floats
from model.study.ablation.config import AblationConfig, Group
from model.study.ablation.data import Data
from model.study.ablation.intervals import bits_per_byte, difference


def result(config: AblationConfig, data: Data, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compute all numbers of an ablation; `runs` as stored, of all seeds."""
    sizes = np.array([len(d.text.encode()) for d in data.heldout], dtype=np.float64)
    languages = np.array([d.language for d in data.heldout])
    kinds = np.array([d.kind for d in data.heldout])
    sites = np.array([d.site for d in data.heldout], dtype=object)
    groups: dict[str, Any] = {}
    for group in config.groups:
        group_runs = [r for r in runs if r["group"] == group.name]
        names = [n for n in config.corpora if any(r["corpus"] == n for r in group_runs)]
        bits = {n: _bits(group_runs, n, config.seeds) for n in names}
        taught = tuple(group.shares or config.languages)
        report: dict[str, Any] = {
            "tokens": group_runs[0]["tokens"] if group_runs else 0,
            "shares": group.shares,
            "corpora": {n: _of_corpus([r for r in group_runs if r["corpus"] == n]) for n in names},
            "left_out": [n for n in group.corpora or config.corpora if n not in names],
            "languages": {},
        }
        parts = {language: languages == language for language in taught}
        if len(taught) > 1:
            parts["all"] = np.isin(languages, taught)
        for name, chosen in parts.items():
            report["languages"][name] = _of_language(config, group, bits, sizes, sites, kinds, chosen)
        groups[group.name] = report
    import torch

    return {
        "seeds": list(config.seeds),
        "level": config.interval.level,
        "heldout": {
            language: {
                "texts": int((languages == language).sum()),
                "sites": len(set(sites[languages == language])),
                "bytes": int(sizes[languages == language].sum()),
                "tokens": data.tokens["heldout"][language],
            }
            for language in config.languages
        },
        "corpora": {
            name: {k: asdict(c) | {"tokens": data.tokens[name][k]} for k, c in counts.items()}
            for name, counts in data.counts.items()
        },
        "overlap": config.overlap.model_dump(),
        "tokenizer": {"tokens": data.vocabulary, "sha256": data.tokenizer},
        "parameters": runs[0]["parameters"] if runs else None,
        "groups": groups,
        "software": {"python": platform.python_version(), "torch": torch.__version__},
    }


def _bits(runs: Sequence[dict[str, Any]], corpus: str, seeds: Sequence[int]) -> Floats:
    """Give the bits of each held-out document by seed, `(S, D)`."""
    by_seed = {r["seed"]: r["nats"] for r in runs if r["corpus"] == corpus}
    return np.array([by_seed[s] for s in seeds], dtype=np.float64) / math.log(2)


def _of_corpus(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Summarise the runs on one corpus."""
    return {
        "rounds": runs[0]["rounds"],
        "targets": [r["targets"] for r in runs],
        "training_loss": float(np.mean([r["training_loss"] for r in runs])),
        "seconds": [round(r["seconds"], 1) for r in runs],
    }


def _of_language(
    config: AblationConfig,
    group: Group,
    bits: dict[str, Floats],
    sizes: Floats,
    sites: npt.NDArray[Any],
    kinds: npt.NDArray[Any],
    chosen: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """Compare corpora on the held-out text of one language."""

    def compared(where: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
        options = config.interval
        return [
            {"a": a, "b": b}
            | difference(
                bits[a][:, where],
                bits[b][:, where],
                sizes[where],
                list(sites[where]),
                draws=options.draws,
                seed=options.seed,
                level=options.level,
            ).as_dict()
            for a, b in config.compare
            if a in bits and b in bits
        ]

    by_seed = {n: bits_per_byte(b[:, chosen], sizes[chosen]) for n, b in bits.items()}
    return {
        "bits_per_byte": {
            n: {"mean": float(x.mean()), "by_seed": [float(v) for v in x], "spread": float(x.std(ddof=1))}
            for n, x in by_seed.items()
        },
        "differences": compared(chosen),
        "kinds": {
            str(kind): {
                "texts": int((chosen & (kinds == kind)).sum()),
                "differences": compared(chosen & (kinds == kind)),
            }
            for kind in sorted(set(kinds[chosen]) - {""})
        },
    }


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Format a table of Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(c) for c in row) + " |" for row in rows)])


def _interval(d: dict[str, Any]) -> tuple[str, str]:
    """Format an estimate and its interval."""
    return f"{d['estimate']:+.4f}", f"{d['low']:+.4f} to {d['high']:+.4f}"


def verdict(d: dict[str, Any]) -> str:
    """Say what an interval says of B beside A."""
    if not d["clear"]:
        return "no difference shown"
    return f"{d['b']} better" if d["high"] < 0 else f"{d['a']} better"


def markdown(result: dict[str, Any]) -> str:
    """Make the page of a result."""
    return "# Corpora compared\n\n" + tables(result)


def tables(result: dict[str, Any]) -> str:
    """Make the tables of a result, without a heading."""
    level = f"{result['level']:.0%}"
    out: list[str] = []
    parameters = f"models of {result['parameters'] or 0:,} parameters"
    out.append(f"Bits per byte of held-out text, {len(result['seeds'])} seeds, {parameters}. Lower is better.")
    held = [
        [language, f"{h['texts']:,}", f"{h['sites']:,}", f"{h['bytes']:,}"] for language, h in result["heldout"].items()
    ]
    out += ["", _table(["held-out text", "texts", "sites", "bytes"], held), ""]
    rows = [
        [
            f"{name}, {language}",
            *(f"{c[k]:,}" for k in ("read", "of_heldout_site", "overlapping", "kept", "bytes", "tokens")),
        ]
        for name, by in result["corpora"].items()
        for language, c in by.items()
    ]
    header = ["corpus", "documents", "of held-out sites", "sharing text", "left", "bytes", "tokens"]
    out += [_table(header, rows), ""]
    for group, g in result["groups"].items():
        out += [f"**{group}**: {g['tokens']:,} tokens a model.", ""]
        if g["left_out"]:
            out += [f"Without a document of these languages, so not in it: {', '.join(g['left_out'])}.", ""]
        for language, of in g["languages"].items():
            rows = []
            for name, x in of["bits_per_byte"].items():
                c = g["corpora"][name]
                rounds = ", ".join(f"{v:.2f}" for v in c["rounds"].values())
                seeds = ", ".join(f"{v:.4f}" for v in x["by_seed"])
                rows.append(
                    [name, f"{x['mean']:.4f}", f"{x['spread']:.4f}", seeds, rounds, f"{c['training_loss']:.3f}"]
                )
            header = [
                f"{group}: {language}",
                "bits per byte",
                "spread of seeds",
                "by seed",
                "times read",
                "training loss",
            ]
            out += [_table(header, rows), ""]
            if of["differences"]:
                rows = [
                    [f"{d['b']} - {d['a']}", *_interval(d), ", ".join(f"{v:+.4f}" for v in d["by_seed"]), verdict(d)]
                    for d in of["differences"]
                ]
                header = [f"{group}: {language}", "difference", f"{level} interval", "by seed", ""]
                out += [_table(header, rows), ""]
            if of["kinds"]:
                pairs = [f"{d['b']} - {d['a']}" for d in of["differences"]]
                rows = [
                    [
                        kind,
                        k["texts"],
                        *(f"{d['estimate']:+.4f} ({d['low']:+.3f} to {d['high']:+.3f})" for d in k["differences"]),
                    ]
                    for kind, k in of["kinds"].items()
                ]
                out += [_table([f"{group}: {language}, by kind", "texts", *pairs], rows), ""]
    out.append(
        "The intervals cover other seeds and other held-out sites like these, not other training pages, sizes or lengths. Of all "
        f"{level} intervals of no difference, {1 - result['level']:.0%} show one by chance."
    )
    return "\n".join(out) + "\n"


WIDTH, ROW, LEFT, RIGHT = 860, 26, 330, 40


def picture(result: dict[str, Any]) -> str:
    """Draw differences with their intervals as SVG; left of the line B is the better."""
    lines: list[tuple[str, dict[str, Any] | None]] = []
    for group, g in result["groups"].items():
        for language, of in g["languages"].items():
            if of["differences"]:
                lines.append((f"{group}: {language}" if group != language else language, None))
                lines += [(f"{d['b']} - {d['a']}", d) for d in of["differences"]]
    shown = [d for _, d in lines if d is not None]
    reach: float = max([1e-6, *(max(abs(d["low"]), abs(d["high"])) for d in shown)]) * 1.08
    step: float = 10.0 ** math.floor(math.log10(reach))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if reach / s <= 5)
    height = ROW * (len(lines) + 2)

    def x(value: float) -> float:
        return LEFT + (value + reach) / (2 * reach) * (WIDTH - LEFT - RIGHT)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for i in range(-int(reach / step), int(reach / step) + 1):
        at, strong, label = x(i * step), i == 0, f"{i * step:+.3g}" if i else "0"
        out.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{ROW * 0.6:.0f}" y2="{height - 1.4 * ROW:.0f}" '
            f'stroke="{"#333" if strong else "#ddd"}"/>'
            f'<text x="{at:.1f}" y="{height - 0.8 * ROW:.0f}" text-anchor="middle" fill="#555">{label}</text>'
        )
    for number, (label, d) in enumerate(lines):
        y = ROW * (number + 1)
        weight = ' font-weight="bold"' if d is None else ""
        out.append(f'<text x="{12 if d is None else 24}" y="{y + 4}" fill="#222"{weight}>{html.escape(label)}</text>')
        if d is None:
            continue
        colour = "#777" if not d["clear"] else "#1a7f37" if d["high"] < 0 else "#b3261e"
        out.append(
            f'<line x1="{x(d["low"]):.1f}" x2="{x(d["high"]):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        )
        out += [f'<circle cx="{x(v):.1f}" cy="{y}" r="2" fill="#222" opacity="0.45"/>' for v in d["by_seed"]]
        out.append(f'<circle cx="{x(d["estimate"]):.1f}" cy="{y}" r="5" fill="{colour}"/>')
    caption = f"bits per byte, difference with {result['level']:.0%} interval; small: seeds; left of 0 the first named is better"
    out.append(f'<text x="{LEFT}" y="{height - 6}" fill="#555">{caption}</text></svg>')
    return "\n".join(out) + "\n"
