"""The page of suspect labels."""

from dataclasses import replace

import pytest

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.report.labels import render
from sourcewise.results.contract import to_json
from sourcewise.results.labels import (
    Confusion,
    Flag,
    JudgedData,
    JudgedSource,
    LabelModel,
    LabelsResult,
    ShareFacts,
    Telling,
)

from .test_html import Page

UNKIND = "<script>alert(1)</script>"


@pytest.fixture
def found() -> LabelsResult:
    """Two sources, one of an unkind name; sixty flags."""
    columns = (Telling("dose", "6.1", 0.02, 0.31), Telling("age", "", 0.0, 0.4))
    flags = tuple(
        Flag(
            i + 1,
            UNKIND,
            "b",
            9 - i / 10,
            1.0,
            12.0,
            0.95,
            f"here/a.csv, line {i + 2}",
            None,
            columns,
        )
        for i in range(60)
    )
    return LabelsResult(
        schema_version=1,
        kind="labels",
        data=JudgedData("data", "0", 900, 890, ("dose", "age"), (), 0, 0),
        family="family",
        strategy="pooled",
        metric="log-likelihood",
        folds=5,
        seeds=3,
        probability=0.5,
        flags=flags,
        expected_precision=ShareFacts(0.9, 0.8, 0.97),
        expected_recall=ShareFacts(0.7, 0.6, 0.8),
        expected_wrong=77.4,
        sources=(
            JudgedSource(UNKIND, 500, 60, 70.0),
            JudgedSource("b", 390, 0, 7.4),
            JudgedSource("c", 10, 0, None, "too few rows"),
        ),
        confusions=(Confusion(UNKIND, "b", 60),),
        model=LabelModel(1.2, 0.1, 4.0, {UNKIND: 0.1, "b": -0.1}, 0.88),
        warnings=("look here",),
        run=None,
        settings={},
        versions={},
    )


def test_the_page_shows_the_worst_rows_and_how_far_to_trust_them(found):
    page = Page(render(found))
    text = " ".join(page.text.split())
    assert "60 of 890 labels are suspect." in text
    assert "Expected to be wrong: 90 % of these, and about 77 of all labels." in text
    assert "0.900, 95 % interval 0.800 to 0.970" in text
    assert f"1: {UNKIND}, rather b" in page.text
    assert "a.csv, line 2" in text
    assert "here/" not in text
    assert "dose=6.1 (2 % against 31 %), age=(gap) (0 % against 40 %)" in text
    assert "10 more flags are in labels.csv" in text
    assert "look here" in text
    assert "4 copies of a row" in text


def test_names_of_data_are_shown_not_run(found):
    page = Page(render(found))
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert f"{UNKIND}, rather b" in page.text


def test_nothing_suspect_is_a_page_too(found):
    none = ShareFacts(None, None, None, "nothing is flagged")
    empty = replace(found, flags=(), confusions=(), expected_precision=none, expected_recall=none)
    text = Page(render(empty)).text
    assert "None of 890 labels is suspect." in text
    assert "Expected to be wrong: about 77 of all labels." in text
    assert "most suspect rows" not in text


def test_the_public_door_takes_results_and_documents(found, tmp_path):
    page = sw.report(found, tmp_path / "a.html")
    assert sw.report(to_json(found), tmp_path / "b.html").read_bytes() == page.read_bytes()
    with pytest.raises(InputError, match="a report of labels has no plot"):
        sw.report(found, tmp_path / "a.svg")
