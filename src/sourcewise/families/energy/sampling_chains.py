"""Markov chains under a trained energy: their tuning, and samples.

All start from the noise distribution of the block (`objectives.base_of`), a mixture that knows the
training rows' modes, so that no chain has to find them. After training, every source's chains warm
up (with given columns, at those of the training row nearest their mean in the source), which
settles a step and scales, and run on, which shows how well they mix (effective sample
size, split R-hat) and how many transitions a sample takes:

    10 tau + 20,     tau = transitions * chains / effective sample size of the slowest column

Each sample is the end of a chain of its own, on the lattice of `landscape`: neither batch size nor
other samples change it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.batch import Batch, needed
from sourcewise.families.energy.landscape import Conditions, on_lattice, snapped, starts
from sourcewise.families.energy.network import AnyEnergyNetwork, ImageEnergyNetwork
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.samplers.mcmc.chains import Tuning, run_chains
from sourcewise.samplers.mcmc.diagnostics import effective_sample_size, split_r_hat
from sourcewise.samplers.mcmc.warmup import warm_up
from sourcewise.truths.box import BoxMixture

__all__ = ["LEAPFROG", "Settled", "sample_chains", "settle"]

LEAPFROG = {"mala": 1, "hmc": 8}
CHAINS, WARM_UP, RUN = 16, 200, 200
FEWEST, MOST = 30, 2000  # transitions of a sample
BLOCK = 64  # images whose energies are computed together


@dataclass(frozen=True)
class Settled:
    """How to run the chains of each source, and how they mixed.

    Args:
        step: (K,) of the leapfrog.
        scale: (K, D) of each coordinate.
        transitions: (K,) that a sample takes.
        effective: (K,) effective sample size of the run, of the slowest coordinate.
        r_hat: (K,) split R-hat, of the worst coordinate.
    """

    step: Tensor
    scale: Tensor
    transitions: Tensor
    effective: Tensor
    r_hat: Tensor


def settle(
    network: AnyEnergyNetwork,
    base: BoxMixture,
    leapfrog: int,
    noise: Noise,
    rows: Batch,
) -> Settled:
    """Warm up and try chains of every source; with given columns at those of a typical row."""
    under = _typical(rows, network.K) if network.C else None
    x, energy = starts(network, base, CHAINS, noise.of("starts")), on_lattice(network, under)
    x, tuning = warm_up(energy, x, noise=noise.of("warm"), iterations=WARM_UP, leapfrog=leapfrog)
    run = run_chains(energy, x, tuning, noise=noise.of("run"), transitions=RUN, leapfrog=leapfrog)
    effective = effective_sample_size(run.history).amin(-1)
    tau = RUN * CHAINS / effective
    return Settled(
        tuning.step.squeeze(-1),
        tuning.scale.squeeze(-2),
        (10 * tau + 20).ceil().clamp(FEWEST, MOST),
        effective,
        split_r_hat(run.history).amax(-1),
    )


def _typical(rows: Batch, K: int) -> Conditions:
    """Every source with the given columns of the row of it that is nearest their mean."""
    c, y = needed(rows.c), rows.y
    nearest = []
    for k in range(K):
        own = c[y == k]
        nearest.append(own[(own - own.mean(0)).square().sum(1).argmin()])
    return Conditions(torch.arange(K, device=y.device), torch.stack(nearest))


def sample_chains(
    network: AnyEnergyNetwork,
    base: BoxMixture,
    settled: Settled,
    leapfrog: int,
    y: Tensor,
    noise: ExampleNoise,
    c: Tensor | None = None,
) -> Tensor:
    """(B, D) float64, one point per entry of y, given c (B, C): each ends its own chain."""
    network = copy.deepcopy(network).eval()
    energy = _in_blocks(network) if isinstance(network, ImageEnergyNetwork) else network.double()
    out = base.sample(torch.zeros_like(y), noise=noise.of("start")).to(network.V_Y.weight)
    for transitions in settled.transitions[y].unique().tolist():
        rows = (settled.transitions[y] == transitions).nonzero().squeeze(1)
        sources, given = y[rows], None if c is None else c[rows]
        none = settled.step.new_zeros(len(rows))
        tuning = Tuning(settled.step[sources], settled.scale[sources], none)
        out[rows] = run_chains(
            lambda x, at=sources, given=given: energy(snapped(x), at, given),
            out[rows],
            tuning,
            noise=noise.take(rows).of("chain"),
            transitions=int(transitions),
            leapfrog=leapfrog,
            keep=False,
        ).x
    return out


def _in_blocks(
    network: ImageEnergyNetwork,
) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """Energies (B,) of images (B, D) under sources (B,), always of `BLOCK` images at once.

    Convolutions in double precision are many times slower; in single precision rounding depends on
    how many images there are: so there are always as many.
    """

    def energy(x: Tensor, y: Tensor, c: Tensor | None) -> Tensor:
        last, count = torch.zeros(-len(x) % BLOCK, dtype=torch.int64), len(x)
        at = torch.cat([torch.arange(count), last]).to(x.device)
        parts = at.split(BLOCK)
        u = [network(x[i], y[i], None if c is None else c[i]) for i in parts]
        return torch.cat(u)[:count]

    return energy
