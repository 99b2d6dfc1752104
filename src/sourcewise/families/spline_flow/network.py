"""The invertible map of a spline flow, from rows to standard normal numbers.

    z_0 = x,    z_t = step_t(z_{t-1}; y, c),    columns in turns forwards and backwards

A step is autoregressive: of every column an affine map, then a spline, both made of the columns
before it, of the label and of given columns by one masked network,

    u_j = exp(s_j) z_j + m_j,     step(z)_j = spline(u_j; v_j),
    (m, s, v)_j = network_j(z_1, ..., z_{j-1}, y, c)

(Papamakarios, Pavlakou and Murray, "Masked autoregressive flow for density estimation", 2017;
Durkan et al., "Neural spline flows", 2019). Splines are zuko's: monotonic, ratios of quadratics
between knots on [-5, 5], the identity outside. Networks start small: a flow starts close to the
standard normal distribution.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sourcewise.errors import InputError
from sourcewise.networks.given import given_layer, with_given
from sourcewise.networks.layers import Embedding, Linear
from sourcewise.networks.transformer import Drop

__all__ = ["FlowNetwork", "spline_transform", "splines"]

BOUND = 5.0  # splines are the identity beyond
STEEPEST = math.log(1e3)  # |s|, at most


def spline_transform() -> Any:
    """zuko's class of monotonic splines.

    Raises:
        InputError: zuko is not installed.
    """
    try:
        from zuko.transforms import MonotonicRQSTransform
    except ImportError:
        raise InputError(
            "the family spline-flow needs zuko: pip install 'sourcewise[flows]'"
        ) from None
    return MonotonicRQSTransform


def splines(parameters: Tensor, bins: int) -> Any:
    """zuko's transform, one spline for each of (..., 3 bins - 1) parameters."""
    widths, heights, slopes = parameters.split([bins, bins, bins - 1], -1)
    return spline_transform()(widths, heights, slopes, bound=BOUND)


class MaskedLinear(Linear):
    """A linear layer in which some outputs do not see some inputs.

    Args:
        mask: (outputs, inputs), what sees what.
        bias: whether there is one.
        gain: entries start uniform within `gain / sqrt(inputs)`.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, bias: bool = True, gain: float = 1.0):
        super().__init__(mask.shape[1], mask.shape[0], bias, gain)
        self.register_buffer("mask", mask, persistent=False)

    @property
    def matrix(self) -> Tensor:
        """(..., outputs, inputs) with zeros where nothing is seen."""
        return self.weight * self.mask


class Block(nn.Module):
    """A masked perceptron that is added to what it sees.

    Args:
        mask: (width, width), which hidden units see which.
    """

    def __init__(self, mask: Tensor):
        super().__init__()
        self.up, self.down = MaskedLinear(mask), MaskedLinear(mask)

    def forward(self, h: Tensor) -> Tensor:
        """(..., width) the update of h (..., width)."""
        act = nn.functional.silu
        return self.down(act(self.up(act(h))))


class Conditioner(nn.Module):
    """Numbers for every column, made of the columns before it (a residual MADE).

    Hidden unit k has a degree in {0, ..., d - 1}: how many columns it sees, from the first. Column
    j is made of the units of degree j at most. (Germain et al., "MADE: masked autoencoder for
    distribution estimation", 2015.) The affine part also has a linear path of its own.

    Args:
        d: columns.
        each: numbers per column; the first two are m and s.
        K: labels.
        width: hidden units.
        layers: residual blocks.
        C: given columns, encoded.
    """

    def __init__(self, d: int, each: int, *, K: int, width: int, layers: int, C: int):
        super().__init__()
        self.each = each
        degree, column = torch.arange(width) * d // width, torch.arange(d)
        self.labels = Embedding(K, width, 0.3)
        self.given = given_layer(C, width, 0.3)
        self.inputs = MaskedLinear(degree[:, None] > column[:-1], bias=False) if d > 1 else None
        self.before = MaskedLinear(column[:, None] > column[:-1], False, 0.01) if d > 1 else None
        self.blocks = nn.ModuleList(Block(degree[:, None] >= degree) for _ in range(layers))
        sees = (column[:, None] >= degree).repeat_interleave(each, 0)
        self.outputs = MaskedLinear(sees, gain=0.1)
        self.means = Embedding(K, d, 0.01)

    def forward(self, z: Tensor, y: Tensor, c: Tensor | None, drop: Drop | None) -> Tensor:
        """(..., B, d, each) of z (..., B, d), labels (..., B) and given columns (..., B, C)."""
        h, m = with_given(self.labels(y), c, self.given), self.means(y)
        if self.inputs is not None and self.before is not None:
            h, m = h + self.inputs(z[..., :-1]), m + self.before(z[..., :-1])
        for number, block in enumerate(self.blocks):
            update = block(h)
            h = h + (update if drop is None else drop(update, number))
        h = nn.functional.silu(h)
        h = h if drop is None else drop(h, len(self.blocks))
        out = self.outputs(h).unflatten(-1, (-1, self.each))
        return torch.cat([out[..., :1] + m[..., None], out[..., 1:]], -1)


class Step(nn.Module):
    """An autoregressive step; see the module.

    Args:
        d: columns.
        bins: pieces of each spline.
        **sizes: of the `Conditioner`.
    """

    def __init__(self, d: int, bins: int, **sizes: int):
        super().__init__()
        self.bins = bins
        self.network = Conditioner(d, 3 * bins + 1, **sizes)

    def forward(
        self, z: Tensor, y: Tensor, c: Tensor | None, drop: Drop | None = None
    ) -> tuple[Tensor, Tensor]:
        """(..., B, d) the step of z, and the log derivative of every column."""
        m, s, spline = self._maps(z, y, c, drop)
        out, log = spline.call_and_ladj(s.exp() * z + m)
        return out, log + s

    def inverse(self, z: Tensor, y: Tensor, c: Tensor | None) -> Tensor:
        """(B, d) what the step takes to z: one column after another."""
        x = torch.zeros_like(z)
        for j in range(z.shape[-1]):
            m, s, spline = self._maps(x, y, c, None)
            x[:, j] = ((spline.inv(z) - m) * (-s).exp())[:, j]
        return x

    def _maps(
        self, z: Tensor, y: Tensor, c: Tensor | None, drop: Drop | None
    ) -> tuple[Tensor, Tensor, Any]:
        m, s, rest = self.network(z, y, c, drop).split([1, 1, 3 * self.bins - 1], -1)
        s = s / (1 + s.abs() / STEEPEST)
        return m.squeeze(-1), s.squeeze(-1), splines(rest, self.bins)


class FlowNetwork(nn.Module):
    """See the module.

    Args:
        d: columns.
        transforms: T, steps.
        **sizes: of a `Step`.
    """

    def __init__(self, d: int, transforms: int, **sizes: int):
        super().__init__()
        spline_transform()  # or nothing begins
        self.steps = nn.ModuleList(Step(d, **sizes) for _ in range(transforms))

    def forward(
        self, x: Tensor, y: Tensor, c: Tensor | None = None, drop: Any = None
    ) -> tuple[Tensor, Tensor]:
        """z_T (..., B, d) and log |dz_T/dx| (..., B)."""
        z, log_det = x, torch.zeros_like(x)
        for number, step in enumerate(self.steps):
            z, log = step(z, y, c, None if drop is None else drop(number))
            log_det, z = log_det + log, z.flip(-1)
            log_det = log_det.flip(-1)
        return z, log_det.sum(-1)

    def inverse(self, z: Tensor, y: Tensor, c: Tensor | None = None) -> Tensor:
        """(B, d) the x that goes to z."""
        for step in reversed(list(self.steps)):
            assert isinstance(step, Step)
            z = step.inverse(z.flip(-1), y, c)
        return z
