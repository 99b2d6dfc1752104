"""Figure 1: simulation, exact expectation and the paper's values agree."""

import json
import math

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.metrics.total_variation import total_variation
from sourcewise.randomness import Noise
from sourcewise.studies.figure1.settings import PAPER, Figure1Settings
from sourcewise.studies.figure1.simulation import (
    Distances,
    Setup,
    Sums,
    average_tv,
    distances,
    draw_samples,
    draw_statistics,
    in_batches,
    paper_estimates,
)
from sourcewise.studies.figure1.study import grid
from sourcewise.studies.figure1.table import PICTURE, Figure1
from sourcewise.theory.gaussian.laws import expected_tv_pooled
from sourcewise.truths.gaussian import GaussianTruth, paper_gaussian

SETUP = Setup(K=4, n=60, d=6, d1=4)


def figure1(settings: Figure1Settings) -> Figure1:
    return grid(settings).run()


@pytest.fixture(scope="module")
def result() -> Figure1:
    return figure1(Figure1Settings())


# --- the simulation


def loop_run(setup: Setup, run: int, noise: Noise) -> tuple[float, float]:
    """One run as one would write it: draw, fit source by source, measure against the truth."""
    generator = noise.of("samples", *setup, run).generator()
    y = torch.randint(setup.K, (setup.n,), generator=generator, dtype=torch.int32).long()
    truth = paper_gaussian(setup.K, setup.d, setup.d1)
    x = truth.mean[y] + torch.randn(setup.n, setup.d, generator=generator).double()
    separate = torch.stack([x[y == k].mean(0) for k in range(setup.K)])
    pooled = torch.cat([separate[:, : setup.d1], x[:, setup.d1 :].mean(0).expand(setup.K, -1)], 1)
    fits = (GaussianTruth(mean, truth.scale_tril) for mean in (separate, pooled))
    first, second = (total_variation(truth, fit).average.value for fit in fits)
    return first, second


@pytest.mark.parametrize(
    "setup", [SETUP, Setup(1, 20, 3, 1), Setup(3, 50, 4, 0), Setup(2, 9, 2, 2)]
)
def test_batched_runs_equal_a_plain_loop(setup):
    separate, pooled = in_batches(setup, 7, Noise(5))
    assert bool(separate.seen.all())
    for run in range(7):
        expected = loop_run(setup, run, Noise(5))
        got = separate.tv[run].mean().item(), pooled.tv[run].mean().item()
        assert got == pytest.approx(expected, abs=1e-12)


def test_runs_do_not_depend_on_the_batch_nor_on_how_many_there_are():
    whole = in_batches(SETUP, 30, Noise(0), batch=30)
    for other in (in_batches(SETUP, 30, Noise(0), batch=b) for b in (1, 4, 29)):
        for a, b in zip(whole, other, strict=True):
            assert torch.equal(a.radius, b.radius)
            assert torch.equal(a.seen, b.seen)
    few = in_batches(SETUP, 5, Noise(0))
    assert torch.equal(few[1].radius, whole[1].radius[:5])
    few, many = (draw_statistics(SETUP, runs, Noise(0)) for runs in (5, 1500))
    assert torch.equal(few.sums, many.sums[:5])
    assert not torch.equal(many.sums[:500], many.sums[1000:])  # blocks differ


@pytest.mark.parametrize("drawn", [draw_samples, draw_statistics], ids=["samples", "statistics"])
def test_sufficient_statistics_have_their_law(drawn):
    runs = 20_000
    setup = Setup(K=3, n=12, d=2, d1=1)
    s = drawn(setup, range(runs) if drawn is draw_samples else runs, Noise(1))
    assert bool((s.counts.sum(1) == 12).all())
    assert s.counts.mean(0).tolist() == pytest.approx([4] * 3, abs=4 * math.sqrt(8 / 3 / runs))
    covariance = torch.cov(s.counts.T)  # multinomial: n p (1-p), -n p^2
    assert covariance.diagonal().tolist() == pytest.approx([8 / 3] * 3, rel=0.05)
    assert covariance[0, 1].item() == pytest.approx(-4 / 3, rel=0.05)
    empty = s.counts == 0
    assert bool(empty.any())
    assert s.sums[empty].abs().sum() == 0
    z = (s.sums / s.counts.clamp(min=1).sqrt()[..., None])[~empty]  # standard normal
    assert z.mean(0).tolist() == pytest.approx([0, 0], abs=4 / math.sqrt(len(z)))
    squares = z.square()
    assert squares.mean(0).tolist() == pytest.approx([1, 1], abs=4 * math.sqrt(2 / len(z)))
    assert squares.square().mean().item() == pytest.approx(3, abs=4 * math.sqrt(96 / len(z)))


@pytest.mark.parametrize(
    "setup",
    [Setup(5, 500, 10, 5), Setup(5, 3, 4, 2), Setup(5, 3, 4, 0), Setup(15, 40, 2, 1)],
    ids=["default", "few", "few, all shared", "many sources"],
)
def test_many_runs_have_the_exact_expectation(setup):
    """Also where most runs miss a source: both are conditional on n_k >= 1."""
    fits = distances(setup, draw_statistics(setup, 200_000, Noise(2)))
    for fit, own in zip(fits, (setup.d, setup.d1), strict=True):
        value, error = average_tv(fit.tv, fit.seen)
        exact = expected_tv_pooled([1 / setup.K] * setup.K, setup.n, setup.d, own)
        assert error < 0.001
        assert abs(value - exact) < 4 * error


def test_standard_error_is_the_spread_of_repetitions():
    setup = Setup(5, 6, 4, 2)  # sources are often missed
    fit = distances(setup, draw_statistics(setup, 100_000, Noise(3)))[1]
    parts = [average_tv(fit.tv[i::500], fit.seen[i::500]) for i in range(500)]  # 200 runs
    values, errors = torch.tensor(parts).T
    assert (errors.mean() / values.std()).item() == pytest.approx(1, abs=0.12)


def test_a_source_without_examples_has_no_estimate():
    sums = Sums(
        torch.tensor([[0.0, 4.0]]).double(), torch.tensor([[[0.0, 0.0], [2.0, 4.0]]]).double()
    )
    separate, pooled = distances(Setup(2, 4, 2, 1), sums)
    assert separate.seen.tolist() == pooled.seen.tolist() == [[False, True]]
    assert pooled.radius[0].tolist() == [0.0, pytest.approx(math.hypot(0.5, 1.0))]
    _, shared = distances(Setup(2, 4, 2, 0), sums)
    assert shared.seen.tolist() == [[True, True]]
    assert shared.radius[0].tolist() == [pytest.approx(math.hypot(0.5, 1.0))] * 2


# --- the paper's estimator


def test_papers_estimator_is_that_of_real_test_points():
    """One normal per test point has the law of `|p_hat/p* - 1|/2` at points in R^d."""
    error = torch.tensor([0.3, -0.2, 0.5]).double()
    z = Noise(0).normal(400_000, 3)
    real = torch.expm1(z @ error - error.square().sum() / 2).abs() / 2
    fit = Distances(error.norm().reshape(1, 1), torch.ones(1, 1, dtype=torch.bool))
    many = Distances(fit.radius.expand(4000, 1), fit.seen.expand(4000, 1))
    (ours,) = paper_estimates((many,), Noise(1), points=100)
    spread = real.std().item()
    assert ours.mean().item() == pytest.approx(real.mean().item(), abs=6 * spread / 632)
    assert ours.std().item() == pytest.approx(spread / 10, rel=0.06)
    assert ours.mean().item() == pytest.approx(fit.tv.item(), abs=4 * spread / 632)  # unbiased


def test_papers_estimator_leaves_out_what_was_not_seen():
    fit = Distances(torch.tensor([[0.0, 0.4]]).double(), torch.tensor([[False, True]]))
    (estimate,) = paper_estimates((fit,), Noise(0), points=400_000)
    assert estimate.item() == pytest.approx(fit.tv[0, 1].item(), abs=0.002)


# --- the figure


def test_simulated_means_agree_with_the_exact_expectation(result):
    assert len(result.points) == 30
    assert max(abs(cell.z) for cell in result.points) < 4
    assert max(cell.standard_error for cell in result.points) < 0.0015


def test_paper_agrees_with_the_exact_expectation(result):
    known = [cell for cell in result.points if cell.paper is not None]
    assert len(known) == 30  # 13 settings; K = 5, n = 500, beta = .5 stands in three sweeps
    assert len({(c.K, c.n, c.beta) for c in known}) == len(PAPER) == 13
    assert max(abs(cell.z_paper) for cell in known) < 2
    for cell in known:
        assert cell.paper_sd == pytest.approx(0.013 * math.sqrt(500 / cell.n), rel=0.25)


def test_law_rate_and_bound(result):
    for cell in result.points:
        assert abs(cell.law / cell.exact - 1) < 0.01
        assert cell.exact < cell.bound < cell.rate
    default = result.select(sweep="K", strategy="pooled")[2]
    assert (default.value, default.d1, round(default.rate, 4)) == (5, 5, 0.2449)


def test_json_is_complete_and_comes_back(result):
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    keys = {"sweep", "value", "strategy", "measured", "standard_error", "paper", "exact"}
    assert all(keys | {"z_paper", "rate", "law"} <= cell.keys() for cell in document["cells"])
    back = Figure1.from_json(document)
    assert back.points == result.points
    assert back.settings.runs == 1000


def test_text_has_a_line_per_cell(result):
    lines = str(result).splitlines()
    assert len(lines) == 33
    assert "K = 5       pooled" in str(result)
    assert "0.0962" in lines[8]


def test_drawing_is_reproducible(result, tmp_path):
    for name in "ab":
        PICTURE.write(result, tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    svg = (tmp_path / "a.svg").read_text()
    assert svg == (tmp_path / "b.svg").read_text()
    assert svg.count('<g id="axes_') == 3
    assert "dc:date" not in svg


QUICK = Figure1Settings(
    K_values=(2,), n_values=(40,), beta_values=(0.4,), seeds=20, spread_runs=50
)


def test_same_seed_same_cells():
    again = QUICK.model_copy(update={"seed": 1})
    assert figure1(QUICK).points == figure1(QUICK).points
    assert figure1(QUICK).points != figure1(again).points


@pytest.mark.parametrize("draw", ["samples", "statistics"])
def test_papers_estimator_in_the_measured_column(draw):
    settings = Figure1Settings(paper_estimator=True, draw=draw, spread_runs=500)
    result = figure1(settings)
    assert settings.runs == 5
    for cell in result.points:
        assert cell.measured is not None
        assert abs(cell.measured - cell.exact) / (cell.paper_sd / math.sqrt(5)) < 3.5
    exact = figure1(settings.model_copy(update={"paper_estimator": False, "seeds": 5}))
    assert [c.measured for c in exact.points] != [c.measured for c in result.points]


def test_shared_dimensions_are_rounded():
    assert Figure1Settings(d=100).d1(0.29) == 71  # int(0.29 * 100) is 28
    assert [Figure1Settings().d1(beta) for beta in (0, 0.3, 0.5, 0.7, 1)] == [10, 7, 5, 3, 0]


def test_no_value_is_none_with_a_reason(tmp_path):
    result = figure1(
        Figure1Settings(K_values=(40,), n=2, n_values=(), beta_values=(), seeds=3, spread_runs=50)
    )
    for cell in result.points:
        assert cell.measured is cell.standard_error is cell.z is cell.paper is None
        assert cell.reason == "the paper has no such cell; a source drew no example in any run"
        assert 0 < cell.exact < 1
    json.dumps(result.to_json(), allow_nan=False)
    PICTURE.write(result, tmp_path / "a.png", tmp_path / "a.svg")


def test_the_paper_is_not_quoted_for_other_dimensions():
    assert all(cell.paper is None for cell in figure1(QUICK).points)
    settings = Figure1Settings(d=8, K_values=(5,), n_values=(), beta_values=(), spread_runs=50)
    assert [cell.paper for cell in figure1(settings).points] == [None, None]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"K_values": [0]}, "setting K_values"),
        ({"beta_values": [1.1]}, "setting beta_values.*in \\[0, 1\\]"),
        ({"seeds": 1}, "setting seeds.*whole number in .2, 1000000."),
        ({"ns": 3}, "no setting 'ns'"),
    ],
)
def test_bad_settings(values, message):
    with pytest.raises(InputError, match=message):
        Figure1Settings.parse(values)


def test_nothing_to_compute():
    settings = Figure1Settings(K_values=(), n_values=(), beta_values=())
    with pytest.raises(InputError, match="no cell to compute"):
        figure1(settings)
