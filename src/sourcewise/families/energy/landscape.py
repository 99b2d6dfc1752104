"""Energies as chains walk on them.

Rounding depends on the batch, and grows along a chain as in billiards: under `on_lattice` energies
and slopes are therefore those of the nearest point of a lattice, of side 2^-20 of the box's. A
kernel leaves this energy invariant as it does any other, and nothing below the lattice grows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.families.energy.network import AnyEnergyNetwork
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.hamiltonian import Energy
from sourcewise.truths.box import BoxMixture

__all__ = ["Conditions", "energy_of", "on_lattice", "snapped", "starts"]

LATTICE = 2.0**20


@dataclass(frozen=True)
class Conditions:
    """What groups of chains run under: M sources, with their given columns if there are such.

    Args:
        y: (M,) sources.
        c: (M, C) given columns, encoded.
    """

    y: Tensor
    c: Tensor | None = None

    def each(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Sources and given columns of `count` chains in every group, (M count) of them."""
        c = None if self.c is None else self.c.repeat_interleave(count, 0)
        return self.y.repeat_interleave(count), c


def energy_of(network: AnyEnergyNetwork, under: Conditions | None = None) -> Energy:
    """Energies (..., K, P) of points (..., K, P, D), each group under its own source.

    With conditions there are M groups, each under its own, and no axes before them.
    """

    def energy(x: Tensor) -> Tensor:
        K, P = x.shape[-3:-1]
        if under is not None:
            return network(x.flatten(0, 1), *under.each(P)).unflatten(-1, (K, P))
        y = torch.arange(K, device=x.device).repeat_interleave(P).expand(*x.shape[:-3], K * P)
        return network(x.flatten(-3, -2), y).unflatten(-1, (K, P))

    return energy


def on_lattice(network: AnyEnergyNetwork, under: Conditions | None = None) -> Energy:
    """Energies (K, P) of points (K, P, D), each group under its own source, or condition."""
    energy = energy_of(network, under)
    return lambda x: energy(snapped(x))


def snapped(x: Tensor) -> Tensor:
    """The nearest point of the lattice; its gradient is that of x itself.

    >>> x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    >>> float(snapped(x).detach() * LATTICE), torch.autograd.grad(snapped(x), x)[0].item()
    (314573.0, 1.0)
    """
    return x - (x - (x * LATTICE).round() / LATTICE).detach()


def starts(
    network: AnyEnergyNetwork,
    base: BoxMixture,
    count: int,
    noise: Noise,
    groups: int | None = None,
) -> Tensor:
    """(K, P, D) draws of the noise distribution, where all chains begin; K groups if None."""
    groups = network.K if groups is None else groups
    y = torch.zeros(groups, count, dtype=torch.int64)
    x = base.points(noise.uniform(groups, count, network.D + 1), y)
    return x.to(network.V_Y.weight)
