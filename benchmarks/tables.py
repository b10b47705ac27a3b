"""Markdown tables of `benchmarks/results/*.json`, for the documentation.

    python benchmarks/tables.py            print all
    python benchmarks/tables.py --write    put them between `<!-- results:NAME -->` and `<!-- /results -->` in README, docs, cards

`tests/contracts/test_docs.py` holds the documentation to the results.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MARK = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- /results -->)", re.DOTALL)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(c) for c in row) + " |" for row in rows)])


def taken_on(result: dict[str, Any], script: str) -> str:
    machine = result["machine"]
    return (
        f"\n`python benchmarks/{script}.py`, {machine['processor']} ({machine['cores']} cores), Python {machine['python']}, "
        f"commit {machine['commit'][:10]}; CPU time, one core.\n"
    )


def extraction(r: dict[str, Any]) -> str:
    types = ("article", "service", "listing", "forum", "product", "documentation", "collection")
    rows = [
        [
            name,
            f"{s['f1']:.3f}",
            *(f"{s['f1_by_type'][t]:.2f}" for t in types),
            f"{s['pages_per_cpu_s']:.0f}",
            f"{s['speed_to_default']:.2f}",
            f"{s['ms_p50']:.0f} / {s['ms_p95']:.0f} / {s['ms_p99']:.0f}",
        ]
        for name, s in r["tables"]["wcxb-dev"].items()
    ]
    header = ["WCXB-dev, word F1", "all", *types, "pages/CPU s", "x default", "ms p50 / p95 / p99"]
    chinese = [
        [
            name,
            f"{s['f1']:.3f}",
            f"{s['f1_by_type']['article']:.3f}",
            f"{s['f1_by_type']['forum']:.3f}",
            f"{s['pages_per_cpu_s']:.0f}",
            f"{s['speed_to_default']:.2f}",
        ]
        for name, s in r["tables"]["zh-gold"].items()
    ]
    header_zh = ["zh-gold, 4-gram F1", "all", "articles", "forums", "pages/CPU s", "x default"]
    folds = [
        [k, f"{v['cross_validated']:.3f}", f"{v['shipped_constants']:.3f}"]
        for k, v in r["tuning"].items()
        if "_" in k and "cross_validated" in v
    ]
    return "\n\n".join(
        [
            table(header, rows),
            table(header_zh, chinese),
            table(["constants", "chosen on other hosts (5 folds)", "as shipped"], folds),
            f"Decoding costs {r['costs']['decode_ms']:.2f} ms a page, the child process {r['costs']['sandbox_overhead_ms']:.2f}. "
            f"Data: {r['data']}.",
        ]
    ) + taken_on(r, "extraction")


def readers(r: dict[str, Any]) -> str:
    rows = [[k, f"{w['pages_per_cpu_second']:,}"] for k, w in r["ways"].items()]
    return table(["reading WARC", "pages/CPU s"], rows) + "\n" + taken_on(r, "readers")


def url_filter(r: dict[str, Any]) -> str:
    five, default = r["five_million_domains"], r["default_filter"]
    rows = [
        ["memory of 5 million domains, MB", f"{five['text']['resident_mb']:.0f}"],
        [
            "loading them, from text / compiled, s",
            f"{five['text']['load_cpu_s']:.1f} / {five['compiled']['load_cpu_s']:.1f}",
        ],
        ["domain lookups a second", f"{five['lookups_per_s']:,}"],
        ["URLs a second through all default rules", f"{default['urls_per_s']:,}"],
        ["gold pages dropped", len(default["pages_dropped"])],
        ["links on them dropped", sum(default["links_dropped"].values())],
    ]
    return table(["URL filter", ""], rows) + f"\n\nData: {r['data']}.\n" + taken_on(r, "url_filter")


def language(r: dict[str, Any]) -> str:
    pages = r["data"]["pages_with_text"]
    rows = [
        [name, f"{s['docs_per_s']:,}", *(f"{s['kept_in_the_expected_language'].get(p, 0):,}" for p in pages)]
        for name, s in r["shown"].items()
    ]
    header = ["what the model sees", "documents/CPU s", *(f"{p} kept, of {n:,}" for p, n in pages.items())]
    return table(header, rows) + "\n" + taken_on(r, "language")


def tokenization(r: dict[str, Any]) -> str:
    rows = [
        [
            language,
            f"{e['mb_per_cpu_second']:.1f}",
            f"{e['tokens_per_cpu_second']:,}",
            f"{e['bytes_per_token']:.2f}",
            f"{e['pages_equal_to_tiktoken']:,} of {e['pages']:,}",
            f"{e['tiktoken_mb_per_cpu_second']:.1f}",
        ]
        for language, e in r["encode"].items()
    ]
    header = ["encoding", "MB/CPU s", "tokens/CPU s", "bytes a token", "pages equal to tiktoken", "tiktoken MB/CPU s"]
    formats = [
        [name, f"{s['bytes_per_token']:.2f}", s["read_mtok_per_cpu_second"], s["write_mtok_per_cpu_second"]]
        for name, s in r["shards"].items()
        if isinstance(s, dict)
    ]
    header_shards = ["shard format", "bytes a token", "read, Mtok/CPU s", "write, Mtok/CPU s"]
    return table(header, rows) + "\n\n" + table(header_shards, formats) + "\n" + taken_on(r, "tokenization")


def end_to_end(r: dict[str, Any]) -> str:
    walls = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in r["wall_seconds"].items())
    funnel = "\n".join(f"    {line}".rstrip() for line in r["funnel"])
    return f"{funnel}\n\nWall seconds, each with Spark's start: {walls}. Data: {r['data']}.\n" + taken_on(
        r, "end_to_end"
    )


def rules(r: dict[str, Any]) -> str:
    groups = [
        [name, f"{g['pages']:,}", f"{g['survive']:.1%}", f"{g['characters_cut_from_survivors']:.2%}"]
        for name, g in r["survival"].items()
        if g["pages"] >= 5
    ]
    speed = [
        [
            k,
            f"{s['documents']:,}",
            f"{s['mean_characters']:,}",
            f"{s['documents_per_cpu_second']:,}",
            f"{s['share_of_finding_words']:.0%}",
        ]
        for k, s in r["speed"].items()
    ]
    agree = [
        [f"`{name}`", *(c.get(k, 0) for k in ("both", "only_ours", "only_datatrove", "neither"))]
        for name, c in r["agreement"]["english"].items()
    ]
    chinese = [[name, kept] for name, kept in r["agreement"]["chinese"].items()]
    return (
        "\n\n".join(
            [
                table(["gold main texts", "pages", "survive all rules", "characters cut"], groups),
                table(
                    [
                        "all rules together",
                        "documents",
                        "mean characters",
                        "documents/CPU s (fastest of 7 passes)",
                        "of it finding words",
                    ],
                    speed,
                ),
                table(
                    [
                        "at equal thresholds, English gold texts dropped by",
                        "both",
                        "ours alone",
                        "datatrove alone",
                        "neither",
                    ],
                    agree,
                ),
                table(["Chinese gold texts", ""], chinese),
                f"{len(r['steps'])} steps. Data: {r['data']}.",
            ]
        )
        + "\n"
        + taken_on(r, "rules")
    )


def minhash(r: dict[str, Any]) -> str:
    parts = list(r["speed"]["English"]["us_per_document"])
    cost = [[part, *(f"{s['us_per_document'][part]:.1f}" for s in r["speed"].values())] for part in parts]
    cost.append(["**documents/CPU s**", *(f"{s['documents_per_cpu_second']:,}" for s in r["speed"].values())])
    peers = r["speed"]["English"]["cpu_ratio_to_ours"]
    cost += [
        [f"{p}: CPU per document, x ours", *(f"{s['cpu_ratio_to_ours'][p]:.0f}" for s in r["speed"].values())]
        for p in peers
    ]
    found = [
        [data, way, f"{q['recall']:.4f}", f"{q['precision']:.4f}", q["pairs of 0.8 or more"]]
        for data, ways in r["quality"].items()
        for way, q in ways.items()
        if isinstance(q, dict)
    ]
    return (
        "\n\n".join(
            [
                table(["microseconds a document of 5 kB", *r["speed"]], cost),
                table(["pairs of Jaccard 0.8 and more", "by", "recall", "precision", "pairs"], found),
            ]
        )
        + "\n"
        + taken_on(r, "minhash")
    )


def fuzzy_dedup(r: dict[str, Any]) -> str:
    rows = [
        [
            f"{run['documents']:,}",
            f"{run['wall_seconds']['stage']:,.0f}",
            f"{run['documents_per_cpu_second']['fuzzy_dedup']:,}",
            run["peak_memory_gb"]["all"],
            f"{run['shuffle']['shuffle_bytes'] / 1e6:,.0f}",
            f"{run['shuffle']['bytes_per_document']:,}",
            f"{run['dropped']:,}",
            f"{run['quality']['dropped_against_survivor']['at_least_0.8']:.1%}",
        ]
        for run in r["runs"]
    ]
    last = r["runs"][-1]["quality"]["planted_pairs_by_exact_jaccard"]
    found = [[k, b["pairs"], f"{b['found']:.3f}", f"{b['closed_form_of_candidates']:.3f}"] for k, b in last.items()]
    header = [
        "documents",
        "wall s, whole stage",
        "documents/CPU s, step",
        "peak memory, GB",
        "shuffle, MB",
        "shuffle, bytes a document",
    ]
    passes = ", ".join(f"{k} {v['documents_per_cpu_second']:,}" for k, v in r["signature_pass"].items())
    return (
        "\n\n".join(
            [
                table([*header, "dropped", "of them >= 0.8 to the survivor"], rows),
                f"The pass that reads and hashes, through Spark, documents/CPU s: {passes}.",
                table(
                    ["planted pairs by exact Jaccard", "pairs", "one of the two gone", "candidates by the closed form"],
                    found,
                ),
                f"Data: {r['data']}; {r['spark']}.",
            ]
        )
        + "\n"
        + taken_on(r, "fuzzy_dedup").replace("CPU time, one core", "CPU of JVM and workers together")
    )


def line_dedup(r: dict[str, Any]) -> str:
    rows = [
        [
            run["way"],
            f"{run['occurrences_of_hot_line']:,}",
            f"{run['wall_seconds']:,.0f}",
            f"{run['shuffle_records']:,}",
            f"{run['largest_task_records_read']:,}",
            f"{run['largest_task_bytes_read'] / 1e6:,.0f}",
        ]
        for run in r["runs"]
    ]
    header = ["way", "occurrences of one line", "wall s", "rows shuffled", "largest task, rows", "largest task, MB"]
    return table(header, rows) + "\n" + taken_on(r, "line_dedup").replace("CPU time, one core", "local[2]")


def site_rules(r: dict[str, Any]) -> str:
    t = r["totals"]
    rows = [
        ["sites with rules / with gold pages", f"{r['sites']} / {r['sites_with_gold_pages']}"],
        ["pages looked at / dropped", f"{t['pages']:,} / {t.get('pages_dropped', 0):,}"],
        ["characters cut that are not in the gold text", f"{t.get('cut_clutter', 0):,}"],
        ["characters cut that are", f"{t.get('cut_in_gold', 0):,}"],
        ["cut from the gold texts themselves, of", f"{t.get('gold_characters_cut', 0):,} of {t['gold_characters']:,}"],
        ["documents/CPU s where no rule applies", f"{r['documents_per_cpu_second_without_rules']:,}"],
    ]
    return table(["rules for one site", ""], rows) + "\n" + taken_on(r, "site_rules")


def decontamination(r: dict[str, Any]) -> str:
    ways = list(r["languages"]["en"]["found_of_planted"])
    rows = [
        [
            k,
            f"{s['items']:,}",
            *(f"{s['found_of_planted'][w]:.3f}" for w in ways),
            f"{len(s['clean_pages_dropped'])} of {s['clean_pages']:,}",
            s["bytes_per_ngram"],
            f"{s['decontaminate_documents_per_cpu_second']:,}",
            f"{s['pii_documents_per_cpu_second']:,}",
        ]
        for k, s in r["languages"].items()
    ]
    header = [
        "",
        "items",
        *(f"found {w}" for w in ways),
        "clean pages hit",
        "bytes an n-gram",
        "documents/CPU s",
        "pii, documents/CPU s",
    ]
    return table(header, rows) + f"\n\nData: {r['data']}.\n" + taken_on(r, "decontamination")


def _of_kind(row: dict[str, float], kind: str) -> str:
    return next((f"{v:.3f}" for name, v in row.items() if name.startswith(f"{kind} (")), "")


def clutter(r: dict[str, Any]) -> str:
    kinds = ("all", "article", "documentation", "service", "forum", "listing", "collection", "product")
    own = r["dom"]["f1"]
    systems = {"**lines**": own, **r["peers"]}
    english = [[name, *(_of_kind(t["wcxb-dev"], k) for k in kinds)] for name, t in systems.items()]
    counts = [next(n.rpartition("(")[2][:-1] for n in own["wcxb-dev"] if n.startswith(f"{k} (")) for k in kinds]
    chinese = [[name, *(_of_kind(t["zh-gold"], k) for k in ("all", "article", "forum"))] for name, t in systems.items()]
    lines = [
        [
            language,
            f"{q['lines']:,}",
            f"{q['auc']:.3f}",
            f"{q['auc_by_words']:.3f}",
            f"{q['calibration_error']:.3f}",
            " ".join(f"{v:.2f}" for v in q["content_by_tenth_of_score"]),
        ]
        for language in ("English", "Chinese")
        for q in [r["dom"][f"lines, {language}"]]
    ]
    other = [
        [source, *(f"{name} {v:.3f}" for name, v in row.items() if name.startswith("all ("))]
        for source, row in own.items()
    ]
    text = [
        [
            language,
            t["pages"],
            f"{t['clutter_words_share']:.1%}",
            f"{t['at_1.5_percent_loss']['clutter_dropped']:.1%} (below {t['at_1.5_percent_loss']['threshold']:.2f})",
            f"{t['f1']['all'][0]:.4f}",
        ]
        for language, t in r["text"].items()
    ]
    curve = [
        [f"{a['threshold']:.2f}"]
        + [
            f"{p[k]:.4f}" if k == "f1" else f"{p[k]:.1%}"
            for p in (a, b)
            for k in ("clutter_dropped", "content_lost", "f1")
        ]
        for a, b in zip(r["text"]["English"]["curve"], r["text"]["Chinese"]["curve"], strict=True)
    ]
    bars = [
        [name, b["measured"], b["bar"], "yes" if b["measured"] >= b["bar"] else "**no**"]
        for name, b in r["bars"].items()
    ]
    return (
        "\n\n".join(
            [
                table(
                    ["WCXB-dev, word F1, 5 folds by host", *(f"{k} ({n})" for k, n in zip(kinds, counts, strict=True))],
                    english,
                ),
                table(["zh-gold, 4-gram F1, 5 folds", "all", "article", "forum"], chinese),
                "F1 of `lines` on every set, in the same folds: " + "; ".join(f"{s} {v}" for s, v in other) + ".",
                table(
                    [
                        "lines",
                        "number",
                        "AUC",
                        "AUC, by words",
                        "calibration error",
                        "share of content by tenth of the score",
                    ],
                    lines,
                ),
                table(
                    [
                        "form `text` on trafilatura's lines",
                        "pages",
                        "clutter, of words",
                        "clutter cut at 1.5 % loss",
                        "page F1 uncut",
                    ],
                    text,
                ),
                table(
                    [
                        "cut below",
                        "English: clutter cut",
                        "content lost",
                        "page F1",
                        "Chinese: clutter cut",
                        "content lost",
                        "page F1",
                    ],
                    curve,
                ),
                table(["bar", "measured", "asked for", "met"], bars),
            ]
        )
        + "\n"
        + taken_on(r, "clutter")
    )


def clutter_models(r: dict[str, Any]) -> str:
    kinds = ("article", "documentation", "service", "forum", "listing", "collection", "product")
    columns = ("wcxb-dev", *kinds, "zh-gold")
    models = [
        [name, *(f"{m[k]:.3f}" for k in columns), f"{m['AUC, English']:.3f} / {m['AUC, Chinese']:.3f}"]
        for name, m in r["models"].items()
    ]
    cuts = [[name, *(f"{m[k]:.3f}" for k in columns)] for name, m in r["decisions"].items()]
    tables = [
        table(["model, the shipped decision", *columns, "line AUC, en / zh"], models),
        table(["how much to keep, the shipped model", *columns], cuts),
    ]
    return "\n\n".join(tables) + "\n" + taken_on(r, "clutter_models")


def line_scan(r: dict[str, Any]) -> str:
    agree = [
        [name, f"{a['pages']:,}", f"{a['mean']:.4f}", f"{a['p01']:.3f}", f"{a['share_from_0.99']:.1%}"]
        for name, a in r["agreement"].items()
    ]
    speed = [
        [name, f"{s['pages_per_cpu_s']:,}", s["mb_per_cpu_s"]] for name, s in r["speed"].items() if isinstance(s, dict)
    ]
    hostile = [[name, h["seconds_n"], h["seconds_4n"], h["ratio"]] for name, h in r["hostile"].items()]
    return (
        "\n\n".join(
            [
                table(
                    [
                        "visible words against lexbor's tree, F1 a page",
                        "pages",
                        "mean",
                        "1st percentile",
                        "0.99 and more",
                    ],
                    agree,
                ),
                table([f"{r['speed']['pages']:,} pages", "pages/CPU s", "MB/CPU s"], speed),
                table(["50,000 and 200,000 times", "CPU s", "CPU s, 4 times as much", "ratio"], hostile),
                f"First page of a process: {r['start']['first_in_a_process']} CPU s; the first on a machine, which compiles: "
                f"{r['start']['first_on_a_machine']}.",
            ]
        )
        + "\n"
        + taken_on(r, "line_scan")
    )


def line_speed(r: dict[str, Any]) -> str:
    rows = [
        [name, s["pages_per_cpu_s"], f"{s['ms_p50']} / {s['ms_p99']} / {s['ms_max']}"]
        for name, s in r.items()
        if isinstance(s, dict) and "ms_p50" in s
    ]
    header = [f"bytes to text, {r['pages']:,} pages, nothing else in the process", "pages/CPU s", "ms p50 / p99 / max"]
    return f"{table(header, rows)}\n\n{r['ratio']} times trafilatura's speed.\n" + taken_on(r, "line_speed")


def line_spark(r: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{s['pages']:,}",
            s["pages_per_s"],
            s["wall_s"],
            s["wall_with_start_s"],
            s["pages_per_cpu_s_of_the_step"],
        ]
        for name, s in r.items()
        if isinstance(s, dict) and "pages" in s
    ]
    header = [
        "Spark, local[1], WARC to lines",
        "pages",
        "pages/s",
        "s",
        "s with Spark's start",
        "pages/CPU s of the step alone",
    ]
    return table(header, rows) + "\n" + taken_on(r, "line_spark")


def _range(values: Sequence[float]) -> str:
    return f"{values[0]:.3f} [{values[1]:.3f}, {values[2]:.3f}]"


def _speed_of(r: dict[str, Any]) -> str:
    s = r["speed"]
    return (
        f"Speed: {s['documents_per_cpu_s']:,.0f} documents ({s['mb_per_cpu_s']:.1f} MB of text, {s['mean_bytes']:,} bytes "
        "each) a CPU second; "
        f"fastText's lid.176 on the same texts {r['lid_176_documents_per_cpu_s']:,.0f}.\n"
    )


def _agreement(r: dict[str, Any], columns: dict[str, str]) -> str:
    rows = [
        [
            name,
            a["pages"],
            *(f"{(a if '.' not in key else a[key.split('.')[0]])[key.split('.')[-1]]:.3f}" for key in columns),
        ]
        for name, a in r["agreement"].items()
    ]
    return table(["two annotations", "pages", *columns.values()], rows)


def web_type(r: dict[str, Any]) -> str:
    e = r["evaluation"]
    of = e["annotated"]
    own = [
        [
            name,
            f"{a['pages']:,} / {a['sites']:,}",
            f"{100 * a['largest_site']:.0f} %",
            _range([a["accuracy"], *a["accuracy_interval"]]),
            f"{a['macro_f1']:.3f} ({len(a['classes_in_macro'])})",
            f"{a['calibration_error']:.3f}",
        ]
        for name, a in of.items()
    ]
    baselines = [
        [name, *(f"{of[language]['baselines'][name]['accuracy']:.3f}" for language in of)]
        for name in of["all"]["baselines"]
    ]
    labels = [
        [label, *(f"{c['precision']:.2f} / {c['recall']:.2f} / {c['f1']:.2f} ({c['support']})" for c in cells)]
        for label, *cells in (
            (label, *(of[language]["classes"][label] for language in ("English", "Chinese")))
            for label in of["all"]["classes"]
        )
    ]
    keep = [
        [
            name,
            f"{100 * k['share_to_keep']:.0f} %",
            f"{k['at_shipped_bound']['precision']:.3f} / {k['at_shipped_bound']['recall']:.3f}",
            f"{k['best_precision_at_recall_0.9']:.3f} ({k['threshold']:.2f})",
            _range([k["auc"], *k["auc_interval"]]),
            f"{k['calibration_error']:.3f}",
        ]
        for name, k in e["keep"].items()
    ]
    w = e["wcxb"]
    systems = ("trained on the seven", "shipped form, translated")
    seven = [
        [name, f"{w[name]['accuracy']:.3f}", _range([w[name]["macro_f1"], *w[name]["macro_f1_interval"]]),
         *(f"{c['f1']:.2f}" for c in w[name]["classes"].values())]
        for name in systems
    ]  # fmt: skip
    seven.append(
        ["fastText, words alone", f"{r['fasttext']['accuracy']:.3f}", f"{r['fasttext']['macro_f1']:.3f}", *[""] * 7]
    )
    tables = [
        table(
            [
                f"WCXB-dev, {w['pages']:,} pages, {w['sites']:,} sites",
                "accuracy",
                "macro-F1 [95 %]",
                *w[systems[0]]["classes"],
            ],
            seven,
        ),
        table(
            ["annotated pages, twelve types", "pages / sites", "largest site", "accuracy [95 %]", "macro-F1 (types)",
             "calibration error"],
            own,
        ),
        table(
            ["keep: article, documentation, encyclopedia", "share", "precision / recall at 0.5",
             "best precision at recall 0.9 (bound)",
             "AUC [95 %]", "calibration error"],
            keep,
        ),
        table(["precision / recall / F1 (pages)", "English", "Chinese"], labels),
        table(["accuracy", *of], [*baselines, ["**the model**", *(f"{a['accuracy']:.3f}" for a in of.values())]]),
        _agreement(r, {"web_type": "kappa, twelve types", "keep": "kappa, keep"}),
    ]  # fmt: skip
    return "\n\n".join(tables) + "\n\n" + _speed_of(r) + taken_on(r, "page_classifiers")


def quality(r: dict[str, Any]) -> str:
    e = r["evaluation"]
    first = next(iter(e.values()))
    rows = [[name, *(_range(a["auc"][name]) for a in e.values())] for name in first["auc"]]
    rows.append(["fastText, words alone", *(_range(r["fasttext"][language]) for language in e)])
    about = [
        [
            name,
            f"{a['pages']:,} / {a['sites']:,}",
            f"{100 * a['largest_site']:.0f} %",
            f"{100 * a['share_good']:.0f} %",
            f"{a['rank_correlation_with_score']:.3f}",
            f"{a['calibration_error']:.3f}",
            *(f"{v:.2f}" for v in a["auc_of_dimensions"].values()),
        ]
        for name, a in e.items()
    ]
    bounds = [
        [f"{first['bounds'][i]['bound']}",
         *(f"{100 * b['good_kept']:.0f} / {100 * b['poor_dropped']:.0f} / {100 * b['dropped']:.0f}"
           for b in (a["bounds"][i] for a in e.values()))]
        for i in range(len(first["bounds"]))
    ]  # fmt: skip
    bins = [[name, " ".join(f"{b['true']:.2f}" for b in a["calibration"])] for name, a in e.items()]
    dimensions = {f"dimensions.{name}": name for name in first["auc_of_dimensions"]}
    tables = [
        table(["ROC AUC, good against poor [95 %]", *e], rows),
        table(["", "pages / sites", "largest site", "good", "rank correlation with the score", "calibration error",
               *(f"AUC, {n} ≥ 2" for n in first["auc_of_dimensions"])], about),
        table(["bound: % of good kept / poor dropped / all dropped", *e], bounds),
        table(["share of good by tenth of the probability", ""], bins),
        _agreement(r, {"good": "kappa, good", "auc_of_second_score": "AUC of the second's score", **dimensions}),
    ]  # fmt: skip
    return "\n\n".join(tables) + "\n\n" + _speed_of(r) + taken_on(r, "page_classifiers")


def safety(r: dict[str, Any]) -> str:
    e = r["evaluation"]
    rows = [
        [
            name,
            f"{e[name]['pages']:,}",
            ", ".join(f"{n} {label}" for label, n in e[name]["unsafe_by_class"].items()),
            "–" if e[name]["auc"] is None else f"{e[name]['auc']:.3f}",
            *(f"{b['found']} of {b['of']}; {b['false_alarms']}" for b in e[name]["bounds"]),
        ]
        for name in ("English", "Chinese")
    ]
    header = ["", "pages", "unsafe", "AUC", *(f"found; false alarms at {b['bound']}" for b in e["English"]["bounds"])]
    right, found = e["label_right_of_found"]
    text = f"Of {found} unsafe pages found at 0.5, {right} have the right class.\n"
    tables = [table(header, rows), _agreement(r, {"safety": "kappa, four classes"})]
    return "\n\n".join(tables) + "\n\n" + text + "\n" + _speed_of(r) + taken_on(r, "page_classifiers")


def category(r: dict[str, Any]) -> str:
    e = r["evaluation"]
    names = {"commonest": "commonest classes", "fasttext": "fastText, words alone", "linear": "linear, same inputs"}
    bars = [
        [
            f"{language}: {title}",
            of["pages"],
            _range(of["top_1"]),
            _range(of["top_5"]),
            f"{of['group_macro_f1']:.3f} ({of['groups']})",
            f"{of['group_accuracy']:.3f}",
            f"{of['balance_accuracy']:.3f}",
        ]
        for language, told in e["languages"].items()
        for title, of in (
            *((title, told[key] | {"pages": told["pages"]}) for key, title in names.items()),
            ("**the model**", told),
            ("the model, classes of several sites", told["of_several_sites"]),
            ("the model, pages of the first round", told["first_round"]),
        )
        if of["pages"] != told["pages"] or title != "the model, pages of the first round"
    ]
    header = ["", "pages", "top-1 of 200 [95 %]", "top-5 [95 %]", "group macro-F1 (groups)", "group", "balancing group"]
    sites = [
        [name, t["pages"], t["sites"], f"{100 * t['largest_site']:.1f} %", f"{t['calibration_error']:.3f}"]
        for name, t in e["languages"].items()
    ]

    def cell(row: list[float] | None) -> str:
        return "–" if row is None else f"{row[0]:.2f} / {row[1]:.2f} / {row[2]:.2f} ({row[3]})"

    classes = [
        [f"`{label}`", cell(row.get("en")), cell(row.get("zh"))]
        for label, row in e["classes"].items()
        if label not in e["unproven"]
    ]
    tables = [
        table(header, bars),
        table(["", "pages", "sites", "largest site, of all pages", "calibration error"], sites),
        table(["precision / recall / F1 (pages)", "English", "Chinese"], classes),
    ]
    seen = [f"`{label}`" for label in e["unproven"] if label in e["classes"]]
    unseen = [f"`{label}`" for label in e["unproven"] if label not in e["classes"]]
    text = (
        f"**Unproven**, fewer than ten annotated pages: {', '.join(seen)}. No annotated page, nor one that was called so: "
        f"{', '.join(unseen)}.\n"
    )
    return "\n\n".join(tables) + "\n\n" + text + "\n" + _speed_of(r) + taken_on(r, "category")


def semantic_dedup(r: dict[str, Any]) -> str:
    q = r["quality"]
    bounds = [
        [
            f"{language}, cosine {bound}",
            f"{b['recall']:.3f}",
            f"{b['precision']:.3f}",
            *(f"{b['by_kind'][kind]:.3f}" for kind in ("reordered", "framed", "rewritten")),
            b["originals_taken_for_another"],
        ]
        for language in ("English", "Chinese")
        for bound, b in q["measured_on"][language]["bounds"].items()
    ]
    header = ["embedder `corpus`", "recall", "precision", "reordered", "framed", "rewritten", "pages taken for others"]
    tables = [table(header, bounds)]
    sizes = ", ".join(
        f"{n} {kind} {language} ones" for language in ("English", "Chinese")
        for kind, n in q["measured_on"][language]["copies"].items()
    )  # fmt: skip
    text = f"{q['measured_on']['pages']:,} pages, the sites of one half; copies that MinHash misses: {sizes}.\n"
    if "model" in q:
        m = q["model"]
        rows = [
            [f"{name}, cosine {bound}", f"{b['recall']:.3f}", f"{b['precision']:.3f}",
             *(f"{b['by_kind'][kind]:.3f}" for kind in ("reordered", "framed", "rewritten"))]
            for name, found in ((m["name"], m["English"]), ("corpus", m["corpus_on_the_same"]["English"]))
            for bound, b in found["bounds"].items()
        ]  # fmt: skip
        tables.append(table([f"{m['pages']} English pages", *header[1:-1]], rows))
    paraphrases = [
        [name, language, f"{p['found']} of {p['pairs']}", p["mean_cosine"], p["mean_cosine_of_others"]]
        for name, of in q["paraphrases"].items()
        for language, p in of.items()
    ]
    tables.append(table(["paraphrases", "", "found", "mean cosine", "of texts that are none"], paraphrases))
    runs = [
        [
            f"{run['documents']:,}",
            f"{run['wall_seconds']:.0f} s",
            f"{run['peak_memory_gb']:.1f} GB",
            f"{run['report']['clusters_of_vectors']:,} / {run['report']['largest_cluster_of_vectors']:,}",
            f"{run['found_of_them']:.3f}",
        ]
        for run in r["runs"]
    ]
    header = ["vectors of 384", "time", "memory", "clusters / largest", "planted pairs found"]
    tables.append(table(header, runs))
    machine = taken_on(r, "semantic_dedup").replace("CPU time, one core", f"{r['spark']}")
    return text + "\n" + "\n\n".join(tables) + "\n" + machine


def model_data(r: dict[str, Any]) -> str:
    speed = [[name, f"{x:.1f}"] for name, x in r["mtok_per_cpu_second"].items()]
    kinds = [
        [
            f"{name}, {int(length) // 1024}K",
            f"{row['longer_than_a_sequence']:.2%}",
            *(f"{row[way]['cut']:.2%}" for way in ("concatenate", "best_fit", "whole corpus")),
            *(f"{row[way]['after_a_cut']:.1%}" for way in ("concatenate", "best_fit", "whole corpus")),
            *(f"{row[way]['padding']:.3%}" for way in ("concatenate", "best_fit", "whole corpus")),
        ]
        for name, data in r["packing"].items()
        for length, row in data["by_length"].items()
    ]
    header = ["packing", "longer than a sequence", *("cut: split", "best fit", "whole corpus")]
    header += ["tokens after a cut: split", "best fit", "whole corpus", "padding: split", "best fit", "whole corpus"]
    sets = "; ".join(
        f"{name}: {d['documents']:,} documents, {d['tokens']:,} tokens, median {d['median']:,}, longest {d['longest']:,}"
        for name, d in r["packing"].items()
    )
    state, utk, peak = r["state"], r["utk"], r["peak_megabytes_by_lanes"]
    text = (
        f"\nTokens lost: none, in any of these ({sets}).\n\n"
        f"Untie the Knots at 32K on the made shards: {utk['marks']:.2%} of the places are marks and labels, {utk['padding']:.3%} "
        f"padding, {utk['targets']:.2%} have a target.\n\n"
        f"State of {state['lanes']} lanes: {state['bytes']:,} bytes of JSON. CPU seconds to the first batch of "
        f"{state['tokens_of_the_first_batch']:,} tokens, one sequence of each lane: "
        f"{state['cpu_seconds_from_the_start']:.2f} from the start, "
        f"{state['cpu_seconds_from_a_state']:.2f} from a state.\n\n"
        f"Memory beside the imports: {peak['8']:,} MB with 8 lanes, {peak['64']:,} MB with 64.\n\n"
        f"Made shards: {r['made']['tokens']:,} tokens, {r['made']['bytes_per_token']} bytes a token.\n"
    )
    return table(["way", "Mtok/CPU s"], speed) + "\n\n" + table(header, kinds) + "\n" + text + taken_on(r, "model_data")


def _device(r: dict[str, Any], script: str) -> str:
    """Where a benchmark of the model ran: a GPU, or one core."""
    return taken_on(r, script).replace("CPU time, one core", r["device"] if r["gpu"] else "no GPU: CPU time, one core")


def grouped_gemm(r: dict[str, Any]) -> str:
    unit, scale = ("TFLOP/s", 1.0) if r["gpu"] else ("GFLOP/s", 1e3)
    found = list(r["results"][0]["ways"])
    rows = []
    for case in r["results"]:
        loop = case["ways"]["loop"]
        row = [case["product"], f"{len(case['sizes'])}, {case['groups']}", f"{sum(case['sizes']):,}", case["dtype"]]
        for name in found:
            way = case["ways"][name]
            for part in ("forward_tflops", "backward_tflops"):
                ratio = "" if name == "loop" else f" ({way[part] / loop[part]:.2f})"
                row.append(f"{way[part] * scale:,.0f}{ratio}")
        rows.append(row)
    header = ["product", "groups", "rows", "type", *(f"{n}, {p}" for n in found for p in ("forward", "backward"))]
    peaks = ", ".join(f"{k} {v * scale:,.0f}" for k, v in r["peak_tflops"].items() if v)
    return (
        table(header, rows)
        + f"\n\n{unit}, in brackets to the loop's. Peak, {r['peak_is']}: {peaks} {unit}. "
        + f"Load of the machine {r['load_average']}.\n"
        + _device(r, "grouped_gemm")
    )


def model_speed(r: dict[str, Any]) -> str:
    unit, scale = ("TFLOP/s", 1.0) if r["gpu"] else ("GFLOP/s", 1e3)
    second, speed, peak = "s" if r["gpu"] else "CPU s", r["speed"], r["peak_tflops"].get(r["precision"])
    rows = [
        [f"tokens/{second}, steps of {speed['tokens_a_step']:,}", f"{speed['tokens_per_s']:,.0f}"],
        [f"{unit}, {r['flops_per_token']:.4g} FLOPs a token", f"{r['tflops'] * scale:,.1f}"],
        *([[f"MFU, of {peak * scale:,.0f} {unit}, {r['peak_is']}", f"{r['tflops'] / peak:.1%}"]] if peak else []),
        ["peak memory, GiB", f"{speed['peak_memory_gib']:.1f}"],
    ]
    total = sum(r["parts_seconds"].values())
    parts = [
        [part, f"{spent / total:.1%}", f"{spent / r['parts_steps'] * 1e3:,.1f}"]
        for part, spent in sorted(r["parts_seconds"].items(), key=lambda x: -x[1])
    ]
    return (
        "\n\n".join(
            [table([f"`{r['model']}`, {r['precision']}", ""], rows), table(["part of a step", "share", "ms"], parts)]
        )
        + f"\n\nLoad of the machine {r['load_average']}.\n"
        + _device(r, "model_speed")
    )


def expert_parallel(r: dict[str, Any]) -> str:
    two, first = r["two_ranks"], r["first_weights"]
    rows = [
        [
            way,
            f"{row['seconds_a_step']:.2f} ({row['fastest']:.2f})",
            f"{row['cpu_seconds_a_step']:.2f}",
            f"{row['gathered_and_reduced_megabytes']:,.0f} MB",
            f"{row['exchanged_megabytes']:,.0f} MB",
            f"{row['loss']:.4f}",
        ]
        for way, row in two["ways"].items()
    ]
    text = (
        f"\nTwo ranks, {two['parameters']:,} parameters, {two['tokens_of_a_rank']:,} tokens a rank and step, FP32; medians of "
        f"{two['steps']} steps of each way, in turn. What is gathered and sent is counted, not measured.\n\n"
        f"First weights, one rank's share of one layer's experts of dots.llm1 (256 ranks, P = 8): "
        f"{first['cpu_seconds_of_a_layer']:.2f} CPU seconds for {first['values_held_of_a_layer']:,} of "
        f"{first['values_of_the_layer']:,} values; there are {first['layers']} such layers.\n"
    )
    header = ["", "s a step (fastest)", "CPU s, both", "weights gathered, gradients reduced", "rows sent", "loss"]
    return table(header, rows) + "\n" + text + taken_on(r, "expert_parallel").replace("; CPU time, one core", "")


def ablation(r: dict[str, Any]) -> str:
    from model.study.ablation.report import tables

    machine, software = r["machine"], r["software"]
    return (
        f"{tables(r)}\n`python -m model.ablate --config configs/model/ablation.yaml`, {machine['processor']} "
        f"({machine['cores']} cores), Python {software['python']}, torch {software['torch']}, commit {machine['commit'][:10]}.\n"
    )


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    f.__name__: f
    for f in (
        *(extraction, readers, url_filter, language, tokenization, end_to_end),
        *(
            rules,
            minhash,
            fuzzy_dedup,
            line_dedup,
            site_rules,
            decontamination,
            clutter,
            clutter_models,
            line_scan,
            line_speed,
            line_spark,
            web_type,
            quality,
            safety,
            category,
            semantic_dedup,
            model_data,
            grouped_gemm,
            model_speed,
            expert_parallel,
            ablation,
        ),
    )
}


def headline() -> str:
    """The README's: this project beside a peer, each row measured in one run on one machine."""

    def of(name: str) -> Any:
        return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))

    lines, speed, minhash_speed = of("clutter"), of("line_speed"), of("minhash")["speed"]
    ours, theirs = lines["dom"]["f1"], lines["peers"]["trafilatura default"]
    ratio = {k: v["cpu_ratio_to_ours"]["datatrove, signature step"] for k, v in minhash_speed.items()}
    kept = of("rules")["agreement"]["chinese"]
    fuzzy, semantic = of("fuzzy_dedup")["runs"][-1], of("semantic_dedup")["runs"][-1]
    rows = [
        [
            "main text of 1,227 English pages (WCXB-dev), word F1",
            _of_kind(ours["wcxb-dev"], "all"),
            f"{_of_kind(theirs['wcxb-dev'], 'all')} trafilatura",
            "[lines](docs/lines.md)",
        ],
        [
            "main text of 81 Chinese pages, 4-gram F1",
            _of_kind(ours["zh-gold"], "all"),
            f"{_of_kind(theirs['zh-gold'], 'all')} trafilatura",
            "[lines](docs/lines.md)",
        ],
        [
            "the same, pages per CPU second",
            f"{speed['lines']['pages_per_cpu_s']:.0f}",
            f"{speed['trafilatura']['pages_per_cpu_s']:.0f} trafilatura",
            "[lines](docs/lines.md)",
        ],
        [
            "good Chinese pages that the quality rules keep, of 81",
            kept["the rules here"].partition(" ")[0],
            f"{kept['datatrove GopherQualityFilter, defaults'].partition(' ')[0]} datatrove's Gopher quality filter as it comes",
            "[rule_based](docs/rule_based.md)",
        ],
        [
            "CPU time of MinHash, 128 bands of 16 rows, English / Chinese",
            "1 / 1",
            f"{ratio['English']:.0f} / {ratio['Chinese']:.0f} datatrove",
            "[rule_based](docs/rule_based.md)",
        ],
        [
            f"fuzzy deduplication of {fuzzy['documents']:,} pages on two cores",
            f"{fuzzy['wall_seconds']['stage'] / 60:.0f} min, {fuzzy['peak_memory_gb']['all']:.1f} GB",
            "",
            "[rule_based](docs/rule_based.md)",
        ],
        [
            f"semantic deduplication of {semantic['documents']:,} vectors on two cores",
            f"{semantic['wall_seconds']:.0f} s, {semantic['peak_memory_gb']:.1f} GB",
            "",
            "[model_based](docs/model_based.md)",
        ],
    ]
    return table(["measured", "corpusmill", "beside it", "more"], rows) + "\n"


def render(name: str) -> str:
    if name == "headline":
        return headline()
    return TABLES[name](json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8")))


def filled(text: str) -> str:
    """A page with the tables that its marks ask for."""
    return MARK.sub(lambda m: f"{m[1]}\n{render(m[2])}\n{m[3]}", text)


def main() -> None:
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "classifiers").glob("*/CARD.md")]):
        text = path.read_text(encoding="utf-8")
        if "--write" in sys.argv and filled(text) != text:
            path.write_text(filled(text), encoding="utf-8")
            print(f"{path.name} written")
    if "--write" not in sys.argv:
        print("\n\n".join(render(name) for name in TABLES))


if __name__ == "__main__":
    main()
