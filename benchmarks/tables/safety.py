"""Unsafe pages: found and falsely found at each bound."""

from benchmarks.tables._classifiers import agreement, speed
from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    evaluation = result["evaluation"]
    rows = (
        cells(
            *(
                f"{title}: {language}",
                f"{e['pages']:,}",
                ", ".join(f"{n} {label}" for label, n in e["unsafe_by_class"].items()),
            ),
            "–" if e["auc"] is None else f"{e['auc']:.3f}",
            *(f"{b['found']} of {b['of']}; {b['false_alarms']}" for b in e["bounds"]),
        )
        for name, title in (("final", "**last round**"), ("folds", "rounds before"))
        for language, e in evaluation[name].items()
    )
    bounds = (f"found; false alarms at {b['bound']}" for b in evaluation["folds"]["English"]["bounds"])
    right, unsafe = evaluation["label_right_of_found"]
    return blocks(
        table(cells("", "pages", "unsafe", "AUC", *bounds), rows),
        agreement(result, {"safety": "kappa, four classes"}),
        f"Of {unsafe} unsafe pages found at 0.5, {right} have the right class.",
        speed(result),
        taken_on(result, "page_classifiers"),
    )
