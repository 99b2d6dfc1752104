import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

import sourcewise as sw
from sourcewise.comparison import CompareSettings, estimate_seconds, prepare
from sourcewise.comparison.scopes import Cell
from sourcewise.forms import as_table
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.studies.coverage import CoverageSettings, coverage

PLAIN = {"shrinkage": "none"}


def gaussians(n_k: int, K: int = 3, d: int = 3, opposite: bool = False, seed: int = 0) -> Sources:
    """K sources with means k; opposite: the correlations' sign alternates."""
    noise = Noise(seed).of("test")
    y = torch.arange(K * n_k) % K
    shared = noise.of("shared").normal(K * n_k, 1)
    sign = torch.where(y % 2 == 0, 1.0, -1.0)[:, None] if opposite else 1.0
    x = noise.of("own").normal(K * n_k, d)
    x[:, :1] += sign * shared
    x[:, 1:] += shared
    return Sources(x + y[:, None], y, [f"s{k}" for k in range(K)])


def test_scores_are_those_of_a_plain_loop():
    """Every held-out score against SciPy's density with moments computed by hand."""
    data = gaussians(30)
    prepared = prepare(data, CompareSettings(set=PLAIN, seeds=2))
    plan, x, y = prepared.plan, as_table(data.x).matrix().numpy(), data.y.numpy()
    for cell in (Cell(0, None), Cell(1, 4)):
        scores = plan.run(cell, plan.prepare(cell.repetition))
        fold, group = plan.folds(cell.repetition).numpy(), plan.groups.numpy()
        kept = group != cell.deletion if cell.deletion is not None else np.ones(len(y), bool)
        expected = {name: np.full(len(y), np.nan) for name in scores}
        for part in range(5):
            train, test = kept & (fold != part), kept & (fold == part)
            means = np.stack([x[train & (y == k)].mean(0) for k in range(3)])
            residuals = x[train] - means[y[train]]
            pooled = residuals.T @ residuals / train.sum()
            for k in range(3):
                rows = test & (y == k)
                own = np.cov(x[train & (y == k)].T, bias=True)
                for name, covariance in (("pooled", pooled), ("separate", own)):
                    density = multivariate_normal(means[k], covariance)
                    expected[name][rows] = density.logpdf(x[rows])
        for name, score in scores.items():
            if cell.deletion is None:
                assert np.allclose(score.rows.numpy(), expected[name], rtol=1e-9)
            by_source = [np.nanmean(expected[name][y == k]) for k in range(3)]
            assert np.allclose(score.test.numpy(), by_source, rtol=1e-9)


def test_models_that_share_nothing_are_equivalent():
    result = sw.compare(gaussians(20), set={"shared_covariance": False, **PLAIN}, seeds=1)
    assert all(abs(row["difference"]) < 1e-9 for row in result.document["differences"])
    assert result.verdict["overall"] == "equivalent"
    assert result.verdict["recommended"] == "pooled"


def test_opposite_sources_separate_and_equal_small_ones_pool():
    apart = sw.compare(gaussians(300, K=2, opposite=True), seeds=1)
    assert apart.verdict["overall"] == apart.verdict["recommended"] == "separate"
    alike = sw.compare(gaussians(20, K=6, d=8), seeds=1)
    assert alike.verdict["overall"] == "pool"
    assert alike.verdict["recommended"] == "pooled"


def test_groups_find_the_truth_between():
    """Sources 0 and 2 are alike, 1 and 3 their opposite: the right groups win."""
    data = gaussians(60, K=4, opposite=True)
    strategies = ["pooled", "separate", "groups:s0+s2|s1+s3", "groups:s0+s1|s2+s3", "shuffled"]
    result = sw.compare(data, strategies=strategies, seeds=1)
    macro = {
        row["strategy"]: row["difference"]
        for row in result.document["differences"]
        if row["source"] == "macro"
    }
    assert max(macro, key=macro.__getitem__) == result.verdict["recommended"] == "groups"
    assert min(macro, key=macro.__getitem__) == "shuffled"


def test_beta_hat_finds_the_shared_share():
    """Own means, one covariance: P_src = d, P_shared = d (d + 1) / 2."""
    full = sw.compare(gaussians(400, K=4), set=PLAIN, seeds=2).document["beta_hat"]
    assert full["low"] < 6 / 9 < full["high"]
    assert 0 < full["high"] - full["low"] < 2
    half = {"specific": 1, "covariance": "identity"}
    independent = Sources(Noise(9).normal(1600, 3), torch.arange(1600) % 4, list("abcd"))
    shared = sw.compare(independent, set=half, seeds=2).document["beta_hat"]
    assert shared["low"] < 2 / 3 < shared["high"]


def small_and_large() -> Sources:
    data = gaussians(25, K=3)
    last = (data.y == 2).nonzero().squeeze(1)
    keep = torch.ones(75, dtype=torch.bool)
    keep[last[4:]] = False
    return Sources(as_table(data.x).matrix()[keep], data.y[keep], ["a", "b", "tiny"])


def test_small_sources_train_but_are_not_tested():
    result = sw.compare(small_and_large(), strategies="pooled,separate,shuffled", seeds=1)
    document = result.document
    assert result.verdict["per_source"]["tiny"] == "too few rows"
    assert set(document["strategies"]["pooled"]["per_source"]) == {"a", "b"}
    assert document["strategies"]["pooled"]["blocks"] == [["a", "b", "tiny"]]
    assert document["strategies"]["separate"]["blocks"] == [["a"], ["b"]]
    tiny = document["data"]["sources"][2]
    assert (tiny["rows"], tiny["tested"]) == (4, False)
    assert "too few rows (4, fewer than 10)" in tiny["reason"]
    seen = document["strategies"]["pooled"]["per_source"]["a"]["examples_seen"]
    assert seen == pytest.approx(4 / 5 * 54)  # the tiny source's rows train, too


def test_the_budget_columns_are_true():
    result = sw.compare(gaussians(25), seeds=2)
    pooled, separate = (result.document["strategies"][s] for s in ("pooled", "separate"))
    assert pooled["parameters"] == 3 * 3 + 6
    assert separate["parameters"] == 3 * (3 + 6)
    for source in ("s0", "s1", "s2"):
        assert pooled["per_source"][source]["n_train"] == 20
        assert pooled["per_source"][source]["n_test"] == 25
        assert pooled["per_source"][source]["examples_seen"] == 60
        assert separate["per_source"][source]["examples_seen"] == 20
        assert separate["per_source"][source]["updates"] == 0


def test_rows_of_a_group_stay_together():
    data = gaussians(40)
    grouped = Sources(data.x, data.y, data.names, group=torch.arange(120) // 6, group_by=("day",))
    plan = prepare(grouped, CompareSettings()).plan
    for parts in (plan.folds(0), plan.folds(2), plan.groups):
        assert all(len(parts[grouped.group == g].unique()) == 1 for g in range(20))


def test_near_copies_are_reported():
    data = gaussians(40)
    x = as_table(data.x).matrix()
    x[1] = x[0] + 1e-5  # rows 0 and 1 belong to different sources
    result = sw.compare(Sources(x, data.y, data.names), seeds=1)
    assert any("2 rows have a near copy" in text for text in result.document["warnings"])
    assert any("2 of them in another source" in text for text in result.document["warnings"])


def test_an_outlier_is_pointed_out():
    data = gaussians(100)
    x = as_table(data.x).matrix()
    x[3] = 60.0
    warnings = sw.compare(Sources(x, data.y, data.names), seeds=1).document["warnings"]
    assert any("uncertainty of s1, s2; the least likely row" in text for text in warnings)
    assert any("one of 's0' (log density" in text for text in warnings)
    clean = sw.compare(data, seeds=1).document["warnings"]
    assert not any("uncertainty" in text for text in clean)


def test_differences_are_in_original_units():
    """Rescaling the columns shifts every likelihood by the Jacobian, and no difference."""
    data = gaussians(30)
    units = torch.tensor([1e-3, 1.0, 1e4], dtype=torch.float64)
    scaled = Sources(as_table(data.x).matrix() * units, data.y, data.names)
    one, two = (sw.compare(d, seeds=1).document for d in (data, scaled))
    for a, b in zip(one["differences"], two["differences"], strict=True):
        assert math.isclose(a["difference"], b["difference"], rel_tol=1e-6)
        assert math.isclose(a["low"], b["low"], rel_tol=1e-6)
    levels = [d["strategies"]["pooled"]["macro"]["log_likelihood"]["mean"] for d in (one, two)]
    assert math.isclose(levels[0] - levels[1], float(units.log().sum()), rel_tol=1e-9)


def test_a_redundant_column_changes_nothing():
    """It is left out; left in, it made the difference of real data jump from 0.03 to 2.5 nats."""
    data = gaussians(40)
    x = as_table(data.x).matrix()
    copy = torch.cat([x, (x[:, :1] - 2 * x[:, 1:2])], 1)
    one, two = (sw.compare(Sources(v, data.y, data.names), seeds=1).document for v in (x, copy))
    assert [item["column"] for item in two["data"]["left_out"]] == ["x4"]
    assert one["differences"] == two["differences"]


def test_scope_these_models_speaks_of_one_split():
    document = sw.compare(gaussians(60), scope="these models").document
    assert document["scope"] == "these models"
    entry = document["strategies"]["pooled"]["per_source"]["s0"]
    assert (entry["n_train"], entry["n_test"]) == (48, 12)
    assert document["beta_hat"]["value"] is None
    assert "new training samples" in document["beta_hat"]["reason"]
    assert all(row["low"] < row["high"] for row in document["differences"])


def test_the_document_is_the_contract():
    result = sw.compare(sw.read("wine"), strategies="pooled,separate,shuffled", seeds=1)
    document = json.loads(json.dumps(result.document, allow_nan=False))
    keys = "schema_version data scope primary_metric warnings run strategies differences beta_hat"
    assert set(document) >= {*keys.split(), "verdict"}
    for strategy in document["strategies"].values():
        assert set(strategy) >= {"parameters", "per_source", "macro", "worst"}
        for entry in strategy["per_source"].values():
            assert set(entry) >= {"n_train", "n_test", "examples_seen", "updates", "metrics"}
            assert set(entry["metrics"]["log_likelihood"]) == {"mean", "low", "high"}
    keys = "source strategy baseline metric unit difference low high p_holm verdict"
    for row in document["differences"]:
        assert set(row) >= set(keys.split())
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["p"] <= row["p_holm"] <= 1
    assert set(document["verdict"]) >= {"overall", "recommended", "reason", "per_source"}
    text = str(result)
    assert "verdict: " in text
    assert "nan" not in text.lower().replace("nanmean", "")


def test_holm_counts_all_rivals_but_no_controls():
    document = sw.compare(
        gaussians(40), strategies="pooled,separate,groups:s0+s1,shuffled", seeds=1
    ).document
    rows = document["differences"]
    for macro, tests in ((False, 2 * 3), (True, 2)):
        chosen = [
            r for r in rows if (r["source"] == "macro") == macro and r["strategy"] != "shuffled"
        ]
        smallest = min(chosen, key=lambda r: r["p"])
        assert smallest["p_holm"] == pytest.approx(min(1, tests * smallest["p"]))


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path):
    data = gaussians(30)
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        sw.compare(data, seed=seed, seeds=2, out=tmp_path / name)
    for file in ("results.csv", "scores.safetensors"):
        one, two, three = ((tmp_path / n / file).read_bytes() for n in ("one", "two", "three"))
        assert one == two != three


def test_a_run_folder_holds_everything_and_is_loaded(tmp_path):
    data = gaussians(30)
    result = sw.compare(data, seeds=1, out=tmp_path / "run")
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {
        "config.yaml",
        "results.csv",
        "scores.safetensors",
        "log.csv",
        "models",
        "samples",
        "result.json",
    }
    loaded = sw.load(tmp_path / "run")
    in_memory = sw.compare(data, seeds=1)
    assert (
        loaded.document == result.document == {**in_memory.document, "run": str(tmp_path / "run")}
    )
    for name, fitted in in_memory.models.items():
        again = loaded.models[name]
        drawn = [m.model.sample(data.y, noise=Noise(0)) for m in (fitted, again)]
        assert torch.equal(*drawn)
        assert again.encoder.to_json() == fitted.encoder.to_json()
    drawn = pd.read_csv(tmp_path / "run" / "samples" / "separate.csv")
    assert drawn.groupby("source").size().to_dict() == {"s0": 100, "s1": 100, "s2": 100}
    middle = drawn.groupby("source")[["x1", "x2", "x3"]].mean().to_numpy()
    assert np.abs(middle - np.arange(3)[:, None]).max() < 1
    table = pd.read_csv(tmp_path / "run" / "results.csv")
    assert len(table) == 2 * 3 * 1 * 2  # strategies, sources, seeds, metrics
    assert not table.isna().any().any()


def test_finished_cells_are_not_computed_again_and_damaged_ones_are(tmp_path, monkeypatch):
    from sourcewise.comparison import scopes, store

    data, run = gaussians(30), tmp_path / "run"
    whole = sw.compare(data, seeds=1, out=tmp_path / "whole")
    monkeypatch.setattr(store, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        sw.compare(data, seeds=1, out=run)
    monkeypatch.undo()
    (run / "cells" / "0-3.safetensors").write_bytes(b"damaged")
    computed = []
    original = scopes.Plan.run
    monkeypatch.setattr(
        scopes.Plan,
        "run",
        lambda self, cell, p: computed.append(str(cell)) or original(self, cell, p),
    )
    resumed = sw.compare(data, seeds=1, out=run)
    assert computed == ["0-3"]
    assert resumed.document["differences"] == whole.document["differences"]
    assert not (run / "cells").exists()


def test_non_finite_scores_stop_the_run(monkeypatch):
    from sourcewise.models.gaussian import Gaussian

    monkeypatch.setattr(
        Gaussian, "log_prob", lambda self, x, y, c=None: torch.full((len(x),), torch.nan).double()
    )
    with pytest.raises(FloatingPointError, match="pooled: .* scores are not finite"):
        sw.compare(gaussians(30), seeds=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "gausian"}, "did you mean 'gaussian'"),
        ({"set": {"covarance": "full"}}, "did you mean 'covariance'"),
        ({"strategies": "pooled"}, "need separate, the baseline"),
        ({"strategies": "separate,shuffled"}, "need separate, the baseline, and one"),
        ({"strategies": "separate"}, "and one to compare it"),
        ({"seeds": 0}, "setting seeds"),
        ({"scope": "all"}, "setting scope.*auto, procedure, these models"),
        ({"missing": "guess"}, "setting missing.*refuse, drop, impute"),
        ({"min_rows": 3}, "setting min_rows"),
        ({"min_rows": 31}, "fewer than two sources can be tested .s0: too few rows .30"),
        ({"seedz": 3}, "did you mean 'seed"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(sw.InputError, match=message):
        sw.compare(gaussians(30), **change)


def test_one_source_cannot_be_compared():
    data = gaussians(30).of("s0")
    with pytest.raises(sw.InputError, match="one source only"):
        sw.compare(Sources(data.x, data.y, ["s0"]))


def test_rows_that_are_all_alike_cannot_be_split():
    y = torch.arange(60) % 2
    data = Sources((torch.arange(60) % 4).double()[:, None], y, "ab")
    with pytest.raises(sw.InputError, match="only 2 different units to split"):
        sw.compare(data)


def test_missing_cells_are_imputed_without_nan():
    frame = pd.DataFrame(as_table(gaussians(40).x).matrix().numpy(), columns=list("abc"))
    frame["source"] = gaussians(40).y.numpy()
    frame.loc[::7, "a"] = np.nan
    result = sw.compare(sw.read(frame), missing="impute", seeds=1)
    assert any("missing cells filled in" in text for text in result.document["warnings"])
    assert result.document["data"]["imputed_cells"] == 18


def test_the_time_estimate_is_of_the_right_size():
    prepared = prepare(gaussians(200), CompareSettings())
    estimate_seconds(prepared)  # warm
    assert 0.05 < estimate_seconds(prepared) < 60


def test_intervals_cover_in_a_reduced_simulation():
    """The full one is a study (docs/coverage.md); nominal is 95 %."""
    settings = CoverageSettings(repetitions=60, truth_samples=400, sizes=(30,), tails=("t5",))
    for cell in coverage(settings).cells:
        assert cell.per_source >= 0.93
        assert cell.macro >= 0.9
