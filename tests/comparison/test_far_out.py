"""Rows that lie far out from their source, and the comparison without them."""

import numpy as np
import pytest
import torch

import sourcewise as sw
from sourcewise.comparison.far_out import Bounds
from sourcewise.comparison.prepare import CompareSettings
from sourcewise.forms import Column, Table
from sourcewise.randomness import Noise
from sourcewise.results.comparison import ComparisonResult
from sourcewise.sources import Sources
from sourcewise.studies.audit.populations import Population

SETTINGS = CompareSettings(model="gaussian", seeds=1, log=("none",))


def far(data: Sources) -> list[int]:
    return np.flatnonzero(Bounds.of(data).far(data)).tolist()


def sample(x: torch.Tensor, K: int = 2) -> Sources:
    names = [f"source {k + 1}" for k in range(K)]
    return Sources(x, torch.arange(len(x)) % K, names)


@pytest.mark.parametrize("n", [24, 40, 100, 1000])
def test_normal_rows_are_hardly_ever_far_out_whatever_their_number(n):
    some = [far(sample(Noise(i).of(n).normal(n, 4))) != [] for i in range(200)]
    assert np.mean(some) <= 0.02


def test_a_row_is_far_out_in_the_units_of_its_source():
    x = Noise(0).of("x").normal(200, 2)
    x[1::2] = 100 * x[1::2] + 1000  # of the second source
    x[20, 1] = 50.0  # of the first, and no matter in the second
    assert far(sample(x)) == [20]
    assert far(sample(-3 * x + 7)) == [20]


def test_bounds_are_by_quartiles_of_a_source_as_its_size_lets_them_be_known():
    x = torch.arange(1, 102.0)[:, None] - 51  # the quartiles of all but the ends are -25, 0, 25
    data = Sources(x, torch.zeros(101), ["a"])
    bounds, reach = Bounds.of(data), 4 * (1 + 10 / 101) * 50
    assert bounds.high[0, 0] == pytest.approx(reach, rel=0.03)
    assert bounds.low[0, 0] == pytest.approx(-bounds.high[0, 0], rel=0.03)


def test_skewed_values_above_0_are_far_out_by_their_logarithm_too():
    x = (1.5 * Noise(0).of("x").normal(300, 1)).exp()
    assert far(sample(x)) == []
    assert far(sample(x - x.min() - 1)) != []  # no logarithms
    x[10] = 1e9
    assert far(sample(x)) == [10]
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        assert far(sample((200 * Noise(0).of("x").normal(300, 1)).exp())) == []


def test_a_second_mode_is_not_far_out():
    x = Noise(0).of("x").normal(200, 1)
    x[:20] += 100.0
    assert far(sample(x)) == list(range(20))
    x[20:24] += 100.0
    assert far(sample(x)) == []


def test_gaps_and_categories_are_never_far_out():
    values = Noise(0).of("x").normal(60)
    values[3], values[5] = torch.nan, 100.0
    codes = torch.zeros(60, dtype=torch.int64)
    codes[7] = 3
    schema = (Column("x"), Column("c", "category", ("a", "b", "c", "d")))
    data = Sources(Table({"x": values, "c": codes}, schema), torch.arange(60) % 2, "ab")
    assert far(data) == [5]


def outlying(r: int = 0, n: int = 75) -> Sources:
    return Population("opposite", "outliers", (n,) * 4).draw(Noise(0).of("data", r))


def result(data: Sources) -> ComparisonResult:
    return sw.compare(data, SETTINGS).result


def test_the_other_rows_are_compared_as_if_they_were_all():
    data = outlying()
    found = result(data)
    facts = found.far_out
    assert facts is not None
    assert facts.differences is not None
    mask = Bounds.of(data).far(data)
    assert facts.rows == mask.sum() == sum(facts.per_source.values())
    alone = result(data.take(torch.from_numpy(~mask)))
    assert facts.differences == alone.differences
    assert facts.verdict == alone.verdict.overall == "separate"
    assert found.verdict.overall == "undecided"
    assert "3 rows far out, without which the verdict is 'separate'" in (
        found.verdict.condition or ""
    )
    (note,) = (w for w in found.warnings if w.startswith("far out"))
    assert f"{facts.rows} of 300 rows" in note
    assert "separate" in note


def test_a_verdict_that_rows_far_out_make_says_so_first():
    data = Population("equal", "t5", (30,) * 4).draw(Noise(0).of("data", 0))
    found = result(data)
    assert found.verdict.overall == "pool"
    assert found.far_out is not None
    assert found.far_out.verdict == "undecided"
    with_them = "with 1 row far out, without which the verdict is 'undecided'"
    assert with_them in (found.verdict.condition or "")
    assert found.verdict.reason.startswith(found.verdict.condition or "")


def test_sources_with_many_such_rows_tell_of_them():
    found = result(outlying(n=800))
    assert found.far_out is None
    assert not any(w.startswith("far out") for w in found.warnings)


def test_trained_models_are_not_trained_again():
    trained = {"model": "energy", "set": {"updates": 5}, "log": ()}
    found = sw.compare(outlying(), SETTINGS.model_copy(update=trained)).result
    assert found.far_out is not None
    assert found.far_out.verdict is None
    assert "not trained again" in (found.far_out.verdict_reason or "")
