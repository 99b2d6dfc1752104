"""What the studies of curves share."""

import numpy as np
import pytest

from sourcewise.studies.curves import fit, kept, over_seeds, within


def test_an_interval_over_seeds_is_that_of_t():
    interval = over_seeds([1.0, 2.0, 3.0])
    assert interval.value == 2
    assert interval.half_width == pytest.approx(4.302652729911275 / 3**0.5)  # t_2, .975


def test_an_exponent_is_found_with_its_interval():
    x, powers = [10, 100, 1000], (-0.4, -0.5, -0.6)
    curve = fit("exact", x, [[3 * n**a for a in powers] for n in x])
    assert curve.exponent == pytest.approx(-0.5)
    assert curve.high is not None
    assert curve.high - curve.exponent == pytest.approx(4.302652729911275 * 0.1 / 3**0.5)
    assert (curve.first, curve.last) == (10, 1000)
    alone = fit("one", x, [[n**-0.5] for n in x])
    assert alone.low is alone.high is None


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
