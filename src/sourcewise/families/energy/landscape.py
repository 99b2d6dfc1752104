"""Energies as chains walk on them.

Rounding depends on the batch, and grows along a chain as in billiards: under `on_lattice` energies
and slopes are therefore those of the nearest point of a lattice, of side 2^-20 of the box's. A
kernel leaves this energy invariant as it does any other, and nothing below the lattice grows.
"""

import torch
from torch import Tensor

from sourcewise.families.energy.network import AnyEnergyNetwork
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.hamiltonian import Energy
from sourcewise.truths.box import BoxMixture

__all__ = ["energy_of", "on_lattice", "snapped", "starts"]

LATTICE = 2.0**20


def energy_of(network: AnyEnergyNetwork) -> Energy:
    """Energies (..., K, C) of points (..., K, C, D), each under its own source."""

    def energy(x: Tensor) -> Tensor:
        K, C = x.shape[-3:-1]
        y = torch.arange(K, device=x.device).repeat_interleave(C).expand(*x.shape[:-3], K * C)
        return network(x.flatten(-3, -2), y).unflatten(-1, (K, C))

    return energy


def on_lattice(network: AnyEnergyNetwork) -> Energy:
    """Energies (K, C) of points (K, C, D), each under its own source."""
    energy = energy_of(network)
    return lambda x: energy(snapped(x))


def snapped(x: Tensor) -> Tensor:
    """The nearest point of the lattice; its gradient is that of x itself.

    >>> x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    >>> float(snapped(x).detach() * LATTICE), torch.autograd.grad(snapped(x), x)[0].item()
    (314573.0, 1.0)
    """
    return x - (x - (x * LATTICE).round() / LATTICE).detach()


def starts(network: AnyEnergyNetwork, base: BoxMixture, count: int, noise: Noise) -> Tensor:
    """(K, C, D) draws of the noise distribution, where all chains begin."""
    y = torch.zeros(network.K, count, dtype=torch.int64)
    x = base.points(noise.uniform(network.K, count, network.D + 1), y)
    return x.to(network.V_Y.weight)
