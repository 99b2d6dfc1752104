"""Metrics of samples in a comparison: one decides, the others are shown beside it."""

from dataclasses import replace

import pytest
import torch

import sourcewise as sw
from sourcewise.families.registry import families
from sourcewise.metrics import frechet, kernel_distance, manifold
from sourcewise.metrics.registry import metrics
from sourcewise.randomness import Noise

ALL = (kernel_distance.METRIC, frechet.METRIC, *manifold.METRICS)


@pytest.fixture(autouse=True)
def offered(monkeypatch):
    for metric in ALL:
        monkeypatch.setitem(metrics(), metric.name, metric)
    names = tuple(metric.name for metric in ALL)
    monkeypatch.setitem(families(), "gaussian", replace(families()["gaussian"], metrics=names))


def sample_of(slope: float):
    """Two sources of 60 rows, whose second column leans on the first by +-slope."""
    y = torch.arange(120) % 2
    x = Noise(0).normal(120, 2)
    x[:, 1] += slope * (2 * y - 1) * x[:, 0]
    return sw.Sources(x, y, ("a", "b"), name="points")


def test_opposite_sources_are_told_apart_by_all_of_them():
    found = sw.compare(sample_of(2.0), seeds=1, model="gaussian")
    document = found.document
    assert document["primary_metric"] == "kernel_distance"
    assert found.verdict["overall"] == "separate"
    pooled, separate = (document["strategies"][s]["macro"] for s in ("pooled", "separate"))
    assert set(pooled) == {metric.key for metric in ALL}
    for metric in ALL:
        better = metric.sign * (separate[metric.key]["mean"] - pooled[metric.key]["mean"])
        assert better > 0 or metric.name == "recall"  # wide draws recall all rows


def test_equal_sources_do_not_lose():
    found = sw.compare(sample_of(0.0), seeds=1, model="gaussian")
    assert found.verdict["overall"] in ("equivalent", "pool", "undecided")
    shown = found.document["strategies"]["pooled"]["per_source"]["a"]["metrics"]
    assert 0 <= shown["precision"]["mean"] <= 1
    assert shown["frechet_distance"]["mean"] >= 0
