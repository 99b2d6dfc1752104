"""Layers that preserve the magnitude of what goes through them, in the mean over a tensor.

With inputs of unit magnitude (a root mean square of 1) and weights of unit magnitude, every
function here gives a result of unit magnitude, so that a deep network needs no normalisation of
its activations (Karras et al., "Analyzing and improving the training dynamics of diffusion
models", 2024, section 2 and appendix B: "config G"). Weights are normalised where they are used,

    y = g x W' / sqrt(inputs),   W_i = V_i / rms(V_i)   (each output i by itself),

and V itself after every update (`unit`), so that the learning rate means the same for every layer
at any time. Every parameter may carry one leading axis S: see `layers`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sourcewise.batch import needed
from sourcewise.networks.layers import convolve, per_member
from sourcewise.randomness import Noise

__all__ = [
    "START",
    "Condition",
    "Fourier",
    "Uncertainty",
    "UnitConv2d",
    "UnitEmbedding",
    "UnitLinear",
    "concat",
    "fixed_weights",
    "mix",
    "pixel_norm",
    "silu",
    "unit",
]

SMALLEST = 1e-4  # magnitude that is added, so that nothing divides by zero
START = 0.01  # of gains: next to nothing, and every parameter learns from the first update on
SILU = 0.596  # the magnitude of silu of a standard normal number


def unit(v: Tensor, axes: int = 1) -> Tensor:
    """`v / (rms(v) + 1e-4)`, rms the root of the mean square over the last few axes.

    >>> unit(torch.tensor([3.0, -4.0]))
    tensor([ 0.8485, -1.1313])
    """
    n = math.prod(v.shape[-axes:])
    norm = torch.linalg.vector_norm(v, dim=tuple(range(-axes, 0)), keepdim=True)
    return v / (norm / math.sqrt(n) + SMALLEST)


def pixel_norm(x: Tensor) -> Tensor:
    """Every pixel of x (..., channels, H, W) at unit magnitude over its channels."""
    norm = torch.linalg.vector_norm(x, dim=-3, keepdim=True) / math.sqrt(x.shape[-3])
    return x / (norm + SMALLEST)


def silu(x: Tensor) -> Tensor:
    """`silu(x) / .596`, of unit magnitude for standard normal x (their equation 81)."""
    return nn.functional.silu(x) / SILU


def mix(a: Tensor, b: Tensor, t: float) -> Tensor:
    """`((1 - t) a + t b) / sqrt((1 - t)^2 + t^2)` of uncorrelated a and b (their equation 88)."""
    return a.lerp(b, t) / math.hypot(1 - t, t)


def concat(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """Both after each other on the channel axis, each weighed for what it adds (equation 103).

    With N_a and N_b channels: `C [(1 - t) a / sqrt(N_a), t b / sqrt(N_b)]`,
    `C = sqrt((N_a + N_b) / ((1 - t)^2 + t^2))`.

    Args:
        a: (..., N_a, H, W).
        b: (..., N_b, H, W).
        t: the share of b.
    """
    N_a, N_b = a.shape[-3], b.shape[-3]
    C = math.sqrt(N_a + N_b) / math.hypot(1 - t, t)
    return torch.cat([C * (1 - t) / math.sqrt(N_a) * a, C * t / math.sqrt(N_b) * b], -3)


class Fourier(nn.Module):
    """`sqrt(2) cos(f u + p)` of a number u, with frequencies and phases that are never trained.

    f is normal with standard deviation 2 pi, p uniform on [0, 2 pi) (their equation 75). All
    networks have the same.

    Args:
        channels: how many.
    """

    frequency: Tensor
    phase: Tensor

    def __init__(self, channels: int):
        super().__init__()
        draws = Noise(0).of("fourier")
        frequency = 2 * math.pi * draws.of("frequency").normal(channels)
        phase = 2 * math.pi * draws.of("phase").uniform(channels)
        self.register_buffer("frequency", frequency.float(), persistent=False)
        self.register_buffer("phase", phase.float(), persistent=False)

    def forward(self, u: Tensor) -> Tensor:
        """(..., channels) of u (...)."""
        angle = u[..., None] * self.frequency + self.phase
        return math.sqrt(2) * angle.cos().to(u.dtype)


class UnitLinear(nn.Module):
    """`g x W' / sqrt(inputs)`, rows of W at unit magnitude; no offset.

    Args:
        inputs: size of the last axis of x.
        outputs: size of the last axis of the result.
    """

    axes = 1  # of a row
    fixed: Tensor | None = None  # W' / sqrt(inputs), within `fixed_weights`

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def scaled(self, gain: Tensor | None) -> Tensor:
        """The weight that x is multiplied with."""
        W = scaled(self.weight, self.axes) if self.fixed is None else self.fixed
        if gain is None:
            return W
        return W * (per_member(gain, W) if gain.ndim else gain)

    def forward(self, x: Tensor, gain: Tensor | None = None) -> Tensor:
        """(..., outputs) of x (..., inputs); stacked, x is (S, ..., inputs) and g (S,)."""
        W = self.scaled(gain)
        if W.ndim == 2:
            return nn.functional.linear(x, W)
        return torch.bmm(x.flatten(1, -2), W.mT).unflatten(1, x.shape[1:-1])

    def reset(self, noise: Noise) -> None:
        """Draw the weights, standard normal, and normalise them."""
        draws = noise.normal(*self.weight.shape, dtype=self.weight.dtype)
        self.weight.data.copy_(unit(draws, self.axes))


class UnitConv2d(UnitLinear):
    """A convolution `g W * x / sqrt(inputs size^2 s)` with zeros around, kernels of magnitude 1.

    s is the share of the kernels' entries that lie on the image, on average: small images would
    lose magnitude to the zeros (17 % at 4 x 4).

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        size: side of the kernel, odd.
    """

    axes = 3

    def __init__(self, inputs: int, outputs: int, size: int):
        super().__init__(inputs, outputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, size, size))

    def forward(self, x: Tensor, gain: Tensor | None = None) -> Tensor:
        """(..., outputs, H, W) of x (..., inputs, H, W); stacked, x is (S, ..., inputs, H, W)."""
        size = self.weight.shape[-1]
        inside = math.prod(within(side, size) for side in x.shape[-2:])
        return convolve(x, self.scaled(gain) / math.sqrt(inside))


def within(side: int, size: int) -> float:
    """The share of a kernel of odd size that lies on a line of pixels, on average over these.

    >>> round(within(4, 3), 4), within(9, 1)
    (0.8333, 1.0)
    """
    beyond = sum(range(1, size // 2 + 1))  # at either end
    return 1 - 2 * beyond / (size * side)


def scaled(weight: Tensor, axes: int) -> Tensor:
    """`W' / sqrt(inputs)`."""
    return unit(weight, axes) / math.sqrt(math.prod(weight.shape[-axes:]))


@contextmanager
def fixed_weights(network: nn.Module) -> Iterator[None]:
    """Within it weights must not change, and are normalised once for all evaluations."""
    parts = [part for part in network.modules() if isinstance(part, UnitLinear)]
    for part in parts:
        part.fixed = scaled(part.weight, part.axes)
    try:
        yield
    finally:
        for part in parts:
            part.fixed = None


class UnitEmbedding(nn.Module):
    """A row of unit magnitude for each label.

    Args:
        rows: number of labels.
        width: size of a row.
    """

    axes = 1

    def __init__(self, rows: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))

    def forward(self, label: Tensor) -> Tensor:
        """(..., B, width) sum of rows, weighed by label (..., B, K): one-hot, or 0."""
        return label @ unit(self.weight)

    def reset(self, noise: Noise) -> None:
        """Draw the rows, standard normal, and normalise them."""
        draws = noise.normal(*self.weight.shape, dtype=self.weight.dtype)
        self.weight.data.copy_(unit(draws))


class Condition(nn.Module):
    """The embedding of a noise level, a label and given columns.

        e = silu(mix(W_u fourier(u), label W_y; .5))

    Given columns are mixed in likewise. Where no label is told, its part is 0.

    Args:
        channels: of the Fourier features of u.
        width: of e.
        K: number of labels.
        C: given columns, encoded.
    """

    def __init__(self, channels: int, width: int, *, K: int, C: int = 0):
        super().__init__()
        self.fourier, self.noise = Fourier(channels), UnitLinear(channels, width)
        self.label, self.given = UnitEmbedding(K, width), UnitLinear(C, width) if C else None

    def forward(self, u: Tensor, label: Tensor, c: Tensor | None) -> Tensor:
        """(..., B, width) of u (..., B), label (..., B, K) and given columns (..., B, C)."""
        e = self.noise(self.fourier(u))
        e = mix(e, self.label(label.to(e)), 0.5)
        if self.given is not None:
            e = mix(e, self.given(needed(c).to(e)), 0.5)
        return silu(e)


class Uncertainty(nn.Module):
    """A number that depends on the noise level alone: how uncertain a denoiser is there.

    Args:
        channels: of the Fourier features of u.
    """

    def __init__(self, channels: int = 32):
        super().__init__()
        self.fourier, self.out = Fourier(channels), nn.Parameter(torch.empty(channels))

    def forward(self, u: Tensor) -> Tensor:
        """(..., B) of u (..., B)."""
        out = per_member(self.out, u[..., None]) if self.out.ndim == 2 else self.out
        return (self.fourier(u) * out).sum(-1)

    def reset(self, noise: Noise) -> None:
        """Begin at 0."""
        self.out.data.zero_()
