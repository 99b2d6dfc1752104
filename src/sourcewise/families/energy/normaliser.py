"""The normaliser of an energy, for all sources in one batched evaluation.

By quadrature, whose gradient is that of the rule, exactly, and whose error doubling the nodes per
axis shows,

    log Z(y) = log integral over [0,1]^D of exp(-u(x|y)) dx ~ logsumexp_i (log w_i - u(x_i|y)),

or, where D is too large, by annealed importance sampling from the noise distribution. With given
columns Z(y, c) is of every *condition*, a source with values of c. Their number is that of the
rows, so they are annealed when rows are scored, each different one once, all from the same
starts and with the same draws: what a row gets does not depend on the others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.families.base import SharedError
from sourcewise.families.energy.landscape import Conditions, on_lattice, snapped, starts
from sourcewise.families.energy.network import CHUNK, AnyEnergyNetwork
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.quadrature import RULES
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.annealed import LogNormaliser, annealed
from sourcewise.truths.box import BoxMixture

__all__ = [
    "MOST_CONDITIONS",
    "NormalisedRows",
    "annealed_normaliser",
    "annealed_rows",
    "conditions_of",
    "log_normaliser",
    "quadrature_error",
    "source_means",
]

MOST_CONDITIONS = 1000  # that are annealed to score some rows
TOGETHER = 64  # of them at once


def log_normaliser(
    network: AnyEnergyNetwork,
    rule: str,
    nodes: int,
    y: Tensor | None = None,
    c: Tensor | None = None,
) -> Tensor:
    """(..., K) log Z of every source, or (..., M) of conditions.

    Args:
        network: of the energies; with S models in it the result is (S, K).
        rule: a name in `quadrature.RULES`.
        nodes: per axis.
        y: (..., M) sources of the conditions; None: every source, at c = 0.
        c: (..., M, C) their given columns.
    """
    weight = network.V_Y.weight
    points, log_weight = (part.to(weight) for part in RULES[rule](nodes, network.D))
    rows = weight.numel() // weight.shape[-1] if y is None else y.numel()  # S K, or S M
    parts = points.split(max(1, CHUNK // max(1, rows)))
    u = [network.at(part, y, c) for part in parts]
    u = torch.cat(u, -1) if len(u) > 1 else u[0]  # of one part it would be a copy
    return (log_weight - u).logsumexp(-1)


@torch.no_grad()
def quadrature_error(network: AnyEnergyNetwork, rule: str, nodes: int) -> Tensor:
    """(K,) `|log Z_n - log Z_2n|`, the error of a rule with n nodes per axis.

    With C given columns it is the worst at c = 0 and at one unit of each column both ways.
    """
    y, c = _probes(network)
    coarse, fine = (log_normaliser(network, rule, n, y, c) for n in (nodes, 2 * nodes))
    error = (coarse - fine).abs()
    return error if y is None else error.view(network.K, -1).amax(1)


def _probes(network: AnyEnergyNetwork) -> tuple[Tensor | None, Tensor | None]:
    """Conditions where quadratures are looked at: (K (1 + 2 C)) sources, and given columns."""
    C, weight = network.C, network.V_Y.weight
    if not C:
        return None, None
    one = torch.eye(C, dtype=weight.dtype, device=weight.device)
    c = torch.cat([0 * one[:1], one, -one])
    y = torch.arange(network.K, device=weight.device).repeat_interleave(len(c))
    return y, c.repeat(network.K, 1)


def annealed_normaliser(
    network: AnyEnergyNetwork,
    base: BoxMixture,
    temperatures: int,
    particles: int,
    noise: Noise,
    under: Conditions | None = None,
) -> LogNormaliser:
    """log Z of every source, or condition; see `samplers.mcmc.annealed`.

    Args:
        network: of the energies.
        base: where annealing starts.
        temperatures: steps from there to the energy.
        particles: per source.
        noise: of the simulation.
        under: the conditions.
    """
    groups = None if under is None else len(under.y)
    x = starts(network, base, particles, noise.of("starts"), groups)

    def log_q(x: Tensor) -> Tensor:
        y = torch.zeros(x.shape[:-1], dtype=torch.int64)
        return base.log_prob(snapped(x), y).to(x)

    energy = on_lattice(network, under)
    return annealed(energy, log_q, x, noise=noise.of("annealing"), temperatures=temperatures)


@dataclass(frozen=True)
class NormalisedRows:
    """log Z of the condition of each row, by annealing; see `LogNormaliser`.

    Args:
        value: (B,) log Z.
        standard_error: (B,).
        high: (B,) upper end of its interval.
        effective: (B,) weights that count.
    """

    value: Tensor
    standard_error: Tensor
    high: Tensor
    effective: Tensor

    def shared_error(self, y: Tensor, K: int) -> SharedError:
        """(K,) of the mean over a source's rows, whose errors go together at the worst."""
        beyond = self.high - self.value - 1.96 * self.standard_error
        parts = self.standard_error, beyond.clamp(min=0), 0 * beyond
        return SharedError(*(source_means(part, y, K) for part in parts))

    @property
    def worst(self) -> dict[str, Tensor]:
        """(1,) errors of the worst row, as those of sources are kept: beside an estimate of 0."""
        return {
            "annealed": 0 * self.value[:1],
            "annealed_error": self.standard_error.max()[None],
            "annealed_high": (self.high - self.value).max()[None],
            "weights": self.effective.min()[None],
        }


def source_means(error: Tensor, y: Tensor, K: int) -> Tensor:
    """(K,) means over the rows (B,) of each source; NaN for those without rows."""
    sums = torch.zeros(K, dtype=torch.float64, device=y.device).index_add_(0, y, error.double())
    return sums / torch.bincount(y, minlength=K)


def conditions_of(y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The different (M, 1 + C) sources with given columns, and (B,) which each row has.

    Raises:
        InputError: too many to anneal for.
    """
    each, place = torch.cat([y[:, None].to(c), c], 1).unique(dim=0, return_inverse=True)
    if len(each) > MOST_CONDITIONS:
        raise InputError(
            f"{len(each)} different values of source and given columns, and each needs a "
            f"normaliser of its own by simulation: at most {MOST_CONDITIONS} are simulated "
            "together; give fewer or coarser columns, model one column, whose normaliser is "
            "exact, or --metric energy-distance, which needs none"
        )
    return each, place


def annealed_rows(
    network: AnyEnergyNetwork,
    base: BoxMixture,
    settings: EnergySettings,
    y: Tensor,
    c: Tensor,
    noise: Noise,
) -> NormalisedRows:
    """log Z(y, c) of rows; rows of one condition share it.

    Args:
        network: of the energies.
        base: where annealing starts.
        settings: of the family: temperatures and particles.
        y: (B,) sources.
        c: (B, C) given columns.
        noise: of the simulation.

    Raises:
        InputError: too many conditions.
    """
    each, place = conditions_of(y, c)
    found = [
        annealed_normaliser(
            network,
            base,
            settings.temperatures,
            settings.particles,
            Alike(noise.seed, noise.key),
            Conditions(part[:, 0].long(), part[:, 1:].to(network.V_Y.weight)),
        )
        for part in each.split(TOGETHER)
    ]
    names = ("value", "standard_error", "high", "effective")
    parts = [torch.cat([getattr(item, name) for item in found])[place] for name in names]
    return NormalisedRows(*parts)


class Alike(Noise):
    """A noise whose draws are the same for every entry of their first axis."""

    def of(self, *key: int | str) -> "Alike":
        """The noise of a longer key."""
        return Alike(self.seed, (*self.key, *key))

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Standard normal draws of the given shape."""
        return super().normal(1, *shape[1:], dtype=dtype).expand(shape)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Uniform draws on [0, 1) of the given shape."""
        return super().uniform(1, *shape[1:], dtype=dtype).expand(shape)
