"""Another metric decides, and one is shown beside it: no verb assumes log-likelihoods."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.families.registry import families
from sourcewise.forms import as_table
from sourcewise.metrics.base import Contributions, Metric
from sourcewise.metrics.registry import metrics
from sourcewise.randomness import Noise


def draws(trained, k, noise):
    y = torch.full((64,), k)
    with torch.no_grad():
        x = trained.model.sample(y, noise.of(k))
    return as_table(trained.encoder.decode(x)).matrix()


def distances(trained, held_out, noise) -> Contributions:
    """Of each row to the mean of its source's draws."""
    x, rows = (
        as_table(held_out.x).matrix(),
        torch.zeros(len(held_out.batch.y), dtype=torch.float64),
    )
    for k in held_out.batch.y.unique().tolist():
        mine = held_out.batch.y == k
        rows[mine] = (x[mine] - draws(trained, k, noise).mean(0)).norm(dim=1)
    return Contributions(rows, torch.zeros(len(trained.model.names), 3).double())


def spreads(trained, held_out, noise):
    """Standard deviation of the draws of each source."""
    return torch.stack([draws(trained, k, noise).std() for k in range(len(trained.model.names))])


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    deciding = Metric(
        name="mean-distance",
        about="distance of rows to the mean of draws",
        needs="samples",
        higher_is_better=False,
        home=f"{__name__}:distances",
        unit=lambda coding: "metres",
        region=lambda coding, baseline: 0.02 * abs(baseline),
    )
    shown = replace(deciding, name="spread", home=f"{__name__}:spreads", decides=False)
    for metric in (deciding, shown):
        monkeypatch.setitem(metrics(), metric.name, metric)
    family = replace(families()["gaussian"], metrics=("mean-distance", "spread"))
    monkeypatch.setitem(families(), "gaussian", family)


def sample_of(shift: float):
    y = torch.arange(120) % 2
    return sw.Sources(Noise(0).normal(120, 2) + shift * y[:, None], y, ("a", "b"), name="points")


def test_every_step_speaks_of_the_metric_that_decides(tmp_path):
    run = tmp_path / "run"
    result = sw.compare(sample_of(0.5), seeds=2, out=run, model="gaussian")
    assert sw.load(run).document == result.document
    facts = result.document["metrics"]
    assert facts["mean_distance"]["region"] > 0
    assert facts["spread"] == {"unit": "metres", "higher_is_better": False}
    pooled = result.document["strategies"]["pooled"]
    assert pooled["label_effect_reason"] == "asked where densities decide"
    assert set(pooled["per_source"]["a"]["metrics"]) == {"mean_distance", "spread"}
    assert len(pooled["macro"]["spread"]["replicates"]) == 2
    page = sw.report(result, run / "report.html").read_text()
    scores = sw.evaluate(run, sample_of(0.5))
    assert "mean-distance, metres, lower is better" in str(scores)
    for text in (str(result), page, str(scores)):
        assert "mean-distance" in text
        assert "likelihood" not in text
        assert "nats" not in text
    assert "spread, metres, lower is better: shown beside the metric that decides" in str(result)
    table = pd.read_csv(run / "results.csv")
    assert set(table["metric"]) == {"mean_distance", "spread"}
    assert not table.isna().any().any()


def test_worst_is_the_largest_distance():
    document = sw.compare(sample_of(0.5), seeds=1, model="gaussian").document
    for strategy in document["strategies"].values():
        entries = strategy["per_source"].items()
        means = {name: e["metrics"]["mean_distance"]["mean"] for name, e in entries}
        assert strategy["worst"]["mean_distance"]["source"] == max(means, key=means.__getitem__)
    levels = {n: s["macro"]["mean_distance"]["mean"] for n, s in document["strategies"].items()}
    (average,) = (d for d in document["differences"] if d["source"] == "macro")
    assert average["difference"] == pytest.approx(levels["separate"] - levels["pooled"])
