"""Training that goes on from weights: they draw towards themselves, and nothing worse is kept."""

import math
from pathlib import Path

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.errors import TrainingFailed
from sourcewise.execution import Execution
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import family
from sourcewise.families.settings import TrainedSettings
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.training.optimizer import Adam

NAMES, COUNTS = tuple("abc"), (160, 160, 80)
SMALL = {"embedding": 4, "width": 8, "depth": 2, "learning_rate": 0.02}
QUICK = {"batch": 20, "passes": 12, "check": 2, "precision": "float64"}


def settings(**options) -> TrainedSettings:
    found = family("arm").parse(SMALL | QUICK | options)
    assert isinstance(found, TrainedSettings)
    return found


def data() -> TrainingData:
    """Three sources of rows of four symbols; a quarter are validation rows."""
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(COUNTS)])
    x = torch.minimum(Noise(1).integers(3, len(y), 4), y[:, None].clamp(max=1) + 1)
    held = torch.arange(len(y)) % 4 == 0
    return TrainingData(Batch.of(x[~held], y[~held]), Batch.of(x[held], y[held]))


def models(partition: Partition) -> PartitionedModel:
    return PartitionedModel(
        partition, lambda K: family("arm").build(settings(), K=K, M=3, D=4), NAMES
    )


@pytest.fixture(scope="module")
def pooled() -> PartitionedModel:
    model = models(Partition.pooled(3))
    fit(model, data(), names=NAMES, settings=settings(passes=3))
    return model


def tuned(pooled: PartitionedModel, folder: Path | None = None, progress=None, **options):
    """The fine-tuned models, and their efforts; execution by `stacked`."""
    stacked = options.pop("stacked", True)
    model = models(Partition.separate(3))
    model.start_from(pooled)
    where = Execution(checkpoint=0, stacked=stacked)
    efforts = fit(
        model,
        data(),
        names=NAMES,
        settings=settings(**options),
        execution=where,
        folder=folder,
        progress=progress,
        begun=True,
    )
    return model, efforts


def weights(model: PartitionedModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def begun(pooled: PartitionedModel) -> torch.Tensor:
    model = models(Partition.separate(3))
    model.start_from(pooled)
    return weights(model)


def validation(model: PartitionedModel, k: int) -> float:
    valid = data().valid
    rows = valid.take((valid.y == k).nonzero().squeeze(1))
    with torch.no_grad():
        return float(model.loss(rows, Noise(0)).mean())


def test_a_pull_is_the_proximal_step_in_the_metric_of_adam():
    """What it gives has a derivative of zero: D (theta - theta') / lr + pull (theta - theta_0)."""
    start, lr, pull = Noise(0).normal(2, 5), torch.tensor([[0.3], [0.02]]), 0.7
    flats = []
    for strength in (0.0, pull):
        chosen = TrainedSettings(pull=strength, weight_decay=0)
        adam, flat = Adam(start, chosen, torch.ones(5), start), start + Noise(1).normal(2, 5)
        adam.step(flat, grad := Noise(2).normal(2, 5), lr.double(), 1)
        flats.append(flat)
    metric = grad.abs() + 1e-8  # the root of v, unbiased, after one step
    plain, pulled = flats
    slope = metric * (pulled - plain) / lr + pull * (pulled - start)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-9, rtol=0)


@pytest.mark.parametrize("pull", [0.0, 0.25, 4.0])
def test_it_ends_between_the_minimum_and_the_start(pull):
    """Of a (theta - m)^2 / 2 with the pull s: (a m + s theta_0) / (a + s)."""
    a, m, start = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 1]])
    adam = Adam(start, TrainedSettings(pull=pull, weight_decay=0), torch.ones(2), start.clone())
    flat = start.clone()
    for t in range(1, 4001):
        lr = 0.05 * (1 + math.cos(math.pi * t / 4000)) / 2
        adam.step(flat, a * (flat - m), torch.full((1, 1), lr), t)
    expected = (a * m + pull * start) / (a + pull)
    torch.testing.assert_close(flat, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("options", [{"tuning_rate": 0}, {"pull": 1e12}])
def test_held_fast_it_stays_where_it_began(pooled, options):
    found = weights(tuned(pooled, validation=0, patience=0, **options)[0])
    atol = 0 if "tuning_rate" in options else 1e-9
    torch.testing.assert_close(found, begun(pooled), atol=atol, rtol=0)


def test_the_stronger_the_pull_the_nearer(pooled):
    far = [
        float((weights(tuned(pooled, pull=pull, patience=0)[0]) - begun(pooled)).norm())
        for pull in (0, 0.1, 10, 1000)
    ]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 0.1 * far[0]


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_it_is_never_worse_on_its_validation_rows(pooled, rate):
    model, efforts = tuned(pooled, tuning_rate=rate, learning_rate=0.1)
    for k, effort in enumerate(efforts):
        own, before = validation(model, k), validation(pooled, k)
        assert own <= before + 1e-12
        assert effort.validation == pytest.approx(own, abs=1e-9)
        assert (effort.best == 0) == (own == pytest.approx(before, abs=1e-12))
    assert any(effort.best for effort in efforts)


def test_a_start_that_nothing_improves_is_kept(pooled):
    """Rates that only do harm."""
    model, efforts = tuned(pooled, learning_rate=30.0, tuning_rate=1.0, clip=0, pull=0)
    assert [effort.best for effort in efforts] == [0, 0, 0]
    assert torch.equal(weights(model), begun(pooled))


def test_stacked_equals_one_after_another(pooled):
    together, apart = (weights(tuned(pooled, stacked=stacked)[0]) for stacked in (True, False))
    torch.testing.assert_close(together, apart, atol=1e-9, rtol=1e-9)


class Killed(Exception):
    """As if the process died."""


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_interrupted_it_goes_on_bit_for_bit(pooled, tmp_path, share):
    whole = weights(tuned(pooled, patience=0)[0])

    def kill(done: int, of: int) -> None:
        if done > share * of:
            raise Killed

    with pytest.raises(Killed):
        tuned(pooled, tmp_path, kill, patience=0)
    assert torch.equal(weights(tuned(pooled, tmp_path, patience=0)[0]), whole)


def test_other_weights_are_another_training(pooled, tmp_path):
    first = weights(tuned(pooled, tmp_path)[0])
    other = models(Partition.pooled(3))
    other.load_state_dict(pooled.state_dict())
    with torch.no_grad():
        next(other.parameters()).add_(0.01)
    assert not torch.equal(weights(tuned(other, tmp_path)[0]), first)
    assert torch.equal(weights(tuned(pooled, tmp_path)[0]), first)


def test_a_loss_that_is_not_finite_at_the_start_is_told(pooled):
    broken = models(Partition.pooled(3))
    broken.load_state_dict(pooled.state_dict())
    with torch.no_grad():
        next(broken.parameters()).fill_(math.nan)
    with pytest.raises(TrainingFailed, match="validation loss of a is not finite at update 0"):
        tuned(broken)


def tilted(n: int, apart: float, seed: int) -> tuple[TrainingData, torch.Tensor]:
    """n rows of each of three sources of three symbols, and (3, 64) the log probabilities.

    What they share is one random table; each source tilts it by a random table of its own.
    """
    logits = 1.5 * Noise(seed).of("all").normal(64) + apart * Noise(seed).of("own").normal(3, 64)
    u = Noise(seed).of("rows").uniform(3, n)
    cells = torch.searchsorted(logits.softmax(1).cumsum(1), u).clamp(max=63).flatten()
    y = torch.arange(3).repeat_interleave(n)
    held = torch.arange(3 * n) % 5 == 0
    every = Batch.of(codes(cells), y)
    return TrainingData(every.take(~held), every.take(held)), logits.log_softmax(1)


def codes(cells: torch.Tensor) -> torch.Tensor:
    return torch.stack([cells // 16, cells // 4 % 4, cells % 4], 1)


def divergences(n: int, apart: float, seed: int, **options) -> dict[str, float]:
    """The mean over sources of the divergence of the models from the truth, by strategy."""
    rows, truth = tilted(n, apart, seed)
    chosen = family("arm").parse({"width": 16, "passes": 60, "learning_rate": 0.01} | options)
    names = {"pooled": Partition.pooled(3), "separate": Partition.separate(3)}
    found, trained = {}, {}
    for name, partition in (names | {"fine-tuned": Partition.separate(3)}).items():
        model = PartitionedModel(
            partition, lambda K: family("arm").build(chosen, K=K, M=4, D=3), NAMES
        )
        begun = name == "fine-tuned"
        if begun:
            model.start_from(trained["pooled"])
        fit(model, rows, names=NAMES, noise=Noise(seed), settings=chosen, begun=begun)
        trained[name], x = model, codes(torch.arange(64))
        with torch.no_grad():
            by_source = [model.loss(Batch.of(x, 0 * x[:, 0] + k), Noise(0)) for k in range(3)]
        gaps = truth + torch.stack(by_source).double()
        found[name] = float((truth.exp() * gaps).sum(1).mean())
    return found


@pytest.mark.parametrize(("n", "apart", "share"), [(60, 0.4, 1.0), (200, 0.7, 0.95)])
def test_of_few_rows_of_sources_that_are_much_alike_it_finds_most(n, apart, share):
    """Nearer to the truth than models that share nothing, or all but a label."""
    every = [divergences(n, apart, seed) for seed in range(3)]
    pooled, separate, tuned = (sum(found[name] for found in every) for name in every[0])
    assert tuned < share * pooled
    assert tuned < 0.85 * separate
