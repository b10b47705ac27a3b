"""Evaluate the category classifier: `python -m classifiers.category.evaluate --data DATA [--picture FILE.svg]`.

Five folds by site, English and Chinese apart: the likeliest class, the five likeliest, groups; every class with its support;
calibration. The pages of the first round of annotation are told apart too, so that easier or harder pages are not taken for a
better or worse model. Beside it, in the same folds: the commonest class, fastText on words, and a softmax regression on the same
inputs. Groups and classes count in a macro mean from ENOUGH pages of the language.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.base import INPUTS
from classifiers.category.labels import BALANCE_OF, GROUP_OF, GROUPS, LABELS
from classifiers.category.model import WordModel, WordVectors, compressed
from classifiers.category.train import WEIGHTS, Extra, Inputs, chosen, extras, fit, read_vectors, site_of, target
from classifiers.evaluation import FOLDS, LANGUAGES, WORD, fasttext_folds
from classifiers.features import features_of
from classifiers.labelled import CATEGORIES, LabelledPage, batch_of, load_pages
from classifiers.metrics import calibration, interval, macro_f1
from classifiers.small import folds
from classifiers.training import SEED

ENOUGH = 10
LINEAR_STEPS = 300
Probabilities = npt.NDArray[np.float64]
_GROUP = np.array([[g.id for g in GROUPS].index(GROUP_OF[label]) for label in LABELS])
_BALANCES = sorted(set(BALANCE_OF.values()))
_BALANCE = np.array([_BALANCES.index(BALANCE_OF[label]) for label in LABELS])


def outer_folds(pages: Sequence[LabelledPage]) -> npt.NDArray[np.int64]:
    """Fold of each page, by its site."""
    return folds([site_of(page) for page in pages], FOLDS, "evaluation")


def cross_validated(pages: Sequence[LabelledPage], vectors: WordVectors, data: Path, seed: int = SEED) -> Probabilities:
    """Probabilities of every page by a model that has not seen its site, by kind of input: float64 (views, n, classes)."""
    extra = extras(data, vectors, seed)
    parts = outer_folds(pages)
    out = np.zeros((len(INPUTS), len(pages), len(LABELS)))
    for fold in range(FOLDS):
        trained, judged = np.flatnonzero(parts != fold), np.flatnonzero(parts == fold)
        out[:, judged] = by_others(
            [pages[int(i)] for i in trained], [pages[int(i)] for i in judged], vectors, extra, seed
        )
        print(f"category: fold {fold + 1} of {FOLDS}", file=sys.stderr, flush=True)
    return out


def by_others(
    others: Sequence[LabelledPage],
    judged: Sequence[LabelledPage],
    vectors: WordVectors,
    extra: Sequence[Extra],
    seed: int = SEED,
) -> Probabilities:
    """Probabilities of pages by a model trained on other pages, by kind of input: float64 (views, judged, classes)."""
    import torch

    torch.set_num_threads(1)
    net, divisor = fit(Inputs.of(others, vectors), target(others), extra, seed)
    model = WordModel(LABELS, vectors, net, divisor)
    batch = batch_of(judged)
    return np.stack([model.predict_proba(batch.seen_as(columns)).astype(np.float64) for columns in INPUTS.values()])


def by_input(pages: Sequence[LabelledPage], views: Probabilities) -> dict[str, dict[str, Any]]:
    """Figures of pages by language and kind of input. `either`: the likeliest class is one of the page's two."""
    true = np.array([LABELS.index((page.annotation or {})["category"]) for page in pages])
    may = target(pages).wanted > 0
    languages, sites = np.array([page.language for page in pages]), [site_of(page) for page in pages]
    out: dict[str, dict[str, Any]] = {}
    for language, code in LANGUAGES.items():
        of = np.flatnonzero(languages == code)
        own_sites = [sites[i] for i in of]
        table: dict[str, Any] = {"pages": len(of), "sites": len(set(own_sites))}
        for name, p in zip(INPUTS, views[:, of], strict=True):
            either = may[of, p.argmax(1)]
            table[name] = figures(p, true[of], own_sites) | {"either": round(float(either.mean()), 4)}
        out[language] = table
    return out


def fasttext(pages: Sequence[LabelledPage]) -> Probabilities:
    """Probabilities of every page by fastText on words and pairs of words, trained on the annotated pages of the other sites."""
    texts = [" ".join(WORD.findall(f"{p.extraction.title or ''} {p.extraction.text[:8000]}".lower())) for p in pages]
    return fasttext_folds(texts, target(pages).wanted.argmax(1).tolist(), len(LABELS), outer_folds(pages))


def linear_folds(pages: Sequence[LabelledPage], vectors: WordVectors) -> Probabilities:
    """Probabilities of every page by a softmax regression on what the shipped model sees, trained as that is."""
    import torch

    batch = batch_of(pages)
    dense = compressed(features_of(batch).dense)
    inputs = np.concatenate([vectors.means(batch), (dense - dense.mean(0)) / (dense.std(0) + 1e-3)], axis=1)
    x, parts, out = torch.tensor(inputs), outer_folds(pages), np.zeros((len(pages), len(LABELS)))
    y = torch.tensor(target(pages).wanted.argmax(1))
    for fold in range(FOLDS):
        trained, judged = np.flatnonzero(parts != fold), np.flatnonzero(parts == fold)
        weight = torch.zeros(x.shape[1], len(LABELS), requires_grad=True)
        bias = torch.zeros(len(LABELS), requires_grad=True)
        optimizer = torch.optim.AdamW([weight, bias], 0.01, weight_decay=0.1)
        for _ in range(LINEAR_STEPS):
            optimizer.zero_grad()
            loss: Any = torch.nn.functional.cross_entropy(x[trained] @ weight + bias, y[trained])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            out[judged] = torch.softmax(x[judged] @ weight + bias, 1).numpy()
    return out


def commonest_folds(pages: Sequence[LabelledPage]) -> Probabilities:
    """Shares of the classes among the pages of the other sites, by language, as probabilities of every page."""
    parts, out = outer_folds(pages), np.zeros((len(pages), len(LABELS)))
    wanted = target(pages).wanted
    languages = np.array([page.language for page in pages])
    for fold in range(FOLDS):
        for language in set(languages):
            out[(parts == fold) & (languages == language)] = wanted[(parts != fold) & (languages == language)].mean(0)
    return out


def grouped(p: Probabilities, of: npt.NDArray[np.int64], number: int) -> Probabilities:
    """Probabilities of groups of classes, (n, number)."""
    return np.stack([p[:, of == g].sum(1) for g in range(number)], axis=1)


def figures(p: Probabilities, true: npt.NDArray[np.int64], sites: Sequence[str]) -> dict[str, Any]:
    """Compute what a model's probabilities are worth on some pages."""

    def first(p: Probabilities, true: npt.NDArray[np.int64]) -> float:
        return float((p.argmax(1) == true).mean())

    def five(p: Probabilities, true: npt.NDArray[np.int64]) -> float:
        return float((np.argsort(-p, axis=1, kind="stable")[:, :5] == true[:, None]).any(1).mean())

    said, groups = grouped(p, _GROUP, len(GROUPS)).argmax(1), _GROUP[true]
    enough = [g for g in range(len(GROUPS)) if (groups == g).sum() >= ENOUGH]
    balance = grouped(p, _BALANCE, len(_BALANCES)).argmax(1)
    return {
        "top_1": [round(first(p, true), 4), *interval(first, (p, true), sites)],
        "top_5": [round(five(p, true), 4), *interval(five, (p, true), sites)],
        "group_macro_f1": round(macro_f1(said, groups, enough), 4),
        "groups": len(enough),
        "group_accuracy": round(float((said == groups).mean()), 4),
        "balance_accuracy": round(float((balance == _BALANCE[true]).mean()), 4),
    }


def evaluate(pages: Sequence[LabelledPage], vectors: WordVectors, data: Path) -> tuple[dict[str, Any], Probabilities]:
    """Compute all figures of the card, and the probabilities that they are made of."""
    final = [page for page in pages if page.is_final]
    pages = [page for page in pages if not page.is_final]
    of_final = by_input(final, by_others(pages, final, vectors, extras(data, vectors, SEED)))
    views = cross_validated(pages, vectors, data)
    p = views[0]
    peers = {
        "linear": linear_folds(pages, vectors),
        "fasttext": fasttext(pages),
        "commonest": commonest_folds(pages),
    }
    true = np.array([LABELS.index(page.annotation["category"]) for page in pages if page.annotation])
    languages = np.array([page.language for page in pages])
    sites = np.array([site_of(page) for page in pages])
    out: dict[str, Any] = {"final": of_final, "inputs": by_input(pages, views)}
    out |= {"pages": len(pages), "classes": {}, "languages": {}}
    for language, code in LANGUAGES.items():
        of = np.flatnonzero(languages == code)
        own_sites = sites[of].tolist()
        # Classes that pages of other sites of the language teach too: what a model can be asked for at all.
        taught = np.array([((true == true[i]) & (languages == code) & (sites != sites[i])).any() for i in of])
        earlier = np.array([(pages[int(i)].annotation or {}).get("round", 1) == 1 for i in of])
        table = {
            "pages": len(of),
            "sites": len(set(own_sites)),
            "largest_site": round(max(own_sites.count(s) for s in set(own_sites)) / len(pages), 4),
            **figures(p[of], true[of], own_sites),
            "of_several_sites": {
                "pages": int(taught.sum()),
                **figures(p[of][taught], true[of][taught], [own_sites[i] for i in np.flatnonzero(taught)]),
            },
            "first_round": {
                "pages": int(earlier.sum()),
                **figures(p[of][earlier], true[of][earlier], [own_sites[i] for i in np.flatnonzero(earlier)]),
            },
            "calibration_error": round(calibration(p[of].max(1), p[of].argmax(1) == true[of])[0], 4),
            **{name: figures(q[of], true[of], own_sites) for name, q in peers.items()},
        }
        said, groups = grouped(p[of], _GROUP, len(GROUPS)).argmax(1), _GROUP[true[of]]
        table["confusion"] = np.array(
            [[int(((groups == a) & (said == b)).sum()) for b in range(len(GROUPS))] for a in range(len(GROUPS))]
        ).tolist()
        out["languages"][language] = table
        for i, label in enumerate(LABELS):
            likeliest = p[of].argmax(1)
            hit, called = int(((likeliest == i) & (true[of] == i)).sum()), int((likeliest == i).sum())
            support = int((true[of] == i).sum())
            if called or support:
                shares = hit / max(called, 1), hit / max(support, 1), 2 * hit / (called + support)
                out["classes"].setdefault(label, {})[code] = [*(round(share, 2) for share in shares), support]
    out["unproven"] = [
        label for label in LABELS if sum(row[3] for row in out["classes"].get(label, {}).values()) < ENOUGH
    ]
    return out, p


def picture(result: dict[str, Any]) -> str:
    """Confusion of groups, English and Chinese side by side, as SVG: rows are annotated, columns said; shade: share of a row."""
    cell, left, top = 17, 150, 130
    width, n = left + cell * len(GROUPS) + 30, len(GROUPS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width} {top + cell * n + 20}" font-family="sans-serif" '
        'font-size="10"><rect width="100%" height="100%" fill="white"/>'
    ]
    for side, (language, table) in enumerate(result["languages"].items()):
        x0 = side * width
        parts.append(f'<text x="{x0 + 8}" y="16" font-size="13">{language}: annotated (rows), said (columns)</text>')
        for i, group in enumerate(GROUPS):
            y = top + cell * i
            parts.append(f'<text x="{x0 + left - 4}" y="{y + 12}" text-anchor="end">{group.id}</text>')
            x = x0 + left + cell * i + 11
            parts.append(f'<text transform="translate({x},{top - 4}) rotate(-60)">{group.id}</text>')
            row = table["confusion"][i]
            for j, count in enumerate(row):
                share = count / max(1, sum(row))
                shade = round(255 * (1 - share))
                parts.append(
                    f'<rect x="{x0 + left + cell * j}" y="{y}" width="{cell - 1}" height="{cell - 1}" '
                    f'fill="rgb({shade},{shade},255)" stroke="#ddd"/>'
                )
                if count:
                    parts.append(
                        f'<text x="{x0 + left + cell * j + 8}" y="{y + 12}" text-anchor="middle" font-size="8" '
                        f'fill="{"white" if share > 0.5 else "black"}">{count}</text>'
                    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def labelled(data: Path) -> list[LabelledPage]:
    """The annotated pages that have a text."""
    pages = load_pages(data, name=CATEGORIES)
    return [pages[i] for i in chosen(pages)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m classifiers.category.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds html/, warc/ and labels/")
    parser.add_argument("--picture", type=Path, help="write the confusion of groups to this SVG file")
    options = parser.parse_args(arguments)
    result, _ = evaluate(labelled(options.data), read_vectors(WEIGHTS / WordModel.FILE), options.data)
    if options.picture:
        options.picture.write_text(picture(result), encoding="utf-8")
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
