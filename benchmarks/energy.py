"""Exact maximum likelihood of energy-based models, batched over sources and seeds, against loops.

    python benchmarks/energy.py

Every update needs the normaliser of every source, by quadrature. The usual way is a loop: over
models, one for each source and seed (separate), or within one model over its sources (pooled);
here plain torch modules with `torch.optim.Adam`. Both sides make the same updates on the same
batches from the same weights, beginning to end (ours with what comes after the last update, too),
in single precision, one thread, CPU seconds; they take turns, and ratios are medians over
repetitions. In double precision the losses must agree.

- Typical of small sources: K = 10, 3 seeds, one column, 64 nodes, width 16. Exits with 1 if there
  separate models, or the normalisers of pooled ones, gain less than 5 times, or results differ.
- Other sizes (W = 6: those of `reproduce ebm`) show where it ends: what is gained is the overhead
  of small operations; large ones fill a CPU alone.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from sourcewise.execution import Execution
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.quadrature import gauss_legendre
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData
from sourcewise.training.memory import keep_freed_memory
from sourcewise.training.recipes.base import Member
from sourcewise.training.recipes.registry import recipe
from sourcewise.training.stack import Stack

GOAL, TOLERANCE = 5.0, 1e-8  # Adam blows up the rounding of gradients that cancel
BATCHES = 4  # in a pass
RATE, BETAS = 2**-7, (0.9, 0.99)
ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU}


@dataclass(frozen=True)
class Case:
    """Sizes of one comparison: `models` models of K sources each."""

    models: int
    K: int
    D: int
    nodes: int
    width: int
    batch: int
    depth: int = 3
    embedding: int = 8
    activation: str = "silu"
    updates: int = 20
    goal: bool = False

    def __str__(self) -> str:
        of = f"{self.models} models of {self.K}" + (" sources" if self.K > 1 else " source")
        return f"{of}, D={self.D}, {self.nodes} nodes per axis, W={self.width}, batch {self.batch}"

    def settings(self, precision: str) -> EnergySettings:
        own = ("nodes", "width", "depth", "embedding", "activation", "batch", "updates")
        plain = {"optimizer": "adam", "weight_decay": 0, "clip": 0, "ema": 0, "warmup": 0}
        return EnergySettings.parse(
            {name: getattr(self, name) for name in own}
            | plain
            | {"learning_rate": RATE, "beta2": BETAS[1], "schedule": "constant", "passes": 1e-9}
            | {"validation": 0, "check": 1000, "precision": precision}
        )

    def members(self, settings: EnergySettings) -> list[Member]:
        out = []
        for i in range(self.models):
            x = Noise(1).of(i).uniform(BATCHES * self.batch, self.D).square()
            y = torch.arange(BATCHES * self.batch) % self.K
            model = Energy(settings, K=self.K, D=self.D)
            out.append(Member((f"model {i}",), model, TrainingData.plain(x, y)))
        return out


class Plain(nn.Module):
    """The model as it is usually written."""

    def __init__(self, case: Case):
        super().__init__()
        sizes = [case.D + case.embedding, *[case.width] * (case.depth - 1), 1]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(sizes)):
            layers += [ACTIVATIONS[case.activation]()] if i else []
            layers.append(nn.Linear(a, b, bias=i + 2 < len(sizes)))
        self.K, self.table = case.K, nn.Embedding(case.K, case.embedding)
        self.f = nn.Sequential(*layers)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.f(torch.cat([x, self.table(y)], -1)).squeeze(-1)

    def log_normaliser(self, nodes: Tensor, log_weight: Tensor) -> Tensor:
        """(K,), source after source."""
        places = [torch.full((len(nodes),), k) for k in range(self.K)]
        return torch.stack([(log_weight - self(nodes, y)).logsumexp(0) for y in places])


def library(case: Case, stacked: bool, precision: str) -> list[Member]:
    """Trained by `sourcewise`."""
    settings = case.settings(precision)
    members = case.members(settings)
    recipe("phased").train(members, settings, Noise(0), Execution(stacked=stacked))
    return members


def loop(case: Case, fused: bool, precision: str) -> list[Member]:
    """Trained one after another in plain torch."""
    members = case.members(case.settings(precision))
    for member in members:
        trained = alone(case, member, fused, getattr(torch, precision))
        member.model.to(getattr(torch, precision))
        copy(trained, member.model)
    return members


def alone(case: Case, member: Member, fused: bool, dtype: torch.dtype) -> Plain:
    noise = Noise(0).of("block", member.key)
    member.model.reset(noise.of("start"))
    model = Plain(case).to(dtype)
    copy(member.model, model)
    nodes, log_weight = (part.to(dtype) for part in gauss_legendre(case.nodes, case.D))
    x, y = member.data.train.tensor.to(dtype), member.data.train.y
    adam = torch.optim.Adam(model.parameters(), lr=RATE, betas=BETAS, fused=fused)
    batches: list[Tensor] = []
    for t in range(case.updates):
        if t % BATCHES == 0:
            batches += noise.of("pass", t // BATCHES).permutation(len(x)).split(case.batch)
        at = batches[t]
        adam.zero_grad()
        loss = (model(x[at], y[at]) + model.log_normaliser(nodes, log_weight)[y[at]]).mean()
        loss.backward()
        adam.step()
    return model


def copy(source: nn.Module, target: nn.Module) -> None:
    """Parameters in their order: that of `Energy` and of `Plain` is the same."""
    for p, values in zip(target.parameters(), source.parameters(), strict=True):
        p.data.copy_(values.data)


@torch.no_grad()
def losses(members: Sequence[Member]) -> Tensor:
    """Minus the log densities of all rows."""
    parts = []
    for member in members:
        model = member.model.double().train()
        parts.append(model.loss(member.data.train, Noise(0)))
    return torch.cat(parts)


def normalisers(case: Case) -> tuple[list[Callable[[], Tensor]], float]:
    """All gradients of all log Z: batched, and by the loop; largest relative difference."""
    members = case.members(case.settings("float32"))
    for i, member in enumerate(members):
        member.model.reset(Noise(i))
    models = [member.model for member in members]
    sides, found = [], []
    for dtype in (torch.float64, torch.float32):
        stack, plain = (
            Stack(models, torch.device("cpu"), dtype),
            [Plain(case).to(dtype) for _ in models],
        )
        for model, one in zip(models, plain, strict=True):
            copy(model, one)
        rule = [part.to(dtype) for part in gauss_legendre(case.nodes, case.D)]
        sides = [partial(batched, stack, case), partial(looped, plain, rule)]
        found = found or [side() for side in sides]
    return sides, apart(*found)


def batched(stack: Stack, case: Case) -> Tensor:
    def objective(model: Any) -> Tensor:
        return model.log_normaliser(case.nodes).sum(-1).view(case.models)

    stack.descend([objective])
    return stack.grad


def looped(models: Sequence[Plain], rule: Sequence[Tensor]) -> Tensor:
    out = []
    for model in models:
        value = model.log_normaliser(*rule).sum()
        parts = torch.autograd.grad(value, list(model.parameters()))
        out.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(out)


def apart(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max())


def seconds(sides: Sequence[Callable[[], object]], repetitions: int) -> list[list[float]]:
    """CPU seconds of every side, per repetition; they take turns."""
    for side in sides:
        side()
    out: list[list[float]] = [[] for _ in sides]
    for _ in range(repetitions):
        for side, times in zip(sides, out, strict=True):
            start = time.process_time()
            side()
            times.append(time.process_time() - start)
    return out


def told(first: list[float], other: list[float], units: int) -> tuple[str, float]:
    """In words, and the median ratio."""
    ratios = sorted(b / a for a, b in zip(first, other, strict=True))
    text = f"{1e3 * median(other) / units:.2f} ms, ratio {median(ratios):.1f}"
    return f"{text} ({ratios[0]:.1f} to {ratios[-1]:.1f})", median(ratios)


def training(case: Case) -> tuple[float, float]:
    """Whole trainings: ratio to the loop in plain torch, largest difference of losses."""
    short = replace(case, updates=12)
    reference = losses(loop(short, False, "float64"))
    worst = max(apart(losses(library(short, s, "float64")), reference) for s in (True, False))
    sides = [
        partial(library, case, True, "float32"),
        partial(loop, case, False, "float32"),
        partial(loop, case, True, "float32"),
        partial(library, case, False, "float32"),
    ]
    stacked, *others = seconds(sides, 5 if case.goal else 3)
    texts, ratios = zip(*[told(stacked, other, case.updates) for other in others], strict=True)
    print(
        f"training, {case}: all at once {1e3 * median(stacked) / case.updates:.2f} ms per update"
    )
    for name, text in zip(
        ("plain torch", "plain torch, fused Adam", "stacked=false"), texts, strict=True
    ):
        print(f"    one after another, {name}: {text}")
    print(f"    largest relative difference of losses {worst:.1e}", flush=True)
    return ratios[0], worst


def normaliser(case: Case) -> tuple[float, float]:
    """Its gradients alone: ratio to the loop, largest difference."""
    sides, worst = normalisers(case)
    times = 5 if case.nodes**case.D * case.width > 2**14 else 40
    first, other = seconds([partial(repeat, side, times) for side in sides], 7)
    text, ratio = told(first, other, times)
    print(f"normaliser, {case}: batched {1e3 * median(first) / times:.2f} ms")
    print(f"    loop over sources and models: {text}; gradients differ by {worst:.1e}", flush=True)
    return ratio, worst


def repeat(side: Callable[[], object], times: int) -> None:
    for _ in range(times):
        side()


def main() -> int:
    torch.set_num_threads(1)
    keep_freed_memory()  # for both sides
    results = [(case.goal, *measure(case)) for measure, cases in CASES for case in cases]
    met = all(ratio >= GOAL for goal, ratio, _ in results if goal)
    agree = all(worst <= TOLERANCE for *_, worst in results)
    print(f"at least {GOAL:g} times where typical: {met}; results agree to {TOLERANCE:g}: {agree}")
    return 0 if met and agree else 1


STUDY: dict[str, Any] = {"depth": 2, "embedding": 2, "activation": "relu", "updates": 30}
CASES = (
    (
        training,
        (
            Case(30, 1, D=1, nodes=64, width=16, batch=100, updates=240, goal=True),
            Case(30, 1, D=1, nodes=64, width=64, batch=256, updates=60),
            Case(30, 1, D=2, nodes=32, width=16, batch=100, updates=120),
            Case(30, 1, D=2, nodes=32, width=64, batch=256, updates=40),
            Case(72, 1, D=1, nodes=128, width=6, batch=750, **STUDY),
            Case(72, 1, D=2, nodes=32, width=6, batch=750, **STUDY),
            Case(3, 10, D=1, nodes=64, width=16, batch=100, updates=60),
            Case(3, 10, D=2, nodes=32, width=16, batch=256, updates=30),
            Case(3, 10, D=2, nodes=32, width=64, batch=256, updates=10),
        ),
    ),
    (
        normaliser,
        (
            Case(1, 10, D=1, nodes=64, width=16, batch=1),
            Case(3, 10, D=1, nodes=64, width=16, batch=1, goal=True),
            Case(3, 10, D=1, nodes=64, width=64, batch=1),
            Case(3, 10, D=2, nodes=32, width=16, batch=1),
            Case(3, 10, D=2, nodes=32, width=64, batch=1),
        ),
    ),
)


if __name__ == "__main__":
    sys.exit(main())
