"""The ARM tables: small places, run in full."""

import json
import math

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.families.arm.model import Arm
from sourcewise.randomness import Noise
from sourcewise.studies.arm.search import ArmSearchSettings
from sourcewise.studies.arm.search import grid as search
from sourcewise.studies.arm.settings import (
    PAPER,
    ArmDSettings,
    ArmKSettings,
    ArmNSettings,
    ArmStudySettings,
    Cell,
)
from sourcewise.studies.arm.study import draw_truth, grid, measure
from sourcewise.studies.arm.table import PICTURE, ArmTable, distance
from sourcewise.studies.blocks import sample
from sourcewise.theory.asymptotic import asymptotic_bound

TINY = {"D": 4, "width": 8, "updates": 30, "seeds": 2}


def tiny_k(**more) -> ArmKSettings:
    return ArmKSettings.parse(TINY | {"values": (1, 2), "n": 200} | more)


@pytest.fixture(scope="module")
def table() -> ArmTable:
    return grid(tiny_k()).run()


def test_the_paper_has_fifteen_cells_of_thirteen_sizes():
    tables = [ArmKSettings(), ArmNSettings(), ArmDSettings()]
    cells = [cell.sizes for settings in tables for cell in settings.cells()]
    assert len(cells) == 15
    assert set(cells) == set(PAPER)
    assert len(PAPER) == 13
    assert all(0 < pooled <= separate < 1 for separate, pooled in PAPER.values())


def test_same_seed_same_numbers(table):
    assert grid(tiny_k()).run().points == table.points
    other = grid(tiny_k(seed=1)).run()
    assert all(a.measured != b.measured for a, b in zip(table.points, other.points, strict=True))


def test_with_one_source_both_are_one(table):
    separate, pooled = table.points[:2]
    assert separate.per_seed == pooled.per_seed
    assert pooled.gain is pooled.beta_hat is None
    assert "K = 1" in pooled.reason


def test_beta_hat_is_the_ratio_inverted_and_not_clipped(table):
    separate, pooled = table.points[2:]
    ratio = pooled.measured / separate.measured
    assert pooled.beta_hat == pytest.approx((1 - ratio**2) * 2)
    assert pooled.gain == pytest.approx(separate.measured - pooled.measured)
    assert 0.9 < pooled.beta < 1


def test_laws_count_the_parameters_of_the_models(table):
    settings = table.settings
    one = Arm(settings.training(), K=1, M=2, D=4).free_parameters
    two = Arm(settings.training(), K=2, M=2, D=4).free_parameters
    assert [cell.law for cell in table.points[2:]] == [
        pytest.approx(asymptotic_bound(p, 200)) for p in (2 * one, two)
    ]
    assert table.points[2].saturated == pytest.approx(math.sqrt(2 * 15 / (2 * math.pi * 200)))


def test_json_is_complete_and_comes_back(table):
    document = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert document["stated by the paper"] is False
    keys = {"sweep", "value", "strategy", "measured", "standard_error", "paper", "low", "high"}
    assert all(keys <= cell.keys() for cell in document["cells"])
    assert ArmTable.from_json(document).points == table.points
    assert document["distance"] is None  # the paper has no cell of these sizes
    assert all("the paper has no such cell" in cell["reason"] for cell in document["cells"])


def test_drawing_is_reproducible(table, tmp_path):
    for name in "ab":
        PICTURE.write(table, tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_a_realizable_truth_is_found_as_n_grows():
    values = TINY | {"truth": "realizable", "updates": 300, "seeds": 3, "K": 2, "width": 16}
    settings = ArmNSettings.parse(values | {"values": (100, 1000, 10000)})
    table = grid(settings).run()
    for name in ("separate", "pooled"):
        errors = [cell.measured for cell in table.select(strategy=name)]
        assert errors[0] > errors[1] > errors[2]
        assert errors[2] < 0.05
        assert -0.75 < next(f for f in table.fits if f.strategy == name).exponent < -0.25
    assert all((cell.gain_high or 0) > 0 for cell in table.select(strategy="pooled"))


@pytest.mark.parametrize("truth", ["independent", "shared", "realizable"])
def test_truths_are_distributions_and_not_uniform(truth):
    settings = ArmStudySettings(truth=truth, width=8, own=0.5)
    drawn = draw_truth(settings, 3, 6, Noise(0))
    assert torch.allclose(drawn.log_p.exp().sum(1), torch.ones(3).double())
    spread = drawn.log_p.std(1).mean().item()
    if truth == "realizable":
        assert spread == pytest.approx(1, abs=0.001)
    assert 0.7 < spread < 1.7
    expected = {"independent": 0.0, "shared": 0.8, "realizable": settings.sizes(6).beta}
    assert drawn.similarity == expected[truth]


def test_a_smaller_sample_is_the_beginning_of_a_larger_one():
    truth = draw_truth(ArmStudySettings(), 3, 5, Noise(0))
    few, many = (sample(truth, 3, n, Noise(1)) for n in (30, 100))
    assert torch.equal(few[0], many[0][:30])
    assert torch.equal(few[1], many[1][:30])


def test_frequencies_are_counted():
    """With K = 1, D = 1, M = 2 their TV is |share of ones - p|."""
    settings = ArmStudySettings.parse(TINY | {"D": 1})
    errors = measure(settings, Cell("K", 1, 1, 50, 1))
    noise = Noise(0).of("arm")
    for r, value in enumerate(errors.frequencies):
        truth = draw_truth(settings, 1, 1, noise.of("truth", r, 1))
        x, _ = sample(truth, 1, 50, noise.of("sample", r, 1))
        p = truth.log_p[0, 1].exp().item()
        assert value == pytest.approx(abs(x.double().mean().item() - p))


def test_early_stopping_uses_its_share():
    settings = ArmStudySettings.parse(
        TINY | {"validation": 0.2, "updates": 400, "check": 5, "patience": 0.3}
    )
    errors = measure(settings, Cell("K", 2, 2, 60, 4))
    assert errors.updates["separate"] < 400


def test_the_search_ranks_candidates(tmp_path):
    settings = ArmSearchSettings(
        candidates=("updates=1 width=10", "updates=40 width=10"), places=("3/1000/10",)
    )
    result = search(settings).run(folder=tmp_path)
    assert search(settings).run(folder=tmp_path).found == result.found
    assert [f.distance for f in result.found] == sorted(f.distance for f in result.found)
    first = result.found[0]
    points = result.select(candidate=first.candidate)
    assert first.distance == pytest.approx(distance((p.measured, p.paper) for p in points))
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert len(document["cells"]) == 4
    assert "0.568/0.549" in str(result)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"values": "0"}, "setting values"),
        ({"seeds": 1}, "setting seeds"),
        ({"D": 21}, "2\\^21 sequences"),
        ({"width": 9}, "width must be at least D = 10"),
        ({"values": "40", "n": 30}, "n = 30"),
        ({"truht": "shared"}, "did you mean 'truth'"),
    ],
)
def test_bad_settings(values, message):
    with pytest.raises(InputError, match=message):
        ArmKSettings.parse(values)


def test_bad_candidates():
    with pytest.raises(InputError, match="no cell '1/2/3' in the paper"):
        ArmSearchSettings.parse({"places": "1/2/3"})
    with pytest.raises(InputError, match="no setting 'wdth'"):
        search(ArmSearchSettings(candidates=("wdth=3",)))
