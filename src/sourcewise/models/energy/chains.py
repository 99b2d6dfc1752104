"""Markov chains under a trained energy: their tuning, samples, and the normaliser by annealing.

All start from the noise distribution of the block (`objectives.base_of`), a mixture that knows the
training rows' modes, so that no chain has to find them. After training, every source's chains warm
up, which settles a step and scales, and run on, which shows how well they mix (effective sample
size, split R-hat) and how many transitions a sample takes:

    10 tau + 20,     tau = transitions * chains / effective sample size of the slowest column

Each sample is the end of a chain of its own: neither batch size nor other samples change it.
Rounding does depend on the batch, and grows along a chain as in billiards: energies and slopes
are therefore those of the nearest point of a lattice, of side 2^-20 of the box's, in float64. The
kernel leaves this energy invariant as it does any other, and nothing below the lattice grows.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.models.energy.objectives import Network, energy_of
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.samplers.annealed import LogNormaliser, annealed
from sourcewise.samplers.chains import Tuning, run_chains
from sourcewise.samplers.diagnostics import effective_sample_size, split_r_hat
from sourcewise.samplers.hamiltonian import Energy
from sourcewise.samplers.warmup import warm_up
from sourcewise.truths.box import BoxMixture

__all__ = ["LEAPFROG", "Settled", "annealed_normaliser", "sample_chains", "settle"]

LEAPFROG = {"mala": 1, "hmc": 8}
CHAINS, WARM_UP, RUN = 16, 200, 200
FEWEST, MOST = 30, 2000  # transitions of a sample
LATTICE = 2.0**20


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


def settle(network: Network, base: BoxMixture, leapfrog: int, noise: Noise) -> Settled:
    """Warm up and try chains of every source."""
    x, energy = _starts(network, base, CHAINS, noise.of("starts")), _on_lattice(network)
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


def annealed_normaliser(
    network: Network, base: BoxMixture, temperatures: int, particles: int, noise: Noise
) -> LogNormaliser:
    """log Z of every source; see `samplers.annealed`.

    Args:
        network: of the energies.
        base: where annealing starts.
        temperatures: steps from there to the energy.
        particles: per source.
        noise: of the simulation.
    """
    x = _starts(network, base, particles, noise.of("starts"))

    def log_q(x: Tensor) -> Tensor:
        y = torch.zeros(x.shape[:-1], dtype=torch.int64)
        return base.log_prob(_snapped(x), y).to(x)

    energy = _on_lattice(network)
    return annealed(energy, log_q, x, noise=noise.of("annealing"), temperatures=temperatures)


def sample_chains(
    network: Network,
    base: BoxMixture,
    settled: Settled,
    leapfrog: int,
    y: Tensor,
    noise: ExampleNoise,
) -> Tensor:
    """(B, D) float64, one point per entry of y, each the end of its own chain."""
    network = copy.deepcopy(network).double().eval()
    out = base.sample(torch.zeros_like(y), noise=noise.of("start")).to(network.V_Y.weight)
    for transitions in settled.transitions[y].unique().tolist():
        rows = (settled.transitions[y] == transitions).nonzero().squeeze(1)
        sources = y[rows]
        none = settled.step.new_zeros(len(rows))
        tuning = Tuning(settled.step[sources], settled.scale[sources], none)
        out[rows] = run_chains(
            lambda x, at=sources: network(_snapped(x), at),
            out[rows],
            tuning,
            noise=noise.take(rows).of("chain"),
            transitions=int(transitions),
            leapfrog=leapfrog,
            keep=False,
        ).x
    return out


def _on_lattice(network: Network) -> Energy:
    """Energies (K, C) of points (K, C, D), each under its own source."""
    energy = energy_of(network)
    return lambda x: energy(_snapped(x))


def _snapped(x: Tensor) -> Tensor:
    """The nearest point of the lattice; its gradient is that of x itself.

    >>> x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    >>> float(_snapped(x).detach() * LATTICE), torch.autograd.grad(_snapped(x), x)[0].item()
    (314573.0, 1.0)
    """
    return x - (x - (x * LATTICE).round() / LATTICE).detach()


def _starts(network: Network, base: BoxMixture, count: int, noise: Noise) -> Tensor:
    """(K, C, D) draws of the noise distribution."""
    y = torch.zeros(network.K, count, dtype=torch.int64)
    x = base.points(noise.uniform(network.K, count, network.D + 1), y)
    return x.to(network.V_Y.weight)
