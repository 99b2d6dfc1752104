"""Rates of samplers: the document and the table of `sourcewise bound sampling`."""

import json
import math

import pytest

from sourcewise.bounds.rates import RESULTS, Open, curves, document
from sourcewise.bounds.rates_table import table
from sourcewise.bounds.registry import build

from .conftest import options


def asked(**more):
    return build("sampling", options("sampling", **more))


def values(case, target=None) -> dict:
    """{name: its result in JSON}."""
    found = document(case, target).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return {result["name"]: result for result in json.loads(json.dumps(found))["results"]}


def test_documents_keep_the_contract():
    found = values(asked(), target=0.1)
    assert list(found) == [result.name for result in RESULTS]
    for result in found.values():
        assert set(result) == {
            *("name", "paper", "distance", "formula", "needs", "value", "steps", "label"),
            "vacuous",
        }
        assert result["vacuous"] == (result["distance"] == "TV" and result["value"] >= 1)
    assert "steps" not in values(asked())["DDPM"]


def test_each_value_is_its_formula_by_hand():
    """d = 10, k = 4, T = 1000, eps = .01, eps_J = .001, K = 3, C = 2."""
    found = values(asked(jacobian_error=0.001, order=3, constant=2))
    log = math.log(1000)
    by_hand = {
        "DDPM": 2 * (10 * log**3 / 1000 + 0.01 * math.sqrt(log)),
        "DDPM, intrinsic": 2 * (4 / 1000 + 0.01),
        "flow": 2 * (10 / 1000 + math.sqrt(10) * 0.01 + 10 * 0.001),
        "flow, intrinsic": 2 * ((4 + math.log(10)) * log**3 / 1000 + 0.011 * log),
        "flow, general": 2 / 1000,
        "DDPM, general": 2 / math.sqrt(1000),
        "accelerated flow": 2 / 1000**2,
        "accelerated DDPM": 2 / 1000,
        "accelerated, later": 2 * 10**2.5 / 1000**2,
        "higher order": 2 * 10**5 / 1000**3,
        "first order": 2 / math.sqrt(1000),
        "second order": 2 / 1000,
    }
    assert {name: result["value"] for name, result in found.items()} == pytest.approx(by_hand)


def test_every_result_says_what_is_unknown():
    text = table(document(asked(), target=0.1))
    assert "C stands for what is unknown" in text
    for result in RESULTS:
        row = next(line for line in text.splitlines() if line.startswith(f"{result.name:<19}2"))
        assert row.endswith(f"  {result.open}")
        assert result.open.startswith("up to constants")
        # What is only known up to log powers has none in its formula.
        assert ("log^" in result.formula or "log T" in result.formula) == (
            result.open == Open.CONSTANTS
        )
    assert max(map(len, text.splitlines())) <= 99


def test_steps_are_the_fewest_that_reach_the_target():
    case = asked()
    for result in RESULTS:
        found = document(case, target=0.2)
        steps = next(rate.steps for rate in found.rates if rate.result == result)
        assert steps is not None
        assert result.rate(case.own, steps) <= 0.2
        if steps > result.first:
            assert result.rate(case.own, steps - 1) > 0.2


def test_what_errors_of_the_scores_rule_out_has_no_steps():
    case = asked(score_error=0.2)
    found = values(case, target=0.1)
    without = {name for name, result in found.items() if result["steps"] is None}
    assert without == {"DDPM", "DDPM, intrinsic", "flow", "flow, intrinsic"}
    text = table(document(case, target=0.1))
    assert "none up to 1e+15 come to 0.1" in text
    assert text.count(" none ") == 5  # in four rows, and in the reason


def test_what_is_left_out_or_not_met_is_said():
    found = document(build("sampling", {"dim": 100, "steps": 50}))
    names = [rate.result.name for rate in found.rates]
    assert names == [result.name for result in RESULTS if not result.intrinsic]
    assert found.reasons == {
        "intrinsic": "what depends on the intrinsic dimension needs --intrinsic",
        "flow": "50 steps are below d^2 = 10000, which it needs up to constants",
    }
    huge = values(asked(dim=10**9, order=100, steps=2))
    assert huge["higher order"]["value"] is None
    assert huge["higher order"]["vacuous"]
    assert "beyond floats" in table(document(asked(dim=10**9, order=100, steps=2)))


def test_curves_pass_through_the_document():
    case = asked()
    along = curves(case)
    at = along.places.index(along.at)
    found = values(case)
    assert set(along.lines) == {name for name, r in found.items() if r["distance"] == "TV"}
    for name, forms in along.lines.items():
        assert forms["rate"][at] == pytest.approx(found[name]["value"], rel=1e-12)
