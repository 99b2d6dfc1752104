"""Who is recommended, and what says so: the same words in the document, the table, the report."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import sourcewise as sw
from sourcewise.comparison.cautions import (
    condition,
)
from sourcewise.comparison.result import Comparison, extent
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.verdict import _recommend, few_degrees
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.report.prose import verdict as told
from sourcewise.strategies import Strategy

ARM = {"passes": 2, "batch": 32}


POOLED = Strategy("pooled", Partition(((0, 1),)))
SEPARATE = Strategy("separate", Partition(((0,), (1,))))
PLAN: Any = SimpleNamespace(job=SimpleNamespace(strategies=(POOLED, SEPARATE)))


def records(**verdicts: str) -> list[dict[str, Any]]:
    names = {"s0": "0", "s1": "1"}
    gain = 0.1 if "pool" in verdicts.values() else -0.1
    return [
        {"source": names.get(k, k), "strategy": "pooled", "verdict": v, "difference": gain}
        for k, v in verdicts.items()
    ]


@pytest.mark.parametrize(
    ("verdicts", "recommended", "how"),
    [
        (("separate", "undecided", "undecided"), "separate", "because of source '0' alone"),
        (("separate", "separate", "undecided"), "separate", "because of sources '0', '1'"),
        (("pool", "equivalent", "undecided"), "pooled", "because of source '0' alone"),
        (("pool", "separate", "undecided"), "pooled", "by default"),
        (("undecided", "undecided", "undecided"), "pooled", "by default"),
        (("undecided", "undecided", "separate"), "separate", ""),
        (("undecided", "undecided", "pool"), "pooled", ""),
    ],
)
def test_what_says_which_to_use(verdicts, recommended, how):
    rows = records(**dict(zip(("s0", "s1", "macro"), verdicts, strict=True)))
    found = _recommend(Summary(PLAN, {}), [POOLED], "separate", rows)
    assert found[:2] == (recommended, how)


def test_table_and_report_say_the_same():
    x = torch.minimum(Noise(1).integers(3, 120, 5), torch.arange(120)[:, None] % 2 + 1)
    data = sw.Sources(x, torch.arange(120) % 2, ("0", "1"), name="symbols")
    result = sw.compare(data, model="arm", set=ARM, seeds=2)
    assert "2 sources, 5 positions of 3 symbols;" in str(result).splitlines()[0]
    document = dict(result.document)
    document["verdict"] = {
        **document["verdict"],
        "overall": "undecided",
        "recommended": "separate",
        "recommended_how": "because of source '0' alone",
    }
    line = "recommended: separate, because of source '0' alone"
    assert line in str(Comparison(document, dict))
    headline = told(document, "log_likelihood")["headline"]
    assert document["verdict"]["condition"] == "for models trained this long"
    assert headline[:31] == "For models trained this long: t"
    document["verdict"]["condition"] = None
    headline = told(document, "log_likelihood")["headline"]
    assert headline == "These data do not decide it; because of source '0' alone, separate."
    assert "('0')" in str(result) or "('1')" in str(result)  # the worst source


def test_few_degrees_of_freedom_are_said():
    assert few_degrees(2.31) == "2.3 degrees of freedom"
    assert few_degrees(1.0) == "1 degree of freedom"
    assert few_degrees(9.0) == few_degrees(None) == ""


def test_the_extent_of_a_table_is_its_columns():
    assert extent({"scored_per": "row", "columns": [{"name": "a"}], "variables": 1}) == "1 column"


def test_a_verdict_says_what_it_holds_under():
    assert condition([], []) == ""
    assert condition(["pooled"], []) == "for models trained this long"
    found = condition(["pooled"], ["with a", "with b"])
    assert found == "for models trained this long, with a, with b"


@pytest.mark.parametrize(
    ("verdict", "average", "better"), [("separate", 0.26, "separate"), ("pool", -0.26, "pooled")]
)
def test_one_source_does_not_decide_against_the_average(verdict, average, better):
    rows = records(s0=verdict, s1="undecided", macro="undecided")
    rows[-1]["difference"] = average
    found = _recommend(Summary(PLAN, {}), [POOLED], "separate", rows)
    assert found[:2] == ("pooled", "by default")
    assert f"; source '0' favours {better}, but the average ({average:+.3g})" in found[2]
