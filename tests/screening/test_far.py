"""Marks of what is missing, and outliers: found where they are, and not where they are not."""

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.screening.far import outlying_rows, spikes
from sourcewise.screening.numeric import screen as numeric
from sourcewise.screening.options import Rules
from sourcewise.screening.registry import screen
from sourcewise.sources import Sources

N = 400
SOURCES = Sources(torch.zeros(N, 1), torch.arange(N) % 2, ("u", "v"))
RNG = np.random.default_rng


def spiked(values, mark, rows):
    """A column with a mark in so many rows of `v`."""
    out = np.array(values, float)
    out[1 : 2 * rows : 2] = mark
    return out


def found(values):
    return {value: rows.tolist() for value, rows in spikes(values, SOURCES).items()}


NORMAL = RNG(0).normal(120, 15, N).round()
CODES = np.where(np.arange(N) % 40 == 0, np.arange(N) % 3 + 997.0, NORMAL)


@pytest.mark.parametrize(
    ("values", "right"),
    [
        (spiked(NORMAL, -999, 12), {-999: [0, 12]}),
        (spiked(NORMAL, 9999, 3), {9999: [0, 3]}),
        (spiked(NORMAL, 0, 60), {0: [0, 60]}),
        (spiked(NORMAL, -1, 90), {-1: [0, 90]}),
        (spiked(RNG(1).lognormal(0, 1, N), -9, 5), {-9: [0, 5]}),
        (np.where(np.arange(N) % 10 == 0, -999, NORMAL), {-999: [40, 0]}),
        (CODES, {997: [4, 0], 998: [3, 0], 999: [3, 0]}),
        (spiked(spiked(NORMAL, -999, 12), 9999, 4), {-999: [0, 8], 9999: [0, 4]}),
        (spiked(np.where(np.arange(N) == 0, -400, NORMAL), -999, 5), {-999: [0, 5]}),
    ],
)
def test_spikes_are_found(values, right):
    assert found(values) == right


@pytest.mark.parametrize(
    "values",
    [
        RNG(2).normal(size=N),
        RNG(2).normal(10, 3, N).round(),
        RNG(3).lognormal(0, 2, N).round(),
        RNG(4).standard_t(3, N).round(1),
        RNG(5).poisson(3, N),
        RNG(6).poisson(6, N) * (RNG(7).random(N) < 0.4),  # zeros beside ones and twos
        (RNG(8).gamma(0.4, 10, N) * (RNG(9).random(N) < 0.2)).round(1),  # rain
        RNG(10).random(N) < 0.02,
        np.where(np.arange(N) % 2 == 0, NORMAL, RNG(11).integers(1012, 1015, N)),  # a source
        np.where(np.arange(N) % 5 == 0, NORMAL, 0),  # most are 0: nothing stands for gaps
        np.full(N, 7.0),
        np.full(N, np.nan),
    ],
)
def test_spikes_are_not_seen_where_there_are_none(values):
    assert not found(np.array(values, float))


def table(**columns):
    a = RNG(12).normal(size=N)
    return pd.DataFrame({"source": np.array(["u", "v"])[np.arange(N) % 2], "a": a, **columns})


def far_notes(warnings):
    return [text for text in warnings if "far" in text]


@pytest.mark.parametrize("coding", ["numeric", "mixed", "box"])
def test_a_spike_gets_one_note_with_the_remedy(coding):
    pressure, other = spiked(NORMAL, -999, 12), NORMAL - 1119
    other[0], other[1] = -999, -1000
    start = (
        "-999 lies far from all other values of 'bp' (12 of 200 rows of 'v', 6%): if it stands "
        "for a value that is missing, "
    )
    data = sw.read(table(bp=pressure), source="source")
    assert far_notes(screen(coding, data, Rules()).warnings) == [f"{start}--na -999"]
    data = sw.read(table(bp=pressure, other=other), source="source")
    assert far_notes(screen(coding, data, Rules()).warnings) == [
        f"{start}empty these cells, or --ignore bp (--na -999 would take it from 'other' too)"
    ]


def test_the_remedy_works_however_the_value_is_written(tmp_path):
    frame = table(bp=spiked(NORMAL, -999, 12))
    frame.to_csv(tmp_path / "a.csv", index=False)  # -999.0
    frame.to_parquet(tmp_path / "a.parquet")
    for file in ("a.csv", "a.parquet"):
        data = sw.read(tmp_path / file, source="source", na=["-999"])
        assert data.seen[1].gaps == 12
        assert not far_notes(numeric(data, Rules(missing="impute")).warnings)


def test_one_mark_in_two_columns_is_one_note_and_arrays_have_no_options():
    x = np.stack([spiked(NORMAL, -999, 4), spiked(NORMAL[::-1], -999, 10)], 1)
    notes = far_notes(numeric(sw.read((x, np.arange(N) % 2))).warnings)
    assert len(notes) == 1
    assert "'x1' (4 of 200 rows of '1', 2%), 'x2' (10 of 200 rows of '1', 5%)" in notes[0]
    assert notes[0].endswith("missing, write NaN in place of -999")


def test_a_spike_is_neither_skew_nor_an_outlier():
    data = sw.read(table(b=spiked(NORMAL, 9999, 4)), source="source")
    assert len(numeric(data).warnings) == 1
    assert len(screen("box", data, Rules()).warnings) == 1


def test_outliers_are_named_with_what_helps():
    """Of 400 normal rows the squares sum up to 400 variances: one row with 1000 has them all."""
    wild, high = RNG(13).normal(size=N), RNG(14).lognormal(0, 0.3, N)
    wild[7], high[10] = 1000.0, 40.0
    notes = numeric(sw.read(table(wild=wild, high=high), source="source")).warnings
    start = "values so far out that a smooth density follows them and not the other rows: "
    assert notes == [
        f"{start}'high' (row 11, of 'u': 40): --log high brings them in",
        f"{start}'wild' (row 8, of 'v': 1000): correct such values; if they are no "
        "measurements, --na 1000 makes them missing",
    ]


def test_outliers_are_judged_as_they_are_modelled():
    """A value far out on the scale of logarithms, and one that they bring in."""
    x = RNG(15).lognormal(0, 1, N)
    x[3] = 1e9
    assert outlying_rows(x, SOURCES).tolist() == [3]
    data = sw.read(table(x=x), source="source")
    assert "1e+09" in " ".join(numeric(data, Rules(log=("x",))).warnings)
    x[3] = 200.0
    data = sw.read(table(x=x), source="source")
    assert not numeric(data, Rules(log=("x",))).warnings


@pytest.mark.parametrize("draw", ["normal", "t3", "bimodal", "source"])
def test_no_outliers_are_seen_where_there_are_none(draw):
    i = np.arange(N)
    values = {
        "normal": RNG(16).normal(size=N),
        "t3": RNG(17).standard_t(3, N),
        "bimodal": np.where(i % 10 == 0, 50, 0) + RNG(18).normal(size=N),
        "source": np.where(i % 2 == 0, 50, 0) + RNG(18).normal(size=N),
    }
    assert not len(outlying_rows(values[draw], SOURCES))
