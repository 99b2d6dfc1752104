"""What is said where a part of the metric favours one strategy, and the whole another one."""

from types import SimpleNamespace
from typing import Any

import pytest

from sourcewise.comparison.cautions import against_whole
from sourcewise.statistics import Interval


def summary(whole: float, first: float, terms=("shapes: high noise", "detail")) -> Any:
    metric = SimpleNamespace(terms=terms)
    return SimpleNamespace(
        plan=SimpleNamespace(job=SimpleNamespace(metric=metric)),
        macro=None,
        difference=lambda *_: Interval(whole, 0.1, 100.0),
        term=lambda number, *_: Interval(whole if number else first, 0.001, 100.0),
    )


@pytest.mark.parametrize(("whole", "first", "one"), [(1.0, -0.01, "b"), (-1.0, 0.01, "a")])
def test_a_first_term_that_is_surely_the_other_way_is_told(whole, first, one):
    told = list(against_whole(summary(whole, first), "a", "b"))
    assert len(told) == 1
    assert told[0].startswith(f"by shapes alone {one} is better, by 0.01")


@pytest.mark.parametrize(
    ("whole", "first"), [(1.0, 0.01), (1.0, -0.001), (0.1, -0.01), (-1.0, -0.01)]
)
def test_nothing_is_told_where_they_agree_or_one_is_not_sure(whole, first):
    assert not list(against_whole(summary(whole, first), "a", "b"))


def test_every_term_but_the_last_is_looked_at():
    terms = ("layout: most noise", "shapes: high noise", "detail", "finest detail")
    every = summary(1.0, 1.0, terms)
    every.term = lambda number, *_: Interval(-0.01, 0.001, 100.0)
    told = list(against_whole(every, "a", "b"))
    assert [line.split()[1] for line in told] == ["layout", "shapes", "detail"]


def test_nothing_is_told_of_a_metric_without_terms():
    assert not list(against_whole(summary(1.0, -1.0, ()), "a", "b"))
