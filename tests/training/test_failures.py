"""Trainings that diverge fail by name, with what helps."""

from pathlib import Path

import pytest
import torch

from sourcewise.errors import TrainingFailed
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.randomness import Noise
from sourcewise.training import fit
from sourcewise.training.stack import StepNoise

from .conftest import NAMES, data, settings, trained

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("D", [2, 5])
@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 100.0, "clip": 0.0},  # energies rise
        {"learning_rate": 1e30},  # energies are no numbers
        {"steps": 1, "acceptance": 0.01, "adjusted": False, "learning_rate": 0.1},  # chains jump
    ],
)
def test_persistent_contrastive_divergence_fails_by_name(options, D):
    chosen = settings(**({"D": D, "patience": 0, "passes": 100} | options))
    with pytest.raises(TrainingFailed) as failed:
        trained(chosen, D)
    (line,) = str(failed.value).splitlines()
    assert line.startswith("a+b+c, update ")
    assert "persistent contrastive divergence diverged" in line
    for knob in (
        "energy_decay=0.01",
        f"steps={2 * chosen.steps}",
        "learning_rate=0.002",  # that of the objective
    ):
        assert f"--set {knob}" in line
        EnergySettings.parse(chosen.model_dump() | dict([knob.split("=")]))  # is allowed


def test_energies_that_stay_together_are_no_failure():
    chosen = settings()
    divergence = Energy(chosen, K=1, D=4).divergence
    assert divergence(3.0) is None
    assert divergence(-150.0) is None  # 50 per column are
    for value in (250.0, -250.0, float("nan"), float("-inf")):
        assert divergence(value)
    assert Energy(settings("likelihood", D=2), K=1, D=2).divergence(float("nan")) is None


@pytest.mark.parametrize("objective", ["nce", "denoising", "sliced"])
def test_other_objectives_fail_by_name(objective):
    gentle = {"nce": 0.01}.get(objective, 0.002)
    with pytest.raises(TrainingFailed) as failed:
        trained(settings(objective, learning_rate=1e30), parts=3)
    (line,) = str(failed.value).splitlines()
    assert f"training with objective={objective} diverged (its value is nan)" in line
    assert f"--set learning_rate={gentle}, --set spectral=3" in line
    assert ("smoothing" in line) == (objective == "denoising")


def test_likelihoods_that_are_not_finite_fail_by_name():
    with pytest.raises(TrainingFailed, match=r"loss of .* is not finite at update \d+ .*learning"):
        trained(settings("likelihood", D=2, learning_rate=1e30), D=2)


@pytest.mark.parametrize(("objective", "D"), [("likelihood", 2), ("nce", 4)])
@pytest.mark.parametrize("given", [True, False])
def test_divergence_to_finite_numbers_fails_by_name(objective, D, given):
    """By that of the objective that was taken, given or `auto`; of one model or of several."""
    for parts, names in ((1, "a+b+c"), (3, "a")):
        chosen = settings(objective if given else "auto", D=D, learning_rate=30.0)
        with pytest.raises(TrainingFailed) as failed:
            trained(chosen, D, parts)
        (line,) = str(failed.value).splitlines()
        assert line.startswith(f"{names}, weights of update ")
        assert f"training with objective={objective} diverged: " in line
        assert line.endswith("What helps: --set learning_rate=0.01, --set spectral=3")


@pytest.mark.parametrize("objective", ["nce", "denoising", "sliced"])
@pytest.mark.parametrize("D", [2, 4])
def test_every_objective_can_tell(objective, D):
    trained(settings(objective, D=D), D)  # a healthy one is let through
    with pytest.raises(TrainingFailed, match=f"objective={objective} diverged"):
        trained(settings(objective, D=D, learning_rate=30.0), D)


def test_a_failure_is_remembered(tmp_path: Path):
    """A finished training is not taken up as if it had gone well."""
    chosen, lines = settings("nce", learning_rate=30.0), []
    for _ in range(2):
        with pytest.raises(TrainingFailed) as failed:
            trained(chosen, folder=tmp_path)
        lines.append(str(failed.value))
    assert lines[0] == lines[1]


def test_hardly_any_training_is_no_failure():
    """Networks as they are drawn may be worse than uniform: not because of training."""
    few = {"passes": 0.1, "updates": 1, "learning_rate": 1e-6, "ema": 0.0, "validation": 0}
    worse = 0
    for seed in range(6):
        model = Energy(settings("likelihood", D=2, **few), K=3, D=2)
        fit(model, data(2), names=NAMES, noise=Noise(seed), settings=model.settings)
        held = data(2)
        noise = StepNoise([Noise(0)], [len(held)])
        rows = held.train.to("cpu", torch.float32)
        excess = model.excess(rows, {}, noise)
        worse += int(excess.mean() > 0.1 * 2)
    assert worse
