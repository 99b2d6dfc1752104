"""The study of energy-based models: small places, run in full; laws and errors in closed form."""

import json
import math

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.families.energy.model import Energy
from sourcewise.randomness import Noise
from sourcewise.studies.blocks import sample
from sourcewise.studies.energy.settings import Cell, EnergyStudySettings
from sourcewise.studies.energy.study import grid, measure
from sourcewise.studies.energy.table import PICTURE, EnergyStudy
from sourcewise.studies.energy.truth import apart, draw_truth, laws, layers, log_densities, scores
from sourcewise.theory.asymptotic import asymptotic_bound
from sourcewise.theory.energy import bracketing
from sourcewise.theory.general import refined

TINY = {
    "dimensions": (1,),
    "samples": (50, 200),
    "sources": (1, 2),
    "embeddings": (1, 2),
    "n": 200,
    "K": 2,
    "width": 4,
    "seeds": 2,
    "starts": 2,
    "updates": 30,
}


def tiny(**more) -> EnergyStudySettings:
    return EnergyStudySettings.parse(TINY | more)


@pytest.fixture(scope="module")
def study() -> EnergyStudy:
    return grid(tiny()).run()


def tilted(slope: float) -> Energy:
    """The energy `slope x` on [0, 1]: of four units one is on everywhere, the others are off."""
    model = Energy(tiny().training(1, 1), K=1, D=1).double().requires_grad_(False)
    first, last = layers(model)
    first.weight.zero_()[0] = 1.0
    assert first.bias is not None
    first.bias.fill_(-1.0)[0] = 1.0
    model.network.V_Y.weight.fill_(0.5)
    last.weight.fill_(slope)
    return model


def test_the_law_of_a_tilted_line_is_known():
    """`p ~ exp(-a x)` has one parameter: `E|x - mu| / (sigma sqrt(2 pi))`, by fine sums."""
    model = tilted(1.5)
    x = (torch.arange(100_000).double() + 0.5) / 100_000
    p = (-1.5 * x).softmax(0)
    mu = (p * x).sum()
    sigma = (p * (x - mu) ** 2).sum().sqrt()
    expected = float((p * (x - mu).abs()).sum() / sigma) / math.sqrt(2 * math.pi)
    for law in laws(model):  # K = 1: both are one
        assert law.rank == 1
        assert law.root_n_tv == pytest.approx(expected, rel=1e-5)


def test_errors_are_those_of_the_closed_form():
    """TV of two tilted lines: their distribution functions where the densities cross."""
    a, b = 0.7, 2.0
    p, q = tilted(a), tilted(b)
    rates = [c / -math.expm1(-c) for c in (a, b)]
    cross = math.log(rates[1] / rates[0]) / (b - a)
    F = [math.expm1(-c * cross) / math.expm1(-c) for c in (a, b)]
    found = 0.5 * (log_densities(p, 4096).exp() - log_densities(q, 4096).exp()).abs().sum()
    assert float(found) == pytest.approx(abs(F[1] - F[0]), abs=1e-6)


def test_scores_are_derivatives_of_the_log_density():
    truth = draw_truth(tiny(), 1, 2, 1, Noise(0))
    s, p = scores(truth, 1)
    assert torch.allclose(p @ s, torch.zeros(s.shape[1]).double(), atol=1e-12)
    nodes, step, column = len(p), 1e-6, 0
    for parameter in truth.network.parameters():
        for i in range(parameter.numel()):
            entry = parameter.data.view(-1)
            value = float(entry[i])
            both = []
            for sign in (1, -1):
                entry[i] = value + sign * step
                both.append(log_densities(truth, nodes)[1])
            entry[i] = value
            slope = (both[0] - both[1]) / (2 * step)
            # at a bend the two one-sided derivatives differ
            agree = (slope - s[:, column]).abs() < 1e-6
            assert agree.sum() >= nodes - 2 * len(layers(truth)[0].weight)
            column += 1
    assert column == s.shape[1]


def test_scaling_a_unit_changes_no_density_and_no_law():
    truth = draw_truth(tiny(), 2, 2, 2, Noise(3))
    before = laws(truth)
    first, last = layers(truth)
    assert first.bias is not None
    with torch.no_grad():
        first.weight[0] *= 2
        first.bias[0] *= 2
        last.weight[:, 0] /= 2
    for old, new in zip(before, laws(truth), strict=True):
        assert new.rank == old.rank
        assert new.root_n_tv == pytest.approx(old.root_n_tv, rel=1e-6)


def test_information_counts_no_more_than_can_be_told_apart():
    """D = 1, L = 2: at most a bend and a step of slope per unit and source; pooled, an offset."""
    settings = tiny(width=4)
    separate, pooled = laws(draw_truth(settings, 1, 3, 2, Noise(5)))
    assert separate.rank <= 3 * 2 * 4
    assert pooled.rank <= 4 * (1 + 3)
    assert pooled.root_n_tv <= separate.root_n_tv


@pytest.mark.parametrize("D", [1, 2])
def test_truths_are_members_of_the_class(D):
    settings = tiny(width=6)
    truth = draw_truth(settings, D, 3, 2, Noise(0))
    assert all(float(p.abs().max()) <= settings.bound for p in truth.parameters())
    p = log_densities(truth, 64)
    assert torch.allclose(p.exp().sum(1), torch.ones(3).double())
    assert float(p.std(1).mean()) == pytest.approx(settings.spread, rel=0.02)
    assert apart(truth) > 0.01
    assert apart(draw_truth(tiny(width=6, own=0.0), D, 3, 2, Noise(0))) < 1e-12


def test_a_spread_out_of_reach_is_told():
    with pytest.raises(InputError, match="no random network with bound=1"):
        draw_truth(tiny(bound=1.0, spread=50.0), 1, 1, 1, Noise(0))


def test_a_smaller_sample_is_the_beginning_of_a_larger_one():
    truth = draw_truth(tiny(), 1, 3, 1, Noise(0))
    few, many = (sample(truth, 3, n, Noise(1)) for n in (30, 100))
    assert torch.equal(few[0], many[0][:30])
    assert torch.equal(few[1], many[1][:30])


def test_fits_stay_in_the_class_and_the_likeliest_start_is_kept():
    cell = Cell("n", 200, 1, 2, 200, 1)
    one, three = (measure(tiny(starts=starts), cell) for starts in (1, 3))
    for name in ("separate", "pooled"):
        first, best = getattr(one, name), getattr(three, name)
        assert best.below <= first.below <= first.blocks
        assert best.starts_below >= 3 * best.below  # the likeliest of three stays below
        pairs = zip(best.gained, first.gained, strict=True)
        assert all(b >= a - 1e-2 for b, a in pairs)  # the first start is among them


def test_with_one_source_both_are_one(study):
    separate, pooled = (
        study.select(sweep="K", strategy=name)[0] for name in ("separate", "pooled")
    )
    assert separate.per_seed == pooled.per_seed
    assert separate.rank == pooled.rank
    assert pooled.gain is pooled.beta_hat is None
    assert "K = 1" in pooled.reason


def test_sweeps_cross_in_one_cell(study):
    cells = [study.select(sweep=sweep, strategy="pooled")[-1] for sweep in ("n", "K", "d_e")]
    assert len({(cell.K, cell.n, cell.d_e) for cell in cells}) == 1
    assert len({cell.per_seed for cell in cells}) == 1
    assert len({cell.per_seed for cell in study.points}) == 2 * 4 - 1  # with K = 1 both are one


def test_laws_and_bounds_count_the_parameters_of_the_models(study):
    settings = study.settings
    one, two = (Energy(settings.training(1, 2), K=K, D=1).free_parameters for K in (1, 2))
    cells = [study.select(sweep="n", strategy=name)[-1] for name in ("separate", "pooled")]
    assert [cell.parameters for cell in cells] == [2 * one, two]
    assert [cell.law for cell in cells] == [
        pytest.approx(asymptotic_bound(p, 200)) for p in (2 * one, two)
    ]
    sizes = settings.sizes(1, 2)
    assert sizes.B == settings.training(1, 2).bound == 4
    for cell, J in zip(cells, (2, 1), strict=True):
        assert cell.bound == pytest.approx(refined(bracketing(sizes, 2, J), 200, 0.05).value)
        assert cell.measured < cell.bound


def test_beta_hat_is_the_ratio_inverted_and_not_clipped(study):
    separate, pooled = (
        study.select(sweep="n", strategy=name)[-1] for name in ("separate", "pooled")
    )
    ratio = pooled.measured / separate.measured
    assert pooled.beta_hat == pytest.approx((1 - ratio**2) * 2)
    assert pooled.gain == pytest.approx(separate.measured - pooled.measured)
    assert pooled.beta == pytest.approx(20 / 22)  # S = W (D + d_e) + W + W


def test_fits_that_start_at_the_truth_follow_the_law():
    """Three truths with three samples; a fit that begins at the truth has little to search."""
    sizes = {"samples": (500, 3000), "sources": (), "embeddings": ()}
    more = {"updates": 300, "learning_rate": 0.1, "seeds": 3, "starts": 1}
    grown = grid(tiny(**sizes, **more)).run()
    for name in ("separate", "pooled"):
        for cell in grown.select(sweep="n", strategy=name):
            assert 0.75 < cell.near / cell.information < 1.25
            assert 0.5 < cell.near_gained / cell.rank < 1.5  # Wilks
            assert cell.normaliser < 0.01
            assert cell.quadrature < 1e-5
        fits = {e.fit.strategy: e.fit for e in grown.exponents}
        assert fits[f"information, {name}"].exponent == pytest.approx(-0.5)
        assert -0.75 < fits[f"from the truth, {name}"].exponent < -0.25


def test_json_is_complete_and_comes_back(study):
    document = json.loads(json.dumps(study.to_json(), allow_nan=False))
    again = EnergyStudy.from_json(document)
    assert again.points == study.points
    assert again.exponents == study.exponents
    assert again.settings == study.settings


def test_the_table_has_a_line_per_cell_twice(study):
    lines = str(study).splitlines()
    assert sum(" separate " in line or " pooled " in line for line in lines) >= 24
    assert sum("of n: " in line for line in lines) == 6


def test_drawing_is_reproducible(study, tmp_path):
    for name in "ab":
        PICTURE.write(study, tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": "0"}, "setting samples"),
        ({"dimensions": "3"}, "setting dimensions"),
        ({"seeds": 1}, "setting seeds"),
        ({"bound": 0.5}, "setting bound"),
        ({"width": 4}, "width must be at least D \\+ d_e = 5"),
        ({"sources": "40", "n": 30}, "n = 30"),
        ({"nodes": "64"}, "setting nodes"),
        ({"batch": 0}, "whole number in .1, 10000000., or all"),
        ({"sampels": "3"}, "did you mean 'samples'"),
    ],
)
def test_bad_settings(values, message):
    with pytest.raises(InputError, match=message):
        EnergyStudySettings.parse(values)
