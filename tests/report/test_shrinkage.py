from dataclasses import replace
from typing import Any

import numpy as np

from sourcewise.documents import from_json
from sourcewise.report import shrinkage
from sourcewise.report.html import render
from sourcewise.results.comparison import ComparisonResult, Shrinkage


def facts(K: int) -> Shrinkage:
    values = [float((7 * k) % K) for k in range(K)]
    return Shrinkage(
        column="$x$ <b>",
        quantity="mean",
        unit="standard deviations of all rows",
        sources=tuple(f"source {k}" for k in range(K)),
        estimates={
            "pooled": tuple([0.0] * K),
            "separate": tuple(values),
            "partial": (None, *[v / 2 for v in values[1:]]),
        },
    )


def test_sources_are_in_the_order_of_the_first_strategy_and_at_most_so_many():
    few = facts(10)
    first = next(iter(few.estimates.values()))
    values = [first[i] or 0.0 for i in shrinkage.order(few)]
    assert values == sorted(values)
    many = shrinkage.order(facts(200))
    assert len(many) == len(set(many)) == shrinkage.MOST


def test_every_estimate_is_a_point_where_it_belongs():
    plot = shrinkage.figure([facts(10)], 600.0)
    (ax,) = plot.axes
    points = {str(d.get_label()): np.asarray(d.get_offsets()) for d in ax.collections}
    found = {name: points[name] for name in ("separate", "partial", "pooled")}
    assert [len(each) for each in found.values()] == [10, 9, 10]  # one is not known
    for x, y in found["partial"]:
        assert (2 * x, y) in {tuple(at) for at in found["separate"]}


def test_the_report_shows_the_plot_only_where_there_is_one(result: dict[str, Any]):
    usual = from_json(ComparisonResult, result, "it")
    assert "What partial pooling does" not in render(usual)
    page = render(replace(usual, shrinkage=(facts(10),)))
    assert "What partial pooling does" in page
    assert "<b>" not in page.split("shrunk-wide")[1].split("</svg>")[0]
