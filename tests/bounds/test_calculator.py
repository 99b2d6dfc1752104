"""The document and the curves of `sourcewise bound`."""

import json
from functools import partial

import numpy as np
import pytest

from sourcewise.bounds.calculator import curves, document
from sourcewise.bounds.registry import build
from sourcewise.bounds.table import table
from sourcewise.theory import arm, energy
from sourcewise.theory.gaussian.drawn import Shares, localized_drawn
from sourcewise.theory.gaussian.localized import Counts, localized
from sourcewise.theory.gaussian.partitions import asymptotic_tv, expected_tv
from sourcewise.theory.general import paper, refined

from .conftest import FAMILIES, options


def as_json(case, target=None) -> dict:
    return dict(document(case, target).to_json())


@pytest.mark.parametrize("family", FAMILIES)
def test_documents_keep_the_contract(family):
    found = as_json(build(family, options(family, groups=5)), target=0.2)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["settings"]["family"] == family
    for name in ("pooled", "grouped", "separate"):
        values = found[name]
        assert values["refined"] <= values["simple"] <= values["paper"]
        assert values["asymptotic"] > 0
        assert ("localized" in values) == ("localized" not in found["reasons"])
        for form, detail in found["details"][name].items():
            assert detail["value"] == values[form]
            assert detail["vacuous"] == (values[form] >= 1)
    order = [found[name]["parameters"] for name in ("pooled", "grouped", "separate")]
    assert order == sorted(order)
    assert found["ratio"] == pytest.approx((order[0] / order[2]) ** 0.5, abs=1e-12)
    assert found["ratio_grouped"] == pytest.approx((order[1] / order[2]) ** 0.5, abs=1e-12)
    assert found["changes"][0]["name"] == "as it is"
    assert found["changes"][0]["pooled"] == found["pooled"]["refined"]
    # what the target needs by the law is far below what a bound needs
    sizes = found["sample_size"]["pooled"]
    assert sizes["asymptotic"] < sizes["refined"] <= sizes["simple"] <= sizes["paper"]


@pytest.mark.parametrize("K", [1, 5])
@pytest.mark.parametrize("S", [None, 500])
def test_networks_are_those_of_their_own_files(K, S):
    n = 10**7
    sizes = arm.Sizes(M=2, D=10, d_e=8, W=64, L=3, B=1, S=S)
    found = as_json(build("arm", options("arm", sources=K, samples=n, nonzeros=S)))
    assert found["pooled"]["paper"] == paper(arm.bracketing(sizes, K), n).value
    assert found["separate"]["refined"] == refined(arm.bracketing(sizes, K, K), n).value
    assert found["pooled"]["parameters"] == arm.m_pooled(sizes, K)
    assert found["beta"] == pytest.approx(sizes.beta, abs=1e-15)
    sizes = energy.Sizes(D=2, d_e=8, W=64, L=3, B=1, S=S)
    found = as_json(build("energy", options("energy", sources=K, samples=n, nonzeros=S)))
    assert found["separate"]["paper"] == paper(energy.bracketing(sizes, K, K), n).value
    assert found["pooled"]["refined"] == refined(energy.bracketing(sizes, K), n).value


def test_the_general_family_takes_the_number_as_given():
    found = as_json(build("general", options("general")))
    a = (18 * np.log(100 * 5000) + np.log(20)) / 5000  # log N(1/n) = m log(c n), m = 8 + 5 * 2
    assert found["pooled"]["paper"] == pytest.approx(3 * np.sqrt(a), abs=1e-12)


def test_unequal_shares():
    p = [0.1, 0.2, 0.7]
    found = as_json(build("gaussian", options("gaussian", sources=3, shares="0.1,0.2,0.7")))
    pooled, separate = found["pooled"], found["separate"]
    counts, apart = [500, 1000, 3500], [[0], [1], [2]]
    assert pooled["exact"] == expected_tv(p, 5000, 10, 5)
    assert separate["law"] == asymptotic_tv(p, 5000, 10, 5, apart)
    assert pooled["localized"] == localized(Counts.of_sources(counts, p=p), 10, 5, 5.0).value
    alone = localized(Counts.of_sources(counts, apart, p), 10, 5, 5.0).value
    assert separate["localized"] == alone
    found = curves(build("gaussian", options("gaussian", sources=3, shares=p)), "n")
    assert found.lines["separate"]["localized"][found.places.index(5000)] == alone


def test_groups_of_unequal_sizes_and_shares():
    p, blocks = [0.1, 0.2, 0.3, 0.1, 0.3], [[0, 1, 2], [3, 4]]
    case = build("gaussian", options("gaussian", groups="3,2", shares=p))
    found = as_json(case, target=0.2)
    grouped = found["grouped"]
    assert found["settings"]["groups"] == [3, 2]
    assert (grouped["blocks"], grouped["parameters"]) == (2, 35)
    assert grouped["exact"] == expected_tv(p, 5000, 10, 5, blocks)
    assert grouped["law"] == asymptotic_tv(p, 5000, 10, 5, blocks)
    counts = Counts.of_sources(np.multiply(p, 5000), blocks, p)
    assert grouped["localized"] == localized(counts, 10, 5, 5.0).value
    for form in ("localized", "exact", "law", "parameters"):
        assert found["pooled"][form] < grouped[form] < found["separate"][form]
    for name, J in (("pooled", 1), ("grouped", 2), ("separate", 5)):
        n = found["sample_size"][name]["localized"]
        bound = case.forms["localized"]
        assert bound(5, n, J).value <= 0.2 < bound(5, n - 1, J).value
    along = curves(case, "n")
    at = along.places.index(5000)
    assert along.lines["grouped"]["localized"][at] == grouped["localized"]
    assert "groups 3,2" in table(document(case))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_number_of_groups_is_as_even_as_it_can_be(family):
    found = as_json(build(family, options(family, groups="2")))
    assert found["settings"]["groups"] == [3, 2]
    assert found == as_json(build(family, options(family, groups="3,2")))
    # only the number of groups enters these
    other = as_json(build(family, options(family, groups=[1, 4])))["grouped"]
    for form in ("paper", "simple", "refined", "asymptotic", "parameters"):
        assert found["grouped"][form] == other[form]


@pytest.mark.parametrize("groups", ["5", "1,1,1,1,1", "1", [5]])
@pytest.mark.parametrize("shares", [None, [0.1, 0.2, 0.3, 0.1, 0.3]])
def test_the_extreme_groupings_are_pooled_and_separate(groups, shares):
    found = as_json(build("gaussian", options("gaussian", groups=groups, shares=shares)))
    same = "pooled" if len(found["settings"]["groups"]) == 1 else "separate"
    for form, value in found[same].items():
        assert found["grouped"][form] == pytest.approx(value, rel=1e-12)


def test_a_share_too_small_for_an_example_has_no_localized_bound():
    shares = [0.01, 0.24, 0.25, 0.25, 0.25]
    case = build("gaussian", options("gaussian", shares=shares, samples=20, groups="2,3"))
    found = as_json(case, target=0.5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for name in ("pooled", "grouped", "separate"):
        assert found[name]["localized"] is None
        assert found["sample_size"][name]["localized"] > 100
        assert 0 < found[name]["exact"] < 1
    assert "of share 0.01: --samples 100 or more" in found["reasons"]["localized"]
    assert found["reasons"]["localized"] in table(document(case))


def test_a_level_beyond_the_theorem_has_no_paper_form():
    case = build("gaussian", options("gaussian", delta=0.7))
    found = as_json(case)
    assert found["pooled"]["paper"] is None
    assert "0.5" in found["reasons"]["paper"]
    assert found["pooled"]["refined"] < 1
    assert "paper      Theorem 3.2 is stated for delta up to 0.5" in table(document(case))


@pytest.mark.parametrize("over", ["n", "K"])
@pytest.mark.parametrize("family", FAMILIES)
def test_curves_pass_through_the_document(family, over):
    case = build(family, options(family, samples=10**6))
    found = as_json(case)
    along = curves(case, over)
    assert along.at == (10**6 if over == "n" else 5)
    at = along.places.index(along.at)
    for name, forms in along.lines.items():
        for form, values in forms.items():
            assert len(values) == len(along.places)
            assert values[at] == pytest.approx(found[name][form], rel=1e-12)


@pytest.mark.parametrize("form", ["asymptotic", "refined"])
def test_a_sample_size_that_does_not_exist_has_a_reason(form):
    case = build("gaussian", options("gaussian"))
    found = as_json(case, target=1e-300)
    assert found["sample_size"]["pooled"][form] is None
    assert found["reasons"]["sample_size"] == "null stands for more than 1e+15 examples"
    assert "over 1e15" in table(document(case, target=1e-300))
    assert "sample_size" not in as_json(case, target=0.1)["reasons"]


@pytest.mark.parametrize("bound", ["1e-307", "1e-320"])
def test_a_tiny_mean_bound_is_one_cell(bound):
    found = as_json(build("gaussian", options("gaussian", mean_bound=bound)))
    one_cell = as_json(build("gaussian", options("gaussian", mean_bound=1e-100)))
    assert found["pooled"] == one_cell["pooled"]


def test_curves_hold_the_law_and_the_exact_expectation_for_any_number_of_sources():
    found = curves(build("gaussian", options("gaussian")), "K")
    for K, J, name in ((8, 1, "pooled"), (8, 8, "separate")):
        for form, compute in (("law", asymptotic_tv), ("exact", expected_tv)):
            expected = compute([1 / K] * K, 5000, 10, 5 if J == 1 else 10)
            at = found.places.index(K)
            assert found.lines[name][form][at] == pytest.approx(expected, rel=1e-9)


SIZES = {"sources": 6, "samples": 2000, "dim": 4, "specific": 2, "mean_bound": 3, "groups": 2}


@pytest.mark.parametrize("shares", [None, [0.1, 0.1, 0.2, 0.2, 0.2, 0.2]])
def test_the_command_shows_it_for_every_strategy(shares):
    case = build("gaussian", SIZES | ({} if shares is None else {"shares": shares}))
    found, along = as_json(case, target=0.3), curves(case, "n")
    apart = [[k] for k in range(6)]
    blocks = {"pooled": None, "grouped": [[0, 1, 2], [3, 4, 5]], "separate": apart}
    for name, groups in blocks.items():
        bound = partial(localized_drawn, Shares.of_sources(shares or [1 / 6] * 6, groups))
        value = bound(2000, 4, 2, 3.0).value
        assert found[name]["localized_drawn"] == pytest.approx(value, rel=1e-9)
        at = along.places.index(2000)
        assert along.lines[name]["localized_drawn"][at] == pytest.approx(value, rel=1e-9)
        n = found["sample_size"][name]["localized_drawn"]
        assert bound(n, 4, 2, 3.0).value <= 0.3 < bound(n - 1, 4, 2, 3.0).value
        assert found["details"][name]["localized_drawn"]["s"] < 1
    rows = [line.split()[0] for line in table(document(case, target=0.3)).splitlines() if line]
    assert [rows[i + 1] for i, row in enumerate(rows) if row == "localized"] == ["drawn"] * 2


def test_other_families_have_no_drawn_row():
    case = build("general", {"sources": 5, "samples": 500, "shared": 5, "specific": 5})
    found = as_json(case)
    assert "localized_drawn" not in found["pooled"]
    assert "localized_drawn" in found["reasons"]
    assert "drawn" not in table(document(case))
