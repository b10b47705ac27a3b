"""Corpora compared: reading, what is kept apart, intervals and their coverage; models that find a damaged corpus worse."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard

from model import ablate
from model.base.config import dump, load_as
from model.base.errors import ConfigError
from model.study.ablation import corpora, report
from model.study.ablation.config import AblationConfig
from model.study.ablation.corpora import (
    Corpus,
    Document,
    Heldout,
    HeldoutSource,
    OverlapOptions,
    documents,
    runs,
    site_of,
)
from model.study.ablation.data import read_data, stored, tokenise, train_tokenizer
from model.study.ablation.intervals import bits_per_byte, difference
from model.study.ablation.proxy import Tokenised, places
from model.study.ablation.runs import jobs_of
from tests.model.paths import ROOT

NEEDS_TORCH = "needs the extra `model`: pip install 'corpusmill[model]'"

NOUNS = [
    "river",
    "house",
    "teacher",
    "garden",
    "letter",
    "window",
    "engine",
    "winter",
    "market",
    "doctor",
    "mountain",
    "kitchen",
]
VERBS = ["sees", "builds", "carries", "finds", "paints", "follows", "remembers", "leaves", "opens", "crosses"]
PLACES = [
    "in the morning",
    "near the old bridge",
    "after a long day",
    "without a word",
    "for the last time",
    "under the trees",
]


def sentence(rng: random.Random) -> str:
    return f"The {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(NOUNS)} {rng.choice(PLACES)}."


def page(rng: random.Random, sentences: int = 12) -> str:
    return " ".join(sentence(rng) for _ in range(sentences))


def chinese(rng: random.Random, sentences: int = 12) -> str:
    nouns, verbs = (
        ["老师", "学生", "医生", "河流", "花园", "信件", "窗户", "市场"],
        ["看见", "打开", "找到", "离开", "画出"],
    )
    return "".join(f"{rng.choice(nouns)}{rng.choice(verbs)}了{rng.choice(nouns)}。" for _ in range(sentences))


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows).encode()
    if path.name.endswith(".gz"):
        data = gzip.compress(data)
    elif path.name.endswith(".zst"):
        data = zstandard.compress(data)
    path.write_bytes(data)
    return path


# --- reading


def test_formats_and_columns_give_the_same_documents(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "url": f"https://www.site{i}.co.uk/a", "language": "en"} for i in range(3)]
    nested = [{"text": r["text"], "metadata": {"url": r["url"], "language": "en"}} for r in rows]
    folder = tmp_path / "documents" / "verdict=kept"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-0.parquet")
    write_jsonl(tmp_path / "a.jsonl.zst", rows)
    write_jsonl(tmp_path / "peer" / "b.jsonl.gz", nested)
    expected = [Document(f"text {i}", "en", f"site{i}.co.uk") for i in range(3)]
    corpus = Corpus(paths=(str(folder),))
    theirs = Corpus(paths=(str(tmp_path / "peer"),), url="metadata.url", language="metadata.language")
    assert list(documents(corpus)) == expected
    assert list(documents(Corpus(paths=(str(tmp_path / "*.zst"),)))) == expected
    assert list(documents(theirs)) == expected
    constant = Corpus(paths=(str(folder),), url=None, language=None, language_of_all="zh")
    assert [(d.language, d.site) for d in documents(constant)] == [("zh", "")] * 3


def test_rows_without_text_are_no_documents(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": t, "url": None, "language": None} for t in ("", None, "x")])
    assert list(documents(Corpus(paths=(str(path),)))) == [Document("x", "unknown", "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "x", "language": "en"}\n', "no column 'url'; columns there: language, text"),
        ("no json\n", ":1: not JSON"),
        ("[1]\n", "expected an object, found list"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message) as error:
        list(documents(Corpus(paths=(str(path),))))
    assert str(path) in str(error.value)


def test_nothing_to_read_and_missing_parquet_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to read"):
        list(documents(Corpus(paths=(str(tmp_path),))))
    pq.write_table(pa.table({"content": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="no column language, text, url; columns there: content"):
        list(documents(Corpus(paths=(str(tmp_path),))))
    with pytest.raises(ValueError, match="language_of_all"):
        Corpus(paths=("x",), language_of_all="en")


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://docs.python.org/3/", "python.org"),
        ("http://a.github.io/x", "a.github.io"),
        ("http://b.github.io/x", "b.github.io"),
        ("http://news.sina.com.cn/1", "sina.com.cn"),
        ("http://cwce.invalid/7.html", "http://cwce.invalid/7.html"),
        ("urn:wcxb:1", "urn:wcxb:1"),
        ("http://[broken", "http://[broken"),
        (None, ""),
    ],
)
def test_sites(url: str | None, site: str) -> None:
    assert site_of(url) == site


# --- what is held out


def test_runs_ignore_case_width_spaces_and_punctuation() -> None:
    a = runs("Hello, World! ＡＢＣ 你好。世界", 8)
    assert len(a) == len("helloworldabc你好世界") - 8 + 1
    assert np.array_equal(a, runs("hello world\nabc - 你好世界", 8))
    assert not np.isin(a, runs("something else entirely here", 8)).any()
    assert len(runs("short", 8)) == len(runs("", 8)) == len(runs("...!", 1)) == 0
    assert len(np.unique(runs("".join(chr(0x4E00 + i) for i in range(5000)), 8))) == 4993, "no two runs collide"


def test_documents_of_held_out_sites_and_copies_are_dropped() -> None:
    rng = random.Random(1)
    clean, other, long = page(rng), page(rng), page(rng, 200)
    heldout = Heldout([Document(clean, "en", "held.org"), Document(chinese(rng, 20), "zh", "")], OverlapOptions())
    copy = Document(long + clean, "en", "copy.org")  # a small part of the document, but the whole held-out text
    quote = Document(long + clean[:70], "en", "quote.org")
    kept, counts = heldout.clean(
        iter(
            [
                Document(other, "en", "held.org"),
                Document(clean.upper(), "en", "mirror.org"),
                copy,
                quote,
                Document(long, "fr", "f.org"),
                Document("short", "en", ""),
            ]
        ),
        ["en", "zh"],
    )
    assert [d.site for d in kept] == ["quote.org", ""]
    c = counts["en"]
    assert (c.read, c.of_heldout_site, c.overlapping, c.kept, c.kept_with_shared_runs) == (5, 1, 2, 2, 1)
    assert c.bytes == sum(len(d.text) for d in kept)
    assert counts["zh"].read == 0


def test_overlap_is_judged_at_its_bound() -> None:
    text = "".join(chr(0x4E00 + i) for i in range(1000))
    heldout = Heldout([Document(text[:200], "zh", "a")], OverlapOptions(characters=10, max_share=0.1))
    # 19 characters of a text hold 10 runs of the held-out 191.
    assert heldout.shared(text[500:900] + text[:19]) == (pytest.approx(10 / 191), 10)
    assert heldout.shared(text[:200]) == (1.0, 191)
    assert heldout.shared(text[500:]) == (0.0, 0)


def test_sites_are_drawn_whole_and_texts_cut_at_a_character(tmp_path: Path) -> None:
    rng = random.Random(2)
    rows = [
        {"text": page(rng) + "界" * 100, "url": f"http://s{i % 40}.org/{i}", "language": "en", "kind": "k"}
        for i in range(120)
    ]
    rows += [rows[0], {"text": "too short", "url": "http://s.org", "language": "en", "kind": "k"}]
    path = write_jsonl(tmp_path / "gold.jsonl", rows)

    def drawn(share: float, seed: int = 0) -> list[Document]:
        source = HeldoutSource(paths=(str(path),), share=share, kind="kind")
        return corpora.draw([source], ["en"], seed, 700, 100)

    everything, part = drawn(1.0), drawn(0.3)
    assert len(everything) == 120, "the copy and the short text are left out"
    assert {d.site for d in everything} == {f"s{i}.org" for i in range(40)}
    assert 5 <= len({d.site for d in part}) <= 19
    assert all(
        len([d for d in everything if d.site == s.site]) == 3 == len([d for d in part if d.site == s.site])
        for s in part
    )
    assert {d.site for d in part} != {d.site for d in drawn(0.3, seed=1)}
    assert {d.kind for d in part} == {"k"}
    assert all(695 < len(d.text.encode()) <= 700 or "界" not in d.text[-1] for d in part)
    with pytest.raises(ConfigError, match="no held-out text of language 'zh'"):
        corpora.draw([HeldoutSource(paths=(str(path),))], ["en", "zh"], 0, 700, 100)


# --- intervals


def simulated(
    rng: np.random.Generator, seeds: int, sites: int, effect: float, seed_sd: float, site_sd: float
) -> tuple[Any, Any, Any, list[str]]:
    """Simulate bits of two corpora whose true difference is `effect` bits per byte; three documents a site."""
    cluster = np.repeat(np.arange(sites), 3)
    sizes = rng.integers(500, 4000, len(cluster)).astype(float)
    base = rng.normal(2, 0.3, len(cluster))
    of_site = rng.normal(0, site_sd, sites)[cluster]
    of_seed = rng.normal(0, seed_sd, (seeds, 1))
    noise = rng.normal(0, 0.02, (seeds, len(cluster)))
    a = np.broadcast_to(base, (seeds, len(cluster))) * sizes
    return a, a + (effect + of_site + of_seed + noise) * sizes, sizes, [f"s{c}" for c in cluster]


@pytest.mark.parametrize(
    ("seeds", "seed_sd", "site_sd"),
    [(3, 0.03, 0.01), *(pytest.param(5, sd, 0.1, marks=pytest.mark.long) for sd in (0.01, 0.02))],
)
def test_intervals_cover_what_they_claim(seeds: int, seed_sd: float, site_sd: float) -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        a, b, sizes, sites = simulated(rng, seeds, 50, 0.05, seed_sd, site_sd)
        d = difference(a, b, sizes, sites, draws=600)
        hits += d.low <= 0.05 <= d.high
    assert 0.92 <= hits / 400 <= 0.985


def test_difference_by_hand() -> None:
    a = np.array([[10.0, 20.0], [12.0, 18.0]])
    b = np.array([[9.0, 18.0], [10.0, 17.0]])
    d = difference(a, b, np.array([10.0, 10.0]), ["x", "y"])
    assert d.by_seed == pytest.approx((-0.15, -0.15))
    assert d.estimate == pytest.approx(-0.15)
    assert d.seeds_error == pytest.approx(0)
    # Both sites have -1.5 bits in 10 bytes over the two seeds, so every draw of sites is -0.15.
    assert (d.low, d.high, d.clear, d.sites) == (pytest.approx(-0.15), pytest.approx(-0.15), True, 2)
    assert bits_per_byte(a, np.array([10.0, 10.0])) == pytest.approx([1.5, 1.5])


def test_pages_of_one_site_are_one_observation() -> None:
    rng = np.random.default_rng(1)
    a, b, sizes, sites = simulated(rng, 5, 10, 0, 0, 0.1)
    apart = difference(a, b, sizes, ["" for _ in sites])
    together = difference(a, b, sizes, sites)
    assert (apart.sites, together.sites) == (30, 10)
    assert together.sites_error > 1.3 * apart.sites_error


def test_the_same_corpus_twice_shows_nothing_and_intervals_are_repeatable() -> None:
    a, b, sizes, sites = simulated(np.random.default_rng(2), 4, 20, 0.1, 0.01, 0.02)
    same = difference(a, a, sizes, sites)
    assert (same.estimate, same.low, same.high, same.clear) == (0, 0, 0, False)
    assert difference(a, b, sizes, sites) == difference(a, b, sizes, sites)
    worse = difference(a, b, sizes, sites)
    better = difference(b, a, sizes, sites)
    assert worse.clear
    assert worse.low > 0
    assert better.high < 0
    with pytest.raises(ValueError, match="two seeds, found 1"):
        difference(a[:1], b[:1], sizes, sites)
    with pytest.raises(ValueError, match="expected one D"):
        difference(a, b[:, 1:], sizes, sites)


# --- what a model reads


def tokenised(texts: list[str], languages: list[str]) -> Tokenised:
    tokenizer = train_tokenizer(texts, 400)
    return tokenise(tokenizer, [Document(t, n, "") for t, n in zip(texts, languages, strict=True)])


def test_tokenizer_gives_the_text_back_and_no_end_of_document() -> None:
    texts = [page(random.Random(i)) + " <|endoftext|> 你好\n\n\t" for i in range(5)]
    tokenizer = train_tokenizer(texts, 400)
    assert tokenizer.get_vocab_size() <= 400
    for text in [*texts, "unseen: ĀЖ🙂"]:
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
        assert max(ids) < tokenizer.get_vocab_size()


def test_every_corpus_gives_as_many_places_and_repeats_when_it_is_used_up() -> None:
    rng = random.Random(3)
    corpus = tokenised([page(rng, 3) for _ in range(10)], ["en"] * 10)
    eod, length = 400, 16
    total = len(corpus.ids) + 10
    sequences = 3 * total // length
    read = places(corpus, {"en": 1}, sequences, length, eod, 0, 0)
    assert read.ids.shape == read.positions.shape == (sequences, length)
    assert read.rounds == {"en": pytest.approx(sequences * length / total)}
    flat = read.ids.reshape(-1)
    assert (flat == eod).sum() >= 20
    assert (read.positions[:, 0] == 0).all()
    assert (read.positions.reshape(-1)[flat == eod] == 0).all()
    first, second = flat[:total], flat[total : 2 * total]
    assert sorted(first) == sorted(second), "each round has every document once"
    assert not np.array_equal(first, second), "in another order"
    assert np.array_equal(first[0 : corpus.offsets[1]], first[0 : corpus.offsets[1]])
    assert not np.array_equal(flat, places(corpus, {"en": 1}, sequences, length, eod, 1, 0).ids.reshape(-1))
    assert not np.array_equal(flat, places(corpus, {"en": 1}, sequences, length, eod, 0, 1).ids.reshape(-1))


def test_shared_documents_come_in_the_same_order() -> None:
    rng = random.Random(4)
    texts = [page(rng, 2) for _ in range(30)]
    whole = tokenised(texts, ["en"] * 30)
    half = Tokenised(whole.ids[: whole.offsets[15]], whole.offsets[:16], whole.digests[:15], whole.languages[:15])

    def order_of(corpus: Tokenised) -> list[tuple[int, ...]]:
        n = len(corpus.ids) + len(corpus.digests)
        flat = places(corpus, None, n, 1, 999, 0, 0).ids.reshape(-1)
        return [tuple(p) for p in np.split(flat, np.flatnonzero(flat == 999))[1:]]

    small = order_of(half)
    assert [d for d in order_of(whole) if d in small] == small


def test_shares_of_languages_are_met_and_mixed() -> None:
    rng = random.Random(5)
    texts = [page(rng) for _ in range(30)] + [chinese(rng, 2) for _ in range(3)]
    corpus = tokenised(texts, ["en"] * 30 + ["zh"] * 3)
    chinese_ids = set(corpus.ids[corpus.offsets[30] :]) - set(corpus.ids[: corpus.offsets[30]])
    read = places(corpus, {"en": 3, "zh": 1}, 40, 32, 999, 0, 0)
    of_chinese = np.isin(read.ids, list(chinese_ids)).any(1)
    assert of_chinese.sum() == 10
    assert of_chinese[:20].sum() == 5, "all along, not at the end"
    assert read.rounds["zh"] > 1 > read.rounds["en"]
    with pytest.raises(ConfigError, match="no document of language 'fr'"):
        places(corpus, {"fr": 1}, 4, 32, 999, 0, 0)


# --- the command


def options(folder: Path, out: Path, **changed: Any) -> dict[str, Any]:
    tiny = {
        **{"hidden_size": 32, "intermediate_size": 48, "moe_intermediate_size": 16, "head_dim": 16},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "n_routed_experts": 4},
        **{"num_experts_per_tok": 2, "n_shared_experts": 1, "max_position_embeddings": 64, "initializer_range": 0.05},
    }
    return {
        "out": str(out),
        "languages": ["en"],
        "corpora": {name: {"paths": [str(folder / f"{name}.jsonl")]} for name in ("good", "again", "bad")},
        "heldout": {"sources": [{"paths": [str(folder / "gold.jsonl")], "kind": "kind"}], "max_bytes": 600},
        "tokenizer": {"vocabulary": 320},
        "model": tiny,
        "recipe": {"sequence_length": 32, "sequences": 8, "rate": 1e-2},
        "groups": [{"name": "en", "tokens": 8192, "shares": {"en": 1}}],
        "compare": [["good", "bad"], ["good", "again"]],
        "seeds": [0, 1, 2],
    } | changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Held-out text; two corpora from the same source; one whose words are shuffled; and pages that must be dropped."""
    out = tmp_path_factory.mktemp("corpora")
    rng = random.Random(7)

    def rows(sites: range, kind: str = "") -> list[dict[str, Any]]:
        made = []
        for i in sites:
            made += [
                {"text": page(rng), "url": f"http://{kind}site{i}.org/{n}", "language": "en", "kind": f"k{i % 2}"}
                for n in range(2)
            ]
        return made

    held, good, again, bad = rows(range(30)), rows(range(60), "a"), rows(range(60), "b"), rows(range(60), "c")
    for row in bad:
        words = row["text"].split()
        rng.shuffle(words)
        row["text"] = " ".join(words)
    good += [{"text": page(rng), "url": "http://www.site3.org/new", "language": "en"}]
    good += [{"text": held[0]["text"], "url": "http://mirror.net", "language": "en"}]
    for name, made in {"gold": held, "good": good, "again": again, "bad": bad}.items():
        write_jsonl(out / f"{name}.jsonl", made)
    return out


def config_file(path: Path, data: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(data))
    return path


def test_the_shipped_config_loads_and_comes_back() -> None:
    config = load_as(
        AblationConfig, ROOT / "configs" / "model" / "ablation.yaml", ["seeds=[0, 1]", "interval.draws=1e3"]
    )
    assert config.seeds == (0, 1)
    assert config.interval.draws == 1000
    assert AblationConfig.model_validate(yaml.safe_load(dump(config))) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds=[0]", "seeds: .*at least 2"),
        ("compare=[[good, best]]", "known corpora: "),
        ("groups=[{name: en, tokens: 100, shares: {en: 1}}]", "100 tokens are no step of 8 sequences of 32"),
        ("groups=[{name: en, tokens: 9000, shares: {zh: 1}}]", r"shares of \['zh'\], languages are"),
        ("groups=[{name: en, tokens: 9000, shares: {en: 0}}]", "shares must be above 0"),
        ("recipe.sequence_length=128", "sequences of 128, the model has 64 positions"),
        ("recipe.epochs=1", "recipe.epochs: no such key; known are sequence_length, "),
        ("corpora.a/b={paths: [x]}", "'a/b' is no name for files"),
        ("seeds", "expected key=value, found 'seeds'"),
    ],
)
def test_options_that_do_not_fit(folder: Path, tmp_path: Path, override: str, message: str) -> None:
    path = config_file(tmp_path / "c.yaml", options(folder, tmp_path / "out"))
    with pytest.raises(ConfigError, match=message):
        load_as(AblationConfig, path, [override])


def test_errors_are_one_line_and_exit_2(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ablate.main(["--config", str(tmp_path / "none.yaml")]) == 2
    assert "no such file" in capsys.readouterr().err
    path = config_file(tmp_path / "c.yaml", options(folder, tmp_path / "out"))
    assert ablate.main(["--config", str(path), "--set", f"corpora.bad.paths=[{folder}/gold.jsonl]"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: corpora.bad: no document is left")
    assert error.count("\n") == 1


def test_corpora_are_cleaned_and_a_corpus_without_a_language_is_left_out(folder: Path, tmp_path: Path) -> None:
    rng = random.Random(9)
    both = write_jsonl(
        tmp_path / "both.jsonl",
        [
            {"text": make(rng), "url": f"http://z{i}.cn", "language": n}
            for i in range(20)
            for n, make in (("en", page), ("zh", chinese))
        ],
    )
    gold = write_jsonl(tmp_path / "zh.jsonl", [{"text": chinese(rng, 20), "url": "http://held.cn", "language": "zh"}])
    data = options(folder, tmp_path / "out", languages=["en", "zh"])
    data["corpora"]["both"] = {"paths": [str(both)]}
    data["heldout"]["sources"].append({"paths": [str(gold)]})
    data["groups"].append({"name": "zh", "tokens": 512, "shares": {"zh": 1}})
    config = AblationConfig.model_validate(data)
    stored_data = read_data(config)
    c = stored_data.counts["good"]["en"]
    assert (c.read, c.of_heldout_site, c.overlapping, c.kept) == (122, 1, 1, 120)
    jobs = jobs_of(config, stored_data)
    assert [(j.group.name, j.corpus) for j in jobs if j.seed == 0] == [
        ("en", "good"),
        ("en", "again"),
        ("en", "bad"),
        ("en", "both"),
        ("zh", "both"),
    ]
    assert len({j.key for j in jobs}) == len(jobs)
    assert [j.key for j in jobs_of(config, read_data(config))] == [j.key for j in jobs], "nothing by chance"
    corpus = stored(stored_data.folder, "good.corpus")
    assert len(corpus.digests) == 120
    assert stored_data.tokens["good"]["en"] == len(corpus.ids)


@pytest.mark.long
def test_losses_are_those_of_each_token_after_what_precedes_it(folder: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason=NEEDS_TORCH)
    pytest.importorskip("transformers", reason=NEEDS_TORCH)
    pytest.importorskip("tensorboard", reason=NEEDS_TORCH)
    pytest.importorskip("torchdata", reason=NEEDS_TORCH)
    from model.architecture.config import ModelOptions
    from model.study.ablation.proxy import Recipe, nats, run_config, train

    rng = random.Random(11)
    texts = [page(rng, n) for n in (1, 2, 9)]
    tokenizer = train_tokenizer(texts, 320)
    corpus = tokenise(tokenizer, [Document(t, "en", "") for t in texts])
    eod = tokenizer.get_vocab_size()
    options_ = ModelOptions.model_validate(
        options(folder, tmp_path)["model"] | {"vocab_size": eod + 1, "eos_token_id": eod}
    )
    recipe = Recipe(sequence_length=32, sequences=4, rate=1e-2)
    read = places(corpus, None, 12, 32, eod, 0, 0)
    model, summary = train(run_config(options_, recipe, 3, 0), read)
    assert (summary["steps"], summary["tokens"]) == (3, 3 * 4 * 32)
    assert summary["targets"] == int((read.positions != 0).sum())
    losses = nats(model, corpus, 32, eod, rows=3)
    assert np.isnan(nats(model, corpus, 32, eod, ["zh"])).all()
    model.train(False)
    for d in range(3):
        tokens = [eod, *corpus.ids[corpus.offsets[d] : corpus.offsets[d + 1]].tolist()]
        total = 0.0
        for begin in range(0, len(tokens) - 1, 31):
            piece = torch.tensor([tokens[begin : begin + 32]])
            with torch.no_grad():
                hidden = model.model(input_ids=piece, use_cache=False).last_hidden_state
                logits = model.lm_head(hidden)[0, :-1].double()
            total += float(torch.nn.functional.cross_entropy(logits, piece[0, 1:], reduction="sum"))
        assert losses[d] == pytest.approx(total, rel=1e-5)


@pytest.mark.long
def test_a_damaged_corpus_is_found_worse_and_one_from_the_same_source_is_not(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command; then the same again, which trains nothing, and with other options, which is refused."""
    for name in ("torch", "transformers", "tensorboard", "torchdata"):
        pytest.importorskip(name, reason=NEEDS_TORCH)
    out = tmp_path / "out"
    path = config_file(tmp_path / "c.yaml", options(folder, out))
    assert ablate.main(["--config", str(path)]) == 0
    stored_result = json.loads((out / "result.json").read_text())
    en = stored_result["groups"]["en"]["languages"]["en"]
    bad, again = en["differences"]
    assert (bad["b"], again["b"]) == ("bad", "again")
    assert bad["low"] > 0.1, "shuffled words teach no order of words"
    assert again["low"] <= 0 <= again["high"]
    assert en["bits_per_byte"]["good"]["mean"] < 3
    assert set(en["kinds"]) == {"k0", "k1"}
    held = stored_result["heldout"]["en"]
    assert (held["texts"], held["sites"]) == (60, 30)
    assert 15_000 < held["bytes"] <= 36_000
    report = (out / "report.md").read_text()
    assert "| bad - good | +" in report
    assert "good better" in report
    assert "| again - good |" in report
    assert "no difference shown" in report
    svg = (out / "differences.svg").read_text()
    assert svg.count("<circle") == 2 * (1 + 3)
    runs_ = sorted((out / "runs").glob("*.json"))
    assert len(runs_) == 9
    assert {json.loads(r.read_text())["tokens"] for r in runs_} == {8192}, "the same tokens"

    capsys.readouterr()
    runs_[0].unlink()  # as if killed before it was stored
    (out / "runs" / (runs_[1].name + ".part")).write_text("{")
    before = (out / "result.json").read_text()
    assert ablate.main(["--config", str(path)]) == 0
    assert "9 models, 8 there already, 1 to train" in capsys.readouterr().out
    after = json.loads((out / "result.json").read_text())
    for result in (after, stored_result):
        for corpus in result["groups"]["en"]["corpora"].values():
            corpus.pop("seconds")
    assert after == stored_result, before
    assert ablate.main(["--config", str(path), "--set", "recipe.rate=0.02"]) == 2
    assert "was made with other options" in capsys.readouterr().err


def test_help_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        ablate.main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "bits per byte" in " ".join(text.split())
    assert "configs/model/ablation.yaml" in text


def test_reading_and_statistics_need_no_torch() -> None:
    code = "import sys, model.ablate; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_picture_is_drawn_of_any_result() -> None:
    d = {"a": "x", "b": "<y>", "estimate": -0.1, "low": -0.2, "high": -0.05, "by_seed": [-0.1], "clear": True}
    result = {"level": 0.9, "groups": {"g": {"languages": {"en": {"differences": [d]}, "zh": {"differences": []}}}}}
    svg = report.picture(result)
    assert "&lt;y&gt; - x" in svg
    assert "90% interval" in svg
    assert report.verdict(d) == "<y> better"
