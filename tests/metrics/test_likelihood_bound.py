"""The metric of likelihood bounds: pairing, chunks, and sources without a model."""

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.families.offers import BOUND_TERMS
from sourcewise.metrics import likelihood_bound
from sourcewise.metrics.base import HeldOut
from sourcewise.metrics.registry import metric
from sourcewise.randomness import Noise


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(160, 2)), columns=["a", "b"])
    data = sw.read(rows.assign(site=np.repeat(["north", "south"], 80)), source="site")
    options = {"updates": 20, "passes": 1, "width": 16, "bound_draws": 4}
    return data, {
        name: sw.train(data, model="diffusion", strategy=name, set=options).models[name]
        for name in ("pooled", "separate")
    }


def measured(trained, data, rows=None):
    coding = trained.encoder.coding
    prepared = coding.prepare(data.x, Noise(1).each(data.y))
    held_out = trained.held_out(data, prepared, coding.sizes(data.x))
    if rows is not None:
        held_out = HeldOut(held_out.x, held_out.batch.take(rows), held_out.log_det[rows])
    return metric("likelihood-bound").measure(trained, held_out, Noise(2)).rows


def test_chunks_make_no_difference(runs, monkeypatch):
    data, trained = runs
    whole = measured(trained["pooled"], data)
    few = torch.arange(160).split(7)
    monkeypatch.setattr(likelihood_bound, "chunks", lambda x, most: few)
    assert torch.allclose(measured(trained["pooled"], data), whole, atol=1e-4)


def test_strategies_are_judged_by_the_same_noise(runs):
    """Errors of the noise are nearly the same for both: their difference hardly has any."""
    data, trained = runs
    pooled, separate = (measured(model, data) for model in trained.values())
    assert float((pooled - separate).std()) < 0.7 * float(pooled.std())


def test_a_comparison_is_decided_by_it_and_asks_what_labels_are_worth(runs):
    data, _ = runs
    options = {"updates": 20, "passes": 1, "width": 16, "bound_draws": 4}
    found = sw.compare(data, model="diffusion", seeds=2, set=options).result
    assert found.primary_metric == "likelihood_bound"
    assert found.metric.unit == "nats per row"
    assert found.strategies["pooled"].label_effect is not None
    average = next(d for d in found.differences if d.average)
    assert found.terms is not None
    assert [term.name for term in found.terms] == list(BOUND_TERMS)
    parts = [term.difference or 0.0 for term in found.terms]
    assert sum(parts) == pytest.approx(average.difference, abs=1e-9)
    for term in found.terms:
        assert term.low is not None
        assert term.high is not None
        assert term.low < (term.difference or 0.0) < term.high
    assert BOUND_TERMS[0] in str(found)
