"""Expert load by group: by hand, against a slow reference, of runs and exports; chance; the course of training; pictures."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.model.made_shards import EOD, documents, write_shards

REASON = "needs the extra `model`: pip install 'corpusmill[model]'"
pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("torchdata", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

import numpy as np  # noqa: E402

from model.analyse import main  # noqa: E402
from model.data.shards import open_shards  # noqa: E402
from model.study.expert_load import report  # noqa: E402
from model.study.expert_load.course import course  # noqa: E402
from model.study.expert_load.load import OTHERS, Groups, count, group, summarise  # noqa: E402
from model.study.expert_load.models import Loaded, open_model  # noqa: E402
from model.study.expert_load.pictures import COLOURS, Panel, heat_maps, limit, paint, png  # noqa: E402
from model.training.config import RunConfig  # noqa: E402
from model.training.evaluation import lay  # noqa: E402
from model.training.ranks import Place  # noqa: E402
from model.training.run_folder import checkpoints  # noqa: E402
from model.training.trainer import Trainer  # noqa: E402

CPU = torch.device("cpu")
LENGTH = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = documents(60, 1, distinct=False, language="en", category="news")
    made += documents(40, 2, distinct=False, language="zh", category="教育")
    made += documents(5, 3, split="validation", distinct=False, language="en", category="news")
    made += documents(4, 4, split="validation", distinct=False, language="zh")
    return write_shards(tmp_path_factory.mktemp("shards"), made)


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run: config, checkpoint, experts.jsonl, export."""
    out = tmp_path_factory.mktemp("run") / "small"
    config = RunConfig.model_validate(
        {
            "out": str(out),
            "model": {
                **{"vocab_size": 304, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8},
                **{"num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2, "n_routed_experts": 4},
                **{"num_experts_per_tok": 2, "n_shared_experts": 1, "head_dim": 8, "max_position_embeddings": 64},
                **{"eos_token_id": EOD, "initializer_range": 0.3},
            },
            "data": {"shards": str(folder), "lanes": 4, "window_tokens": 512},
            "train": {
                **{"tokens": 1536, "sequence_length": LENGTH, "micro_batch": 2, "precision": "fp32", "threads": 1},
                **{"batches": [{"sequences": 2}], "tensorboard": False},
                "stages": [{"name": "stable", "until_tokens": 1536, "rate": 0.01}],
            },
        }
    )
    torch.set_num_threads(1)
    Trainer(config, Place(0, 1, CPU)).run()
    return out


class ByToken(torch.nn.Module):
    """Router whose choice is known: expert `id mod E` and the next one."""

    def __init__(self, experts: int, shift: int) -> None:
        super().__init__()
        self.experts, self.shift = experts, shift

    def forward(self, ids: Any) -> tuple[Any, Any, Any]:
        first = ids.flatten() + self.shift
        return None, None, torch.stack([first % self.experts, (first + 1) % self.experts], 1)


class Body(torch.nn.Module):
    def __init__(self, routers: list[ByToken]) -> None:
        super().__init__()
        self.routers = torch.nn.ModuleList(routers)

    def forward(self, input_ids: Any, position_ids: Any, use_cache: bool) -> None:
        assert not use_cache
        for router in self.routers:
            router(input_ids)


def by_token(experts: int = 4, layers: int = 2) -> Loaded:
    routers = [ByToken(experts, shift) for shift in range(layers)]
    about = {"path": "made"}
    return Loaded(Body(routers), list(range(1, layers + 1)), list(routers), experts, 2, 1000, LENGTH, CPU, False, about)


def laid_of(folder: Path, split: Any, tokens: int | None = None) -> tuple[Any, Any]:
    laid = lay(open_shards(str(folder)), split, LENGTH, tokens)
    return laid, np.bincount(laid.owners[laid.owners >= 0], minlength=len(laid.columns["language"]))


def test_loads_by_hand(tmp_path: Path) -> None:
    # English: ids 4k alone; Chinese: 4k + 2. The end mark, 300, is 4k. Layer 1 sends id to (id, id + 1), layer 2 one further.
    from tests.model.made_shards import Made

    made = [Made([4, 8, 12], "en", split="validation"), Made([2, 6, 10, 14, 18, 22, 26], "zh", split="validation")]
    laid, tokens = laid_of(write_shards(tmp_path / "shards", made), "validation")
    groups = group("language", laid.columns["language"], tokens)
    summary = summarise(groups, count(by_token(), laid, [groups])[0], tokens, permutations=5)
    assert groups.names == ["zh", "en"]
    assert summary.tokens_G.tolist() == [8, 4]
    chinese, english = summary.load_GLE
    assert english.tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]
    assert chinese.tolist() == [[1 / 8, 1 / 8, 7 / 8, 7 / 8], [7 / 8, 1 / 8, 1 / 8, 7 / 8]]
    assert summary.load_LE[0].tolist() == pytest.approx([5 / 12, 5 / 12, 7 / 12, 7 / 12])
    # Shares of choices: all (5, 5, 7, 7) / 24, English (1, 1, 0, 0) / 2.
    assert summary.distance_GL[1, 0] == pytest.approx(14 / 24)


@pytest.mark.parametrize("batch", [1, 3, 100])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_counts_are_those_of_a_slow_reference(folder: Path, run: Path, batch: int, precision: str) -> None:
    model = open_model(run, CPU, precision)
    laid, tokens = laid_of(folder, "validation")
    groupings = [group(c, laid.columns[c], tokens) for c in ("language", "category")]
    counted = count(model, laid, groupings, batch)
    slow = [np.zeros_like(f) for f in counted]
    for ids, positions, owners in zip(laid.input_ids, laid.position_ids, laid.owners, strict=True):
        seen: list[Any] = []
        hooks = [
            r.register_forward_hook(lambda _, __, out, seen=seen: seen.append(out[2].tolist())) for r in model.routers
        ]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            model.body(
                input_ids=torch.from_numpy(ids)[None], position_ids=torch.from_numpy(positions)[None], use_cache=False
            )
        for hook in hooks:
            hook.remove()
        for layer, chosen in enumerate(seen):
            for owner, experts in zip(owners.tolist(), chosen, strict=True):
                for expert in experts if owner >= 0 else ():
                    for grouping, counts in zip(groupings, slow, strict=True):
                        counts[grouping.unit_D[owner], layer, expert] += 1
    for grouping, counts, expected in zip(groupings, counted, slow, strict=True):
        assert counts.sum((1, 2)).tolist() == [2 * 2 * t for t in np.bincount(grouping.unit_D, tokens).tolist()]
        if precision == "fp32" or batch == 1:  # in bf16 other batches round otherwise
            assert np.array_equal(counts, expected)


def test_loads_sum_to_the_experts_that_a_token_chooses(folder: Path, run: Path) -> None:
    model = open_model(run, CPU, "fp32")
    laid, tokens = laid_of(folder, "train")
    groups = group("category", laid.columns["category"], tokens)
    summary = summarise(groups, count(model, laid, [groups], 4)[0], tokens, 10)
    assert summary.load_GLE.sum(-1) == pytest.approx(np.full((2, 2), 2.0))
    assert summary.load_LE.sum(-1) == pytest.approx([2.0, 2.0])
    assert summary.load_GLE.max() <= 1


def test_run_checkpoint_and_export_have_the_same_loads(folder: Path, run: Path) -> None:
    laid, tokens = laid_of(folder, "validation")
    groups = [group("language", laid.columns["language"], tokens)]
    places = [run, checkpoints(run)[-1], run / "export"]
    counts = [count(open_model(p, CPU, "fp32", LENGTH), laid, groups)[0] for p in places]
    assert np.array_equal(counts[0], counts[1])
    assert np.array_equal(counts[0], counts[2])
    assert len(set(counts[0].sum((0, 1)).tolist())) > 1, "no expert is like another"


def test_groups_of_most_tokens_and_the_rest() -> None:
    values = ["b", "a", "c", "a", "d", "unknown"]
    groups = group("domain", values, np.array([5, 4, 1, 4, 2, 5]), top=2)
    assert groups.names == ["a", "b", OTHERS]  # 8 tokens, then 5 and 5 by name
    assert groups.group_D.tolist() == [1, 0, 2, 0, 2, 2]
    assert len(set(groups.unit_D.tolist())) == 6, "each document a unit"


def test_more_documents_than_units() -> None:
    values = ["a"] * 90 + ["b"] * 9 + ["c"]
    groups = group("domain", values, np.ones(100, dtype=np.int64), units=10)
    assert np.bincount(groups.group_U).tolist() == [9, 1, 1]
    assert [groups.names[g] for g in groups.group_D] == values, "a unit is of one group"
    assert np.bincount(groups.unit_D).tolist() == [10] * 9 + [9, 1]


def test_a_group_without_tokens_has_no_load() -> None:
    groups = Groups("language", ["en", "zh"], np.array([0, 0]), np.array([0, 1]))
    summary = summarise(groups, np.array([[[3, 1]], [[0, 0]]]), np.array([2, 2]), 5)
    assert np.isnan(summary.load_GLE[1]).all()
    assert np.isnan(summary.distance_GL[1]).all()
    assert report.as_json(by_token(2), summary)["groups"]["zh"]["load"] == [[None, None]]
    assert " - " in report.table(by_token(2, 1), summary) + " "
    assert report.specialists(summary, 5) == []


def test_groups_that_differ_are_above_chance_and_labels_dealt_at_random_are_not() -> None:
    rng = np.random.default_rng(0)
    documents_, experts = 80, 8
    kind = np.repeat([0, 1], documents_ // 2)
    p = np.full((2, experts), 1 / experts)
    p[1, 0], p[1, 1] = 0.3, 0.0
    p[1] /= p[1].sum()
    counts = np.stack([rng.multinomial(200, p[k]) for k in kind])[:, None]
    tokens = counts.sum((1, 2))
    real = summarise(Groups("x", ["a", "b"], np.arange(documents_), kind), counts, tokens)
    assert (real.distance_GL > 2 * real.high_GL).all()
    assert (real.chance_GL < real.high_GL).all()
    above = []
    for seed in range(40):
        dealt = np.random.default_rng(seed).permutation(kind)
        summary = summarise(Groups("x", ["a", "b"], np.arange(documents_), dealt), counts, tokens, 100, seed)
        above.append(bool(summary.distance_GL[0, 0] > summary.high_GL[0, 0]))
    assert sum(above) <= 6, "about one in twenty"


def test_command_writes_table_json_and_pictures(
    folder: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(run), "--shards", str(folder), "--split", "train", "--by", "language", "--by", "category"]
    assert main([*arguments, "--permutations", "20", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "100 documents" in printed
    assert torch.cuda.is_available() or "no GPU here" in printed
    result = json.loads((tmp_path / "load.json").read_text(encoding="utf-8"))
    assert set(result["by"]) == {"language", "category"}
    assert result["data"]["tokens"] == sum(g["tokens"] for g in result["by"]["category"]["groups"].values())
    assert set(result["by"]["category"]["groups"]) == {"news", "教育"}
    assert result["model"]["trained_tokens"] == 1536
    assert len(result["data"]["manifest_sha256"]) == 64
    assert "教育" in (tmp_path / "load-category.svg").read_text(encoding="utf-8")
    few = [str(run / "export"), "--shards", str(folder), "--tokens", "1", "--sequence-length", "16"]
    assert main([*few, "--out", str(tmp_path / "few")]) == 0
    assert json.loads((tmp_path / "few" / "load.json").read_text())["data"]["documents"] == 1
    assert "nothing to compare" in capsys.readouterr().out


@pytest.mark.parametrize(("layers", "titles"), [(2, ["layer 1", "layer 2"]), (9, ["all", "en", "zh"])])
def test_pictures_by_layer_or_of_many_layers_by_group(layers: int, titles: list[str]) -> None:
    groups = Groups("language", ["en", "zh"], np.array([0, 1]), np.array([0, 1]))
    counts = np.random.default_rng(0).integers(1, 9, (2, layers, 4))
    summary = summarise(groups, counts, np.array([5, 5]), 5)
    svg = report.picture(by_token(4, layers), summary)
    for title in titles:
        assert f">{title}</text>" in svg
    assert (">layer</text>" in svg) == (layers == 9)


def test_what_it_refuses(folder: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = ["--shards", str(folder)]

    def fails(*arguments: str) -> str:
        assert main(arguments) == 2
        return capsys.readouterr().err

    assert "expected a run" in fails(str(tmp_path), *shards)
    assert "no manifest.json" in fails(str(run), "--shards", str(tmp_path))
    assert "the model has 64 positions" in fails(str(run), *shards, "--sequence-length", "128")
    (tmp_path / "config.yaml").write_text("out: x")
    assert "without a complete checkpoint" in fails(str(tmp_path), *shards)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "llama"}')
    assert "type 'llama', expected 'dots1'" in fails(str(other), *shards)
    assert "no experts.jsonl" in fails("--checkpoints", str(tmp_path))
    made = write_shards(tmp_path / "shards", documents(3, split="validation"))  # ids from 1,000 on
    assert "the model 304 rows" in fails(str(run), "--shards", str(made))
    with pytest.raises(SystemExit) as stopped:
        main([str(run)])
    assert stopped.value.code == 2
    assert "--shards is missing" in capsys.readouterr().err


def written(folder: Path, tokens: list[int], loads: list[list[list[int]]]) -> Path:
    folder.mkdir()
    lines = [
        {"step": 1 + 10 * i, "tokens": t, "layers": [1], "load": load, "bias": [[0.0] * len(load[0])]}
        for i, (t, load) in enumerate(zip(tokens, loads, strict=True))
    ]
    (folder / "experts.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return folder


def test_the_course_of_a_run_by_hand(tmp_path: Path) -> None:
    even, one = [[4, 4]], [[8, 0]]
    binned = course(written(tmp_path / "a", [10, 20, 30, 40], [even, even, one, one]), 40, bins=2)
    assert binned.until_B.tolist() == [20, 40]
    assert binned.share_BLE.tolist() == [
        [[1, 1]],
        [[5 / 3, 1 / 3]],
    ]  # 20 tokens are in the second bin, which begins there
    grown = course(written(tmp_path / "b", [10, 20, 60, 100], [even, even, one, one]), 100)
    assert len(grown.until_B) == 2, "no bin is narrower than the widest gap"
    assert np.isfinite(grown.share_BLE).all()


def test_runs_beside_one_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "tiny", [10, 20, 30, 40], [[[4, 4]]] * 4)
    b = written(tmp_path / "without", [10, 20], [[[8, 0]]] * 2)
    assert main(["--checkpoints", str(a), str(b), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "to 20 tokens, which all have" in printed
    result = json.loads((tmp_path / "out" / "training.json").read_text())
    assert [r["load_to_even"][-1] for r in result["runs"]] == [[[1.0, 1.0]], [[2.0, 0.0]]]
    picture = (tmp_path / "out" / "training.svg").read_text()
    assert "tiny, layer 1" in picture
    assert "without, layer 1" in picture


def test_a_runs_own_course(run: Path, tmp_path: Path) -> None:
    assert main(["--checkpoints", str(run), "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "training.json").read_text())
    shares = np.array(result["runs"][0]["load_to_even"])
    assert shares.mean(-1) == pytest.approx(np.ones(shares.shape[:2]), abs=1e-3)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_colours_end_where_nearly_all_ratios_are() -> None:
    assert limit([np.array([[1.0, 1.1], [0.9, 1.2]])]) == 1.25
    assert limit([np.array([[1.0, 3.0]]), np.array([[0.3, np.nan]])]) == 4.0
    assert limit([np.array([[0.0, 1000.0]])]) == 8.0
    assert limit([np.array([[np.nan]])]) == 1.25


def test_painted_places_and_their_file() -> None:
    pixels = paint(np.array([[-1.0, 0.0, 1.0], [np.nan, -0.25, 0.25]]))
    assert [f"#{bytes(p[:3]).hex()}" for p in pixels[0].tolist()] == [COLOURS[0], COLOURS[2], COLOURS[-1]]
    assert pixels[..., 3].tolist() == [[255, 255, 255], [0, 255, 255]]
    data = png(pixels)
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    begin = data.index(b"IDAT") + 4
    lines = zlib.decompress(data[begin : data.index(b"IEND") - 8])
    assert lines == b"".join(b"\0" + row.tobytes() for row in pixels)


@pytest.mark.parametrize("size", [(3, 16), (61, 128)])
def test_heat_maps_small_and_large(size: tuple[int, int]) -> None:
    rows, columns = size
    ratios = np.random.default_rng(0).lognormal(0, 0.25, size)
    ratios[0, 0] = np.nan
    names = [f"组 {i} <&>" for i in range(rows)]
    panels = [Panel(f"层 {n}", ratios, names, [str(i) for i in range(columns)]) for n in range(2)]
    svg = heat_maps(panels, per_row=2, x_title="expert")
    assert len(svg) < 400_000
    assert svg.count("data:image/png") == (0 if rows == 3 else 2)
    for text in ("层 1", "组 0 &lt;&amp;&gt;", "expert", "prefers-color-scheme:dark", "≥ 2"):
        assert text in svg


def test_a_panel_with_other_labels_than_values() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\) for 2 rows, 2 columns"):
        heat_maps([Panel("x", np.ones((2, 3)), ["a", "b"], ["1", "2"])], per_row=1, x_title="x")
