"""What settings leave open is chosen by training rows, and a verdict that hangs on one says so."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import Cell
from sourcewise.comparison.summed import _fits
from sourcewise.encoders.numeric import NumericCoding, NumericEncoder, NumericRows
from sourcewise.families.gaussian.closed_form import Solution, solve_moments
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.gaussian.shrinkage import Shrinkage, choices, ledoit_wolf_intensity
from sourcewise.moments import MomentParts
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.truths.gaussian import paper_gaussian

K, D, N, PARTS = 3, 4, 240, 4
Y = Noise(0).of("y").integers(K, N)
PART = Noise(0).of("part").integers(PARTS, N)
NAMES = ("a", "b", "c")


def numeric(rows: Any) -> NumericRows:
    """Prepared rows of a table of numbers."""
    assert isinstance(rows, NumericRows)
    return rows


def rows(seed: int = 0) -> torch.Tensor:
    mix = Noise(seed).of("mix").normal(K, D, D)
    return (mix[Y] @ Noise(seed).of("z").normal(N, D, 1)).squeeze(2) + Y[:, None]


def shrunk(way: Shrinkage, residuals: np.ndarray) -> np.ndarray:
    """A covariance by hand, from the residuals of its rows."""
    S, n = residuals.T @ residuals / len(residuals), len(residuals)
    if way.rows is None:
        fourth = (residuals**2).sum(1) ** 2
        of = torch.tensor(S)[None], torch.tensor(fourth.sum())[None], torch.tensor([float(n)])
        a = float(ledoit_wolf_intensity(*of))
    else:
        a = way.rows / (way.rows + n)
    T = np.diag(np.diag(S)) if way.target == "diagonal" else np.trace(S) / D * np.eye(D)
    return (1 - a) * S + a * T


def by_hand(x: np.ndarray, y: np.ndarray, part: np.ndarray, ways) -> np.ndarray:
    """The mean of all choices, weighed by what models fitted to rows predict of other rows."""
    scores = np.zeros(len(ways))
    for p in range(PARTS):
        known, unknown = part != p, part == p
        means = np.stack([x[known & (y == k)].mean(0) for k in range(y.max() + 1)])
        for c, way in enumerate(ways):
            covariance = shrunk(way, (x - means[y])[known])
            for k in range(len(means)):
                mine = unknown & (y == k)
                scores[c] += multivariate_normal(means[k], covariance).logpdf(x[mine]).sum()
    weights = np.exp(scores - scores.max())
    means = np.stack([x[y == k].mean(0) for k in range(y.max() + 1)])
    each = [shrunk(way, x - means[y]) for way in ways]
    return np.tensordot(weights / weights.sum(), np.stack(each), 1)


def test_choices_weigh_what_they_predict_of_rows():
    """From rows and from sums, for one block of all sources and for a block of each."""
    x, settings = rows(), GaussianSettings()
    ways = choices(settings, D)
    parts = MomentParts.of(x, Y, PART, K)
    whole = parts.where(torch.ones(PARTS, dtype=torch.bool))
    by_part = parts.grouped(torch.arange(PARTS), PARTS)
    for partition in (Partition.pooled(K), Partition.separate(K)):
        found = solve_moments(settings, whole, partition, NAMES, by_part)
        for j, block in enumerate(partition):
            mine = torch.isin(Y, torch.tensor(block))
            y = torch.searchsorted(torch.tensor(block), Y[mine])
            expected = by_hand(x[mine].numpy(), y.numpy(), PART[mine].numpy(), ways)
            model = Gaussian(settings, K=len(block), d=D)
            names = tuple(NAMES[k] for k in block)
            model.choose(Batch.of(x[mine], y), PART[mine], names)
            model.fit_exactly(Batch.of(x[mine], y), names)
            for L in (model.scale_tril[0], found.scale_tril[j]):
                assert np.allclose((L @ L.T).numpy(), expected, rtol=1e-10, atol=1e-10)


def nearly_dependent(n_k: int = 150) -> Sources:
    """Like temperatures of a day: columns that nearly depend on each other, by source in turn."""
    noise = Noise(4)
    y = torch.arange(4 * n_k) % 4
    day = noise.of("day").normal(4 * n_k, 1)
    x = day + 0.05 * noise.of("own").normal(4 * n_k, 5)
    x[:, 4] = x[:, 0] + 0.01 * (1 + y) * noise.of("last").normal(4 * n_k)
    return Sources(x + y[:, None] % 2, y, list("abcd"), name="days")


def test_a_verdict_does_not_hang_on_shrinkage():
    """Ledoit-Wolf is best for entries of covariances: here it takes away what differs."""
    data = nearly_dependent()
    found = {
        shrinkage: sw.compare(data, set={"shrinkage": shrinkage}, seeds=1, model="gaussian")
        for shrinkage in ("ledoit-wolf", "none", "auto")
    }
    assert found["ledoit-wolf"].verdict["overall"] != "separate"
    assert found["none"].verdict["overall"] == found["auto"].verdict["overall"] == "separate"
    levels = {
        name: result.document["strategies"]["separate"]["macro"]["log_likelihood"]["mean"]
        for name, result in found.items()
    }
    assert levels["auto"] > levels["none"] - 0.01 > levels["ledoit-wolf"] + 1
    assert found["auto"].verdict["condition"] is None
    reason = found["ledoit-wolf"].verdict["reason"]
    assert reason.startswith(
        "with --set shrinkage=ledoit-wolf alone, as --set shrinkage=auto says 'separate': "
    )


def skewed(gaps: bool = False) -> Sources:
    """Columns above 0, a normal and a lognormal one with outliers."""
    noise, y = Noise(5), torch.arange(300) % 3
    x = noise.of("x").normal(300, 3)
    x[:, 1] = (x[:, 1] + 0.3 * y).exp()
    x[:, 2] = 20 + x[:, 2] + 0.5 * x[:, 1].log()
    if gaps:
        x[::29, 1] = torch.nan
    return Sources(x, y, list("abc"), name="skewed")


@pytest.mark.parametrize("gaps", [False, True])
def test_test_rows_have_no_part_in_any_choice(gaps):
    """Other values in test rows: the same encoder, and the same models bit for bit."""
    settings = CompareSettings(seeds=1, missing="impute" if gaps else "refuse")
    plan = prepare(skewed(gaps), settings).plan
    shared = plan.shared(0)
    test, rows, coding = shared.fold == 2, numeric(shared.rows), plan.job.coding
    assert isinstance(coding, NumericCoding)
    assert coding.open == (1,)
    values = rows.values.clone()
    values[test] = values[test] * 1.5 + 3
    other = replace(shared, rows=replace(rows, values=values), sums=None)
    split = list(plan.splits(Cell(0, None), shared.fold))[2]
    found = [_models(plan, each, split) for each in (shared, other)]
    for one, same in zip(*found, strict=True):
        assert all(torch.equal(one[name], same[name]) for name in one)
    weights = found[0][-1]["blocks.0.weights"]
    assert float(weights.sum()) == pytest.approx(1)
    assert len(weights) > 1


def _models(plan, shared, split):
    """What the strategies of a split come to: the tensors of their models and of the encoder."""
    from sourcewise.fitting.job import Work
    from sourcewise.fitting.strategy import Encoded, fit_strategy

    encoded = Encoded.of(plan.job, shared.rows, split)
    encoder = encoded.encoders.x
    assert isinstance(encoder, NumericEncoder)
    assert encoder.columns[1].log
    out = [{"mean": encoder.mean, "scale": encoder.scale}]
    for strategy in plan.job.strategies:
        work = Work(Noise(0))
        trained = fit_strategy(plan.job, strategy, encoded, split, plan.job.data.y, work)
        out.append(dict(trained.model.named_buffers()))
    return out


def test_test_parts_have_no_part_in_sums():
    """Likewise where fits are made from sums: only the sums of training parts are used."""
    plan = prepare(skewed(), CompareSettings(seeds=1)).plan
    sums = plan.shared(0).sums
    assert sums is not None
    train = sums.fold_and_group[0] != 2
    broken = replace(sums.own.sums, second=sums.own.sums.second.clone())
    broken.second[~train[sums.own.part]] = torch.nan
    other = replace(sums, own=replace(sums.own, sums=broken))
    for one, same in zip(_fits(plan.job, sums, train), _fits(plan.job, other, train), strict=True):
        model, again = one.model, same.model
        assert isinstance(model, Solution)
        assert isinstance(again, Solution)
        assert torch.equal(model.scale_tril, again.scale_tril)
        assert torch.equal(model.intensity, again.intensity)


def test_logarithms_are_chosen_by_the_likelihood_of_training_rows():
    """A normal density of each source for x and for log x, in the units of x, by hand."""
    data, taken = skewed(), []
    plan = prepare(data, CompareSettings(seeds=1)).plan
    coding, prepared = plan.job.coding, numeric(plan.shared(0).rows)
    assert isinstance(coding, NumericCoding)
    values = prepared.values
    for power in (1.0, 0.02):  # a power of a lognormal is one, and may be nearly normal
        x = values.clone()
        x[:, 1] = 5 + x[:, 1] ** power if power < 1 else x[:, 1]
        gain = 0.0
        for k in range(3):
            mine = x[data.y == k, 1].numpy()
            densities = [
                multivariate_normal(v.mean(), v.var()).logpdf(v) for v in (mine, np.log(mine))
            ]
            gain += (densities[1] - np.log(mine) - densities[0]).sum()
        rows = replace(prepared, values=x)
        encoder = coding.fit(rows, data.y, 3)
        part = torch.zeros(300, dtype=torch.int64)
        whole = torch.ones(1, dtype=torch.bool)
        parts = coding.moment_parts(rows, data.y, part, 3)
        assert parts is not None
        moments: Any = coding.fit_moments(parts.where(whole))
        assert encoder.columns[1].log == (gain > 0) == moments.encoder.columns[1].log
        assert torch.allclose(encoder.scale, moments.encoder.scale, rtol=1e-12)
        taken.append(encoder.columns[1].log)
    assert taken == [True, gain > 0]


def test_chosen_logarithms_are_those_that_are_asked_for():
    """Scores, documents, draws and new rows are those of `--log` where it is chosen."""
    data = skewed()
    chosen, asked = (
        sw.compare(data, seeds=1, log=log, model="gaussian") for log in (("auto",), ("x2",))
    )
    never = sw.compare(data, seeds=1, log=("none",), model="gaussian")
    assert chosen.document["differences"] == asked.document["differences"]
    assert chosen.document["data"]["columns"] == asked.document["data"]["columns"]
    level = [
        r.document["strategies"]["separate"]["macro"]["log_likelihood"]["mean"]
        for r in (chosen, never)
    ]
    assert level[0] > level[1] + 0.1
    assert never.verdict["condition"] == "under a normal density of 'x2' (skewed), see the notes"
    assert chosen.verdict["condition"] is None
    trained = sw.train(data, strategy="separate")
    assert [column["log"] for column in trained.document["data"]["columns"]] == [
        False,
        True,
        False,
    ]


def test_beta_hat_on_the_papers_truth_is_the_shared_share():
    """Half of the parameters are shared; the identity is one in the units of the columns."""
    values = []
    for seed in range(16):
        noise = Noise(seed).of("beta")
        y = noise.of("y").integers(5, 500)
        x = paper_gaussian().sample(y, noise=noise.of("x"))
        data = Sources(x, y, [f"k{k}" for k in range(5)], name="paper")
        result = sw.compare(
            data, set={"covariance": "identity", "specific": 5}, seeds=1, model="gaussian"
        )
        values.append(result.document["beta_hat"]["value"])
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert error < 0.1
    assert abs(np.mean(values) - 0.5) < 2 * error


def test_an_identity_does_not_depend_on_units_that_it_does_not_know():
    """Its density is `N(mean, I)` of the columns as they are, with gaps and without."""
    data = nearly_dependent(30)
    settings = CompareSettings(seeds=1, set={"covariance": "identity"}, model="gaussian")
    plan = prepare(data, settings).plan
    cell = Cell(0, None)
    scores = evaluate_cell(plan, cell, plan.shared(0))["separate"].rows.numpy()
    assert isinstance(data.x, torch.Tensor)
    x, y, fold = data.x.numpy(), data.y.numpy(), plan.shared(0).fold.numpy()
    expected = np.empty(len(x))
    for f in range(5):
        for k in range(4):
            test = (fold == f) & (y == k)
            mean = x[(fold != f) & (y == k)].mean(0)
            expected[test] = multivariate_normal(mean, np.eye(5)).logpdf(x[test])
    assert np.allclose(scores, expected, rtol=1e-10)


def test_one_way_to_shrink_may_be_chosen_and_is_told_as_a_choice():
    """Where the first predicts by far the best; not where there were no parts to predict."""
    model = Gaussian(GaussianSettings(), K=K, d=D)
    model.fit_exactly(Batch(rows(), Y, None, torch.ones(N)), NAMES)
    assert [item.words for item in model.diagnostics() if item.setting] == ["ledoit-wolf"]
    model.weights[0] = 1.0
    assert [item.words for item in model.diagnostics() if item.setting] == ["predictive"]
