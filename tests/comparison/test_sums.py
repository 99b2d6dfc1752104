"""Cells from sums over rows are those of the rows themselves."""

from dataclasses import fields, replace

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import Cell
from sourcewise.comparison.summed import source_scores
from sourcewise.errors import InputError
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.forms import Column, Table
from sourcewise.moments import MomentParts
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

N, K = 240, 3
Y = Noise(0).of("y").integers(K, N)
Y[:9] = 3  # a source that trains only


def sample(gaps: bool = False) -> Sources:
    """Skew, correlated columns that differ between sources; one is recorded in whole numbers."""
    x = Noise(0).of("x").normal(N, 4)
    x = x @ Noise(0).of("mix").normal(4, 4) + (Y[:, None] - 1) * torch.tensor([0.3, 0, 1, 0])
    x[:, 3], x[:, 2] = x[:, 3].exp(), (10 * x[:, 2]).round()
    if gaps:
        x[5, 0] = torch.nan
    names = "abcd"
    columns = {name: x[:, j] for j, name in enumerate(names)}
    table = Table(columns, tuple(Column(name) for name in names))
    return Sources(table, Y, "pqrs", name="sums")


CASES = [
    {},
    {"log": ["d"]},
    {"set": {"shrinkage": "none"}, "strategies": "pooled,separate,groups:p+q|r+s,shuffled"},
    *(
        {"set": {"specific": specific, "covariance": covariance, "shared_covariance": shared}}
        for specific in ("none", 2)
        for covariance in ("identity", "diagonal", "full")
        for shared in (True, False)
    ),
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_sums_give_the_scores_that_rows_give(options):
    settings = CompareSettings.changed(None, {"model": "gaussian", "seeds": 1, **options})
    plan = prepare(sample(), settings).plan
    shared = plan.shared(0)
    assert shared.sums is not None
    for cell in (Cell(0, 3), Cell(0, None)):
        right = evaluate_cell(plan, cell, replace(shared, sums=None))
        compare(evaluate_cell(plan, cell, shared), right, cell.deletion is None)
        compare(source_scores(plan.job, cell, shared.sums), right, False)


def compare(found, right, all_: bool):
    means = ("test", "train", "n_train", "n_test", "test_size")
    for name, scores in right.items():
        for quantity in [field.name for field in fields(scores)] if all_ else means:
            one, other = getattr(found[name], quantity), getattr(scores, quantity)
            assert torch.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True), (
                name,
                quantity,
            )


def test_rows_with_gaps_and_wide_tables_are_not_added_up():
    settings = CompareSettings.changed(None, {"model": "gaussian", "missing": "impute"})
    assert prepare(sample(gaps=True), settings).plan.shared(0).sums is None
    wide = torch.cat([Noise(1).normal(60, 300)])
    columns = {f"x{j}": wide[:, j] for j in range(300)}
    table = Table(columns, tuple(Column(name) for name in columns))
    y = torch.arange(60) % 2
    data = Sources(table, y, "ab", name="wide")
    settings = CompareSettings.changed(None, {"model": "gaussian"})
    assert prepare(data, settings).plan.shared(0).sums is None


def test_a_singular_fit_is_refused_alike():
    x = Noise(2).normal(N, 3)
    x[:, 2] = x[:, 0] + 1e-9 * x[:, 2]
    y, part = torch.arange(N) % 2, torch.zeros(N, dtype=torch.int64)
    settings, names = GaussianSettings.parse({"shrinkage": "none"}), ("a", "b")
    parts = MomentParts.of(x, y, part, 2)
    moments, separate = parts.where(torch.ones(1, dtype=torch.bool)), Partition.separate(2)
    with pytest.raises(InputError, match=r"the covariance of 'a' is singular \(n = 120, d = 3\)"):
        Gaussian.solve(settings, moments, separate, names)
    with pytest.raises(InputError, match=r"the covariance of 'a' is singular \(n = 120, d = 3\)"):
        Gaussian(settings, K=1, d=3).fit_exactly(Batch.of(x[y == 0], y[y == 0]), names[:1])
