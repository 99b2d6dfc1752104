"""The network of the paper's conditional energy-based model (section 4.3), and one for images.

    u(x|y) = f([x; V_Y[y]]),   with given columns c   u(x|y, c) = f([x; V_Y[y]; c])

f is an MLP with `D + d_e + C` inputs and one output (`EnergyNetwork`). For images f is made of
convolutions (`ImageEnergyNetwork`): the embedding, and c, enter as constant planes beside the
channels, and

    h_1 = g(conv_1([x; V_Y[y]])),   h_l = g(conv_l(h_(l-1))),   u = <a, h_(L-1)>,

l = 2..L-1, with kernels of 3 x 3. A convolution halves the sides as long as both are at least 8.
The offset of the last layer would cancel in `exp(-u) / Z`: there is none. Both offer `at`, the
energies of the same points under every source, or under M conditions (a source with given columns
each): their first layer is a sum of what the point gives and what the condition gives, so that it
costs N + M rows instead of N M.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sourcewise.batch import needed
from sourcewise.errors import InputError
from sourcewise.networks.layers import Conv2d, Embedding, Linear
from sourcewise.networks.mlp import MLP, Activation

__all__ = ["CHUNK", "AnyEnergyNetwork", "EnergyNetwork", "ImageEnergyNetwork", "energy_network"]

CHUNK = 1 << 15  # rows that callers put through at a time
HALVED = 8  # sides from this on are halved


class EnergyNetwork(nn.Module):
    """Energies u(x|y).

    Args:
        K: sources.
        D: coordinates of x.
        d_e: numbers per embedding.
        width: W of the MLP.
        depth: L of the MLP.
        activation: between its layers.
        spectral: bound of every layer's largest singular value, >= 0; 0: none.
        C: given columns.
    """

    def __init__(
        self,
        K: int,
        D: int,
        d_e: int,
        width: int,
        depth: int,
        activation: Activation,
        spectral: float = 0.0,
        C: int = 0,
    ):
        super().__init__()
        self.K, self.D, self.C = K, D, C
        self.V_Y = Embedding(K, d_e)
        self.mlp = MLP(D + d_e + C, 1, width, depth, activation, offset=False, spectral=spectral)

    def forward(self, x: Tensor, y: Tensor, c: Tensor | None = None) -> Tensor:
        """(..., B) energies of points x (..., B, D) under sources y (..., B), given c."""
        # of one source alone there is nothing to look up
        of_y = self.V_Y.weight.expand(*x.shape[:-1], -1) if self.K == 1 else self.V_Y(y)
        return self.mlp(torch.cat([x, _condition(of_y, c, self.C)], -1)).squeeze(-1)

    def at(self, points: Tensor, y: Tensor | None = None, c: Tensor | None = None) -> Tensor:
        """(..., K, N) energies of the same points (N, D) under every source; or (..., M, N).

        Args:
            points: (N, D).
            y: (..., M) sources of the conditions; None: all K sources, at c = 0.
            c: (..., M, C) their given columns.
        """
        first = self.mlp.first
        of_x, of_y = first.matrix.split([self.D, first.weight.shape[-1] - self.D], -1)
        of_points = points @ of_x.mT  # (..., N, W)
        of_sources = _conditions(self.V_Y, y, c, self.C) @ of_y.mT  # (..., K, W)
        if first.bias is not None:
            of_sources = of_sources + first.bias[..., None, :]
        h = of_points[..., None, :, :] + of_sources[..., :, None, :]  # (..., K, N, W)
        return self.mlp.after_first(h).squeeze(-1)


class ImageEnergyNetwork(nn.Module):
    """Energies u(x|y) of images, flattened row by row and channel by channel.

    >>> network = ImageEnergyNetwork(K=2, shape=(1, 8, 8), d_e=2, width=4, depth=3)
    >>> network(torch.zeros(5, 64), torch.zeros(5).long()).shape
    torch.Size([5])

    Args:
        K: sources.
        shape: (C, H, W), channels and pixels; `D = C H W`.
        d_e: planes per embedding.
        width: channels between the layers.
        depth: L >= 2, convolutions and the last, linear layer.
        activation: g; smooth ones for scores and Langevin dynamics.
        spectral: bound of every layer's Lipschitz constant, >= 0; 0: none.
        C: given columns, planes likewise.

    Raises:
        InputError: one layer alone.
    """

    def __init__(
        self,
        K: int,
        shape: tuple[int, int, int],
        d_e: int,
        width: int,
        depth: int,
        activation: Activation = "silu",
        spectral: float = 0.0,
        C: int = 0,
    ):
        super().__init__()
        if depth < 2:
            raise InputError(f"depth of an image network must be at least 2, got {depth}")
        self.K, self.D, self.shape, self.C = K, math.prod(shape), shape, C
        self.activation = getattr(nn.functional, activation)
        self.V_Y = Embedding(K, d_e)
        strides, sides = _halvings(shape[1:], depth - 1)
        inputs = [shape[0] + d_e + C, *[width] * (depth - 2)]
        gain = math.sqrt(6.0)  # He's bound for what a ReLU halves
        convolutions = [
            Conv2d(channels, width, stride=stride, gain=gain, spectral=spectral)
            for channels, stride in zip(inputs, strides, strict=True)
        ]
        self.first, self.others = convolutions[0], nn.ModuleList(convolutions[1:])
        self.last = Linear(width * math.prod(sides), 1, bias=False, spectral=spectral)

    def forward(self, x: Tensor, y: Tensor, c: Tensor | None = None) -> Tensor:
        """(..., B) energies of images x (..., B, D) under sources y (..., B), given c."""
        images, planes = x.unflatten(-1, self.shape), _condition(self.V_Y(y), c, self.C)
        return self._after_first(self.first(torch.cat([images, self._planes(planes)], -3)))

    def at(self, points: Tensor, y: Tensor | None = None, c: Tensor | None = None) -> Tensor:
        """(..., K, N) energies of the same images (N, D) under every source; or (..., M, N).

        See `EnergyNetwork.at`.
        """
        first, V_Y = self.first, _conditions(self.V_Y, y, c, self.C)
        of_x, of_y = first.kernel.split([self.shape[0], V_Y.shape[-1]], -3)
        images = points.expand(*V_Y.shape[:-2], *points.shape).unflatten(-1, self.shape)
        of_points = first.convolve(images, of_x)  # (..., N, width, H', W')
        of_sources = first.convolve(self._planes(V_Y), of_y, first.bias)  # (..., K, ...)
        return self._after_first(of_points.unsqueeze(-5) + of_sources.unsqueeze(-4))

    def _planes(self, embedding: Tensor) -> Tensor:
        """(..., d_e, H, W) of (..., d_e)."""
        return embedding[..., None, None].expand(*embedding.shape, *self.shape[1:])

    def _after_first(self, h: Tensor) -> Tensor:
        """(...) energies of what the first convolution gives, (..., width, H', W')."""
        for layer in self.others:
            h = layer(self.activation(h))
        return self.last(self.activation(h).flatten(-3)).squeeze(-1)


def _halvings(sides: tuple[int, ...], layers: int) -> tuple[list[int], tuple[int, ...]]:
    """The stride of each convolution, and the sides after the last.

    >>> _halvings((28, 28), 4)
    ([2, 2, 1, 1], (7, 7))
    """
    strides = []
    for _ in range(layers):
        stride = 2 if min(sides) >= HALVED else 1
        strides.append(stride)
        sides = tuple(math.ceil(side / stride) for side in sides)
    return strides, sides


def _condition(of_y: Tensor, c: Tensor | None, C: int) -> Tensor:
    """(..., d_e + C) embeddings (..., d_e), then C given columns."""
    return torch.cat([of_y, needed(c).to(of_y)], -1) if C else of_y


def _conditions(V_Y: Embedding, y: Tensor | None, c: Tensor | None, C: int) -> Tensor:
    """(..., M, d_e + C) of conditions; of all K sources at c = 0 if y is None."""
    if y is not None:
        return _condition(V_Y(y), c, C)
    return nn.functional.pad(V_Y.weight, (0, C)) if C else V_Y.weight


AnyEnergyNetwork = EnergyNetwork | ImageEnergyNetwork


def energy_network(
    K: int, D: int, shape: tuple[int, int, int] | None, *sizes: Any
) -> AnyEnergyNetwork:
    """The network of K sources and D columns, or of images if they have a shape."""
    return EnergyNetwork(K, D, *sizes) if shape is None else ImageEnergyNetwork(K, shape, *sizes)
