import json
import math
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

import sourcewise as sw
from sourcewise.comparison import verdict
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import Cell
from sourcewise.comparison.sums import Sums
from sourcewise.families.base import SharedError
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.files import read_tensors, write_tensors
from sourcewise.forms import as_table
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

PLAIN = {"shrinkage": "none"}
# Of what does not depend on the scope: one split is a twentieth of the work of all deletions.
QUICK: dict[str, Any] = {"model": "gaussian", "scope": "these models", "seeds": 1}


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


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[sw.Comparison, Path]:
    """A comparison of `gaussians(30)` and its folder: to be read, and copied before any change."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return sw.compare(gaussians(30), seeds=1, out=folder, model="gaussian"), folder


@pytest.fixture(scope="module")
def wine() -> sw.Sources:
    return sw.read("wine", columns=["ash", "hue"])


@pytest.fixture(scope="module")
def of_wine(wine) -> sw.Comparison:
    """Two repetitions, with densities as they are."""
    return sw.compare(wine, seeds=2, model="gaussian")


def test_scores_are_those_of_a_plain_loop():
    """Every held-out score against SciPy's density with moments computed by hand."""
    data = gaussians(30)
    prepared = prepare(data, CompareSettings(set=PLAIN, seeds=2))
    plan, x, y = prepared.plan, as_table(data.x).matrix().numpy(), data.y.numpy()
    for cell in (Cell(0, None), Cell(1, 4)):
        scores = evaluate_cell(plan, cell, plan.shared(cell.repetition))
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
    result = sw.compare(
        gaussians(20), set={"shared_covariance": False, **PLAIN}, seeds=1, model="gaussian"
    )
    assert all(abs(row["difference"]) < 1e-9 for row in result.document["differences"])
    assert result.verdict["overall"] == "equivalent"
    assert result.verdict["recommended"] == "pooled"


def test_opposite_sources_separate_and_equal_small_ones_pool():
    apart = sw.compare(gaussians(300, K=2, opposite=True), seeds=1, model="gaussian")
    assert apart.verdict["overall"] == apart.verdict["recommended"] == "separate"
    alike = sw.compare(gaussians(20, K=8, d=8), seeds=1, model="gaussian")
    assert alike.verdict["overall"] == "pool"
    assert alike.verdict["recommended"] == "pooled"


def test_groups_find_the_truth_between():
    """Sources 0 and 2 are alike, 1 and 3 their opposite: the right groups win."""
    data = gaussians(300, K=4, opposite=True)
    strategies = ["pooled", "separate", "groups:s0+s2|s1+s3", "groups:s0+s1|s2+s3", "shuffled"]
    result = sw.compare(data, strategies=strategies, **QUICK)
    macro = {
        row["strategy"]: row["difference"]
        for row in result.document["differences"]
        if row["source"] == "macro"
    }
    assert max(macro, key=macro.__getitem__) == result.verdict["recommended"] == "groups"
    assert min(macro, key=macro.__getitem__) == "shuffled"


def test_beta_hat_finds_the_shared_share():
    """Own means, one covariance: P_src = d, P_shared = d (d + 1) / 2."""
    full = sw.compare(gaussians(400, K=4), set=PLAIN, seeds=2, model="gaussian").document[
        "beta_hat"
    ]
    assert full["low"] < 6 / 9 < full["high"]
    assert 0 < full["high"] - full["low"] < 2
    half = {"specific": 1, "covariance": "identity"}
    independent = Sources(Noise(9).normal(1600, 3), torch.arange(1600) % 4, list("abcd"))
    shared = sw.compare(independent, set=half, seeds=2, model="gaussian").document["beta_hat"]
    assert shared["low"] < 2 / 3 < shared["high"]


def small_and_large() -> Sources:
    data = gaussians(25, K=3)
    last = (data.y == 2).nonzero().squeeze(1)
    keep = torch.ones(75, dtype=torch.bool)
    keep[last[4:]] = False
    return Sources(as_table(data.x).matrix()[keep], data.y[keep], ["a", "b", "tiny"])


def test_small_sources_train_but_are_not_tested():
    result = sw.compare(
        small_and_large(), strategies="pooled,separate,shuffled", seeds=1, model="gaussian"
    )
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
    result = sw.compare(gaussians(25), seeds=2, model="gaussian")
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
    result = sw.compare(Sources(x, data.y, data.names), **QUICK)
    assert any("2 rows have a near copy" in text for text in result.document["warnings"])
    assert any("2 of them in another source" in text for text in result.document["warnings"])


def test_an_outlier_is_pointed_out():
    data = gaussians(100)
    x = as_table(data.x).matrix()
    x[3] = 60.0
    warnings = sw.compare(Sources(x, data.y, data.names), seeds=1, model="gaussian").document[
        "warnings"
    ]
    assert any("all the uncertainty of s1, s2; it acts through training" in w for w in warnings)
    assert any("the least likely row there is row 4, of 's0'" in w for w in warnings)
    clean = sw.compare(data, seeds=1, model="gaussian").document["warnings"]
    assert not any("uncertainty" in text for text in clean)


def test_a_verdict_on_skewed_columns_is_conditional():
    """Two lognormal sources whose logarithms have one mean and two spreads."""
    y = torch.arange(300) % 2
    crp = (Noise(0).of("skew").normal(300) * torch.tensor([0.5, 1.2])[y]).exp()
    b = as_table(gaussians(150, 2).x).matrix()[:, 0]
    data = sw.read(pd.DataFrame({"source": y.numpy(), "crp": crp, "b": b}))
    plain, logged = (
        sw.compare(data, seeds=1, log=log, model="gaussian") for log in ((), ("crp",))
    )
    told = "under a normal density of 'crp' (skewed), see the notes"
    assert plain.verdict["condition"] == told
    assert plain.verdict["reason"].startswith(f"{told}: ")
    assert f"{plain.verdict['overall']}, conditional; recommended: " in str(plain)
    assert any("consider --log crp" in note for note in plain.document["warnings"])
    assert logged.verdict["condition"] is None
    assert "conditional" not in str(logged)


def test_differences_are_in_original_units():
    """Rescaling the columns shifts every likelihood by the Jacobian, and no difference."""
    data = gaussians(30)
    units = torch.tensor([1e-3, 1.0, 1e4], dtype=torch.float64)
    scaled = Sources(as_table(data.x).matrix() * units, data.y, data.names)
    one, two = (sw.compare(d, seeds=1, model="gaussian").document for d in (data, scaled))
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
    one, two = (sw.compare(Sources(v, data.y, data.names), **QUICK).document for v in (x, copy))
    assert [item["column"] for item in two["data"]["left_out"]] == ["x4"]
    assert one["differences"] == two["differences"]


def test_scope_these_models_speaks_of_one_split():
    document = sw.compare(gaussians(60), scope="these models", model="gaussian").document
    assert document["scope"] == "these models"
    entry = document["strategies"]["pooled"]["per_source"]["s0"]
    assert (entry["n_train"], entry["n_test"]) == (48, 12)
    assert document["beta_hat"]["value"] is None
    assert "new training samples" in document["beta_hat"]["reason"]
    assert all(row["low"] < row["high"] for row in document["differences"])


def test_the_document_is_the_contract():
    result = sw.compare(
        sw.read("wine"), strategies="pooled,separate,shuffled", seeds=1, model="gaussian"
    )
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
        gaussians(40),
        strategies="pooled,separate,groups:s0+s1,shuffled",
        **QUICK,
    ).document
    rows = document["differences"]
    for macro, tests in ((False, 3 + 2), (True, 2)):  # s2 has one model in two strategies
        chosen = [
            r for r in rows if (r["source"] == "macro") == macro and r["strategy"] != "shuffled"
        ]
        smallest = min(chosen, key=lambda r: r["p"])
        assert smallest["p_holm"] == pytest.approx(min(1, tests * smallest["p"]))


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path):
    data = gaussians(30)
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        sw.compare(data, seed=seed, out=tmp_path / name, **{**QUICK, "seeds": 2})
    for file in ("results.csv", "scores.safetensors"):
        one, two, three = ((tmp_path / n / file).read_bytes() for n in ("one", "two", "three"))
        assert one == two != three


def test_a_run_folder_holds_everything_and_is_loaded(finished):
    data, (result, run) = gaussians(30), finished
    files = {path.name for path in run.iterdir()}
    assert files == {
        "config.yaml",
        "results.csv",
        "rows.safetensors",
        "scores.safetensors",
        "log.csv",
        "models",
        "samples",
        "result.json",
        "manifest.json",
    }
    loaded = sw.load(run)
    in_memory = sw.compare(data, seeds=1, model="gaussian")
    assert loaded.document == result.document == {**in_memory.document, "run": str(run)}
    for name, fitted in in_memory.models.items():
        again = loaded.models[name]
        drawn = [m.model.sample(data.y, noise=Noise(0)) for m in (fitted, again)]
        assert torch.equal(*drawn)
        assert again.encoder.to_json() == fitted.encoder.to_json()
    drawn = pd.read_csv(run / "samples" / "separate.csv")
    assert drawn.groupby("source").size().to_dict() == {"s0": 100, "s1": 100, "s2": 100}
    middle = drawn.groupby("source")[["x1", "x2", "x3"]].mean().to_numpy()
    assert np.abs(middle - np.arange(3)[:, None]).max() < 1
    table = pd.read_csv(run / "results.csv")
    assert len(table) == 2 * 3 * 1 * 2  # strategies, sources, seeds, metrics
    assert not table.isna().any().any()


def test_finished_cells_are_not_computed_again_and_damaged_ones_are(
    finished, tmp_path, monkeypatch
):
    data, (whole, _), run = gaussians(30), finished, tmp_path / "run"
    broken = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # noqa: E731
    monkeypatch.setattr(sys.modules["sourcewise.comparison.run"], "write_tables", broken)
    with pytest.raises(KeyboardInterrupt):
        sw.compare(data, seeds=1, out=run, model="gaussian")
    monkeypatch.undo()
    (run / "cells" / "0-3.safetensors").write_bytes(b"damaged")
    cell = run / "cells" / "0-5.safetensors"  # whole, but of no plan
    write_tensors(cell, {n: v[..., :1] if v.ndim else v for n, v in read_tensors(cell).items()})
    computed = []

    def run_and_note(plan, cell, shared, splits=None, **how):
        computed.append((str(cell), splits))
        return evaluate_cell(plan, cell, shared, splits, **how)

    for name in ("run", "rivals"):
        module = sys.modules[f"sourcewise.comparison.{name}"]
        monkeypatch.setattr(module, "evaluate_cell", run_and_note)
    resumed = sw.compare(data, seeds=1, out=run, model="gaussian")
    assert [cell for cell, splits in computed if splits is None] == ["0-3", "0-5"]
    assert resumed.document["differences"] == whole.document["differences"]
    assert not (run / "cells").exists()


def test_non_finite_scores_stop_the_run(monkeypatch):
    from sourcewise.families.gaussian.closed_form import Solution

    def broken(self, batch, noise):
        return batch.tensor[:, 0].double() * float("nan")

    monkeypatch.setattr(Solution, "log_density", broken)
    with pytest.raises(FloatingPointError, match="pooled: .* scores are not finite"):
        sw.compare(gaussians(30), seeds=1, model="gaussian")


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
        sw.compare(Sources(data.x, data.y, ["s0"]), model="gaussian")


def test_too_few_groups_cannot_be_split():
    data = gaussians(30)
    grouped = Sources(data.x, data.y, data.names, group=torch.arange(90) // 45)
    with pytest.raises(sw.InputError, match="only 2 groups to split"):
        sw.compare(grouped, model="gaussian")


def test_an_exact_fit_that_ignores_its_label_is_an_answer():
    """Equal means, opposite correlations: the pooled Gaussian shares the mean, as it should."""
    y = torch.arange(400) % 2
    x = Noise(0).of("test").normal(400, 2)
    x[:, 1] = torch.where(y == 0, 1.0, -1.0) * x[:, 0] + 0.3 * x[:, 1]
    means = torch.stack([x[y == k].mean(0) for k in range(2)])
    result = sw.compare(Sources(x - means[y], y, ["a", "b"]), **QUICK).document
    effects = {n: s["label_effect"] for n, s in result["strategies"].items()}
    assert abs(effects["pooled"]) < 0.02 * effects["separate"]
    assert not any("ignores" in text for text in result["warnings"])


def test_coarse_values_are_no_copies():
    """Equal sources on few values: held out as whole values, they would decide nothing."""
    y = torch.arange(1000) % 2
    x = Noise(5).uniform(1000, 6).mul(2).floor().sum(1, keepdim=True)
    document = sw.compare(Sources(x, y, "ab"), seeds=1, model="gaussian").document
    assert document["verdict"]["overall"] == "equivalent"
    assert document["data"]["units"] == 1000
    assert any(
        "no more than columns with so few values do by chance" in w for w in document["warnings"]
    )


def test_gaps_at_random_make_no_difference():
    """Two equal, correlated sources; half of a column of one of them missing at random."""
    noise = Noise(6)
    shared = noise.of("shared").normal(1200, 1)
    x = noise.of("own").normal(1200, 3) + 1.5 * shared
    y = torch.arange(1200) % 2
    gaps = (y == 0) & (noise.of("gaps").uniform(1200) < 0.5)
    x[gaps, 0] = torch.nan
    for missing in ("impute", "drop"):
        result = sw.compare(Sources(x, y, "ab"), missing=missing, seeds=1, model="gaussian")
        assert result.verdict["overall"] == "equivalent"


def test_shrinkage_that_changes_the_story_is_pointed_out():
    """Nearly dependent columns: a little shrinkage costs much, and an idle column costs more."""
    data = gaussians(300, K=3, opposite=True)
    x = as_table(data.x).matrix()
    x[:, 2] = x[:, 1] + 0.02 * Noise(7).normal(len(x))
    near = Sources(x, data.y, data.names)
    result = sw.compare(near, set={"shrinkage": "ledoit-wolf"}, seeds=1, model="gaussian")
    told = [w for w in result.document["warnings"] if "the shrinkage matters: with" in w]
    assert [note.rpartition("): ")[2] for note in told] == ["prefer --set shrinkage=auto"]
    chosen = sw.compare(near, seeds=1, model="gaussian").document
    assert not any("shrinkage" in w for w in chosen["warnings"])
    plain = sw.compare(data, seeds=1, model="gaussian").document
    assert not any("shrinkage" in w for w in plain["warnings"])
    fitted = plain["strategies"]["separate"]["fitted"]["shrinkage"]
    assert len(fitted) == 3
    assert all(0 < a < 1 for a in fitted)


def test_edited_groups_are_another_run(tmp_path, monkeypatch):
    groups = tmp_path / "groups.csv"
    groups.write_text("source,group\ns0,x\ns1,x\n")
    run, strategies = tmp_path / "run", f"separate,groups:{groups}"
    sw.compare(gaussians(30), strategies=strategies, out=run, **QUICK)
    groups.write_text("source,group\ns0,x\ns2,x\n")
    with pytest.raises(sw.InputError, match="holds another run"):
        sw.compare(gaussians(30), strategies=strategies, out=run, **QUICK)


def test_a_run_that_lost_a_file_is_finished_again(finished, tmp_path):
    data, run = gaussians(30), tmp_path / "run"
    shutil.copytree(finished[1], run)
    before = (run / "scores.safetensors").read_bytes()
    (run / "scores.safetensors").unlink()
    with pytest.warns(UserWarning, match=r"scores.safetensors is not as it was written"):
        sw.compare(data, seeds=1, out=run, model="gaussian")
    assert (run / "scores.safetensors").read_bytes() == before
    (run / "result.json").write_text("[]")
    with pytest.raises(sw.InputError, match="is damaged"):
        sw.load(run)


def flipped(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]


def digit_changed(raw: bytes) -> bytes:
    place = max(raw.rfind(str(digit).encode()) for digit in range(1, 9))
    return raw[:place] + bytes([raw[place] + 1]) + raw[place + 1 :]


DAMAGE = {
    "bit": flipped,
    "digit": digit_changed,
    "cut": lambda raw: raw[: len(raw) // 2],
    "emptied": lambda raw: b"",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_no_damage_to_a_finished_run_is_used(tmp_path, damage):
    """Every file that is read back: refused in one line when used, made again by the same run."""
    data, run = gaussians(30), tmp_path / "run"
    quick = {**QUICK, "out": run}
    sw.compare(data, **quick)
    files = sorted(p for p in run.rglob("*") if p.suffix in (".json", ".safetensors"))
    before = {path: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(DAMAGE[damage](before[path]))
        if path.read_bytes() == before[path]:
            continue
        if path.name in ("result.json", "model.json", "model.safetensors"):
            with pytest.raises(sw.InputError, match="is damaged"):
                _ = sw.load(run).models
        with pytest.warns(UserWarning, match="is not as it was written: made again"):
            sw.compare(data, **quick)
        assert path.name == "manifest.json" or path.read_bytes() == before[path], path


@pytest.mark.parametrize("damage", DAMAGE)
def test_no_damage_to_a_finished_cell_is_used(finished, tmp_path, damage):
    """Between a kill and the resume: the cell is computed again, to the same result."""
    data, run = gaussians(30), tmp_path / "run"

    def kill(done: int, total: int) -> None:
        if (run / "cells").is_dir() and len(list((run / "cells").iterdir())) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sw.compare(data, seeds=1, out=run, progress=kill, model="gaussian")
    for path in (run / "cells").iterdir():
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    found = sw.compare(data, seeds=1, out=run, model="gaussian").document
    assert found == {**finished[0].document, "run": str(run)}


def test_what_cannot_be_fitted_leaves_no_folder(tmp_path):
    wide = Sources(Noise(0).normal(60, 40), torch.arange(60) % 2, "ab")
    for setting in ({"shrinkage": "none"}, {"specific": 41}):
        with pytest.raises(sw.InputError):
            sw.compare(wide, out=tmp_path / "run", set=setting, model="gaussian")
        assert not (tmp_path / "run").exists()


def test_scope_these_models_needs_rows_to_test_on():
    data = gaussians(5, K=2)
    with pytest.raises(sw.InputError, match="only 1 units to test on"):
        sw.compare(data, scope="these models", min_rows=5, model="gaussian")


def test_missing_cells_are_imputed_without_nan():
    frame = pd.DataFrame(as_table(gaussians(40).x).matrix().numpy(), columns=list("abc"))
    frame["source"] = gaussians(40).y.numpy()
    frame.loc[::7, "a"] = np.nan
    result = sw.compare(sw.read(frame), missing="impute", **QUICK)
    assert any("filled in for training" in text for text in result.document["warnings"])
    assert result.document["data"]["imputed_cells"] == 18


def test_the_time_estimate_is_of_the_right_size():
    prepared = prepare(gaussians(200), CompareSettings(seeds=1))
    prepared.seconds()  # warm
    start = time.process_time()
    plan = prepared.plan
    for cell in plan.cells:  # deletions are quicker
        evaluate_cell(plan, cell, plan.shared(cell.repetition))
    whole = time.process_time() - start
    assert whole / 5 < prepared.seconds() < 5 * whole


@pytest.mark.parametrize("scope", ["procedure", "these models"])
def test_errors_of_densities_widen_every_interval_and_never_average_out(scope, wine, monkeypatch):
    def macro() -> dict:
        result = sw.compare(wine, scope=scope, seeds=1, model="gaussian")
        (found,) = [d for d in result.document["differences"] if d["source"] == "macro"]
        return found

    before = macro()
    wrong_by(monkeypatch, 0.0, 0.25, 0.0)
    after = macro()
    assert after["difference"] == pytest.approx(before["difference"])
    assert after["high"] - before["high"] == pytest.approx(0.25)
    assert before["low"] - after["low"] == pytest.approx(0.25)
    assert after["p_holm"] > before["p_holm"] or before["p_holm"] == 1


def wrong_by(monkeypatch, *error: float) -> None:
    """Gaussians whose densities are said to be wrong: standard error, overstated, either way."""
    exact = Gaussian.log_density

    def told(self, batch, noise):
        shared = SharedError.of(torch.tensor([error]).expand(self.K, 3))
        return replace(exact(self, batch, noise), kind="estimate", shared=shared)

    monkeypatch.setattr(Gaussian, "log_density", told)
    monkeypatch.setattr(Sums, "of", lambda *_: None)  # rows, as where densities are estimates


def of_all(result: sw.Comparison, strategy: str) -> dict[str, dict]:
    return {d["source"]: d for d in result.document["differences"] if d["strategy"] == strategy}


def width(record: dict) -> float:
    return record["high"] - record["low"]


def test_errors_that_go_either_way_add_up_over_both_arms(monkeypatch):
    data = sw.read("wine", columns=["ash", "hue"])
    before = of_all(sw.compare(data, scope="these models", seeds=1, model="gaussian"), "pooled")[
        "macro"
    ]
    wrong_by(monkeypatch, 0.0, 0.0, 0.25)
    after = of_all(sw.compare(data, scope="these models", seeds=1, model="gaussian"), "pooled")[
        "macro"
    ]
    assert width(after) - width(before) == pytest.approx(2 * 2 * 0.25)


def test_errors_of_a_model_in_both_arms_cancel(monkeypatch):
    """Of three sources one is alone in both: two carry the errors of both arms, a third each; and
    a test is what compares two models, however sure."""
    data = sw.read("wine", columns=["ash", "hue"])
    options = {"strategies": ["groups:class_0+class_1", "separate"], "scope": "these models"}
    before = of_all(sw.compare(data, seeds=1, model="gaussian", **options), "groups")
    wrong_by(monkeypatch, 0.0, 0.0, 9.0)
    after = of_all(sw.compare(data, seeds=1, model="gaussian", **options), "groups")
    assert width(after["macro"]) - width(before["macro"]) == pytest.approx(2 * (2 / 3) * 2 * 9)
    assert (after["class_2"]["low"], after["class_2"]["high"]) == (0, 0)
    assert width(after["class_0"]) - width(before["class_0"]) == pytest.approx(2 * 2 * 9)


def test_holm_counts_tests_that_normalisers_hide(wine, monkeypatch):
    families = []
    whole = verdict.holm
    monkeypatch.setattr(verdict, "holm", lambda p: families.append(len(p)) or whole(p))
    wrong_by(monkeypatch, 0.0, 0.0, 9.0)
    sw.compare(wine, strategies=["groups:class_0+class_1", "separate"], **QUICK)
    # Of differences and of equivalences; class_2 is in the same model in both.
    assert sorted(families) == [1, 1, 2, 2]


def test_errors_of_normalisers_widen_beta(wine, of_wine, monkeypatch):
    before = of_wine.document
    wrong_by(monkeypatch, 0.0, 0.1, 0.0)
    after = sw.compare(wine, seeds=2, model="gaussian").document
    assert after["beta_hat"]["value"] == pytest.approx(before["beta_hat"]["value"])
    records = before["strategies"]["separate"]["per_source"]
    sizes = np.array([r["n_test"] for r in records.values()])
    train, test = (
        np.array([r["metrics"][name]["mean"] for r in records.values()]) @ sizes / sizes.sum()
        for name in ("train_log_likelihood", "log_likelihood")
    )
    per_gain = 3 / 2 / ((train - test) / 2)
    wider = width(after["beta_hat"]) - width(before["beta_hat"])
    assert wider == pytest.approx(2 * 0.1 * per_gain)


def test_folds_have_normalisers_of_their_own(wine, of_wine, monkeypatch):
    """Five folds and two repetitions: ten simulations in each arm; biases stay."""
    before = of_all(of_wine, "pooled")
    wrong_by(monkeypatch, 3.0, 0.0, 0.0)
    after = of_all(sw.compare(wine, seeds=2, model="gaussian"), "pooled")
    more = after["class_0"]["standard_error"] ** 2 - before["class_0"]["standard_error"] ** 2
    assert more == pytest.approx(2 * 3.0**2 / 10)
