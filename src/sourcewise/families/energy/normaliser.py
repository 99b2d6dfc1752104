"""The normaliser of an energy, for all sources in one batched evaluation.

By quadrature, whose gradient is that of the rule, exactly, and whose error doubling the nodes per
axis shows,

    log Z(y) = log integral over [0,1]^D of exp(-u(x|y)) dx ~ logsumexp_i (log w_i - u(x_i|y)),

or, where D is too large, by annealed importance sampling from the noise distribution.
"""

import torch
from torch import Tensor

from sourcewise.families.energy.landscape import on_lattice, snapped, starts
from sourcewise.families.energy.network import CHUNK, AnyEnergyNetwork
from sourcewise.quadrature import RULES
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.annealed import LogNormaliser, annealed
from sourcewise.truths.box import BoxMixture

__all__ = ["annealed_normaliser", "log_normaliser", "quadrature_error"]


def log_normaliser(network: AnyEnergyNetwork, rule: str, nodes: int) -> Tensor:
    """(..., K) log Z of every source.

    Args:
        network: of the energies; with S models in it the result is (S, K).
        rule: a name in `quadrature.RULES`.
        nodes: per axis.
    """
    weight = network.V_Y.weight
    points, log_weight = (part.to(weight) for part in RULES[rule](nodes, network.D))
    rows = weight.numel() // weight.shape[-1]  # S K
    parts = points.split(max(1, CHUNK // rows))
    u = [network.at(part) for part in parts]
    u = torch.cat(u, -1) if len(u) > 1 else u[0]  # of one part it would be a copy
    return (log_weight - u).logsumexp(-1)


@torch.no_grad()
def quadrature_error(network: AnyEnergyNetwork, rule: str, nodes: int) -> Tensor:
    """(K,) `|log Z_n - log Z_2n|`, the error of a rule with n nodes per axis."""
    coarse, fine = (log_normaliser(network, rule, n) for n in (nodes, 2 * nodes))
    return (coarse - fine).abs()


def annealed_normaliser(
    network: AnyEnergyNetwork, base: BoxMixture, temperatures: int, particles: int, noise: Noise
) -> LogNormaliser:
    """log Z of every source; see `samplers.mcmc.annealed`.

    Args:
        network: of the energies.
        base: where annealing starts.
        temperatures: steps from there to the energy.
        particles: per source.
        noise: of the simulation.
    """
    x = starts(network, base, particles, noise.of("starts"))

    def log_q(x: Tensor) -> Tensor:
        y = torch.zeros(x.shape[:-1], dtype=torch.int64)
        return base.log_prob(snapped(x), y).to(x)

    energy = on_lattice(network)
    return annealed(energy, log_q, x, noise=noise.of("annealing"), temperatures=temperatures)
