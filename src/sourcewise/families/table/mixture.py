"""Mixtures of logistic distributions on the line: density, mass of an interval, inverse.

    m(t) = sum_k w_k g((t - a_k) / s_k) / s_k,    g(x) = e^{-x} / (1 + e^{-x})^2

Its distribution function is a mixture of sigmoids, in closed form; so are masses of intervals.
Scales lie between `LEAST` and `MOST`, whatever the parameters: no spike, and no tail of an
unbounded weight (Kingma et al., "Improving variational inference with inverse autoregressive
flow", 2016; Salimans et al., "PixelCNN++", 2017, of pixels).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["END", "LEAST", "MOST", "LogisticMixture"]

LEAST, MOST = 0.02, 2.0  # scales; of a rank's log-odds the marginal one is 1
END = 1e4  # what stands for infinity: finite, so that gradients are
_FAR, _HALVINGS = 64.0, 64


@dataclass(frozen=True)
class LogisticMixture:
    """K components for each entry of a batch."""

    log_share: Tensor  # (..., K) log w_k
    mean: Tensor  # (..., K) a_k
    scale: Tensor  # (..., K) s_k

    @classmethod
    def of(cls, raw: Tensor) -> "LogisticMixture":
        """From parameters (..., 3 K) on the whole line."""
        share, mean, scale = raw.unflatten(-1, (3, -1)).unbind(-2)
        return cls(share.log_softmax(-1), mean, LEAST + (MOST - LEAST) * scale.sigmoid())

    @staticmethod
    def start(components: int) -> Tensor:
        """(3 K,) parameters of a mixture near the standard logistic distribution."""
        at = (torch.arange(components, dtype=torch.float64) + 0.5) / components
        share = (0.7 - LEAST) / (MOST - LEAST)
        scale = torch.full_like(at, math.log(share / (1 - share)))
        return torch.cat([torch.zeros_like(at), 0.8 * at.logit(), scale])

    def log_density(self, t: Tensor) -> Tensor:
        """(...) log m(t) for t (...)."""
        x = (t[..., None] - self.mean) / self.scale
        log_g = -x.abs() - 2 * torch.log1p((-x.abs()).exp())
        return (self.log_share + log_g - self.scale.log()).logsumexp(-1)

    def log_mass(self, low: Tensor, width: Tensor) -> Tensor:
        """(...) log of the mass from low (...) to low + width (...), above 0."""
        a, rise = (low[..., None] - self.mean) / self.scale, width[..., None] / self.scale
        # sigmoid(a + r) - sigmoid(a) = sigmoid(a + r) sigmoid(-a) (1 - e^-r)
        log_part = nn.functional.logsigmoid(a + rise) + nn.functional.logsigmoid(-a)
        log_part = log_part + (-torch.expm1(-rise)).log()
        return (self.log_share + log_part).logsumexp(-1)

    def quantile(self, share: Tensor) -> Tensor:
        """(...) below which lies a share (...) of the mass, by bisection."""
        a, b = torch.full_like(share, -_FAR), torch.full_like(share, _FAR)
        for _ in range(_HALVINGS):
            middle = (a + b) / 2
            under = self._cdf(middle) < share
            a, b = torch.where(under, middle, a), torch.where(under, b, middle)
        return (a + b) / 2

    def _cdf(self, t: Tensor) -> Tensor:
        x = (t[..., None] - self.mean) / self.scale
        return (self.log_share.exp() * x.sigmoid()).sum(-1)
