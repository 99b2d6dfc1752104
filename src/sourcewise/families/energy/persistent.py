"""Persistent contrastive divergence: the gradient of log Z from chains that outlive updates.

    grad log Z(y) = -E_p(.|y)[ grad u(x|y) ]   ~   -mean_c grad u(x_c|y)

Each source keeps `replay` chains. Before an update, `chains` of them, drawn anew, take `steps`
Langevin steps in the box under the energies of the moment, with walls that reflect and, if
`adjusted`, a Metropolis test; a share `restart` of them first begins anew from the noise
distribution (Tieleman, "Training restricted Boltzmann machines using approximations to the
likelihood gradient", 2008; the buffer: Du and Mordatch, "Implicit generation and modeling with
energy-based models", 2019). The step follows a target acceptance as it goes.

The walk differs from p by what the chains have not caught up with. Where they never do, energies
of chains fall ever further below those of the rows, and the objective rises without end: that is
a failure by name, not a number in a table.
"""

import math

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import BatchNoise, Carried
from sourcewise.families.energy.divergence import knobs
from sourcewise.families.energy.landscape import energy_of
from sourcewise.families.energy.network import AnyEnergyNetwork
from sourcewise.families.energy.objectives import (
    Objective,
    base_of,
    begin_base,
    random_signs,
    sliced,
)
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.hamiltonian import State, transition
from sourcewise.samplers.mcmc.warmup import adapted

__all__ = ["PersistentContrastive"]

RATE = 0.1  # of the step's adaptation
FIRST = 0.3  # step, in spreads of the columns
LARGEST = 50.0  # difference of energies per column that no healthy training shows


class PersistentContrastive(Objective):
    """Energies of rows against those of chains."""

    name = "pcd"

    def begin(self, network: AnyEnergyNetwork, x: Tensor, y: Tensor, noise: Noise) -> Carried:
        """The chains of all sources, (K, R, D), drawn from the noise distribution."""
        s, K = self.settings, network.K
        carried = super().begin(network, x, y, noise) | begin_base(x, s, noise)
        u = noise.of("chains").uniform(K, s.replay, x.shape[-1] + 1)
        chains = base_of(carried, s).points(u, torch.zeros(K, s.replay, dtype=torch.int64))
        log_step = torch.full((K,), math.log(FIRST), dtype=torch.float64)
        return carried | {"chains": chains, "moved": chains[:, : s.chains], "log_step": log_step}

    def advance(self, network: AnyEnergyNetwork, carried: Carried, noise: BatchNoise) -> Carried:
        """Move some chains of every source."""
        s, chains = self.settings, carried["chains"]  # (..., K, R, D)
        K, R, D = chains.shape[-3:]
        slots = noise.of("slots").whole("uniform", K, R).argsort(-1)[..., : s.chains]
        at = slots.to(chains.device)[..., None].expand(*slots.shape, D)
        x = self._restarted(chains.gather(-2, at), carried, noise.of("restart"))
        state, log_step = State.at(energy_of(network), x), carried["log_step"]
        scale = carried["spread"][..., None, None, :]
        for t in range(s.steps):
            draws = noise.of("step", t)
            state, accept = transition(
                energy_of(network),
                state,
                step=log_step.exp()[..., None],
                normal=draws.of("normal").whole("normal", K, s.chains, D, dtype=x.dtype),
                uniform=draws.of("uniform").whole("uniform", K, s.chains, dtype=x.dtype),
                scale=scale,
                adjusted=s.adjusted,
            )
            log_step = adapted(log_step, accept.mean(-1), s.acceptance, RATE)
        moved = chains.scatter(-2, at, state.x)
        return carried | {"chains": moved, "moved": state.x, "log_step": log_step}

    def _restarted(self, x: Tensor, carried: Carried, noise: BatchNoise) -> Tensor:
        """Chains (..., K, C, D), a share of them replaced by draws of the noise distribution."""
        K, C, D = x.shape[-3:]
        u = noise.of("points").whole("uniform", K, C, D + 1, dtype=x.dtype).to(x.device)
        again = noise.of("which").whole("uniform", K, C).to(x.device) < self.settings.restart
        member = torch.zeros(x.shape[:-1], dtype=torch.int64, device=x.device)
        if x.ndim > 3:
            member += torch.arange(len(x), device=x.device)[:, None, None]
        fresh = base_of(carried, self.settings).points(u, member).to(x)
        return torch.where(again[..., None], fresh, x)

    def loss(
        self, network: AnyEnergyNetwork, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """See `Objective.loss`; the chains are those that moved last."""
        y, u = batch.y, network(batch.tensor, batch.y)
        of_chains = energy_of(network)(carried["moved"])  # (..., K, C)
        out = u - of_chains.mean(-1).gather(-1, y)
        if self.settings.energy_decay:
            squares = u.square() + of_chains.square().mean(-1).gather(-1, y)
            penalty = self.settings.energy_decay * squares
            out = out + (
                penalty - penalty.detach()
            )  # the value stays the difference: it is judged
        return out

    def validation_loss(
        self, network: AnyEnergyNetwork, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """Sliced score matching: chains tell nothing of rows they do not train on."""
        return sliced(network, batch, carried["spread"], random_signs(batch.tensor, noise))

    def divergence(self, value: float, D: int) -> str | None:
        """Energies of rows and chains that have come apart."""
        if math.isfinite(value) and abs(value) < LARGEST * D:
            return None
        return (
            "persistent contrastive divergence diverged: the energies of rows and chains are "
            f"{value:.3g} apart. {knobs(self.settings, self.name)}"
        )
