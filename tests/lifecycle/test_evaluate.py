"""New rows under saved models: matched by name, scored as any other row, refused in one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.families.base import SharedError
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.files import write_json
from sourcewise.forms import Ragged

from .conftest import SMALL

FAST = {"updates": 30, "passes": 1, "batch": 32}


def macro(evaluation, strategy="pooled"):
    return evaluation.document["strategies"][strategy]["macro"]["log_likelihood"]


def test_a_gaussian_scores_as_its_density_says(tmp_path):
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(400) % 2
    data = sw.Sources(x, y, ("a", "b"))
    trained = sw.train(data.take(torch.arange(300)), set={"shrinkage": "none"})
    new = data.take(torch.arange(300, 400))
    found = sw.evaluate(trained, new)
    old, rows = x[:300], torch.empty(100, dtype=torch.float64)
    means = torch.stack([old[y[:300] == k].mean(0) for k in (0, 1)])
    residuals = old - means[y[:300]]
    normal = torch.distributions.MultivariateNormal(
        torch.zeros(2, dtype=torch.float64), residuals.T @ residuals / 300
    )
    rows = normal.log_prob(x[300:] - means[new.y])
    assert np.allclose(found.rows["pooled"], rows)
    for k, name in enumerate("ab"):
        entry = found.document["strategies"]["pooled"]["per_source"][name]
        own, ends = rows[new.y == k], entry["metrics"]["log_likelihood"]
        assert entry["n_test"] == 50
        assert ends["mean"] == pytest.approx(float(own.mean()))
        assert ends["standard_error"] == pytest.approx(float(own.std() / 50**0.5))
    assert found.document["warnings"] == []


def test_text_is_scored_per_symbol_and_the_difference_is_of_the_same_rows(words, tmp_path):
    held = torch.arange(90) >= 60
    result = sw.compare(words.take(~held), seeds=1, set=SMALL, out=tmp_path / "run")
    found = sw.evaluate(tmp_path / "run", words.take(held))
    sizes = words.take(held).x.lengths.numpy() + 1
    y = words.y[held].numpy()
    levels = {
        name: [rows[y == k].sum() / sizes[y == k].sum() for k in range(3)]
        for name, rows in found.rows.items()
    }
    assert macro(found)["mean"] == pytest.approx(np.mean(levels["pooled"]))
    last = found.document["differences"][-1]
    assert (last["source"], last["strategy"], last["baseline"]) == ("macro", "pooled", "separate")
    assert last["difference"] == pytest.approx(
        np.mean(levels["pooled"]) - np.mean(levels["separate"])
    )
    assert last["low"] < last["difference"] < last["high"]
    assert found.document["metrics"]["log_likelihood"]["unit"] == "nats per symbol"
    assert found.document["scope"] == "these models on these rows"
    assert set(found.rows) == set(result.document["strategies"])
    one = sw.evaluate(tmp_path / "run", words.take(held), strategies=["separate"])
    assert list(one.rows) == ["separate"]
    assert one.document["differences"] == []
    assert np.array_equal(one.rows["separate"], found.rows["separate"])


def test_sources_and_columns_are_matched_by_name(frame):
    trained = sw.train(sw.read(frame, source="site"), model="table", set=FAST, strategy="separate")
    some = frame[frame["site"] == "south"][["kind", "site", "age", "dose"]].assign(extra=1)
    found = sw.evaluate(trained, sw.read(some, source="site"))
    whole = sw.evaluate(trained, sw.read(frame, source="site"))
    # A row's noise is keyed by its place: same rows, other places; only ties differ.
    assert found.rows["separate"].shape == (60,)
    assert abs(found.rows["separate"].mean() - whole.rows["separate"][60:].mean()) < 0.1
    assert [s["rows"] for s in found.document["data"]["sources"]] == [0, 60]


def test_rows_that_the_models_know_are_pointed_out(words, tmp_path):
    sw.train(words, set=SMALL, out=tmp_path / "train")
    sw.compare(words, set=SMALL, seeds=1, out=tmp_path / "compare")
    for run in ("train", "compare"):
        warned = sw.evaluate(tmp_path / run, words).document["warnings"]
        assert any("the very rows" in text for text in warned)
        warned = sw.evaluate(tmp_path / run, words.take(torch.arange(30))).document["warnings"]
        assert any("30 of 30 texts (100%) equal one" in text for text in warned)
        other = sw.Sources(words.x, (words.y + 1) % 3, words.names)
        warned = sw.evaluate(tmp_path / run, other).document["warnings"]
        assert not any("equal" in text for text in warned)


def test_the_rows_are_known_without_a_column_that_was_left_out(frame, tmp_path):
    numbers = frame.drop(columns="kind").dropna().assign(code=lambda f: f["site"].map(len))
    numbers.to_csv(tmp_path / "a.csv", index=False)
    trained = sw.train(sw.read(tmp_path / "a.csv", source="site"), out=tmp_path / "run")
    assert [item["column"] for item in trained.document["data"]["left_out"]] == ["code"]
    warned = sw.evaluate(tmp_path / "run", tmp_path / "a.csv").document["warnings"]
    assert any("these are the very rows" in text for text in warned)


def test_averages_are_over_the_sources_that_all_strategies_score(words, tmp_path):
    few = (words.y != 2) | (torch.arange(90) < 12)  # 4 rows of the last source
    sw.compare(words.take(few), seeds=1, set=SMALL, out=tmp_path / "run")
    found = sw.evaluate(tmp_path / "run", words)
    levels = {name: macro(found, name) for name in ("pooled", "separate")}
    last = found.document["differences"][-1]
    assert last["difference"] == pytest.approx(
        levels["pooled"]["mean"] - levels["separate"]["mean"]
    )
    assert set(found.document["strategies"]["pooled"]["per_source"]) == {"one", "two", "three"}
    assert found.document["strategies"]["pooled"]["macro"]["sources"] == ["one", "two"]
    assert any("left out 'three'" in text for text in found.document["warnings"])
    only = sw.evaluate(tmp_path / "run", words.take(words.y == 2))
    assert only.document["differences"][-1]["difference"] is None
    assert "no average" in str(only)


def test_unknown_rows_are_named_and_skipped_on_request(frame, tmp_path):
    table = sw.train(sw.read(frame, source="site"), model="table", set=FAST)
    new = frame.copy()
    new.loc[[2, 8, 9], "kind"] = "deadly"
    new.loc[[9, 119], "site"] = "west"
    with pytest.raises(InputError) as refused:
        sw.evaluate(table, sw.read(new, source="site"))
    assert str(refused.value).split(": ", 1)[1] == (
        "4 of 120 rows cannot be scored: a source that no model knows (known: north, south): "
        "'west' (rows 10, 120); a category of 'kind' that training never saw (known: mild, none, "
        "severe): 'deadly' (rows 3, 9, 10); --unknown skip leaves these rows out"
    )
    found = sw.evaluate(table, sw.read(new, source="site"), unknown="skip")
    rest = new.drop([2, 8, 9, 119])
    alone = sw.evaluate(table, sw.read(rest, source="site"))
    assert np.array_equal(found.rows["pooled"], alone.rows["pooled"])
    assert found.document["data"]["rows"] == 116
    assert found.document["settings"]["unknown"] == "skip"
    assert found.document["skipped"] == {
        "rows": 4,
        "unknown": [
            {
                "kind": "source",
                "column": None,
                "value": "west",
                "rows": 2,
                "first": [10, 120],
                "place": "row 10",
            },
            {
                "kind": "category",
                "column": "kind",
                "value": "deadly",
                "rows": 3,
                "first": [3, 9, 10],
                "place": "row 3",
            },
        ],
    }
    assert "4 rows left out, and not scored: a source that no model knows: 'west'" in str(found)
    assert "skipped" not in alone.document
    with pytest.raises(InputError, match="can score no row"):
        sw.evaluate(table, sw.read(frame.assign(kind="other"), source="site"), unknown="skip")
    with pytest.raises(InputError, match="allowed are refuse, skip"):
        sw.evaluate(table, sw.read(frame, source="site"), unknown="drop")  # pyright: ignore[reportArgumentType]


def test_unknown_symbols_are_skipped(symbols):
    arm = sw.train(symbols, model="arm", set={"passes": 1})
    x = symbols.x.clone()
    x[7, 2], x[7, 3], x[50, 0] = 5, 5, 9
    found = sw.evaluate(arm, sw.Sources(x, symbols.y, symbols.names), unknown="skip")
    assert [v["value"] for v in found.document["skipped"]["unknown"]] == ["5", "9"]
    assert [v["first"] for v in found.document["skipped"]["unknown"]] == [[8], [51]]
    assert len(found.rows["pooled"]) == 118


def test_what_the_models_do_not_know(words, symbols, frame):
    texts = sw.train(words, set=SMALL)
    with pytest.raises(InputError, match="no model knows .known: one, two, three.: 'four'"):
        sw.evaluate(texts, sw.Sources(words.x, words.y, ("one", "two", "four")))
    strange = sw.Sources(Ragged.of_strings(["abc☃", "cab"]), torch.tensor([0, 0]), ("one",))
    found = sw.evaluate(texts, strange)
    assert any("1 of 7 characters are unknown" in text for text in found.document["warnings"])
    assert any("fewer than 10 rows" in text for text in found.document["warnings"])
    with pytest.raises(InputError, match="no text"):
        sw.evaluate(texts, sw.Sources(symbols.x, symbols.y, ("one", "two")))
    arm = sw.train(symbols, model="arm", set={"passes": 1})
    with pytest.raises(InputError, match="can score no row: .* '3' .rows 1, 2, 3, 4, 5 and"):
        sw.evaluate(arm, sw.Sources(symbols.x + 2, symbols.y, symbols.names))
    with pytest.raises(InputError, match="rows of 4 symbols, not 5"):
        sw.evaluate(arm, sw.Sources(symbols.x[:, :4], symbols.y, symbols.names))
    table = sw.train(sw.read(frame, source="site"), model="table", set=FAST)
    bad = frame.assign(kind="deadly")
    with pytest.raises(InputError, match="categor.* 'kind' that training never saw .*'deadly'"):
        sw.evaluate(table, sw.read(bad, source="site"))
    with pytest.raises(InputError, match="no column 'dose'"):
        sw.evaluate(table, sw.read(frame.drop(columns="dose"), source="site"))
    with pytest.raises(InputError, match="'dose' has a missing value .row 1."):
        sw.evaluate(table, sw.read(frame.assign(dose=[np.nan] + [1.0] * 119), source="site"))
    with pytest.raises(InputError, match="'dose' is read as category"):
        sw.evaluate(table, sw.read(frame.assign(dose="a"), source="site"))


def test_numbers_with_gaps_and_logarithms(frame):
    numbers = frame.drop(columns="kind").dropna().assign(dose=lambda f: f["dose"].abs() + 0.1)
    trained = sw.train(sw.read(numbers, source="site"), log=("dose",))
    gaps = numbers.copy()
    gaps.iloc[0, 2] = np.nan
    with pytest.raises(InputError, match="missing values .age 1; .* --missing drop"):
        sw.evaluate(trained, sw.read(gaps, source="site"))
    dropped = sw.evaluate(trained, sw.read(gaps, source="site"), missing="drop")
    assert len(dropped.rows["pooled"]) == len(gaps) - 1
    observed = sw.evaluate(trained, sw.read(gaps, source="site"), missing="impute")
    assert np.isfinite(observed.rows["pooled"]).all()
    negative = numbers.assign(dose=[-1.0] + [1.0] * (len(numbers) - 1))
    with pytest.raises(InputError, match="--log dose: 1 values are not above 0"):
        sw.evaluate(trained, sw.read(negative, source="site"))


def test_gaps_of_mixed_tables_are_scored_or_not_as_the_run_says(frame):
    """Left out of scores: a row without one column scores as its other columns, and draws none."""
    data = sw.read(frame, source="site")
    assert frame["kind"].isna().any() or frame["age"].isna().any()
    first = {"set": FAST | {"order": "given"}, "model": "table"}
    valued, observed = sw.train(data, **first), sw.train(data, missing="impute", **first)
    assert observed.document["settings"]["missing"] == "impute"
    assert any("scored on their observed columns" in w for w in observed.document["warnings"])
    assert any("a value of their own" in w for w in valued.document["warnings"])
    drawn = sw.sample(observed, n=200).frame()
    assert not drawn.isna().any().any()
    with pytest.raises(InputError, match="missing values"):
        sw.evaluate(observed, data, missing="refuse")
    found = sw.evaluate(observed, data)
    assert any("scored on their observed columns" in w for w in found.document["warnings"])
    assert np.isfinite(found.rows["pooled"]).all()


def test_data_is_read_as_the_run_read_its_own(frame, tmp_path):
    numbers = frame.assign(kind=1).rename(columns={"kind": "code"})
    numbers["code"] = np.arange(120) % 3
    numbers.assign(junk="x").to_csv(tmp_path / "a.csv", index=False)
    data = sw.read(tmp_path / "a.csv", source="site", ignore=["junk"], types={"code": "category"})
    trained = sw.train(data, model="table", set=FAST, out=tmp_path / "run")
    numbers[::2].to_csv(tmp_path / "b.csv", index=False)  # no column junk here
    found = sw.evaluate(tmp_path / "run", tmp_path / "b.csv")
    assert found.document["data"]["rows"] == 60
    assert trained.document["data"]["columns"][2]["kind"] == "category"
    other = numbers.rename(columns={"site": "place"})
    other.to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(InputError, match="no column 'site'"):
        sw.evaluate(tmp_path / "run", tmp_path / "c.csv")
    found = sw.evaluate(tmp_path / "run", tmp_path / "c.csv", source="place")
    assert found.rows["pooled"].size == 120


def test_runs_that_cannot_be_used(tmp_path, words):
    with pytest.raises(InputError, match="no run folder"):
        sw.load(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no run"):
        sw.load(tmp_path)
    write_json(tmp_path / "result.json", {"name": "fig1", "cells": []})
    with pytest.raises(InputError, match="a run without models .of 'fig1'.: allowed are compare"):
        sw.load(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        sw.load(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "note", "other"])
def test_damaged_models_are_one_line(tmp_path, symbols, damage):
    run = tmp_path / "run"
    sw.train(symbols, model="arm", set={"passes": 1}, out=run)
    path = run / "models" / "pooled" / "model.safetensors"
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(raw[:-10])
    elif damage == "flip":
        raw[-5] ^= 1
        path.write_bytes(raw)
    elif damage == "gone":
        path.unlink()
    elif damage == "note":
        (path.parent / "model.json").write_text("{}")
    else:
        (run / "models" / "pooled").rename(run / "models" / "separate")
    with pytest.raises(InputError, match="damaged|no file|lacks the models") as found:
        sw.evaluate(run, symbols)
    assert len(str(found.value).splitlines()) == 1


def test_errors_of_simulated_normalisers_are_told_of_all_strategies(box):
    small = {"embedding": 2, "width": 8, "updates": 10, "passes": 1, "negatives": 4}
    annealing = {"temperatures": 10, "particles": 16}
    run = sw.compare(box, model="energy", set={**small, **annealing}, seeds=1)
    found = sw.evaluate(run, box)
    (told,) = (w for w in found.document["warnings"] if w.startswith("normalisers come"))
    assert " nats (pooled), " in told
    assert " nats (separate) " in told
    assert "training with" in told  # evaluate itself has no --set
    metric = found.document["metrics"]["log_likelihood"]
    shared = "over rows and of the normaliser, whose error all rows of a source share"
    assert metric["standard_error"] == shared
    assert metric["intervals"].endswith("what normalisers may be wrong by beyond them")
    assert found.document["strategies"]["separate"]["resolved"]["objective"] == "nce"
    assert f"± standard error {shared}" in " ".join(str(found).split())


def test_without_such_errors_there_is_no_word_of_them():
    wine = sw.read("wine")
    found = sw.evaluate(sw.train(wine), wine)
    metric = found.document["metrics"]["log_likelihood"]
    assert (metric["standard_error"], metric["intervals"]) == ("over rows", "standard errors")
    assert "normaliser" not in str(found)


def difference(evaluation, source, strategy="groups"):
    rows = evaluation.document["differences"]
    (row,) = (d for d in rows if (d["source"], d["strategy"]) == (source, strategy))
    return row


def test_errors_of_a_model_in_both_strategies_cancel(monkeypatch):
    """Quadrature may err either way in both models: sources add up, but not one that shares its
    model, where log Z cancels."""
    wine = sw.read("wine", columns=["ash", "hue"])
    strategies = ["groups:class_0+class_1", "separate"]
    run = sw.compare(wine, model="gaussian", strategies=strategies, seeds=1)
    before = sw.evaluate(run, wine)
    exact = Gaussian.log_density

    def told(self, batch, noise):
        shared = SharedError.of(torch.tensor([[0.0, 0.0, 0.25]]).expand(self.K, 3))
        return replace(exact(self, batch, noise), kind="estimate", shared=shared)

    monkeypatch.setattr(Gaussian, "log_density", told)
    after = sw.evaluate(run, wine)
    for source, more in (("class_0", 0.5), ("class_2", 0.0), ("macro", 2 / 3 * 0.5)):
        one, two = difference(before, source), difference(after, source)
        assert two["high"] - one["high"] == pytest.approx(more)
        assert one["low"] - two["low"] == pytest.approx(more)
    metric = after.document["metrics"]["log_likelihood"]
    assert metric["intervals"].endswith("what normalisers may be wrong by beyond them")
