import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sourcewise.statistics import (
    DOMINATED,
    Interval,
    Units,
    averaged_errors,
    beta_from_gain,
    curvature,
    dominance,
    holm,
    jackknife,
    judge,
    judge_overall,
    row_moments,
    rows_and_seeds,
    with_shared_errors,
)

RNG = np.random.default_rng(0)


def test_jackknife_of_a_mean_is_the_t_interval_of_group_means():
    groups = RNG.normal(size=(10, 7))
    even = stats.norm.ppf((np.arange(10) + 0.5) / 10)  # no group stands out
    groups += (even - groups.mean(1))[:, None] + 0.3
    total = groups.sum()
    replicates = [(total - group.sum()) / 63 for group in groups]
    interval = jackknife(groups.mean(), replicates)
    expected = stats.t.interval(0.95, 9, groups.mean(), stats.sem(groups.mean(1)))
    assert np.allclose((interval.low, interval.high), expected)
    assert math.isclose(interval.p, stats.ttest_1samp(groups.mean(1), 0).pvalue)


def symmetric(size: int, location: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Rows without skewness, so that an interval has no bend."""
    half = RNG.normal(size=size // 2)
    return location + scale * np.concatenate([half, -half])


def test_a_spread_of_few_groups_is_known_badly():
    """One group of thirty makes it all: some two degrees of freedom; of normal ones, no fewer."""
    one = np.zeros(30)
    one[0] = 1.0
    assert jackknife(0.0, one).df == pytest.approx(60 / (30 - 1 / 29 - 1 - 1), rel=0.05)
    found = [jackknife(0.0, np.random.default_rng(r).normal(size=30)).df for r in range(500)]
    assert np.median(found) > 27
    # Against simulation: the variance of sums of squares of t variables with 8 degrees.
    draws = np.random.default_rng(0).standard_t(8, size=(4000, 30))
    truth = 2 * draws.var(1).mean() ** 2 / draws.var(1).var()
    assert np.median([jackknife(0.0, row).df for row in draws]) < 29
    assert truth < 20


def test_one_seed_is_the_t_interval_over_rows():
    rows = symmetric(40, 1, 2)
    interval = rows_and_seeds(rows)
    expected = stats.t.interval(0.95, 39, rows.mean(), stats.sem(rows))
    assert np.allclose((interval.low, interval.high), expected)


def test_units_of_equal_size_are_averaged_first():
    rows = RNG.normal(size=(12, 5))
    interval = rows_and_seeds(rows.ravel(), np.repeat(np.arange(12), 5))
    assert math.isclose(interval.standard_error, stats.sem(rows.mean(1)))
    assert math.isclose(interval.df, 11)


def test_seeds_add_their_spread():
    """Rows without spread: the t interval of the seeds' means."""
    seeds = np.array([0.1, 0.5, 0.3])
    interval = rows_and_seeds(np.repeat(seeds[:, None], 20, 1))
    expected = stats.t.interval(0.95, 2, seeds.mean(), stats.sem(seeds))
    assert np.allclose((interval.low, interval.high), expected)


def test_rows_and_seeds_cover_a_mean_over_both():
    covered = 0
    for r in range(400):
        rng = np.random.default_rng(r)
        seed, row = rng.normal(size=(5, 1)), rng.normal(size=(1, 30))
        interval = rows_and_seeds(0.3 * seed + row + 0.5 * rng.normal(size=(5, 30)))
        covered += interval.low <= 0 <= interval.high
    assert covered / 400 >= 0.93


def test_one_unit_has_no_interval():
    with pytest.raises(ValueError, match="two units"):
        rows_and_seeds([1.0, 2.0], [0, 0])


def closed_holm(p: list[float]) -> list[float]:
    """By the closure principle: the largest Bonferroni p of any set that holds the hypothesis."""
    m = len(p)
    sets = [s for r in range(1, m + 1) for s in itertools.combinations(range(m), r)]
    return [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if k in s) for k in range(m)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_the_closure_of_bonferroni(p):
    assert np.allclose(holm(p), closed_holm(p))


def test_holm_of_nothing():
    assert holm([]) == []


VERDICTS = [
    (0.0, 0.001, 1.0, "equivalent"),
    (0.05, 0.001, 0.001, "equivalent"),  # significant, but too small to matter
    (0.5, 0.01, 0.001, "pool"),
    (-0.5, 0.01, 0.001, "separate"),
    (0.5, 0.1, 0.2, "undecided"),
    (0.0, 1.0, 1.0, "undecided"),
]


@pytest.mark.parametrize(("value", "error", "p_holm", "verdict"), VERDICTS)
def test_verdicts_in_their_order(value, error, p_holm, verdict):
    assert judge(Interval(value, error, 9), p_holm, region=0.1) == verdict


def test_disagreeing_sources_are_mixed():
    assert judge_overall("pool", ["pool", "undecided"]) == "pool"
    assert judge_overall("pool", ["pool", "separate"]) == "mixed"


@given(
    st.floats(-1, 1),
    st.floats(0.01, 1),
    st.integers(2, 60),
    st.floats(-0.2, 0.2),
    st.floats(0, 0.3),
    st.floats(0.01, 1),
)
def test_p_values_say_what_the_ends_say(value, error, df, bend, allowance, region):
    """An end at a point: one-sided p of that point is .025; and so p < .05 without zero inside."""
    interval = Interval(value, error, df, allowance=allowance, bend=bend)
    assert interval.low < interval.high
    assert interval.above(interval.low) == pytest.approx(0.025, abs=1e-6)
    assert interval.below(interval.high) == pytest.approx(0.025, abs=1e-6)
    inside = -region <= interval.low and interval.high <= region
    if min(abs(interval.low + region), abs(interval.high - region)) > 1e-6:
        assert inside == (interval.outside(region) <= 0.025)
    if min(abs(interval.low), abs(interval.high)) > 1e-6:
        assert (interval.p < 0.05) == (not interval.low <= 0 <= interval.high)


def test_a_bend_covers_the_mean_of_skewed_rows_on_both_sides():
    """Exponential rows: t intervals miss below, 7 to 1."""
    sides = {"bent": [0, 0], "t": [0, 0]}
    for r in range(4000):
        found = rows_and_seeds(np.random.default_rng(r).exponential(size=40))
        for name, interval in (("bent", found), ("t", replace(found, bend=0.0))):
            sides[name][0] += interval.high < 1
            sides[name][1] += interval.low > 1
    below, above = np.array(sides["bent"]) / 4000
    assert 0.01 < above < below < 0.035
    assert sides["t"][0] / 4000 > 0.05
    assert sides["t"][1] / 4000 < 0.01


def test_moments_of_rows_are_those_of_rows_and_seeds():
    rng = np.random.default_rng(6)
    rows, stratum, unit = rng.exponential(size=60), np.arange(60) % 3, np.arange(60) // 6 * 3
    unit = unit + stratum  # within strata
    sizes = rng.integers(1, 9, 60).astype(float)
    second, third = row_moments(rows, Units.of(unit, stratum, 4), stratum, sizes)
    for k in range(3):
        mine = stratum == k
        one = rows_and_seeds(rows[mine], unit[mine], sizes=sizes[mine])
        assert second[k] == pytest.approx(one.standard_error**2)
        assert third[k] / second[k] ** 1.5 / 3 == pytest.approx(one.bend)
    assert second[3] == third[3] == 0


def test_curvature_is_that_of_a_square():
    """theta = -delta^2 / 2 with delta known to 1 / sqrt(n): Var grows by 2/n per unit of -theta.

    Without the bend t intervals of it lie too high.
    """
    rng, n, delta = np.random.default_rng(0), 100, 0.5
    true, misses = -(delta**2) / 2, {0.0: [0, 0], 1.0: [0, 0]}
    for _ in range(4000):
        found = delta + rng.normal() / math.sqrt(n)
        value = -(found**2) / 2 + 1 / (2 * n)
        error = abs(found) / math.sqrt(n)
        for on, sides in misses.items():
            interval = Interval(value, error, 1e6, bend=on * curvature(error, 2 / n))
            sides[0] += interval.low > true
            sides[1] += interval.high < true
    assert misses[0.0][0] > 6 * misses[0.0][1]
    above, below = np.array(misses[1.0]) / 4000
    assert 0.015 < above < 0.04
    assert 0.015 < below < 0.04


def test_equivalence_is_corrected_for_its_number_too():
    """At the boundary of the region one of four sources is called equivalent in 18 % of data
    sets at 2.5 % each without, and in at most 2.5 % with the correction."""
    rng, called = np.random.default_rng(0), np.zeros(2)
    for _ in range(2000):
        found = [Interval(v, 1.0, 1e6) for v in rng.normal(10.0, 1.0, size=4)]
        alone = [interval.outside(10.0) for interval in found]
        for i, ps in enumerate((alone, holm(alone))):
            called[i] += any(
                judge(d, 1.0, 10.0, p) == "equivalent" for d, p in zip(found, ps, strict=True)
            )
    without, corrected = called / 2000
    assert without > 0.07
    assert corrected < 0.035


def test_strata_do_not_inflate_each_other():
    """Two sources with the same certain difference, 1000 and 20 rows: nothing is uncertain."""
    rows = np.full(1020, 1.0)
    stratum = np.repeat([0, 1], [1000, 20])
    interval = rows_and_seeds(rows, None, [0.5, 0.5], stratum)
    assert (interval.value, interval.low, interval.high) == (1.0, 1.0, 1.0)
    rng = np.random.default_rng(0)
    rows = rng.normal(np.repeat([0.0, 5.0], [1000, 20]))
    interval = rows_and_seeds(rows, None, [0.5, 0.5], stratum)
    parts = rows[:1000], rows[1000:]
    assert math.isclose(interval.value, sum(part.mean() for part in parts) / 2)
    stratified = math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) / 2
    assert interval.standard_error == pytest.approx(stratified, rel=1e-9)


def test_a_difference_of_nothing_is_certain():
    nothing = Interval(0.0, 0.0, 9)
    assert (nothing.low, nothing.high, nothing.p) == (0, 0, 1)
    assert Interval(0.1, 0.0, 9).p == 0


@given(st.integers(2, 50), st.integers(0, 20), st.integers(0, 20), st.integers(1, 1000))
def test_beta_of_parameter_counts_is_the_sharing_factor(K, shared, specific, n):
    """With errors p / (2n) the empirical beta is P_shared / (P_shared + P_src), section 2."""
    if shared + specific == 0:
        return
    separate = K * (shared + specific) / (2 * n)
    gain = separate - (shared + K * specific) / (2 * n)
    assert math.isclose(
        beta_from_gain(gain, separate, K), shared / (shared + specific), abs_tol=1e-9
    )


def test_beta_is_not_clipped():
    assert beta_from_gain(-1.0, 2.0, 5) == -0.625
    assert beta_from_gain(3.0, 2.0, 2) == 3.0


def test_dominance_tells_one_outlying_group():
    assert dominance([0.0] * 10) == 0
    assert dominance([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) == pytest.approx(0.9)
    even = [dominance(np.random.default_rng(r).normal(size=10)) for r in range(3000)]
    assert 0.36 < np.mean(even) < 0.39
    assert np.mean(np.array(even) > DOMINATED) < 0.002


def test_sizes_of_one_change_nothing():
    rng = np.random.default_rng(3)
    rows, stratum, unit = rng.normal(size=(3, 50)), np.arange(50) % 4, np.arange(50) // 2
    weight = [0.1, 0.2, 0.3, 0.4]
    plain = rows_and_seeds(rows, unit, weight, stratum)
    assert rows_and_seeds(rows, unit, weight, stratum, sizes=np.ones(50)) == plain


def test_sizes_make_a_ratio_of_totals():
    """One stratum, one seed: the ratio estimator of Cochran, chapter 6."""
    rng = np.random.default_rng(4)
    s = rng.integers(1, 20, 60).astype(float)
    d = 0.3 * s + rng.normal(size=60)
    interval = rows_and_seeds(d, sizes=s)
    ratio = d.sum() / s.sum()
    assert interval.value == pytest.approx(ratio)
    error = math.sqrt(((d - ratio * s) ** 2).sum() / 59 / 60) / s.mean()
    assert interval.standard_error == pytest.approx(error)
    # Rows of the same ratio, however long, leave nothing uncertain.
    assert rows_and_seeds(0.3 * s, sizes=s).standard_error == pytest.approx(0, abs=1e-15)


def test_ratios_are_covered():
    """Total nats over total symbols; lengths vary, and long rows differ more."""
    covered = 0
    for r in range(1000):
        rng = np.random.default_rng(r)
        s = rng.integers(1, 15, size=80).astype(float)
        d = s * (0.2 + 0.3 * rng.normal(size=80)) + np.sqrt(s) * rng.normal(size=80)
        stratum = np.arange(80) % 2
        interval = rows_and_seeds(d, None, [0.5, 0.5], stratum, sizes=s)
        covered += interval.low <= 0.2 <= interval.high
    assert 0.92 <= covered / 1000 <= 0.97


@pytest.mark.parametrize(("K", "m"), [(20, 2), (14, 3), (10, 20)])
def test_the_macro_of_many_small_sources_is_covered(K, m):
    rng = np.random.default_rng(K)
    stratum, hits = np.repeat(np.arange(K), m), 0
    for _ in range(1000):
        interval = rows_and_seeds(rng.normal(size=K * m), None, np.full(K, 1 / K), stratum)
        hits += interval.low <= 0 <= interval.high
    assert 0.93 <= hits / 1000 <= 0.99


def test_units_with_rows_in_two_sources_count_once():
    rng = np.random.default_rng(5)
    per_unit = rng.normal(size=30)
    twice = rows_and_seeds(
        np.tile(per_unit, 2), np.tile(np.arange(30), 2), [0.5, 0.5], np.repeat([0, 1], 30)
    )
    once = rows_and_seeds(per_unit)
    assert twice.standard_error == pytest.approx(once.standard_error)
    assert twice.df <= 29


def test_an_allowance_widens_and_never_decides():
    plain = Interval(0.5, 0.1, 9)
    wide = Interval(0.5, 0.1, 9, allowance=0.3)
    assert wide.half_width == pytest.approx(plain.half_width + 0.3)
    assert wide.p == pytest.approx(Interval(0.2, 0.1, 9).p)
    assert Interval(0.5, 0.1, 9, allowance=0.6).p == 1
    assert Interval(0.5, 0.0, 9, allowance=0.6).p == 1


def test_shared_errors_average_out_and_biases_do_not():
    K = 100
    error = averaged_errors(np.tile([0.2, 0.1, 0.0], (2, K, 1)))
    weight = np.full(K, 1 / K)
    both = [(1.0, error), (-1.0, error)]
    found = with_shared_errors(Interval(0.0, 0.0, 9), weight, both)
    assert found.standard_error == pytest.approx(0.2 * (2 / 2 / K) ** 0.5)
    assert found.allowance == pytest.approx(0.1)  # that of the side which is overstated more
    one = with_shared_errors(Interval(0.0, 0.0, 9), weight, [(1.0, error), (-1.0, 0 * error)])
    assert one.allowance == pytest.approx(0.1)


def test_errors_of_quadrature_add_up_over_both_arms():
    """Each may go either way; what simulated log Z overstate cancels at best, at worst one side
    counts."""
    one = np.array([[0.0, 0.0, 0.3]])
    both = [(1.0, one), (-1.0, one)]
    found = with_shared_errors(Interval(0.5, 0.0, 9), np.ones(1), both)
    assert found.half_width == pytest.approx(0.6)
    mixed = [(1.0, np.array([[0.0, 0.2, 0.1]])), (-1.0, np.array([[0.0, 0.1, 0.0]]))]
    found = with_shared_errors(Interval(0.5, 0.0, 9), np.ones(1), mixed)
    assert found.half_width == pytest.approx(0.2 + 0.1)


def test_errors_of_a_mean_of_scores():
    """Simulations are independent, biases are not."""
    errors = np.array([[[0.3, 0.1, 0.2]], [[0.4, 0.3, 0.2]]])
    assert averaged_errors(errors) == pytest.approx(np.array([[0.25, 0.2, 0.2]]))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("ratio", [0.1, 1, 10])
@pytest.mark.parametrize("S", [2, 3, 5])
def test_the_macro_of_few_seeds_is_covered(S, ratio, shared):
    """Three sources, with seeds' swings of their own or in common; ratio: seeds' variance to
    rows'. Satterthwaite's degrees of freedom cover .87 of two seeds at ratio 10."""
    rng, K, m, hits, R = np.random.default_rng(S), 3, 20, 0, 1000
    stratum, weight = np.repeat(np.arange(K), m), np.full(K, 1 / K)
    scale = math.sqrt(ratio * S / m * (1 / K if shared else 1))  # rows: 1 / (K m)
    for _ in range(R):
        seeds = scale * rng.normal(size=(S, 1 if shared else K)) * np.ones((1, K))
        rows = rng.normal(size=K * m) + seeds[:, stratum]
        interval = rows_and_seeds(rows, None, weight, stratum)
        hits += interval.low <= 0 <= interval.high
    assert hits / R >= 0.935


def test_swings_of_two_seeds_that_cancel_are_not_trusted():
    """Per-source errors of .12, .13 and .05 that cancel by luck: no narrow macro."""
    swings = np.array([[0.12, -0.13, 0.01], [-0.12, 0.13, -0.01]])
    stratum = np.repeat(np.arange(3), 50)
    rows = 0.01 * np.random.default_rng(0).normal(size=150) + swings[:, stratum]
    macro = rows_and_seeds(rows, None, np.full(3, 1 / 3), stratum)
    each = [rows_and_seeds(rows[:, stratum == k]).standard_error for k in range(3)]
    assert macro.standard_error >= 0.99 * math.sqrt(sum(e**2 for e in each)) / 3
    assert macro.df < 5
    assert macro.scarce == "training seeds"


def test_each_part_of_a_variance_has_its_own_quantile():
    rng = np.random.default_rng(2)
    values = symmetric(40) + 0.2 * rng.normal(size=(3, 1))
    interval = rows_and_seeds(values)
    rows, seeds = stats.sem(values.mean(0)), stats.sem(values.mean(1))
    expected = math.hypot(stats.t.ppf(0.975, 39) * rows, stats.t.ppf(0.975, 2) * seeds)
    assert interval.half_width == pytest.approx(expected)
    assert interval.standard_error == pytest.approx(math.hypot(rows, seeds))
