"""The document as a table."""

import re

from sourcewise.bounds.calculator import document
from sourcewise.bounds.registry import build
from sourcewise.bounds.table import LABELS, table

from .conftest import options


def test_sources_without_an_example_are_spoken_of():
    found = document(build("gaussian", options("gaussian", samples=8)))
    share = 100 * 0.8**8  # each of five misses eight draws
    assert f"{share:.3g} % of them draw none" in found.reasons["exact"]
    assert found.reasons["exact"] in table(found)
    assert "exact" not in document(build("gaussian", options("gaussian"))).reasons


def test_the_table_marks_what_says_nothing():
    case = build("gaussian", options("gaussian", samples=500, groups=5))
    text = table(document(case, target=0.1))
    for part in ("3.0280 *", "2.3501 *", "0.9128", "0.1262", "0.7746", "5 groups", "478"):
        assert part in text
    assert "* says nothing" in text
    clear = build("gaussian", options("gaussian", samples=10**6))
    assert "*" not in table(document(clear))


def test_columns_never_touch():
    case = build("gaussian", options("gaussian", sources=10**15, samples=10**14))
    lines = table(document(case, target=1e-3)).splitlines()
    named = (*LABELS, "parameters", "as it is", "2 x")
    rows = [
        line for line in lines if line.startswith(named) and re.search(r"\d{3}|e\+", line[44:])
    ]
    assert len(rows) > 10
    assert {line[at] for line in rows for at in (44, 57)} == {" "}
