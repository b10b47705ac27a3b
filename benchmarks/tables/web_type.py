"""Page types: accuracy by class and language, and beside baselines."""

from benchmarks.tables._classifiers import FINAL, FOLDS, agreement, by_input, interval, speed
from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

COLUMNS = "twelve types, accuracy [95 %] | keep: AUC [95 %] | keep: precision / recall at 0.5"


def of_input(figures: Json) -> tuple[str, ...]:
    return (
        interval(figures["accuracy"]),
        interval(figures["keep_auc"]),
        f"{figures['keep_precision']:.3f} / {figures['keep_recall']:.3f}",
    )


def render(result: Json) -> str:
    evaluation, fasttext = result["evaluation"], result["fasttext"]
    annotated, wcxb = evaluation["annotated"], evaluation["wcxb"]
    systems = {name: wcxb[name] for name in ("trained on the seven", "shipped form, translated")}
    types = wcxb["trained on the seven"]["classes"]
    seven = [
        *(
            cells(
                *(name, f"{s['accuracy']:.3f}", interval([s["macro_f1"], *s["macro_f1_interval"]])),
                *(f"{scores['f1']:.2f}" for scores in s["classes"].values()),
            )
            for name, s in systems.items()
        ),
        cells("fastText, words alone", f"{fasttext['accuracy']:.3f}", f"{fasttext['macro_f1']:.3f}", *[""] * 7),
    ]
    twelve = (
        cells(
            *(name, f"{a['pages']:,} / {a['sites']:,}", f"{100 * a['largest_site']:.0f} %"),
            interval([a["accuracy"], *a["accuracy_interval"]]),
            *(f"{a['macro_f1']:.3f} ({len(a['classes_in_macro'])})", f"{a['calibration_error']:.3f}"),
        )
        for name, a in annotated.items()
    )
    keep = (
        cells(
            *(name, f"{100 * k['share_to_keep']:.0f} %"),
            f"{k['at_shipped_bound']['precision']:.3f} / {k['at_shipped_bound']['recall']:.3f}",
            f"{k['best_precision_at_recall_0.9']:.3f} ({k['threshold']:.2f})",
            *(interval([k["auc"], *k["auc_interval"]]), f"{k['calibration_error']:.3f}"),
        )
        for name, k in evaluation["keep"].items()
    )
    labels = (
        cells(
            label,
            *(
                f"{c['precision']:.2f} / {c['recall']:.2f} / {c['f1']:.2f} ({c['support']})"
                for c in (annotated[language]["classes"][label] for language in ("English", "Chinese"))
            ),
        )
        for label in annotated["all"]["classes"]
    )
    accuracies = [
        *(
            cells(name, *(f"{a['baselines'][name]['accuracy']:.3f}" for a in annotated.values()))
            for name in annotated["all"]["baselines"]
        ),
        cells("**the model**", *(f"{a['accuracy']:.3f}" for a in annotated.values())),
    ]
    pages = f"WCXB-dev, {wcxb['pages']:,} pages, {wcxb['sites']:,} sites"
    return blocks(
        by_input(FINAL, COLUMNS, evaluation["final"], of_input),
        by_input(FOLDS, COLUMNS, evaluation["inputs"], of_input),
        table(cells(pages, "accuracy", "macro-F1 [95 %]", *types), seven),
        table(
            "annotated pages, twelve types | pages / sites | largest site | accuracy [95 %] | macro-F1 (types) "
            "| calibration error",
            twelve,
        ),
        table(
            "keep: article, documentation, encyclopedia | share | precision / recall at 0.5 "
            "| best precision at recall 0.9 (bound) | AUC [95 %] | calibration error",
            keep,
        ),
        table("precision / recall / F1 (pages) | English | Chinese", labels),
        table(cells("accuracy", *annotated), accuracies),
        agreement(result, {"web_type": "kappa, twelve types", "keep": "kappa, keep"}),
        speed(result),
        taken_on(result, "page_classifiers"),
    )
