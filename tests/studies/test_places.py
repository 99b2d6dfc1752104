"""The places of a study: measured once, kept, timed in advance."""

import time
from typing import NamedTuple

import numpy as np
import pytest

from sourcewise.studies.places import Pace, kept, once_each, pace, seconds, within


class Place(NamedTuple):
    name: str
    sizes: tuple[int, ...]


def test_sweeps_that_cross_share_what_is_found():
    places, told, seen = [Place("a", (1,)), Place("b", (2,)), Place("c", (1,))], [], []

    def measure(place, progress):
        progress(1, 1)
        seen.append(place.name)
        return place.name * 2

    found = once_each(places, measure, lambda done, total: told.append(done / total))
    assert found == {(1,): "aa", (2,): "bb"}
    assert seen == ["a", "b"]
    assert told == [0.5, 1.0]


def test_progress_of_parts_is_that_of_the_whole():
    told = []
    for part in range(4):
        report = within(lambda done, total: told.append(done / total), part, 4)
        assert report is not None
        report(0, 5)
        report(5, 5)
    assert np.allclose(told, [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1])
    assert within(None, 0, 1) is None


def test_what_is_measured_once_is_kept(tmp_path):
    def measure(unfinished):
        (unfinished / "checkpoint").mkdir(parents=True)
        return {"value": 0.1}

    def never(unfinished):
        raise AssertionError

    folder = tmp_path / "cells"
    assert kept(folder, "a", measure) == kept(folder, "a", never) == {"value": 0.1}
    assert [path.name for path in folder.iterdir()] == ["a.json"]
    assert kept(None, "a", lambda unfinished: {"folder": unfinished}) == {"folder": None}


def test_a_trial_tells_updates_from_the_rest():
    def run(report):
        time.sleep(0.2)  # draws, and the first updates
        for done in (1, 2, 3, 4):
            time.sleep(0.05)
            report(done, 4)

    found = pace(run, updates=40)
    assert found.each == pytest.approx(0.005, rel=0.5)
    assert found.rest == pytest.approx(0.2, rel=0.5)


def test_an_estimate_lies_between_the_ends():
    places = [Place("small", (1,)), Place("middle", (2,)), Place("large", (3,))]
    tried = []

    def trial(place):
        tried.append(place.name)
        return Pace(rest=1.0, each=0.1 * place.sizes[0])

    def estimate(some):
        return seconds(some, lambda p: p.sizes[0], trial, lambda p: 100)

    assert estimate(places + places) == pytest.approx(3 + 10 + 20 + 30)
    assert tried == ["small", "large"]
    assert estimate(places[1:2]) == pytest.approx(1 + 20)
    assert estimate([]) == 0
