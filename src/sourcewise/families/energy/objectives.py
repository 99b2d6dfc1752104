"""What energies are trained on, by name; each needs no normaliser but the first.

With s(x|y) = -grad u(x|y), y's own distribution p, and q the noise distribution:

| objective | per row |
|---|---|
| likelihood | `u(x|y) + log Z(y)` |
| nce | `-log( r(x) / (r(x) + sum_m r(x_m)) )`, `r = exp(-u(.|y)) / q`, x_m ~ q |
| pcd | `u(x|y) - mean_c u(x_c|y)`, x_c chains that follow p: see `persistent` |
| denoising | `1/2 sum_j a_j^2 (s_j(z|y) - d/dz_j log k(z|x))^2`, z ~ k(.|x) |
| sliced | `sum_j [ 1/2 h_j s_j^2 + h_j' s_j ] + <h v, grad <s, v>>`, v random signs |

- *nce* is noise-contrastive estimation (Gutmann and Hyvärinen, 2012) in its ranking form, which is
  consistent for conditional models without a parameter for every Z(y) (Ma and Collins, "Noise
  contrastive estimation and negative sampling for conditional models", 2018, section 3). Its
  gradient is that of the likelihood, Z(y) by importance sampling on row and noise.
- *denoising* (Vincent, "A connection between score matching and denoising autoencoders", 2011)
  fits the density of the data with noise; k is the heat kernel of the box with reflecting walls,
  normal with standard deviations a_j and all its images. a_j: `smoothing` spreads of column j.
  Each row is moved by noise and by its opposite, which takes most of the gradient's variance.
- *sliced* (Song et al., "Sliced score matching", 2019, equation 8 with the square known) with
  weights `h_j = 4 a_j^2 x_j (1 - x_j)` that vanish at the walls, where data do not fade out (Yu,
  Drton and Shojaie, "Generalized score matching for general domains", 2022). Its expectation is
  that of `1/2 sum_j h_j (s_j - s_j*)^2` up to a constant, s* the data's score; a_j is the column's
  spread.

Everything also runs with a leading axis S, for S models at once.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import BatchNoise, Carried
from sourcewise.families.energy.divergence import knobs
from sourcewise.families.energy.network import AnyEnergyNetwork
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.randomness import Noise
from sourcewise.truths.box import STRAY, BoxMixture, fit_mixture

__all__ = [
    "Denoising",
    "NoiseContrastive",
    "Objective",
    "Sliced",
    "base_of",
    "begin_base",
    "random_signs",
    "sliced",
]

NARROWEST = 1e-3  # of a column's spread, in sides of the box


class Objective(ABC):
    """One way to train energies.

    Args:
        settings: of the family.
        spread: (D,) standard deviations of the columns within sources; of all strategies, since
            what is fitted depends on them.

    Attributes:
        name: of the objective.
    """

    name: ClassVar[str]

    def __init__(self, settings: EnergySettings, spread: Tensor):
        self.settings = settings
        self.spread = spread.clamp(min=NARROWEST)

    def begin(self, network: AnyEnergyNetwork, x: Tensor, y: Tensor, noise: Noise) -> Carried:
        """What is carried from the beginning, from all rows (n, D) and their sources (n,)."""
        return {"spread": self.spread.to(x.device)}

    def advance(self, network: AnyEnergyNetwork, carried: Carried, noise: BatchNoise) -> Carried:
        """The step before each update."""
        return carried

    @abstractmethod
    def loss(
        self, network: AnyEnergyNetwork, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """(..., B) of rows x (..., B, D), sources y (..., B), maybe given columns (..., B, C)."""

    def validation_loss(
        self, network: AnyEnergyNetwork, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """(..., B) what tells when to stop, where no likelihood does."""
        return self.loss(network, batch, carried, noise)

    def divergence(self, value: float, D: int) -> str | None:
        """What a value of the objective means; None: nothing bad."""
        if math.isfinite(value):
            return None
        return (
            f"training with objective={self.name} diverged (its value is {value}). "
            f"{knobs(self.settings, self.name)}"
        )


class NoiseContrastive(Objective):
    """Which of `1 + negatives` points is the row; the others come from the noise."""

    name = "nce"

    def begin(self, network: AnyEnergyNetwork, x: Tensor, y: Tensor, noise: Noise) -> Carried:
        """Fit the noise distribution."""
        return super().begin(network, x, y, noise) | begin_base(x, self.settings, noise)

    def loss(
        self, network: AnyEnergyNetwork, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """See `Objective.loss`."""
        x, y, m, D = batch.tensor, batch.y, self.settings.negatives, batch.tensor.shape[-1]
        base, member = base_of(carried, self.settings), _members(y)
        u = noise.of("negatives").uniform(x.shape[-2], m, D + 1, dtype=x.dtype).to(x.device)
        at = member[..., None].expand(u.shape[:-1])  # (..., B, m)
        points = torch.cat([x[..., None, :], base.points(u, at).to(x)], -2)  # (..., B, 1 + m, D)
        at = member[..., None].expand(points.shape[:-1])
        log_q = base.log_prob(points, at).to(x.dtype)
        sources, given = y.repeat_interleave(1 + m, -1), batch.c
        given = None if given is None else given.repeat_interleave(1 + m, -2)
        energies = network(points.flatten(-3, -2), sources, given).unflatten(-1, (-1, 1 + m))
        log_r = -energies - log_q
        return log_r.logsumexp(-1) - log_r[..., 0]


class Denoising(Objective):
    """Score matching against the heat kernel of the box."""

    name = "denoising"

    def loss(
        self, network: AnyEnergyNetwork, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """See `Objective.loss`."""
        x, y, c = batch.tensor, batch.y, batch.c
        a = self.settings.smoothing * carried["spread"][..., None, :]  # (..., 1, D)
        draws = noise.of("smoothing").normal(*x.shape[-2:], dtype=x.dtype).to(x.device)
        z = torch.cat([x + a * draws, x - a * draws], -2)
        z = 1 - (1 - z.remainder(2)).abs()  # folded into the box
        target = _heat_score(z, torch.cat([x, x], -2), a)
        c = None if c is None else torch.cat([c, c], -2)
        score = -_gradient(network, z.requires_grad_(), torch.cat([y, y], -1), c)
        both = 0.5 * (a * (score - target)).square().sum(-1)
        return both.unflatten(-1, (2, -1)).mean(-2)


class Sliced(Objective):
    """Score matching along random signs, weighted to vanish at the walls."""

    name = "sliced"

    def loss(
        self, network: AnyEnergyNetwork, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """See `Objective.loss`."""
        return sliced(network, batch, carried["spread"], random_signs(batch.tensor, noise))


def sliced(network: AnyEnergyNetwork, batch: Batch, spread: Tensor, v: Tensor) -> Tensor:
    """(..., B) sliced score matching; see the module.

    Args:
        network: of the energies.
        batch: of (..., B, D) rows.
        spread: (..., D) a.
        v: (..., B, D) signs.
    """
    x, a2 = batch.tensor, 4 * spread[..., None, :].square()
    h, slope = a2 * x * (1 - x), a2 * (1 - 2 * x)
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        s = -_gradient(network, x, batch.y, batch.c)
        (along,) = torch.autograd.grad((s * v).sum(), x, create_graph=keep)
    return (0.5 * h * s.square() + slope * s + h * v * along).sum(-1)


def random_signs(x: Tensor, noise: BatchNoise) -> Tensor:
    """-1 or 1 for every number of rows x (..., B, D)."""
    u = noise.of("signs").uniform(*x.shape[-2:], dtype=x.dtype).to(x.device)
    return torch.where(u < 0.5, -1.0, 1.0)


def begin_base(x: Tensor, settings: EnergySettings, noise: Noise) -> Carried:
    """The noise distribution of a block, from its training rows (n, D)."""
    C = settings.components
    base = fit_mixture(x, C, noise.of("mixture"))
    missing = C - base.weight.shape[1]  # of very few rows; all blocks have equal shapes
    parts = {"weight": base.weight[0], "mean": base.mean[0], "scale": base.scale[0]}
    pad = {"weight": 0.0, "mean": 0.5, "scale": 1.0}
    return {
        name: torch.cat([part, torch.full((missing, *part.shape[1:]), pad[name]).to(part)])
        for name, part in parts.items()
    }


def base_of(carried: Carried, settings: EnergySettings) -> BoxMixture:
    """The noise distribution, of S models as if of S sources."""
    parts = [carried[name].double() for name in ("weight", "mean", "scale")]
    if parts[0].ndim == 1:
        parts = [part[None] for part in parts]
    parts[0] = parts[0] / parts[0].sum(-1, keepdim=True)  # carried in the precision of training
    return BoxMixture(*parts, uniform=1.0 if settings.noise == "uniform" else STRAY)


def _members(y: Tensor) -> Tensor:
    """The number of each row's model, in the shape of y."""
    if y.ndim == 1:
        return torch.zeros_like(y)
    return torch.arange(len(y), device=y.device)[:, None].expand(y.shape)


def _gradient(network: AnyEnergyNetwork, x: Tensor, y: Tensor, c: Tensor | None) -> Tensor:
    """(..., B, D) of u at x, which requires gradients; with its graph."""
    with torch.enable_grad():
        return torch.autograd.grad(network(x, y, c).sum(), x, create_graph=True)[0]


def _heat_score(z: Tensor, x: Tensor, a: Tensor) -> Tensor:
    """`d/dz log k(z|x)`, k normal about x and all its mirror images, reflected at 0 and 1."""
    turns = 2 * torch.arange(-1, 2, device=z.device, dtype=z.dtype)
    centres = torch.stack([x, -x], -1)[..., None, :] + turns[:, None]  # (..., D, 3, 2)
    pull = (centres.flatten(-2) - z[..., None]) / a[..., None].square()  # (..., D, 6)
    weight = (-0.5 * pull.square() * a[..., None].square()).softmax(-1)
    return (weight * pull).sum(-1)
