"""Batches that are seen part by part: the same update to rounding, by the same noise."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.arm.model import Arm
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.families.denoisers.settings import DenoiserSettings
from sourcewise.families.diffusion.model import Diffusion
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData
from sourcewise.training.parts import parts
from sourcewise.training.processes import Processes
from sourcewise.training.recipes.phased import PhasedTraining
from sourcewise.training.stack import StepNoise
from sourcewise.training.stack_training import StackTraining
from sourcewise.training.task import Task

CPU = torch.device("cpu")
COUNTS = (50, 31)  # rows of two models: the batches of the second are smaller
PLAIN = {"batch": 40, "precision": "float64", "validation": 0.1, "check": 1}
ENERGY = {"embedding": 2, "width": 8, "temperatures": 5, "particles": 16, "components": 2}


def build(kind: str, options: dict[str, Any]) -> Any:
    if kind == "arm":
        return Arm(ArmSettings.parse(options | {"embedding": 4, "width": 8}), K=1, M=3, D=4)
    if kind == "table":
        chosen = DenoiserSettings.parse(options | {"width": 8, "dropout": 0.2})
        return Diffusion(chosen, K=1, d=4)
    if kind == "images":
        drawn = {"width": 4, "levels": [1, 2], "dropout": 0.2, "flips": True, "unlabelled": 0.3}
        return Diffusion(DenoiserSettings.parse(options | drawn), K=1, shape=(1, 2, 2))
    chains = {"negatives": 4} if kind == "nce" else {"chains": 4, "replay": 8, "steps": 2}
    chosen = EnergySettings.parse(options | ENERGY | {"objective": kind} | chains)
    return Energy(chosen, K=1, D=4)


def rows(kind: str, n: int) -> Batch:
    noise = Noise(n)
    x = noise.integers(3, n, 4) if kind == "arm" else noise.uniform(n, 4)
    sizes = 1 + noise.of("size").integers(3, n).double()
    return Batch.of(x, torch.zeros(n, dtype=torch.int64), size=sizes)


def training(kind: str, counts: tuple[int, ...], **options: Any) -> StackTraining:
    tasks = []
    for i, n in enumerate(counts):
        model = build(kind, PLAIN | options)
        model.to(torch.float64)
        model.reset(Noise(i))
        data = TrainingData(rows(kind, n), rows(kind, 7).take(torch.arange(7)))
        tasks.append(Task(str(i), model, data, model.settings, Noise(9), CPU))
        tasks[-1].further = []
    how = PhasedTraining if kind in ("nce", "pcd") else StackTraining
    return how(tasks, tasks[0].model.settings, CPU, Processes())


KINDS = ["arm", "table", "images", "nce", "pcd"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("counts", [COUNTS[:1], COUNTS])
def test_updates_do_not_depend_on_the_parts(kind, counts):
    whole = training(kind, counts)
    for most in (1, 7, 40):
        start = training(kind, counts, microbatch=most)
        for _ in range(3):
            expected, found = whole.update(), start.update()
            assert torch.allclose(found, expected, rtol=1e-9)
            gap = (start.stack.grad - whole.stack.grad).norm(dim=1)
            assert bool((gap <= 1e-6 * whole.stack.grad.norm(dim=1)).all())
            assert torch.allclose(start.stack.flat, whole.stack.flat, rtol=1e-6, atol=1e-9)
            assert start.look() == pytest.approx(whole.look(), rel=1e-9)
        whole = training(kind, counts)


def test_a_part_is_as_large_as_it_may_be(monkeypatch):
    seen = []
    loss = Arm.loss

    def watched(self: Arm, batch: Batch, noise: Any) -> Tensor:
        seen.append(batch.y.shape)
        return loss(self, batch, noise)

    monkeypatch.setattr(Arm, "loss", watched)
    training("arm", COUNTS, microbatch=16).update()
    assert seen == [(2, 16), (2, 16), (2, 8)]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("most", [0, 1, 4, 100])
def test_every_row_is_seen_once_by_one_process(count, most):
    """With its noise, and in as many parts on each of them."""
    batch, index = rows("table", 11), torch.arange(11).flip(0)
    noise = Noise(1).of("step", 0).of("z").normal(11, 2)
    seen, numbers = [], set()
    for rank in range(count):
        each = list(
            parts(batch, [index], torch.zeros(1, dtype=torch.int64), [Noise(1)], ("step", 0),
                  Processes(rank, count), most)
        )  # fmt: skip
        numbers.add(len(each))
        for part in each:
            if bool(part.weight.any()):  # or it stands in for none
                drawn = part.noise.of("z").normal(len(part.batch), 2)
                seen += zip(part.batch.tensor, part.weight, drawn, strict=True)
    assert len(numbers) == 1
    assert len(seen) == 11
    order = {tuple(x.tolist()): i for i, x in enumerate(batch.tensor[index])}
    for x, weight, drawn in seen:
        i = order.pop(tuple(x.tolist()))
        assert torch.equal(drawn, noise[i])
        assert float(weight) == float(1 / batch.size.sum())


def test_draws_that_are_kept_are_those_that_are_not(monkeypatch):
    for room in (0, 25, 1000):
        monkeypatch.setattr("sourcewise.training.stack.KEPT", room)
        known: dict[object, Tensor] = {}
        noise = StepNoise([Noise(0), Noise(1)], [6, 4], known=known)
        for share in (slice(0, 3), slice(3, 6)):
            kept = noise.of("a").of_rows(share)
            plain = StepNoise([Noise(0), Noise(1)], [6, 4], share).of("a")
            for name in ("normal", "uniform"):
                drawn = [getattr(one, name)(3, 5, dtype=torch.float32) for one in (kept, plain)]
                assert torch.equal(*drawn)
        assert sum(v.numel() for v in known.values()) <= room


def test_a_run_with_parts_is_resumed_to_the_same_bits():
    one, two = (training("table", COUNTS[:1], microbatch=7) for _ in range(2))
    for _ in range(4):
        one.update()
    tensors, values = one.state()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    two.check(tensors, values)
    two.restore(tensors, values)
    for _ in range(3):
        assert torch.equal(one.update(), two.update())
    assert torch.equal(one.stack.flat, two.stack.flat)
