"""Trainings that failed though all their numbers are finite, and what helps.

A model is judged on the rows that it was trained on, by what its validation rows are scored by
(minus the log-likelihood where Z is exact, otherwise the objective): its *excess* is how far that
is above its value under the constant energy u = 0, which is the uniform density on the box.
Training failed if the excess is more than `MARGIN` per column above 0 and above that of the
network as it was drawn. A network that has hardly been trained may be worse than uniform, but not
because of training; a trained one has seen these very rows.

It failed too if energies are the same all over the box, which takes units that are all dead. A
`bound` or `spectral` may make them nearly so: then this says nothing.

Between failure and a good fit, a model is measured against the plainest one: a normal distribution
with independent columns, of all rows of its block. Energies that gain nothing over it on the very
rows that they were trained on have not found what is in the data: `cautions` says so.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.energy.network import AnyEnergyNetwork
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.randomness import Noise
from sourcewise.truths.box import FLOOR, STRAY, BoxMixture

__all__ = ["ROWS", "divergence_of_fit", "gain_over_one_normal", "knobs", "same_everywhere"]

MARGIN = 0.1
ALIKE = 1e-6  # largest difference of energies under one source
PLACES = 256  # where they are looked at
ROWS = 2048  # that gains are measured on, at most
GENTLE = 3.0  # bound of singular values that is advised


def divergence_of_fit(
    settings: EnergySettings, objective: str, D: int, exact: bool, start: float, end: float
) -> str | None:
    """What an excess means, in one line; None: nothing bad.

    Args:
        settings: of the family.
        objective: by name.
        D: columns.
        exact: whether Z is.
        start: excess of the network as it was drawn.
        end: of the trained one.
    """
    if end <= max(start, 0.0) + MARGIN * D:  # not so of what is no number
        return None
    text = (
        f"its own training rows are {end:.3g} nats per row less likely than under the uniform "
        "density"
        if exact
        else f"on its own training rows it is {end:.3g} above the value of a constant energy"
    )
    return f"training with objective={objective} diverged: {text}. {knobs(settings, objective)}"


@torch.no_grad()
def same_everywhere(
    settings: EnergySettings, objective: str, network: AnyEnergyNetwork
) -> str | None:
    """What energies that are the same everywhere mean, in one line; None: they are not."""
    points = Noise(0).of("places").uniform(PLACES, network.D).to(network.V_Y.weight)
    u: Tensor = network.at(points)  # (K, N)
    if settings.bound or settings.spectral or (u.amax(-1) - u.amin(-1)).max() > ALIKE:
        return None
    return (
        f"training with objective={objective} diverged: the energies are the same all over the "
        f"box, no unit of the network is alive. {knobs(settings, objective)}"
    )


@torch.no_grad()
def gain_over_one_normal(
    log_prob: Callable[[Batch], Tensor], rows: Batch, most: int = ROWS
) -> Tensor:
    """(1,) mean of `log p(x|y) - log q(x)` over training rows, in nats.

    Args:
        log_prob: (B,) log densities of the trained model.
        rows: (n, D) that it was trained on.
        most: of more than so many an even selection counts.
    """
    x = rows.tensor
    mean, scale = x.double().mean(0), x.double().std(0, correction=0).clamp(min=FLOOR)
    one = x.new_ones(1, 1, dtype=torch.float64)
    normal = BoxMixture(one, mean.expand(1, 1, -1), scale.expand(1, 1, -1), STRAY)
    some = rows.take(torch.arange(0, len(x), -(-len(x) // most)))
    one = normal.log_prob(some.tensor, torch.zeros_like(some.y))
    return (log_prob(some).double() - one).mean()[None]


def knobs(settings: EnergySettings, objective: str) -> str:
    """What helps against divergence.

    >>> knobs(EnergySettings.parse({"learning_rate": 30}), "nce")
    'What helps: --set learning_rate=0.01, --set spectral=3'
    """
    s, usual = settings, EnergySettings.parse({"objective": objective}).learning_rate
    out = {"learning_rate": min(usual, s.learning_rate / 10)}
    if objective == "pcd":
        decay, steps = max(0.01, 10 * s.energy_decay), 2 * s.steps
        out = {"energy_decay": decay, "steps": steps} | out
    out["spectral"] = min(GENTLE, s.spectral / 2) if s.spectral else GENTLE
    if objective == "denoising" and s.smoothing < 0.3:
        out["smoothing"] = min(0.3, 2 * s.smoothing)
    return "What helps: " + ", ".join(f"--set {name}={value:g}" for name, value in out.items())
