"""What a density of numbers leaves out, refuses and points out."""

import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.screening.numeric import screen, screen_margins
from sourcewise.screening.options import Rules
from sourcewise.screening.registry import screen as screen_as
from sourcewise.sources import Sources

N = 60


def frame(**columns) -> pd.DataFrame:
    a, b = Noise(0).normal(2, N).numpy()
    return pd.DataFrame({"source": ["u", "v"] * (N // 2), "a": a, "b": b, **columns})


def screened(options=None, **columns):
    return screen(sw.read(frame(**columns), source="source"), Rules(**(options or {})))


def left_out(result):
    return {item.column: item.reason for item in result.left_out}


def test_a_descriptor_of_the_source_is_left_out():
    result = screened(code=[1, 2] * (N // 2), word=["x", "y"] * (N // 2))
    assert left_out(result) == {
        "code": "constant within 'u', 'v'",
        "word": "constant within 'u', 'v'",
    }
    assert result.table.names == ("a", "b")


def test_constant_within_one_source_is_enough():
    varying = torch.where(torch.arange(N) % 2 == 0, 7.0, torch.arange(N).double()).numpy()
    assert left_out(screened(c=varying)) == {"c": "constant within 'u'"}


def test_small_sources_do_not_decide_what_is_constant():
    data = frame(c=Noise(1).normal(N).numpy())
    lonely = pd.DataFrame({"source": ["w"], "a": [0.0], "b": [0.0], "c": [0.0]})
    both = pd.concat([data, lonely])
    assert not screen(sw.read(both, source="source")).left_out


def test_exact_dependence_within_a_source_is_left_out():
    data = frame()
    shift = data["source"].map({"u": 3.0, "v": -1.0})
    # As in a column centred by its source's mean: dependent within every source, not overall.
    result = screened(c=2 * data["a"] - data["b"] + shift)
    assert left_out(result) == {"c": "an exact linear function of the others within 'u'"}
    noisy = screened(c=2 * data["a"] - data["b"] + shift + 1e-5 * Noise(2).normal(N).numpy())
    assert not noisy.left_out


def test_dependence_is_judged_after_logarithms():
    data = frame()
    positive = data["a"].abs() + 0.1
    columns = {"p": positive, "q": 5 * positive**2}
    assert not screened(**columns).left_out
    assert "q" in left_out(screened({"log": ("p", "q")}, **columns))


def test_text_is_refused_with_the_remedy():
    with pytest.raises(sw.InputError, match=r"text columns 'w'.*--ignore w"):
        screened(w=["x", "y", "z"] * (N // 3))


def test_dates_are_left_out_and_point_to_groups():
    days = [f"2020-01-{1 + i % 28:02d}" for i in range(N)]
    result = screened(day=days)
    assert left_out(result) == {"day": "a date"}
    assert any("--group" in warning and "day" in warning for warning in result.warnings)
    by_name = screened(hour=Noise(4).integers(24, N).numpy())
    assert "hour" in by_name.table.names
    assert any("date-like columns (hour)" in warning for warning in by_name.warnings)


def test_row_identifiers_are_pointed_out():
    result = screened(key=Noise(5).permutation(N).numpy() + 1000)
    assert "key" in result.table.names
    assert any("'key' looks like a row identifier" in warning for warning in result.warnings)


def holes():
    values = Noise(6).normal(N).numpy()
    values[[3, 10, 11]] = float("nan")
    return values


def test_missing_values_are_refused_dropped_or_kept_for_imputation():
    with pytest.raises(sw.InputError, match=r"missing values \(c 3; 60 rows\): --missing drop"):
        screened(c=holes())
    dropped = screened({"missing": "drop"}, c=holes())
    assert len(dropped.data) == N - 3
    assert dropped.dropped == 3
    kept = screened({"missing": "impute"}, c=holes())
    assert len(kept.data) == N
    assert kept.imputed == 3


def test_dropped_rows_can_leave_a_column_constant():
    rare = torch.zeros(N).double()
    rare[[3, 10]] = 1.0  # the only other values of both sources stand where c is missing
    result = screened({"missing": "drop"}, c=holes(), rare=rare.numpy())
    assert left_out(result) == {"rare": "constant within 'u', 'v'"}


def test_logarithms_need_positive_values():
    with pytest.raises(sw.InputError, match=r"--log a: \d+ values are not above 0 \(first: row"):
        screened({"log": ("a",)})
    with pytest.raises(sw.InputError, match="no column 'x'"):
        screened({"log": ("x",)})
    result = screened({"log": ("c",)}, c=Noise(7).normal(N).exp().numpy())
    assert result.log == {"c"}


def test_more_columns_than_a_model_takes_are_refused_before_they_cost_time(monkeypatch):
    monkeypatch.setattr("sourcewise.screening.numeric._dependent", None)
    wide = {f"c{j}": Noise(9).of(j).normal(N).numpy() for j in range(2)}
    with pytest.raises(sw.InputError, match="data: 4 columns to model, .* takes at most 3: ch"):
        screened({"widest": 3}, **wide, code=[1, 2] * (N // 2))
    with pytest.raises(sw.InputError, match="data: 4 columns to model, .* takes at most 3: ch"):
        screen_as("mixed", sw.read(frame(**wide), source="source"), Rules(widest=3))


def test_constant_columns_do_not_count_among_those_that_a_model_takes():
    found = screened({"widest": 2}, code=[1, 2] * (N // 2))
    assert found.table.names == ("a", "b")


def test_no_column_left_is_an_error():
    data = frame().drop(columns=["a", "b"])
    data["code"] = [1, 2] * (N // 2)
    with pytest.raises(sw.InputError, match="no usable column left .code: constant"):
        screen(sw.read(data, source="source"))


def test_a_column_that_is_nearly_always_one_value_is_left_out():
    """Continuous in v, in u zero but once: some training fold of u would hold zeros only."""
    values = Noise(8).normal(N)
    values[0::2] = 0.0
    values[4] = 1.5
    assert left_out(screened(c=values.numpy())) == {"c": "hardly any value but one within 'u'"}
    rare = torch.zeros(N, dtype=torch.float64)
    rare[[4, 7]] = 1.0  # yes or no: dequantised, it has spread
    assert not screened(c=rare.numpy()).left_out


def test_a_column_without_a_value_in_some_source_is_left_out():
    values = Noise(9).normal(N)
    values[0::2] = torch.nan
    result = screened({"missing": "impute"}, c=values.numpy())
    assert left_out(result) == {"c": "no value within 'u'"}


def test_huge_values_are_refused():
    with pytest.raises(
        sw.InputError, match=r"'c' holds values that are above 1e\+100 .first: row 3"
    ):
        screened(c=[1.0, 2.0, 1e200] + [0.5, 0.25, 3.0] * 19)


def test_spikes_and_skew_are_pointed_out():
    spike = Noise(10).normal(N).abs()
    spike[torch.arange(N) % 5 < 3] = 0.0
    result = screened(gain=spike.numpy(), income=Noise(11).normal(N).mul(2).exp().numpy())
    assert "one value fills most of gain 60%" in " ".join(result.warnings)
    assert "consider --log income" in " ".join(result.warnings)
    logged = screened({"log": ("income",)}, income=Noise(11).normal(N).mul(2).exp().numpy())
    assert not logged.warnings
    assert logged.misfits == {}
    assert result.misfits == {"gain": "mostly one value", "income": "skewed"}


def test_skew_is_that_within_sources_and_told_where_no_logarithm_mends_it():
    z = torch.special.ndtri((torch.arange(N, dtype=torch.float64) + 0.5) / N)
    zeros = z.exp().where(torch.arange(N) % 7 > 0, 0.0)
    found = screened(left=(10 - z.exp()).numpy(), zeros=zeros.numpy())
    assert found.misfits == {"left": "skewed", "zeros": "skewed"}
    told = "skewed columns that a logarithm does not mend: left, zeros: a normal density fits"
    assert any(told in warning for warning in found.warnings)
    few = torch.arange(N) % 15 == 7  # normal in each of two sources, one of them small and far
    far = pd.DataFrame({"source": few.numpy(), "a": (20 + z + 12 * few).numpy()})
    assert not screen(sw.read(far, source="source"), Rules(min_rows=2)).misfits


def dated(**columns):
    """What the note on dates says of a table of 240 rows."""
    data = pd.DataFrame({"source": ["u", "v"] * 120, "a": Noise(0).normal(240).numpy(), **columns})
    notes = screen(sw.read(data, source="source")).warnings
    return [note for note in notes if "date-like" in note]


def test_groups_are_hinted_at_only_where_they_group():
    i = torch.arange(240).numpy()
    month, year = i // 20 % 12 + 1, 2019 + i // 60
    days = pd.date_range("2020-01-01", periods=240, freq="D")
    hours = pd.date_range("2020-01-01", periods=240, freq="h")
    none = "with --group and a column of weeks or months, or"
    for columns, hint in (
        ({"month": month}, "with --group month, or"),
        ({"Year": year, "month": month}, "with --group Year,month, or"),
        ({"year": year}, none),  # four of them
        ({"day": days[i // 2]}, "with --group day, or"),
        ({"day": days}, none),  # every row its own
        ({"when": hours}, none),
        ({"timestamp": i.astype(float) + 1.5e9}, none),
        ({"hour": i % 24}, none),
    ):
        assert len(told := dated(**columns)) == 1, columns
        assert hint in told[0], columns


def test_measurements_and_constants_are_no_dates():
    """Of survival analyses `time` is a measurement; a year that is the same tells of no time."""
    time = Noise(1).uniform(240).numpy() * 90
    assert not dated(time=time, day=time, year=[2020] * 240, week=[60.0, 70.0] * 120)


@pytest.mark.parametrize("coding", ["numeric", "mixed"])
def test_columns_that_hardly_vary_are_refused(coding):
    """Squares of denormal numbers are 0."""
    small = frame(c=1e-310 * Noise(7).normal(N).numpy())
    with pytest.raises(sw.InputError, match=r"'c' varies by .*e-310 only: .*--ignore c"):
        screen_as(coding, sw.read(small, source="source"), Rules())


def test_margins_of_any_shape_are_no_misfits_and_gaps_have_no_density():
    """Of a density that fits every column's margin: skew is its own matter, and is not told."""
    skewed = torch.stack([Noise(0).normal(80).exp() ** 2, Noise(1).normal(80)], 1)
    y = torch.arange(80) % 2
    usual, margins = (f(Sources(skewed, y, "ab"), Rules()) for f in (screen, screen_margins))
    assert usual.misfits
    assert not margins.misfits
    assert margins.table.names == usual.table.names
    gaps = skewed.clone()
    gaps[5, 0] = torch.nan
    with pytest.raises(InputError, match="--missing impute is not for it"):
        screen_margins(Sources(gaps, y, "ab"), Rules(missing="impute"))
    assert screen_margins(Sources(gaps, y, "ab"), Rules(missing="drop")).dropped == 1
