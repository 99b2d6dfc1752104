"""What a time estimate counts."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.encoders.text import TextCoding
from sourcewise.families.energy.model import Energy
from sourcewise.families.settings import TrainedSettings
from sourcewise.fitting import rehearsal
from sourcewise.forms import Ragged
from sourcewise.randomness import Noise
from sourcewise.sources import Sources


def test_looks_are_those_that_training_takes():
    from sourcewise.training.looks import look_gap

    for updates in (1, 100, 2000, 5000):
        due = [t for t in range(1, updates + 1) if t % look_gap(t, 10) == 0 or t == updates]
        planned = rehearsal._looks(TrainedSettings(check=10), updates)
        assert planned == pytest.approx(len(due), abs=2)


@pytest.mark.parametrize(("each", "counted"), [(1.0, 3 * 1.0 + 4.0), (5.0, 3 * 5.0 + 5.0 * 3)])
def test_every_model_ends_and_slow_ends_of_many_sources_are_not_tried(monkeypatch, each, counted):
    """Three separate models and a pooled one, whose end takes 4 seconds if it is tried."""
    blocks: list[Any] = [SimpleNamespace(names=("a",))] * 3 + [SimpleNamespace(names=("a",) * 3)]
    tried = []

    def ends(block) -> float:
        tried.append(len(block.names))
        return each if len(block.names) == 1 else 4.0

    monkeypatch.setattr(rehearsal, "_ends_seconds", ends)
    assert rehearsal._phase_seconds(blocks) == pytest.approx(counted)
    assert tried == ([1, 3] if each < rehearsal.QUICK else [1])


def test_ends_of_all_blocks_are_in_the_estimate(monkeypatch):
    """Finishing that takes long makes the estimate long, once for each model of each seed."""
    data = Sources(Noise(0).normal(60, 5), Noise(1).integers(2, 60), ("a", "b"), name="made")
    settings = {"updates": 2, "passes": 1, "width": 16, "temperatures": 10, "particles": 16}
    prepared = prepare(data, CompareSettings(model="energy", set=settings, seeds=2))
    clock = [0.0]
    monkeypatch.setattr(rehearsal.time, "process_time", lambda: clock[0])

    def finish(self, *_):
        clock[0] += 1.5

    monkeypatch.setattr(Energy, "finish", finish)
    assert prepared.seconds() == pytest.approx(2 * 3 * 1.5)


def test_sizes_are_asked_of_the_rows_that_are_timed_alone(monkeypatch):
    texts = ["ab" * (1 + i % 7) + "xyz"[i % 3] for i in range(4000)]
    data = Sources(Ragged.of_strings(texts), torch.arange(4000) % 2, "ab")
    prepared = prepare(data, CompareSettings(model="transformer"))
    asked = []
    sizes = TextCoding.sizes
    monkeypatch.setattr(
        TextCoding, "sizes", lambda self, x: asked.append(len(x)) or sizes(self, x)
    )
    assert prepared.seconds() > 0
    assert max(asked) <= rehearsal.MOST
