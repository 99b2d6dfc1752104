"""The best of many: intervals that hold whichever it is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import studentized_range, t

from sourcewise.statistics import Familywise, ranked, rows_and_seeds

ROWS, SOURCES = 100, 4


@pytest.mark.parametrize(("P", "df"), [(3, 10), (5, 40), (9, 200)])
def test_of_independent_candidates_it_is_tukeys_range(P, df):
    level = Familywise.of(np.eye(P), df).level()
    c = float(t.ppf((1 + level) / 2, df))
    assert c == pytest.approx(studentized_range.ppf(0.95, P, df) / 2**0.5, rel=0.015)


def test_one_pair_needs_no_adjustment():
    one = Familywise.of(np.array([[2.0, 0.5], [0.5, 1.0]]), 30)
    assert one.level() == pytest.approx(0.95, abs=0.003)
    assert one.adjusted(0.02) == pytest.approx(0.02, abs=0.003)


def test_a_candidate_that_is_there_twice_changes_nothing():
    independent = np.eye(3)
    twice = np.block([[independent, independent[:, :1]], [independent[:1], np.ones((1, 1))]])
    plain, doubled = (Familywise.of(c, 20).level() for c in (independent, twice))
    assert doubled == pytest.approx(plain, abs=0.002)


def test_adjusted_p_values_and_levels_say_the_same():
    family = Familywise.of(np.eye(6), 15)
    assert family.adjusted(1 - family.level()) == pytest.approx(0.05, abs=0.001)
    ps = np.array([family.adjusted(p) for p in (1e-9, 1e-4, 0.01, 0.2, 1.0)])
    assert (np.diff(ps) >= 0).all()
    assert ps[-1] == 1


def test_ranks_are_those_of_weighted_means_of_sources():
    scores = np.array([[3.0, 0, 0, 0], [0, 1, 1, 1]])
    source, fold = np.array([0, 1, 1, 1]), np.array([0, 1, 0, 1])
    equal = ranked(scores, fold, source, np.array([0.5, 0.5]))
    assert equal.order.tolist() == [0, 1]  # 1.5 before .5
    assert equal.again.tolist() == [1, 0]  # without fold 0 the first source has no row
    other = ranked(scores, fold, source, np.array([0.2, 0.8]))
    assert other.order.tolist() == [1, 0]  # .8 before .6


def _coverage(gaps, interval, repetitions=200):
    """How often an interval of the chosen one's lead over all others holds its true value."""
    rng, means = np.random.default_rng(5), np.array(gaps)
    y, weight = np.arange(ROWS) % SOURCES, np.full(SOURCES, 1 / SOURCES)
    found = []
    for _ in range(repetitions):
        common = rng.standard_normal(ROWS)
        own = rng.standard_normal((len(means), ROWS))
        scores = means[:, None] + common + 0.6 * own
        order = ranked(scores, np.arange(ROWS) // SOURCES % 5, y, weight).order
        low, high = interval(scores, order, y, weight)
        true = means[order[0]] - np.delete(means, order[0]).max()
        found.append(low <= true <= high)
    return np.mean(found)


def _together(scores, order, y, weight):
    level = Familywise.of(np.cov(scores), ROWS - SOURCES).level()
    unit = np.arange(ROWS)
    apart = [
        replace(rows_and_seeds(scores[order[0]] - scores[j], unit, weight, y), level=level)
        for j in order[1:]
    ]
    return min(i.low for i in apart), apart[0].high


def _by_folds(scores, order, y, weight):
    """The best without each fold, less the next, on that fold."""
    fold = np.arange(ROWS) // SOURCES % 5
    d = np.empty(ROWS)
    for f in range(5):
        first, second = np.argsort(-scores[:, fold != f].mean(1))[:2]
        d[fold == f] = (scores[first] - scores[second])[fold == f]
    i = rows_and_seeds(d, np.arange(ROWS), weight, y)
    return i.low, i.high


@pytest.mark.parametrize("gaps", [[0, 0], [0] * 5, [0.3, 0, 0, 0], [0.3, 0.2, 0]])
def test_the_interval_of_the_best_covers_after_selection(gaps):
    assert _coverage(gaps, _together) >= 0.93 - 2 * 0.016  # two standard errors of 200


def test_folds_that_confirm_each_other_in_turn_do_not():
    """Why the module does not do that."""
    assert _coverage([0] * 5, _by_folds) < 0.9
