"""What is said of energies before their numbers are believed."""

import re
from typing import Any

import pytest

import sourcewise as sw
from sourcewise.families.base import Diagnosed, Diagnostic, Occasion
from sourcewise.families.energy.cautions import (
    cautions,
    conditions,
    rough_rules,
    simulated,
    unmixed,
)
from sourcewise.families.energy.plan import choose
from sourcewise.families.energy.settings import EnergySettings


def texts(fitted, resolved, region: float, D: int, purpose: Any = "compare") -> list[str]:
    """All of them, of strategies that say this."""
    strategies = {
        name: Diagnosed(
            [
                *(Diagnostic(key, tuple(values)) for key, values in found.items()),
                *(Diagnostic(k, (v,), setting=True) for k, v in resolved[name].items()),
            ]
        )
        for name, found in fitted.items()
    }
    return [c.text for c in cautions(strategies, Occasion(purpose, region, D)) if c.text]


def test_densities_that_are_normalised_roughly_are_named():
    fitted = {"pooled": {"quadrature error": [1e-5, 0.01]}, "separate": {"shrinkage": [0.3]}}
    resolved = {"pooled": {"nodes": 16}, "separate": {}}
    (line,) = list(rough_rules(fitted, resolved, 0.02, 3))
    assert line.startswith("the densities of the pooled models are normalised to 0.01 nats only")
    assert "--set nodes=32 (now 16 per axis)" in line
    assert list(rough_rules(fitted, resolved, 0.2, 3)) == []


@pytest.mark.parametrize("D", [1, 2, 3])
def test_nodes_that_are_advised_are_allowed(D):
    nodes, last, line = 2, 0, ""
    while nodes != last:
        choose(EnergySettings(nodes=nodes), D)
        fitted, resolved = {"a": {"quadrature error": [1.0]}}, {"a": {"nodes": nodes}}
        (line,) = rough_rules(fitted, resolved, 0.01, D)
        last, found = nodes, re.search(r"nodes=(\d+)", line)
        nodes = int(found[1]) if found else nodes
    assert "are the most there can be" in line
    with pytest.raises(sw.InputError, match="setting nodes"):
        choose(EnergySettings(nodes=nodes + 1), D)


def test_simulated_normalisers_are_told_with_numbers():
    fitted = {
        "pooled": {"annealing error": [0.1, 0.25], "r_hat": [1.0, 1.2]},
        "separate": {"annealing error": [0.3], "effective weights": [40.0]},
    }
    now = {"normaliser": "annealed importance sampling", "sampler": "mala"}
    now |= {"temperatures": 200, "particles": 128}
    resolved = dict.fromkeys(fitted, now)
    scored, mixed = texts(fitted, resolved, 0.01, 5)
    assert "overstates log-likelihoods in expectation, by at most about" in scored
    assert "about 0.25 nats (pooled), 0.3 nats (separate) (annealing" in scored
    assert "--set temperatures=400, --set particles=256" in scored
    assert "intervals allow for it" in scored
    assert "pooled 1.20;" in mixed
    assert mixed.endswith("train with --set sampler=hmc")
    assert "intervals" not in texts(fitted, resolved, 0.01, 5, "train")[0]


def test_a_verdict_on_energies_says_what_it_holds_under():
    def found(fitted, D=5):
        return list(conditions(fitted, 0.02, D))

    # Scores do not depend on the sampler's chains.
    assert found({"pooled": {"quadrature error": [1e-5], "r_hat": [1.5]}}) == []
    assert found({"pooled": {"quadrature error": [0.01]}}) == ["with rough normalisers"]
    simulated = {"a": {"annealing error": [0.0], "r_hat": [1.5]}}
    assert found(simulated) == ["with simulated normalisers"]
    poor = {"a": {"gain over one normal": [-1.0, -0.4, -2.0, 3.0]}}
    assert found(poor) == []  # two of four, by more than .5
    assert found(poor, D=3) == ["with poorly fitted models"]


def test_every_purpose_is_told_what_concerns_it():
    fitted = {"a": {"annealing error": [9.0], "gain over one normal": [-9.0], "r_hat": [1.5]}}
    now = {"normaliser": "annealed importance sampling", "sampler": "hmc", "objective": "pcd"}
    resolved = {"a": now | {"temperatures": 200, "particles": 128}}
    starts = ("normalisers come from", "1 of 1 a models fit", "the sampler's chains")
    for purpose, expected in (
        ("compare", starts),
        ("train", starts),
        ("evaluate", starts[:1]),
        ("sample", starts[2:]),
    ):
        found = texts(fitted, resolved, 0.01, 5, purpose)
        assert len(found) == len(expected)
        assert all(line.startswith(s) for line, s in zip(found, expected, strict=True))


def test_annealing_that_failed_is_called_so():
    fitted = {
        "pooled": {"annealing error": [112.3], "effective weights": [1.2]},
        "separate": {"annealing error": [2.71], "effective weights": [30.0]},
    }
    resolved = {name: {"temperatures": 200, "particles": 128} for name in fitted}
    (line,) = simulated(fitted, resolved)
    assert "by at most about 110 nats (pooled), 2.7 nats (separate)" in line
    assert "annealing failed to find the normaliser of pooled models" in line
    assert "1.2 effective weights of 128" in line
    assert "temperatures=400" not in line
    few = {"pooled": {"annealing error": [0.1], "effective weights": [4.9]}}
    assert "annealing failed" in next(simulated(few, resolved))


def test_strategies_that_the_same_would_help_are_told_of_together():
    fitted = {
        name: {"quadrature error": [e]} for name, e in (("pooled", 0.01), ("separate", 0.03))
    }
    resolved = {name: {"nodes": 16} for name in fitted}
    (line,) = list(rough_rules(fitted, resolved, 0.02, 3))
    assert "pooled and separate models are normalised to 0.01 and 0.03 nats only" in line
    resolved["separate"] = {"nodes": 8}
    assert len(list(rough_rules(fitted, resolved, 0.02, 3))) == 2


@pytest.mark.parametrize(
    ("normaliser", "sampler", "remedy"),
    [
        ("gauss-legendre quadrature", "mala", "sampler=grid"),
        ("annealed importance sampling", "mala", "sampler=hmc"),
        ("annealed importance sampling", "hmc", "spectral=3"),
    ],
)
def test_chains_that_have_not_mixed_have_a_remedy(normaliser, sampler, remedy):
    resolved = {"a": {"normaliser": normaliser, "sampler": sampler}}
    (line,) = unmixed({"a": {"r_hat": [1.5]}}, resolved)
    assert remedy in line.split("; ")[-1]


def said(scored_by: Any, purpose: Any = "compare") -> tuple[str, list[str]]:
    """All texts as one, and conditions, of models that are simulated in every way."""
    found = {"annealing error": (9.0,), "effective weights": (50.0,), "r_hat": (1.5,)}
    now = {"normaliser": "annealed importance sampling", "sampler": "hmc", "objective": "pcd"}
    now |= {"temperatures": 20, "particles": 16}
    diagnosed = Diagnosed(
        [
            *(Diagnostic(key, values) for key, values in found.items()),
            *(Diagnostic(key, (value,), setting=True) for key, value in now.items()),
        ]
    )
    occasion = Occasion(purpose, 0.01, 64, scored_by=scored_by)
    every = list(cautions({"pooled": diagnosed}, occasion))
    return " ".join(c.text for c in every), [c.condition for c in every if c.condition]


def test_scores_of_densities_rest_on_normalisers_and_scores_of_draws_on_chains():
    text, holds = said("density")
    assert "normalisers come from" in text
    assert "scores do not depend on them" in text
    assert holds == ["with simulated normalisers"]
    text, holds = said("samples")
    assert "normalisers come from" not in text
    assert "scores are of what chains draw" in text
    assert holds == ["with chains that have not mixed"]
    assert "scores are of what chains draw" in said("samples", "evaluate")[0]
    assert "chains" not in said("density", "evaluate")[0]
