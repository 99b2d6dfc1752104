"""Mixtures of normal distributions on the cube [0,1]^D, truncated to it exactly.

    p(x|y) = e + (1 - e) sum_c w_yc prod_d q(x_d; m_ycd, s_ycd),   e the uniform share,
    q(x; m, s) = exp(-(x - m)^2 / (2 s^2)) / normaliser   on [0, 1].

Written from the point of the interval that is nearest to the mean, r = clamp(m, 0, 1), nothing
cancels, however far away the mean is: `(x - m)^2 - (r - m)^2 = (x - r)(x + r - 2 m)`, and

    q = exp(-(x - r)(x + r - 2 m) / (2 s^2)) / I,
    I = s sqrt(pi/2) [erf(m / (s sqrt 2)) + erf((1 - m) / (s sqrt 2))]               m inside,
    I = s sqrt(pi/2) [erfcx(g / (s sqrt 2)) - h erfcx((1 + g) / (s sqrt 2))]         m outside,

g = |m - r| how far outside, `h = exp(-(1 + 2 g) / (2 s^2))`, `erfcx(t) = exp(t^2) erfc(t)`. As
s grows, the relative error of I grows like s times rounding.
"""

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.theory.checks import number, positive, whole

__all__ = ["FLOOR", "STRAY", "BoxMixture", "fit_mixture"]

CHUNK = 1 << 21  # numbers at a time in a density
FLOOR = 0.01  # smallest scale of a fitted mixture, in sides of the cube
STRAY = 0.05  # its uniform share: points far out are never impossible
SLACK = 1e-5  # of the sum of weights in single precision


@dataclass(frozen=True)
class BoxMixture:
    """Truncated normal mixtures, one per source.

    >>> one = torch.ones(1, 1, 1, dtype=torch.float64)
    >>> truth = BoxMixture(one[0], -1 * one, 0.5 * one)  # the tail of a normal beyond 2 sd
    >>> x, y = torch.tensor([[0.0], [0.5], [1.1]]), torch.zeros(3).long()
    >>> [round(v, 4) for v in truth.log_prob(x, y).tolist()]
    [1.5588, -0.9412, -inf]
    >>> truth.sample(y, noise=Noise(0)).shape
    torch.Size([3, 1])

    Args:
        weight: w, (K, C) >= 0, each row summing to 1.
        mean: m, (K, C, D), anywhere.
        scale: s, (K, C, D), above 0.
        uniform: e, in [0, 1]; 1: the uniform distribution.

    Raises:
        InputError: shapes or values beyond these.
    """

    weight: Tensor
    mean: Tensor
    scale: Tensor
    uniform: float = 0.0

    def __post_init__(self) -> None:
        if self.mean.ndim != 3 or not self.weight.shape == self.mean.shape[:2]:
            raise InputError(
                f"a mixture takes weights (K, C) and means (K, C, D), got {[*self.weight.shape]} "
                f"and {[*self.mean.shape]}"
            )
        if self.scale.shape != self.mean.shape or not bool((self.scale > 0).all()):
            raise InputError("scales of a mixture must be above 0 and of the shape of its means")
        sums = (self.weight.sum(1) - 1).abs()
        if not bool((self.weight >= 0).all() and (sums < SLACK).all()):
            raise InputError("weights of a mixture must be at least 0 and sum to 1")
        number("uniform", self.uniform, 0, 1)

    @property
    def K(self) -> int:
        """Sources."""
        return len(self.mean)

    @property
    def D(self) -> int:
        """Coordinates."""
        return self.mean.shape[2]

    def to(self, *args: Any, **options: Any) -> "BoxMixture":
        """The mixture on another device or with other numbers; see `Tensor.to`."""
        parts = (self.weight, self.mean, self.scale)
        weight, mean, scale = (part.to(*args, **options) for part in parts)
        return BoxMixture(weight, mean, scale, self.uniform)

    def log_prob(self, x: Tensor, y: Tensor, *, c: Tensor | None = None) -> Tensor:
        """Natural log of the density; -inf off the cube.

        Args:
            x: (..., D).
            y: sources, of a shape that broadcasts to (...).
            c: not used.

        Returns:
            (...).
        """
        shape = x.shape[:-1]
        x, y = x.reshape(-1, self.D).to(self.mean), y.expand(shape).reshape(-1)
        step = max(1, CHUNK // self.mean[0].numel())
        parts = zip(x.split(step), y.split(step), strict=True)
        return torch.cat([self._log_prob(*part) for part in parts]).view(shape)

    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise | ExampleNoise) -> Tensor:
        """(B, D) one point per entry of y (B,), by the inverse of the distribution function."""
        return self.points(noise.each(y).uniform(self.D + 1), y)

    def points(self, u: Tensor, y: Tensor) -> Tensor:
        """(..., D) points at levels u (..., D + 1) in [0, 1), of sources y (...).

        The first level picks a component, the others are of its coordinates.
        """
        shape, D = y.shape, self.D
        u, y = u.reshape(-1, D + 1).to(self.mean), y.reshape(-1)
        which, place = u[:, :1], u[:, 1:]
        below = self.weight.cumsum(1)[y]  # (B, C)
        rest = (1 - self.uniform) or 1.0  # where all are uniform, nothing below is used
        level = (which - self.uniform) / rest * below[:, -1:]
        chosen = torch.searchsorted(below, level, right=True)[:, 0].clamp(max=below.shape[1] - 1)
        drawn = _quantile(place, self.mean[y, chosen], self.scale[y, chosen])
        return torch.where(which < self.uniform, place, drawn).view(*shape, D)

    @cached_property
    def _log_factor(self) -> Tensor:
        """(K, C) `log w - sum_d log I`, with weights that sum to 1 to rounding."""
        share = self.weight / self.weight.sum(1, keepdim=True)
        return share.log() - _log_integral(self.mean, self.scale).sum(-1)

    @cached_property
    def _nearest(self) -> Tensor:
        """(K, C, D) r."""
        return self.mean.clamp(0, 1)

    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """(B,) of x (B, D) and y (B,)."""
        index = y[:1] if bool((y == y[:1]).all()) else y  # one source: nothing is copied
        m, s, r = (part[index] for part in (self.mean, self.scale, self._nearest))
        x_ = x[:, None]
        exponent = (x_ - r) * (x_ + r - 2 * m) / (-2 * s * s)  # (B, C, D)
        log_p = (exponent.sum(-1) + self._log_factor[index]).logsumexp(-1)
        if self.uniform:
            rest = math.log1p(-self.uniform) if self.uniform < 1 else -math.inf
            level = torch.full_like(log_p, math.log(self.uniform))
            log_p = torch.logaddexp(log_p + rest, level)
        return torch.where(((x >= 0) & (x <= 1)).all(-1), log_p, -torch.inf)


def fit_mixture(
    x: Tensor, components: int, noise: Noise, *, uniform: float = STRAY, floor: float = FLOOR
) -> BoxMixture:
    """One mixture (K = 1) that resembles points of the cube: maximum likelihood by EM.

    The normals are fitted as if there were no walls, then truncated: near a wall the result is
    biased. As a noise distribution or as the base of a sampler it need not be the truth, but must
    be known exactly, cover the cube and never have much lighter tails than the points: hence the
    floor and the uniform share.

    Args:
        x: (n, D) in the cube, n >= 1.
        components: C, at most; n if there are fewer points.
        noise: of the start of EM.
        uniform: e, in [0, 1].
        floor: the smallest scale, above 0.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    points = x.detach().double().cpu().numpy()
    if not len(points):
        raise InputError("a mixture is fitted to at least one point, got none")
    C = min(whole("components", components, 1), len(points))
    seed = int(noise.of("mixture").integers(2**31 - 1, 1))
    em = GaussianMixture(
        C, covariance_type="diag", reg_covar=positive("floor", floor) ** 2, random_state=seed
    )
    with warnings.catch_warnings():  # unfinished EM, or fewer places than components, will do
        warnings.simplefilter("ignore", ConvergenceWarning)
        em.fit(points if len(points) > 1 else points.repeat(2, 0))
    weight, mean, variance = (
        torch.from_numpy(part)[None] for part in (em.weights_, em.means_, em.covariances_)
    )
    return BoxMixture(weight / weight.sum(), mean, variance.sqrt(), uniform)


def _log_integral(m: Tensor, s: Tensor) -> Tensor:
    """`log I` of the module, elementwise."""
    t = s * math.sqrt(2)
    g = (m - m.clamp(0, 1)).abs()
    inside = torch.erf(m / t) + torch.erf((1 - m) / t)
    h = torch.exp(-(1 + 2 * g) / (t * t))
    outside = torch.special.erfcx(g / t) - h * torch.special.erfcx((1 + g) / t)
    return torch.where(g > 0, outside, inside).log() + (s * math.sqrt(math.pi / 2)).log()


def _quantile(u: Tensor, m: Tensor, s: Tensor) -> Tensor:
    """The point at level u of q, elementwise.

    Seen from the wall that is nearer to m, survival `G(t) = Phi((m - t) / s)` falls from G(0) to
    G(1); `log G = log[(1 - u) G(0) + u G(1)]` is inverted in logarithms, so that tails stay exact.
    """
    turned = m > 0.5
    m = torch.where(turned, 1 - m, m)
    u = torch.where(turned, 1 - u, u)
    log_G = torch.logaddexp(
        torch.special.log_ndtr(m / s) + torch.log1p(-u),
        torch.special.log_ndtr((m - 1) / s) + u.log(),
    )
    from scipy.special import ndtri_exp  # 16 MB that readers of files do without

    z = torch.from_numpy(ndtri_exp(log_G.double().cpu().numpy())).to(m)
    t = (m - s * z).clamp(0, 1)
    return torch.where(turned, 1 - t, t)
