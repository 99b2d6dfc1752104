"""Bounds of flows: the documents and the tables of `sourcewise bound jko` and `bound reflow`."""

import json
import math

import pytest

from sourcewise.bounds import jko, reflow
from sourcewise.bounds.flows_table import table
from sourcewise.bounds.registry import bound_class, build

from .conftest import options

MORE = {
    "smoothing": 0.001,
    "second_moment": 10,
    "dim": 2,
    "inverse_error": 0.0001,
    "growth": 0.1,
}


def asked(family, **more):
    return build(family, options(family, **more))


def values(case, target=None) -> dict:
    """{name: its result in JSON}."""
    found = bound_class(case.common.family).kind.answer(case, target).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return {result["name"]: result for result in json.loads(json.dumps(found))["results"]}


@pytest.mark.parametrize("family", ["jko", "reflow"])
def test_documents_keep_the_contract(family):
    found = values(asked(family), target=0.1)
    for result in found.values():
        keys = {"name", "paper", "distance", "formula", "needs", "value", "label", "vacuous"}
        assert set(result) - {"steps"} == keys
        assert result["distance"] in ("W2", "KL", "TV", "steps")
        assert result["label"].startswith(("derived here", "stated by the paper"))
    assert not any("steps" in result for result in values(asked(family)).values())


def test_each_value_of_the_scheme_is_its_formula_by_hand():
    """W2 = 3, gamma = .5, lambda = 2, eps = .01, 50 steps."""
    found = values(asked("jko", lam=2, steps=50, **MORE))
    w2 = math.sqrt(1.5**-50 * 9 + 4 * 1e-4 / 4)
    kl = (1.5**-49 * 9 + 4 * 1e-4 / 4) / (2 * 0.5) + 1e-4 / 2
    smoothed = (1 - math.exp(-0.001)) ** 2 * 10 + (1 - math.exp(-0.002)) * 2
    by_hand = {
        "law after N steps": w2,
        "its divergence": kl,
        "draws": math.sqrt(kl / 2),
        "steps by the rule": math.ceil(8 * math.log(3 * 2 / 0.01)),
        "steps, solved": math.ceil(math.log(9 * 4 / 1e-4) / math.log(1.5)),
        "law by the rule": math.sqrt(5) * 0.01 / 2,
        "one step later": (5 / (2 * 0.5 * 4) + 1 / 2) * 1e-4,
        "smoothing": math.sqrt(smoothed),
        "inexact inverses": 1e-4 * (math.exp(0.05 * 50) - 1) / (math.exp(0.05) - 1),
    }
    assert {name: result["value"] for name, result in found.items()} == pytest.approx(by_hand)


def test_each_value_of_rectified_flow_is_its_formula_by_hand():
    """L = 1, gamma_2 = 3, eps = .01, T = 100."""
    found = values(asked("reflow"))
    by_hand = {
        "draws": (math.e - 1) * (0.01 + 1 / 100),
        "draws, step by step": (1.01**100 - 1) * (0.01 + 1 / 100),
        "share of the steps": (math.e - 1) / 100,
        "share of the field": (math.e - 1) * 0.01,
    }
    assert {name: result["value"] for name, result in found.items()} == pytest.approx(by_hand)


@pytest.mark.parametrize("family", ["jko", "reflow"])
@pytest.mark.parametrize("target", [0.03, 0.1, 1.0])
def test_steps_are_the_fewest_that_reach_the_target(family, target):
    found = values(asked(family), target)
    for name, result in found.items():
        steps = result.get("steps")
        if steps is None:
            continue
        at = values(asked(family, steps=steps))[name]["value"]
        assert at <= target * (1 + 1e-12)
        if steps > 1:
            assert values(asked(family, steps=steps - 1))[name]["value"] > target


def test_what_errors_rule_out_has_no_steps():
    found = values(asked("jko", eps=0.5), target=0.1)
    assert [found[name]["steps"] for name in ("law after N steps", "draws")] == [None, None]
    assert values(asked("reflow", eps=0.2), target=0.1)["draws"]["steps"] is None
    text = table(reflow.document(asked("reflow", eps=0.2), target=0.1))
    assert "none up to 1e+15 come to 0.1" in text


def test_the_default_steps_are_one_more_than_by_the_rule():
    case = asked("jko")
    assert case.settings()["steps"] == values(case)["steps by the rule"]["value"] + 1
    assert values(case)["law after N steps"]["value"] <= values(case)["law by the rule"]["value"]
    assert values(case)["its divergence"]["value"] <= values(case)["one step later"]["value"]
    assert not jko.document(case).reasons


def test_what_is_left_out_or_not_met_is_said():
    few = jko.document(asked("jko", steps=10))
    assert few.reasons == {"rule": "10 steps are not above its 92, which its bounds need"}
    exact = jko.document(asked("jko", eps=0, steps=10))
    assert exact.reasons == {"rule": "the rule for it is for --eps above 0"}
    assert [one.name for one in exact.guarantees][3:] == []
    large = reflow.document(asked("reflow", lipschitz=1000))
    assert values(asked("reflow", lipschitz=1000))["draws"]["value"] is None
    assert "over 1e308" in table(large)
    assert "null stands for a value beyond floats" in table(large)


@pytest.mark.parametrize("family", ["jko", "reflow"])
def test_every_bound_says_who_states_it_and_fits_a_screen(family):
    more = MORE if family == "jko" else {}
    kind = bound_class(family).kind
    text = kind.text(kind.answer(asked(family, **more), 0.1))
    assert max(map(len, text.splitlines())) <= 99
    for name, result in values(asked(family, **more)).items():
        row = next(line for line in text.splitlines() if line.startswith(f"{name:<20}"))
        assert row.endswith(f"  {result['label']}")
    assert "constants we could not read" in text
    if family == "reflow":
        assert "no theorem claims that two rectifications always suffice" in text


def test_a_total_variation_above_1_says_nothing():
    found = values(asked("jko", steps=1))
    assert found["draws"]["vacuous"]
    assert "* says nothing" in table(jko.document(asked("jko", steps=1)))
    assert not found["its divergence"]["vacuous"]


@pytest.mark.parametrize(
    ("family", "lines"),
    [
        ("jko", {"W2 of the law": "law after N steps", "TV of draws": "draws"}),
        ("reflow", {"draws": "draws", "step by step": "draws, step by step"}),
    ],
)
def test_curves_pass_through_the_document(family, lines):
    case = asked(family)
    along = bound_class(family).kind.along(case, None)
    at = along.places.index(along.at)
    assert set(along.lines) == set(lines)
    for line, name in lines.items():
        value = values(case)[name]["value"]
        assert along.lines[line]["rate"][at] == pytest.approx(value, rel=1e-12)
