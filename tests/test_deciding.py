"""What an undecided difference lacks is what decides it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sourcewise.metrics.registry import metric
from sourcewise.statistics import (
    Interval,
    judge,
    rows_and_seeds,
    with_seeds,
    with_shared_errors,
    would_decide,
)
from sourcewise.statistics.deciding import chances, narrowed
from sourcewise.statistics.interval import unbent


def simulated(interval, region, tests, fading, factor, R=20_000):
    """Shares of data sets, drawn one by one, that are decided, and that are equivalent."""
    rng = np.random.default_rng(0)
    t = stats.t.rvs(interval.df, size=R, random_state=rng)
    now = interval.value - interval.standard_error * unbent(t, interval.bend)
    errors = interval.standard_error * narrowed(now, fading, factor)
    drawn = now - fading * (1 - 1 / factor) + errors * rng.normal(size=R)
    later = replace(interval, bend=interval.bend / math.sqrt(factor))
    new = [
        replace(later, value=v, standard_error=error)
        for v, error in zip(drawn, errors, strict=True)
    ]
    words = [judge(d, min(1.0, tests * d.p), region) for d in new]
    equivalent = np.mean([word == "equivalent" for word in words])
    return 1 - np.mean([word == "undecided" for word in words]) - equivalent, equivalent


@pytest.mark.parametrize("factor", [1.0, 3.0])
@pytest.mark.parametrize(
    ("value", "error", "region", "tests", "fading", "bend"),
    [
        (0.1, 0.05, 0.03, 1, 0.0, 0.0),
        (0.1, 0.05, 0.03, 4, 0.05, 0.0),
        (0.0, 0.03, 0.05, 1, 0.0, 0.0),
        (-0.1, 0.05, 0.2, 2, 0.0, 0.1),
        (0.02, 0.02, 0.05, 1, 0.0, -0.1),
    ],
)
def test_chances_are_those_of_new_data(value, error, region, tests, fading, bend, factor):
    interval = Interval(value, error, 29, bend=bend)
    expected = simulated(interval, region, tests, fading, factor, 4000)
    assert chances(interval, region, tests, fading, factor) == pytest.approx(expected, abs=0.025)


@given(st.floats(-1, 1), st.floats(0.001, 1), st.sampled_from([1, 5, 160]), st.floats(0, 0.09))
def test_what_would_decide_does_so_in_80_of_100_cases(value, error, tests, allowance):
    region, interval = 0.1, Interval(value, error, 29, allowance=allowance)
    words = would_decide(interval, region, tests)
    if not words.startswith("about"):
        return
    factor = float(words.split()[1]) * 1.06  # printed to two digits
    decided, equivalent = chances(interval, region, tests, 0.0, factor)
    assert decided + equivalent >= 0.79
    assert ("equivalent then" in words) == (equivalent > decided) or abs(
        decided - equivalent
    ) < 0.05


def test_what_only_saves_parameters_fades_with_more_rows():
    """Equal sources: the gain is what estimation costs; with many rows nothing is left of it."""
    gain = Interval(0.03, 0.012, 29)
    stays, fades = (chances(gain, 0.03, 1, fading, 10.0) for fading in (0.0, 0.03))
    assert stays[0] > 0.7
    assert fades[0] < 0.15
    assert fades[1] > 0.85


def cross_validated(x, fold):
    """(R,) pooled minus separate of normals of variance 1 with unknown means; x (R, K, n)."""
    total = np.zeros(len(x))
    for f in range(5):
        test, train = x[:, :, fold == f], x[:, :, fold != f]
        own = train.mean(2, keepdims=True)
        gain = ((test - own) ** 2 - (test - own.mean(1, keepdims=True)) ** 2) / 2
        total += gain.sum(2).mean(1)
    return total / len(fold)


def variances(x, groups=10):
    """Of estimates over data sets, and the mean of what their jackknives say."""
    fold, group = np.arange(x.shape[2]) % 5, np.arange(x.shape[2]) // 5 % groups
    parts = [cross_validated(x[:, :, group != g], fold[group != g]) for g in range(groups)]
    return cross_validated(x, fold).var(), ((groups - 1) * np.var(parts, 0)).mean()


@pytest.mark.parametrize("apart", [0.0, 0.1, 0.2, 0.8])
def test_standard_errors_shrink_as_those_of_fresh_normals_do(apart):
    """Four sources with means +-apart: what stays is apart^2 / 2, what fades is known."""
    n, K, factor, rng = 50, 4, 4, np.random.default_rng(0)
    means = apart * np.array([1, -1, 1, -1])[:, None]
    fading = (1 - 1 / K) / (2 * 0.8 * n)
    now, then = (
        variances(rng.normal(size=(R, K, m)) + means) for R, m in ((3000, n), (1500, factor * n))
    )
    said = narrowed(np.array([fading - apart**2 / 2]), fading, factor)[0] ** 2
    of_estimates, of_jackknives = (b / a for a, b in zip(now, then, strict=True))
    # The jackknife of what fades is twice too large, so that its ratio lies somewhat lower.
    assert 0.85 * of_estimates < said < 1.15 * of_estimates
    assert 0.95 * of_jackknives < said < 1.3 * of_jackknives


def test_an_interval_without_zero_can_need_more_rows():
    """One of 160 schools: significant alone, far from it among all."""
    school = Interval(0.16, 0.065, 9)
    assert school.low > 0
    alone, among = (would_decide(school, 0.02, tests).split() for tests in (1, 160))
    assert 2 < float(alone[1]) < 4
    assert float(among[1]) > 4 * float(alone[1])


def test_what_would_decide_names_what_is_scarce():
    rng = np.random.default_rng(1)
    noisy = 0.2 + rng.normal(size=(1, 200)) + np.array([[-0.3], [0.3], [0.1]])
    words = would_decide(rows_and_seeds(noisy), 0.01)
    seeds = int(words.split()[1])
    assert words == f"about {seeds} training seeds"
    assert rows_and_seeds(noisy).scarce == "training seeds"
    assert rows_and_seeds(noisy[:1]).scarce == "rows"


@given(st.floats(-1, 1), st.floats(0, 0.15), st.floats(0, 0.5))
def test_no_rows_decide_what_normalisers_hide(value, allowance, shared):
    """It asks for better normalisers where even a sample without end would not decide."""
    region, weight = 0.1, np.ones(1)
    errors = [(1.0, np.array([[shared, allowance, 0.0]]))]
    endless = with_shared_errors(Interval(value, 1e-9, 9), weight, errors)
    words = would_decide(with_shared_errors(Interval(value, 0.3, 9), weight, errors), region)
    if shared > 0.3:
        assert words == "normalisers known better"
    elif shared == 0 and abs(abs(value) - region) > 1e-3:
        decided = judge(endless, endless.p, region) != "undecided"
        assert (words != "normalisers known better") == decided


def test_very_many_times_are_not_told():
    assert (
        would_decide(Interval(0.0, 1.0, 9), region=0.01, tests=500)
        == "more than 100 times the rows"
    )


@given(
    st.floats(-0.5, 0.5),
    st.floats(0.01, 2),
    st.integers(2, 6),
    st.sampled_from([1, 5, 160]),
    st.floats(0, 0.3),
)
def test_the_seeds_that_it_asks_for_are_the_least_that_decide(value, spread, S, tests, shared):
    """Seeds are equally spaced, so that their spread is known; errors of normalisers stay."""
    offsets = np.linspace(-1, 1, S) * spread
    rows = np.tile([0.1, -0.1], 50) + value + offsets[:, None]
    interval = rows_and_seeds(rows)
    if shared:
        error = np.array([[shared, 0.0, 0.0]])
        interval = with_shared_errors(interval, np.ones(1), [(1.0, error)])

    def decided(seeds: int) -> bool:
        found = with_seeds(interval, seeds)
        return judge(found, min(1.0, tests * found.p), 0.02) != "undecided"

    words = would_decide(interval, 0.02, tests)
    if decided(S) or "seeds" not in words:
        return
    if words.startswith("more rows"):
        assert not decided(1000)
        return
    seeds = int(words.split()[1])
    assert seeds > S
    assert decided(seeds)
    assert seeds == S + 1 or not decided(seeds - 1)


def test_as_many_seeds_as_there_are_change_nothing():
    rows = np.random.default_rng(2).normal(size=(3, 40)) + np.array([[0.0], [0.5], [1.0]])
    now = rows_and_seeds(rows)
    same, twice = with_seeds(now, 3), with_seeds(now, 6)
    assert same.standard_error == pytest.approx(now.standard_error)
    assert same.df == pytest.approx(now.df)
    seeds = rows.mean(1).var(ddof=1)
    rest = now.standard_error**2 - seeds / 3
    assert twice.standard_error**2 == pytest.approx(rest + seeds / 6)
    assert twice.df > now.df


def test_where_no_number_of_seeds_decides_it_says_so():
    rows = np.random.default_rng(3).normal(size=(1, 50)) + np.array([[-2.0], [0.1], [2.0]])
    words = would_decide(rows_and_seeds(rows), 0.01)
    assert words == "more rows beside more training seeds (no number of seeds up to 1000 alone)"


def test_what_rows_share_is_named_by_the_metric():
    errors = np.array([[0.3, 0.0, 0.0]])
    interval = with_shared_errors(Interval(0.05, 0.1, 99), np.ones(1), [(1, errors)])
    assert would_decide(interval, 0.01) == "normalisers known better"
    drawn = metric("energy-distance").remedy
    assert would_decide(interval, 0.01, shared=drawn) == "more draws of the models"
