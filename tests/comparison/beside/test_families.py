"""Several families beside each other: one set of test rows, one best pair."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import sourcewise as sw
from sourcewise.comparison.beside.prepare import named_families, prepare_families
from sourcewise.comparison.beside.run import FamiliesRun, Outcomes
from sourcewise.comparison.compare import CompareSettings, ready
from sourcewise.comparison.plan import Plan
from sourcewise.comparison.run import ComparisonRun
from sourcewise.errors import InputError
from sourcewise.files import read_tensors
from sourcewise.fitting.execute import execute
from sourcewise.forms import Column, Table, as_table
from sourcewise.sources import Sources

SET = {
    "table.updates": 10,
    "table.passes": 1,
    "table.width": 8,
    "table.layers": 0,
    "table.bins": 4,
}
NAMES = ("north", "south", "west")
GIVEN = {"model": "gaussian,table", "set": SET, "seeds": 2}


def sample(n: int = 40) -> Sources:
    """Three sources of two columns, skewed, with other means."""
    rng = np.random.default_rng(0)
    y = torch.arange(3).repeat_interleave(n)
    x = rng.standard_gamma(3.0, (3 * n, 2)) + y.numpy()[:, None]
    columns = {"a": torch.from_numpy(x[:, 0]), "b": torch.from_numpy(x[:, 1] + 0.5 * x[:, 0])}
    return Sources(Table(columns, (Column("a"), Column("b"))), y, NAMES, name="places")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beside") / "run"
    return sw.compare(sample(), out=folder, **GIVEN), folder


def test_levels_are_means_of_the_common_test_rows(run):
    result, folder = run
    levels = {(x["family"], x["strategy"]): x for x in result.document["families"]}
    assert set(levels) == {(f, s) for f in ("gaussian", "table") for s in ("pooled", "separate")}
    means = {}
    for family, strategy in levels:
        tensors = read_tensors(folder / "families" / family / "scores.safetensors")
        test = tensors["fold"][0] == 0
        rows = tensors[f"log_likelihood/{strategy}"]
        rows = rows[:1] if family == "gaussian" else rows
        by_source = [rows[:, test & (tensors["source"] == k)].mean() for k in range(3)]
        means[family, strategy] = float(torch.stack(by_source).mean())
        assert levels[family, strategy]["mean"] == pytest.approx(means[family, strategy])
    best = result.document["best"]
    pair, over = (best["family"], best["strategy"]), best["runner_up"]
    lead = means[pair] - means[over["family"], over["strategy"]]
    assert best["difference"] == pytest.approx(lead, abs=1e-9)
    assert best["low"] <= best["difference"] <= best["high"]
    assert 0 <= best["p"] <= 1
    assert 0 <= best["steady"] <= best["folds"] == 5


def test_all_else_is_of_the_best_family(run):
    result, folder = run
    best = result.document["best"]
    own = json.loads((folder / "families" / best["family"] / "result.json").read_text())
    for key in ("verdict", "run", "warnings", "families", "family_verdicts", "best", "digest"):
        own.pop(key, None)
    assert {key: result.document[key] for key in own} == own
    assert result.document["verdict"]["recommended"] == best["strategy"]
    assert result.document["settings"]["model"] == best["family"]
    models = sw.load(folder).models
    assert set(models) == {"pooled", "separate"}
    assert len(sw.sample(folder, n=2, seed=1).y) == 6


def test_every_family_has_its_verdict(run):
    result, folder = run
    for verdict in result.document["family_verdicts"]:
        own = json.loads((folder / "families" / verdict["family"] / "result.json").read_text())
        assert verdict["overall"] == own["verdict"]["overall"]
        assert verdict["recommended"] == own["verdict"]["recommended"]
    assert {v["family"] for v in result.document["family_verdicts"]} == {"gaussian", "table"}


def test_it_prints_and_reports_all_of_them(run, tmp_path):
    result, _ = run
    text, best = str(result), result.document["best"]
    assert f"recommended: {best['strategy']} {best['family']}" in text
    assert "families on the same test rows" in text
    told = result.result.best
    pairs = [(ahead.family, ahead.strategy) for ahead in told.behind]
    assert pairs[0] == (told.runner_up.family, told.runner_up.strategy)
    assert len(set(pairs)) == len(pairs)
    same = replace(told, default=replace(told.runner_up, p=0.5))
    assert len(same.behind) == 1
    page = sw.report(result, tmp_path / "page.html").read_text()
    assert "Families beside each other" in page
    assert "Alone it says" in page


def test_a_finished_run_is_read_and_a_killed_one_goes_on(run, tmp_path, monkeypatch):
    result, folder = run
    again = sw.compare(sample(), out=folder, **GIVEN)
    assert again.document == result.document

    class Killed(Exception):
        pass

    splits, calls = Plan.splits, []

    def once(plan, cell, fold):
        calls.append(plan.job.family.name)
        if calls.count("table") > 2:
            raise Killed
        return splits(plan, cell, fold)

    monkeypatch.setattr(Plan, "splits", once)
    with pytest.raises(Killed):
        sw.compare(sample(), out=tmp_path / "run", **GIVEN)
    monkeypatch.setattr(Plan, "splits", splits)
    assert not (tmp_path / "run" / "result.json").exists()
    resumed = sw.compare(sample(), out=tmp_path / "run", **GIVEN)
    keys = ("families", "best", "differences", "verdict")
    assert [resumed.document[k] for k in keys] == [result.document[k] for k in keys]


def test_exact_families_are_cross_validated_together():
    """With one scope for all, every row is scored, and intervals are those of the jackknife."""
    data = sample()
    settings = {**GIVEN, "scope": "these models", "seeds": 1}
    result = sw.compare(data, **settings)
    assert result.document["scope"] == "these models"
    found = {x["strategy"]: x["mean"] for x in result.document["families"]}
    assert all(np.isfinite(list(found.values())))


def test_rows_without_columns_are_compared_beside_each_other_too():
    """Every family makes a table of its own of them."""
    data = sample()
    plain = replace(data, x=as_table(data.x).matrix())
    quick = {"model": "gaussian,mixture", "scope": "these models", "seeds": 1}
    found = sw.compare(plain, **quick).document["best"]
    wanted = sw.compare(data, **quick).document["best"]
    assert found == wanted


def test_families_use_the_columns_that_all_can_use():
    data = sample()
    x = as_table(data.x)
    step = (data.y == 0).double()  # constant within each source: no density can use it
    more = Table({**x.columns, "step": step}, (*x.schema, Column("step")))
    run = ready(replace(data, x=more), CompareSettings.changed(None, GIVEN))
    assert isinstance(run, FamiliesRun)
    assert any("table goes without 'step'" in note for note in run.prepared.notes)
    assert {as_table(m.job.data.x).names for m in run.prepared.members} == {("a", "b")}


def test_settings_go_to_the_families_that_have_them():
    settings = {"table.width": 16, "shrinkage": "none", "gaussian.covariance": "diagonal"}
    asked = CompareSettings.changed(None, {"model": "gaussian,table", "set": settings})
    prepared = prepare_families(sample(), asked, named_families(sample(), asked))
    gaussian, table = (member.job.settings.model_dump() for member in prepared.members)
    assert (gaussian["shrinkage"], gaussian["covariance"]) == ("none", "diagonal")
    assert table["width"] == 16


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "gaussian,gausian"}, "no family 'gausian': did you mean 'gaussian'?"),
        ({"model": "gaussian,gaussian"}, "'gaussian' is named twice"),
        ({"model": ","}, "no family ','"),
        ({"budget": 2}, "--budget 2: it is of --model auto"),
        ({"model": "auto", "set": {"spline-flow.width": 0}}, "spline-flow: setting width: not 0"),
        ({"set": {"width": 8, "colour": 1}}, "no setting 'colour'"),
        ({"set": {"gaussian.width": 8}}, "gaussian: no setting 'width'"),
        ({"set": {"energy.width": 8}}, "no family 'energy'"),
        ({"set": {"table.width": "wide"}}, "table: setting width: not 'wide'"),
        ({"model": "gaussian,transformer", "set": {}}, "transformer: "),
    ],
)
def test_bad_requests_are_refused_in_one_line(changes, words):
    with pytest.raises(InputError) as error:
        sw.compare(sample(), **{**GIVEN, **changes})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_auto_and_all_take_those_that_suit():
    data = sample()
    for model in ("auto", "all"):
        every = [item.name for item in named_families(data, CompareSettings(model=model))]
        assert every[:3] == ["gaussian", "mixture", "table"]
        assert ({"diffusion", "flow"} <= set(every)) == (model == "all")
    x = as_table(data.x)
    codes, column = torch.arange(len(data)) % 3, Column("kind", "category", ("u", "v", "w"))
    mixed = Table({**x.columns, "kind": codes}, (*x.schema, column))
    named = named_families(replace(data, x=mixed), CompareSettings(model="all"))
    assert [item.name for item in named] == ["table"]


def test_a_metric_decides_that_all_families_offer():
    few = {"updates": 3, "passes": 1, "check": 2, "width": 8}
    found = sw.compare(sample(), model="gaussian,flow", set=few, seeds=1).document
    assert found["primary_metric"] == "log_likelihood"
    assert {level["family"] for level in found["families"]} == {"gaussian", "flow"}


def test_auto_sets_families_beside_each_other():
    few = {"updates": 10, "passes": 1, "check": 2, "width": 8}
    found = sw.compare(sample(), set=few, seeds=1).document
    names = {level["family"] for level in found["families"]}
    assert {"gaussian", "mixture", "table"} <= names
    assert found["best"]["family"] in names


def test_of_very_many_rows_auto_takes_the_first_alone():
    data = sample()  # of 120 rows
    settings = CompareSettings(seeds=1, budget=1e-3, set={"table.width": 8})
    run = ready(data, settings)
    assert isinstance(run, ComparisonRun)
    assert run.prepared.job.family.name == "gaussian"
    found = execute(run).document
    note = "no time for other families (mixture, table, spline-flow): 120 rows, and --budget 0.001"
    assert any(note in line for line in found["warnings"])
    assert isinstance(ready(data, settings.model_copy(update={"budget": 1.0})), FamiliesRun)


def test_unequal_seeds_are_compared_on_those_that_all_trained_families_have():
    """As a budget may leave them."""
    small = {"updates": 10, "passes": 1, "check": 2, "width": 8}
    settings = CompareSettings(model="gaussian,table,spline-flow", set=small, seeds=2)
    run = ready(sample(), settings)
    assert isinstance(run, FamiliesRun)
    table = run.runs["table"].repeated(1)
    every = {name: each.more(None, None, None) for name, each in run.runs.items()}
    fewer = {**every, "table": table.more(None, None, None)}
    found = {
        1: run.result(Outcomes({**run.runs, "table": table}, fewer, ())).document,
        2: run.result(Outcomes(run.runs, every, ())).document,
    }
    names = [(level["family"], level["strategy"]) for level in found[2]["families"]]
    assert set(names) == {(f, s) for f in run.runs for s in ("pooled", "separate")}
    one, two = ([level["mean"] for level in found[n]["families"]] for n in (1, 2))
    assert one[:2] == pytest.approx(two[:2])  # the Gaussian's
    assert all(a != b for a, b in zip(one[2:], two[2:], strict=True))


def test_families_without_a_rival_to_the_baseline_are_left_out():
    asked = CompareSettings(strategies="separate,fine-tuned", seeds=1)
    prepared = prepare_families(sample(), asked, named_families(sample(), asked))
    assert "gaussian" not in prepared.by_name
    assert "mixture" not in prepared.by_name
    note = "the family gaussian was left out: of separate,fine-tuned it has separate alone"
    assert note in prepared.made_alike
    named = {"model": "gaussian,table", "strategies": "separate,fine-tuned", "set": {}}
    with pytest.raises(InputError, match="gaussian: of separate,fine-tuned it has separate alone"):
        sw.compare(sample(), **named)


def test_fine_tuning_is_asked_of_those_that_are_trained():
    strategies = "pooled,separate,partial,fine-tuned"
    asked = CompareSettings.changed(None, {**GIVEN, "strategies": strategies})
    prepared = prepare_families(sample(), asked, named_families(sample(), asked))
    found = [[s.name for s in member.job.strategies] for member in prepared.members]
    assert found == [["pooled", "separate", "partial"], ["pooled", "separate", "fine-tuned"]]
    exact = {**GIVEN, "model": "gaussian,mixture", "set": {}, "strategies": "separate,fine-tuned"}
    with pytest.raises(InputError, match="strategy fine-tuned: gaussian is fitted exactly"):
        sw.compare(sample(), **exact)


def test_partial_pooling_is_asked_of_those_that_can_do_it():
    strategies = "pooled,separate,partial"
    asked = CompareSettings.changed(None, {**GIVEN, "strategies": strategies})
    prepared = prepare_families(sample(), asked, named_families(sample(), asked))
    found = [[s.name for s in member.job.strategies] for member in prepared.members]
    assert found == [["pooled", "separate", "partial"], ["pooled", "separate"]]
    with pytest.raises(InputError, match="table has no partial pooling"):
        sw.compare(sample(), **{**GIVEN, "model": "table", "set": {}, "strategies": strategies})
