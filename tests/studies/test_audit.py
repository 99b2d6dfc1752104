"""The audit, reduced; the full one is a study (docs/coverage.md)."""

from dataclasses import replace

import pytest
import torch

from sourcewise.comparison.compare import compare
from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.studies.audit.intervals import Judged
from sourcewise.studies.audit.populations import POPULATIONS, Population
from sourcewise.studies.audit.study import AuditSettings, grid


def test_there_are_thirty_settings_and_no_two_alike():
    names = [population.name for population in POPULATIONS]
    assert len(set(names)) == len(names) >= 30


@pytest.mark.parametrize("tails", ["normal", "t5", "lognormal", "outliers", "peaks"])
@pytest.mark.parametrize("repeats", [1, 5])
def test_rows_have_the_moments_that_truths_are_computed_from(tails, repeats):
    population = Population("opposite", tails, (100_000, 100_000), repeats=repeats)
    mean, covariance = population.moments()
    data = population.draw(Noise(0))
    for k in range(2):
        x = data.of(k).x
        assert isinstance(x, torch.Tensor)
        scale = covariance[k].diagonal().sqrt()
        assert ((x.mean(0) - mean[k]) / scale).abs().max() < 0.03
        off = (torch.cov(x.T) - covariance[k]) / scale[:, None] / scale
        assert off.abs().max() < 0.1


def test_rows_of_a_patient_are_alike_and_stay_together():
    data = Population("equal", "normal", (5000,), repeats=5).draw(Noise(0))
    assert data.group is not None
    assert torch.bincount(data.group).unique().tolist() == [5]
    x = data.x
    assert isinstance(x, torch.Tensor)
    patients = x.reshape(-1, 5, x.shape[1])
    between = patients.mean(1).var(0)
    assert (between - (0.5 + 0.5 / 5)).abs().max() < 0.08


def test_undeclared_rows_of_a_patient_stand_together_and_nothing_says_so():
    declared = Population("opposite", "normal", (60, 40), repeats=5)
    said, unsaid = (
        population.draw(Noise(0)) for population in (declared, declared._replace(declared=False))
    )
    assert said.group is not None
    assert (said.group.diff() >= 0).all()
    assert unsaid.group is None
    assert not unsaid.independent
    assert isinstance(said.x, torch.Tensor)
    assert isinstance(unsaid.x, torch.Tensor)
    assert torch.equal(said.x, unsaid.x)


def test_undeclared_repeats_make_verdicts_conditional_and_their_coverage_is_in_no_mean():
    only = ("equal-normal-4x100-d3-undeclared", "equal-normal-4x30-d3")
    result = grid(AuditSettings(repetitions=4, truth_samples=4, only=only)).run()
    claims, unclaimed = result.points
    assert (claims.claimed, unclaimed.claimed) == (True, False)
    assert unclaimed.conditional >= 0.75
    assert claims.conditional <= 0.25
    mean = str(result).splitlines()[-1]
    assert mean == str(claims).replace(claims.name, "mean")
    assert "| mean |" not in str(replace(result, points=(unclaimed,)))


def test_settings_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="no setting's name holds nothing"):
        grid(AuditSettings(only=("nothing",)))


def test_intervals_cover_and_recommendations_do_not_lose_in_a_reduced_audit():
    only = ("edge-normal-4x75-", "halves-normal-6x25-")
    settings = AuditSettings(repetitions=12, truth_samples=60, only=only)
    points = grid(settings).run().points
    assert len(points) == 2
    for point in points:
        found = point.all_rows
        assert found.coverage >= 0.9
        assert found.wrong <= 0.05
        assert point.regret <= point.regret_best
        assert point.contradicted == 0
        assert found.coverage + found.above + found.below == pytest.approx(1)
    halves = next(p for p in points if p.name.startswith("halves"))
    assert halves.regret < 0.02 < halves.regret_fewest


def test_another_metric_is_held_against_its_own_truth():
    settings = AuditSettings(
        repetitions=4, truth_samples=20, only=("equal-t5-4x30-",), metric="energy-distance"
    )
    (point,) = grid(settings).run().points
    assert 0 < point.all_rows.true_difference < 0.05
    assert point.all_rows.coverage >= 0.9
    assert point.regret == point.regret_best
    assert point.typical is None
    with pytest.raises(InputError, match="has no exact truth of lognormal rows"):
        grid(AuditSettings(metric="energy-distance"))
    with pytest.raises(InputError, match="levels of energy-distance have no exact truth"):
        grid(AuditSettings(metric="energy-distance", strategy="partial", only=("equal-normal",)))


def test_rows_that_are_not_far_out_have_a_truth_of_their_own():
    settings = AuditSettings(repetitions=8, truth_samples=40, only=("opposite-outliers-4x75-",))
    result = grid(settings).run()
    (point,) = result.points
    assert point.typical is not None
    assert point.far_out >= 0.5
    assert point.all_rows.true_difference > 0 > point.typical.true_difference
    assert point.typical.coverage >= 0.9 > point.all_rows.coverage
    assert "Of rows that are not far out" in str(result)


def test_the_verdict_on_a_strategy_is_that_of_the_result():
    for likeness in ("equal", "opposite", "halves"):
        data = Population(likeness, "normal", (200,) * 4).draw(Noise(1))
        result = compare(data, model="gaussian", seeds=1).result
        assert Judged.of(result.differences, "pooled").verdict == result.verdict.overall


@pytest.mark.slow
def test_partial_pooling_is_held_against_a_truth_of_its_own():
    """Of opposite sources it is truly ahead of pooled; what else a result states is told."""
    given = {"truth_samples": 20, "repetitions": 2, "only": ("opposite-normal-4x30-d3",)}
    pooled, partial = (
        grid(AuditSettings(strategy=strategy, **given)).run() for strategy in ("pooled", "partial")
    )
    true = [result.points[0].all_rows.true_difference for result in (pooled, partial)]
    assert true[1] > true[0] + 0.05
    assert "covers, lead" not in str(pooled)
    lines = str(partial).splitlines()
    (head,) = (i for i, line in enumerate(lines) if "covers, lead" in line)
    assert {line.count("|") for line in lines[head : head + 4]} == {6}
    assert lines[head + 2] == partial.points[0].others
    point = replace(partial.points[0], level_below=0.25, lead_above=0.5)
    assert point.others == f"| {point.name} | 75.0 | 0.0 / 25.0 | 50.0 | 50.0 / 0.0 |"
