"""Where lower is better, every sentence says so."""

from dataclasses import replace

import pytest

import sourcewise as sw
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import Cell
from sourcewise.comparison.summed import source_scores
from sourcewise.comparison.warnings import _prior_matters


def test_a_smaller_distance_is_better_in_every_sentence():
    """Differences are of what their sign says, and the better fit is the one that is advised."""
    few = sw.read("wine", columns=("alcohol", "malic_acid", "ash"), sample_rows=12)
    result = sw.compare(few, metric="energy-distance", seeds=1)
    told, document = " ".join(str(result).split()), result.document
    assert "separate - pooled, standard deviations: above 0 favours pooled" in told
    separate, pooled = (
        document["strategies"][name]["macro"]["energy_distance"]["mean"]
        for name in ("separate", "pooled")
    )
    average = document["differences"][-1]["difference"]
    assert average == pytest.approx(separate - pooled)
    assert f"separate minus pooled is {average:+.3g}" in told


@pytest.mark.parametrize("higher", [True, False])
def test_the_note_on_a_prior_prefers_what_fits_better(monkeypatch, higher):
    plan = prepare(sw.read("wine", sample_rows=24), CompareSettings(seeds=1)).plan
    prior = plan.job.settings.without_prior()
    assert prior is not None
    metric = replace(plan.job.metric, higher_is_better=higher, region=lambda coding, level: 0.01)
    plan = replace(plan, job=replace(plan.job, metric=metric))
    sums = plan.shared(0).sums
    assert sums is not None
    scores = source_scores(plan.job, Cell(0, None), sums)
    note = _prior_matters(plan, {str(Cell(0, None)): scores}, "separate")
    bare = replace(plan, job=replace(plan.job, settings=prior.without))
    without = source_scores(bare.job, Cell(0, None), sums)
    better = max if higher else min
    with_, bare_ = (
        better(float(s.test.mean()) for s in found.values()) for found in (scores, without)
    )
    improves = better(with_, bare_) == bare_
    assert note is not None
    assert ("prefer" in note) == improves
    assert ("separate minus pooled" in note) == (not higher)
