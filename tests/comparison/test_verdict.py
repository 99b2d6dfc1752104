"""Who is recommended, and what says so: the same words in the document, the table, the report."""

import re
from dataclasses import replace

import pytest
import torch

import sourcewise as sw
from sourcewise.comparison.cautions import (
    condition,
    rough_normalisers,
    simulated_normalisers,
    unmixed_samplers,
)
from sourcewise.comparison.verdict import recommend
from sourcewise.families.energy.choices import choose
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.fitting.run import Comparison
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.report.prose import headline
from sourcewise.results.comparison import Difference
from sourcewise.strategies import Strategy

ARM = {"passes": 2, "batch": 32}


POOLED = Strategy("pooled", Partition(((0, 1),)))
SEPARATE = Strategy("separate", Partition(((0,), (1,))))


def record(source: str, verdict: str, gain: float) -> Difference:
    head = source, "pooled", "separate", "log_likelihood", "nats"
    return Difference(*head, gain, gain - 1, gain + 1, 0.5, 9.0, 0.1, 0.1, verdict, None)


def records(gain: float | None = None, **verdicts: str) -> list[Difference]:
    names = {"s0": "0", "s1": "1"}
    if gain is None:
        gain = 0.1 if "pool" in verdicts.values() else -0.1
    return [record(names.get(k, k), verdict, gain) for k, verdict in verdicts.items()]


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
    found = recommend([POOLED], (POOLED, SEPARATE), "separate", rows)
    assert (found.strategy, found.how) == (recommended, how)


def test_table_and_report_say_the_same():
    x = torch.minimum(Noise(1).integers(3, 120, 5), torch.arange(120)[:, None] % 2 + 1)
    data = sw.Sources(x, torch.arange(120) % 2, ("0", "1"), name="symbols")
    result = sw.compare(data, model="arm", set=ARM, seeds=2)
    assert "2 sources, 5 positions of 3 symbols;" in str(result).splitlines()[0]
    how = "because of source '0' alone"
    changed = {"overall": "undecided", "recommended": "separate", "recommended_how": how}
    verdict = replace(result.result.verdict, **changed)
    other = replace(result.result, verdict=verdict)
    assert f"recommended: separate, {how}" in str(Comparison(other, dict))
    assert verdict.condition == "for models trained this long"
    assert headline(other).line[:31] == "For models trained this long: t"
    other = replace(other, verdict=replace(verdict, condition=None))
    assert headline(other).line == f"These data do not decide it; {how}, separate."
    assert "('0')" in str(result) or "('1')" in str(result)  # the worst source


def test_densities_that_are_normalised_roughly_are_named():
    fitted = {"pooled": {"quadrature error": [1e-5, 0.01]}, "separate": {"shrinkage": [0.3]}}
    resolved = {"pooled": {"nodes": 16}, "separate": {}}
    (line,) = rough_normalisers(fitted, resolved, region=0.02, D=3)
    assert line.startswith("the densities of the pooled models are normalised to 0.01 nats only")
    assert "--set nodes=32 (now 16 per axis)" in line
    assert rough_normalisers(fitted, resolved, region=0.2, D=3) == []


@pytest.mark.parametrize("D", [1, 2, 3])
def test_nodes_that_are_advised_are_allowed(D):
    nodes, last, line = 2, 0, ""
    while nodes != last:
        choose(EnergySettings(nodes=nodes), D)
        fitted, resolved = {"a": {"quadrature error": [1.0]}}, {"a": {"nodes": nodes}}
        (line,) = rough_normalisers(fitted, resolved, 0.01, D)
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
    scored, mixed = rough_normalisers(fitted, resolved, 0.01, 5)
    assert "overstates log-likelihoods in expectation, by at most about" in scored
    assert "about 0.25 nats (pooled), 0.3 nats (separate) (annealing" in scored
    assert "--set temperatures=400, --set particles=256" in scored
    assert "intervals allow for it" in scored
    assert "pooled 1.20;" in mixed
    assert mixed.endswith("train with --set sampler=hmc")
    assert "intervals" not in rough_normalisers(fitted, resolved, 0.01, 5, scored=False)[0]


def test_a_verdict_says_what_it_holds_under():
    sharp = {"pooled": {"quadrature error": [1e-5], "r_hat": [1.5]}}
    assert condition([], sharp, 0.02, 5) == ""  # scores do not depend on the sampler's chains
    assert condition(["pooled"], {}, 0.02, 5) == "for models trained this long"
    rough = {"pooled": {"quadrature error": [0.01]}}
    assert condition([], rough, 0.02, 5) == "with rough normalisers"
    simulated = {"a": {"annealing error": [0.0], "r_hat": [1.5]}}
    assert condition([], simulated, 0.02, 5) == "with simulated normalisers"
    poor = {"a": {"gain over one normal": [-1.0, -0.4, -2.0, 3.0]}}
    assert condition([], poor, 0.02, 5) == ""  # two of four, by more than .5
    assert condition([], poor, 0.02, 3) == "with poorly fitted models"


def test_annealing_that_failed_is_called_so():
    fitted = {
        "pooled": {"annealing error": [112.3], "effective weights": [1.2]},
        "separate": {"annealing error": [2.71], "effective weights": [30.0]},
    }
    resolved = {name: {"temperatures": 200, "particles": 128} for name in fitted}
    (line,) = simulated_normalisers(fitted, resolved)
    assert "by at most about 110 nats (pooled), 2.7 nats (separate)" in line
    assert "annealing failed to find the normaliser of pooled models" in line
    assert "1.2 effective weights of 128" in line
    assert "temperatures=400" not in line
    few = {"pooled": {"annealing error": [0.1], "effective weights": [4.9]}}
    assert "annealing failed" in next(simulated_normalisers(few, resolved))


def test_strategies_that_the_same_would_help_are_told_of_together():
    fitted = {
        name: {"quadrature error": [e]} for name, e in (("pooled", 0.01), ("separate", 0.03))
    }
    resolved = {name: {"nodes": 16} for name in fitted}
    (line,) = rough_normalisers(fitted, resolved, region=0.02, D=3)
    assert "pooled and separate models are normalised to 0.01 and 0.03 nats only" in line
    resolved["separate"] = {"nodes": 8}
    assert len(rough_normalisers(fitted, resolved, region=0.02, D=3)) == 2


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
    (line,) = unmixed_samplers({"a": {"r_hat": [1.5]}}, resolved)
    assert remedy in line.split("; ")[-1]


@pytest.mark.parametrize(
    ("verdict", "average", "better"), [("separate", 0.26, "separate"), ("pool", -0.26, "pooled")]
)
def test_one_source_does_not_decide_against_the_average(verdict, average, better):
    rows = records(average, s0=verdict, s1="undecided", macro="undecided")
    found = recommend([POOLED], (POOLED, SEPARATE), "separate", rows)
    assert (found.strategy, found.how) == ("pooled", "by default")
    assert f"; source '0' favours {better}, but the average ({average:+.3g})" in found.why
