"""Where lower is better, every sentence says so."""

from dataclasses import replace

import pytest

import sourcewise as sw
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.rivals import against
from sourcewise.comparison.summed import source_scores


def test_a_smaller_distance_is_better_in_every_sentence():
    """Differences are of what their sign says, and the better fit is the one that is advised."""
    few = sw.read("wine", columns=("alcohol", "malic_acid", "ash"), sample_rows=12)
    result = sw.compare(few, metric="energy-distance", seeds=1, model="gaussian")
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
def test_the_note_on_a_rival_prefers_what_fits_better(higher):
    """Of two settings the better in the direction of the metric, whichever is in force."""
    told = {}
    for shrinkage in ("none", "auto"):
        settings = CompareSettings(seeds=1, set={"shrinkage": shrinkage}, log=("none",))
        plan = prepare(sw.read("wine", sample_rows=24), settings).plan
        metric = replace(plan.job.metric, higher_is_better=higher, region=lambda c, level: 0.01)
        plan = replace(plan, job=replace(plan.job, metric=metric))
        sums = plan.shared(0).sums
        assert sums is not None
        results = {str(cell): source_scores(plan.job, cell, sums) for cell in plan.cells}
        told[shrinkage] = against(plan, results, "separate").note
    worse, better = ("none", "auto") if higher else ("auto", "none")
    assert f"prefer --set shrinkage={better}" in told[worse]
    assert told[better] == ""  # the rival fits worse: nothing hangs on it
    assert ("separate minus pooled" in told[worse]) == (not higher)
