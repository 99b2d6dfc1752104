import json
from dataclasses import replace

import pytest

import sourcewise as sw
from sourcewise.cells import as_option
from sourcewise.documents import from_json
from sourcewise.results.comparison import ComparisonResult, Level
from sourcewise.results.comparison_text import comparison_lines
from sourcewise.results.data import Column
from sourcewise.results.text import aligned, extent, few_degrees, metric_name, note_lines


@pytest.fixture(scope="module")
def comparison():
    return sw.compare(
        sw.read("wine"), seeds=1, strategies="pooled,separate,shuffled", model="gaussian"
    ).result


def printed(result) -> str:
    return "\n".join(comparison_lines(result))


def test_few_degrees_of_freedom_are_said():
    assert few_degrees(2.31) == "2.3 degrees of freedom"
    assert few_degrees(1.0) == "1 degree of freedom"
    assert few_degrees(9.0) == few_degrees(None) == ""


def test_the_extent_of_data_is_what_a_row_is_made_of(comparison):
    data = comparison.data
    assert extent(data) == "13 columns"
    assert extent(replace(data, columns=(Column("a"),))) == "1 column"
    assert (
        extent(replace(data, columns=(), variables=4, symbols=20)) == "4 positions of 20 symbols"
    )
    assert extent(replace(data, scored_per="symbol")) == "178 symbols"


@pytest.mark.parametrize(
    "remedy",
    [
        as_option("--types", "Weight, in kg=category"),
        as_option("--ignore", "it's", "a b"),
        as_option("--ignore", "a\r b"),
        as_option("--columns", "one 1", "two 2", "x" * 90),
        "--missing impute",
        "--model hierarchical-table",
    ],
)
@pytest.mark.parametrize("columns", [60, 70, 80, 98])
def test_what_is_to_be_pasted_stays_on_one_line(monkeypatch, remedy, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for before in range(1, 30):
        note = f"{'of each row ' * before}column's end: {remedy}, or do not"
        lines = list(note_lines([note]))
        assert sum(remedy in line for line in lines) == 1
        assert " ".join(line.strip() for line in lines) == f"note: {note}"
        assert all(len(line) <= columns for line in lines if remedy not in line)


def test_columns_are_as_wide_as_their_widest_cell():
    lines = aligned(("source", "n", "why"), [("a", "1234", "x"), ("long name", "5", "")], 1)
    assert lines == ["  source        n  why", "  a          1234  x", "  long name     5"]


def test_the_table_names_the_metric_its_unit_and_its_direction(comparison):
    assert "held-out log-likelihood -" in printed(comparison)
    assert "higher is better" not in printed(comparison)
    text = json.dumps(sw.Comparison(comparison, dict).document)
    text = text.replace("log_likelihood", "energy_distance").replace("nats per row", "metres")
    document = json.loads(text)
    document["metrics"]["energy_distance"]["higher_is_better"] = False
    document["warnings"] = []
    shown = printed(from_json(ComparisonResult, document, "here"))
    assert "nats" not in shown
    assert "likelihood" not in shown
    assert "separate - pooled, metres: above 0 favours pooled" in shown
    assert "held-out energy-distance -" in shown
    assert shown.count("; lower is better") == 3


def test_metrics_that_are_shown_have_a_table_and_no_part_in_the_verdict(comparison):
    document = sw.Comparison(comparison, dict).document
    document["metrics"]["frechet"] = {"unit": "pixels", "higher_is_better": False}
    for strategy in document["strategies"].values():
        level = {"mean": 2.5, "low": None, "high": None, "replicates": [2.0, 3.0]}
        strategy["macro"]["frechet"] = level
        for entry in strategy["per_source"].values():
            entry["metrics"]["frechet"] = level
    shown = printed(from_json(ComparisonResult, document, "here"))
    line = next(line for line in shown.splitlines() if line.startswith("frechet"))
    assert line.startswith(
        "frechet, pixels, lower is better: shown beside the metric that decides"
    )
    assert "never part of the verdict" in " ".join(shown.split())
    assert shown.count("2.5000 (2.0000 to 3.0000)") == 4 * 3
    assert "frechet" not in printed(comparison)


def test_unknown_numbers_are_dashes(comparison):
    unknown = {"difference": None, "low": None, "high": None, "p": None, "p_holm": None}
    differences = tuple(replace(d, **unknown) for d in comparison.differences)
    strategies = {
        name: replace(s, macro={"log_likelihood": Level(None, None, None)})
        for name, s in comparison.strategies.items()
    }
    shown = printed(replace(comparison, differences=differences, strategies=strategies))
    assert "nan" not in shown
    assert "None" not in shown
    assert "held-out log-likelihood - on average" in shown


def test_the_most_certain_of_very_many_sources_are_shown(comparison):
    first = comparison.differences[0]
    many = tuple(replace(first, source=f"s{i}", p=i / 100) for i in range(99, -1, -1))
    macro = replace(first, source="macro")
    shown = printed(replace(comparison, differences=(*many, macro)))
    assert "  s59 " in shown
    assert "  s60 " not in shown
    assert "  ... 40 less certain ones in the report" in shown
    assert shown.index("less certain") < shown.index("\n  macro")


@pytest.mark.parametrize("key", ["log_likelihood", "energy_score"])
def test_the_name_of_a_metric_is_the_one_that_users_write(key):
    assert metric_name(key) == key.replace("_", "-")
