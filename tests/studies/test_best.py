"""The audit of the best pair, reduced; the full one is a study (docs/beside.md)."""

import re

import numpy as np
import pytest
from scipy.stats import norm

from sourcewise.comparison.beside.prepare import named_families, prepare_families
from sourcewise.comparison.compare import compare
from sourcewise.comparison.prepare import CompareSettings
from sourcewise.metrics.likelihood import expected_log_likelihood
from sourcewise.randomness import Noise
from sourcewise.results.families import Ahead, Best
from sourcewise.statistics import Familywise
from sourcewise.studies.audit.populations import Population
from sourcewise.studies.best.leads import Chosen, Covered, Gap
from sourcewise.studies.best.study import POPULATIONS, BestSettings, grid
from sourcewise.studies.best.truth import Truth, best_of

POPULATION = Population("opposite", "peaks", (40,) * 3, d=2)


def contest(scope):
    data = POPULATION.draw(Noise(0))
    settings = CompareSettings(model="gaussian,mixture", scope=scope, seeds=1, seed=3)
    return (
        data,
        settings,
        best_of(prepare_families(data, settings, named_families(data, settings))),
    )


@pytest.mark.parametrize("scope", ["auto", "these models"])
def test_it_is_the_contest_of_compare(scope):
    data, settings, (_, held, best) = contest(scope)
    told = compare(data, settings).result.best
    assert told is not None
    assert (told.family, told.strategy) == (best.family, best.strategy)
    assert (told.runner_up.family, told.runner_up.strategy) == (
        best.runner_up.family,
        best.runner_up.strategy,
    )
    for end in ("difference", "low", "high"):
        assert getattr(told, end) == pytest.approx(getattr(best, end), abs=1e-9)
    assert len(held.rivals) == {"auto": 3, "these models": 4}[scope]


def test_fresh_rows_tell_what_moments_of_the_truth_give_exactly():
    """Of the Gaussian's strategies: their models' expected log-likelihoods have a closed form."""
    entrants, *_ = contest("these models")[2]
    many = POPULATION._replace(sizes=(20_000,) * 3)
    truth, (mean, covariance) = Truth.of(entrants, many.draw(Noise(1))), POPULATION.moments()
    for name, fitted in entrants["gaussian"].models.items():
        scale = fitted.encoder.scale  # type: ignore[attr-defined]
        at = (mean - fitted.encoder.mean) / scale  # type: ignore[attr-defined]
        scaled = covariance / (scale[:, None] * scale)
        exact = expected_log_likelihood(fitted.model, at, scaled).values
        rows = truth.rows["gaussian", name] + float(scale.log().sum())
        for k, value in enumerate(exact):
            own = rows[truth.y == k]
            assert abs(own.mean() - value) < 4 * own.std() / len(own) ** 0.5
    pooled, separate = (("gaussian", name) for name in ("pooled", "separate"))
    assert truth.apart(pooled, separate) == -truth.apart(separate, pooled)
    assert 0 < truth.error(pooled, separate) < 0.02


def test_fresh_rows_are_scored_as_the_test_rows_were():
    data, _, (entrants, *_) = contest("auto")
    truth = Truth.of(entrants, data)
    for (family, name), rows in truth.rows.items():
        entrant = entrants[family]
        test = (entrant.prepared.plan.folds(0) == 0).numpy()
        told = entrant.summary.cell(name, 0).rows.numpy()
        assert rows[test] == pytest.approx(told[test], abs=1e-9)


def _covered(width, P=8, repetitions=3000):
    """Of the best of P estimates around equal truths, with intervals of +- width."""
    rng, found = np.random.default_rng(0), []
    for _ in range(repetitions):
        estimates = rng.standard_normal(P)
        order = np.argsort(-estimates)

        def ahead(i, estimates=estimates, order=order):
            d = float(estimates[order[0]] - estimates[i])
            return Ahead("family", str(i), d, d - width, d + width, None)

        next_one, last = ahead(order[1]), ahead(order[-1])
        default = ahead(0) if order[0] else None
        best = Best(
            "family",
            str(order[0]),
            next_one,
            next_one.difference,
            last.low,
            next_one.high,
            None,
            steady=5,
            folds=5,
            default=default,
        )
        pairs = [("family", str(i)) for i in range(P)]
        found.append(Chosen.of(best, pairs, lambda one, other: 0.0))
    return Covered.of([one.default for one in found if one.default])


def test_intervals_for_one_pair_fail_after_selection_and_those_for_all_pairs_hold():
    """What the study would print of either: all truths are equal, and the best was chosen."""
    naive = _covered(1.96 * 2**0.5)
    assert naive.share < 0.9
    assert naive.below == 0
    assert naive.above == pytest.approx(1 - naive.share)
    level = Familywise.of(np.eye(8), 1e6).level()
    assert _covered(norm.ppf((1 + level) / 2) * 2**0.5).share >= 0.95


def test_what_is_counted_of_one_data_set():
    default = Ahead("a", "y", 0.3, 0.1, 0.5, 0.01)
    best = Best(
        "b", "x", Ahead("b", "y", 0.2, 0.05, 0.35, 0.04), 0.2, 0.05, 0.35, 0.04, 5, 5, default
    )
    value = {("b", "x"): 0.0, ("b", "y"): 0.1, ("a", "y"): -0.2}
    one = Chosen.of(best, list(value), lambda i, j: value[i] - value[j])
    assert (one.right, one.told_apart, one.regret) == (False, True, 0.1)
    assert one.following == one.lead == Gap(0.05, 0.35, -0.1)
    assert one.default == Gap(0.1, 0.5, 0.2)
    assert Covered.of([one.lead, Gap(0, 1, 0.5), Gap(0, 1, 2), Gap(0, 1, 1)]) == Covered(
        4, 0.25, 0.25
    )
    assert str(Covered.of([])) == "- | -"
    assert Covered.joined([Covered(1, 1.0, 0.0), Covered(3, 0.0, 1 / 3)]) == Covered(4, 0.25, 0.25)


def test_a_short_run_has_a_line_for_each_setting_and_one_for_all():
    settings = BestSettings(repetitions=2, rows=500, scope="these models", only=("3x60-d2",))
    result = grid(settings).run()
    head, rule, *lines = str(result).splitlines()
    assert [line.split(" | ")[0] for line in lines] == [
        "| equal-normal-3x60-d2",
        "| equal-peaks-3x60-d2",
        "| all",
    ]
    assert {line.count("|") for line in (head, rule, *lines)} == {14}
    normal, peaks = result.points
    for point in result.points:
        assert re.fullmatch(r"(pooled|separate) (gaussian|mixture) \((50|100)\)", point.commonest)
        assert point.lead.number == point.following.number == 2
        assert 0 <= point.wrong <= point.told_apart <= 1
        assert point.regret >= 0
    assert result.total.default.number == normal.default.number + peaks.default.number
    assert len({population.name for population in POPULATIONS}) == len(POPULATIONS)
