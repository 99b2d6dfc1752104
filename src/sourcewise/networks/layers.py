"""The layers that all networks are made of; they also run S networks at once.

Every parameter may carry one leading axis S: then inputs carry it too, and one batched product
does the work of S. A network written with these layers (and with operations that act on trailing
axes only) needs no second version for that.
"""

import math

import torch
from torch import Tensor, nn

from sourcewise.randomness import Noise

__all__ = ["Embedding", "LayerNorm", "Linear", "per_member", "reset"]


class Linear(nn.Module):
    """`x W' + b` on the last axis.

    Args:
        inputs: size of the last axis of x.
        outputs: size of the last axis of the result.
        bias: whether there is b.
        gain: entries start uniform within `gain / sqrt(inputs)`; 0: at zero.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, gain: float = 1.0):
        super().__init__()
        self.bound = gain / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., outputs) of x (..., inputs); with stacked weights x is (S, ..., inputs)."""
        if self.weight.ndim == 2:
            return nn.functional.linear(x, self.weight, self.bias)
        flat, turned = x.flatten(1, -2), self.weight.mT
        if self.bias is None:
            out = torch.bmm(flat, turned)
        else:
            out = torch.baddbmm(self.bias[:, None], flat, turned)
        return out.unflatten(1, x.shape[1:-1])

    def reset(self, noise: Noise) -> None:
        """Draw the parameters."""
        for name, parameter in self.named_parameters(recurse=False):
            draws = noise.of(name).uniform(*parameter.shape, dtype=parameter.dtype)
            parameter.data.copy_((2 * draws - 1) * self.bound)


class Embedding(nn.Module):
    """Row i of a table for the integer i.

    Args:
        rows: number of rows.
        width: size of a row.
        scale: rows start normal with this standard deviation.
    """

    def __init__(self, rows: int, width: int, scale: float = 1.0):
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(rows, width))

    def forward(self, index: Tensor) -> Tensor:
        """(..., width) for index (...); stacked, index is (S, ...)."""
        if self.weight.ndim == 2:
            return nn.functional.embedding(index, self.weight)
        S, rows, _ = self.weight.shape
        start = (rows * torch.arange(S, device=index.device)).view(S, *[1] * (index.ndim - 1))
        return nn.functional.embedding(index + start, self.weight.flatten(0, 1))

    def reset(self, noise: Noise) -> None:
        """Draw the table."""
        draws = noise.normal(*self.weight.shape, dtype=self.weight.dtype)
        self.weight.data.copy_(self.scale * draws)


class LayerNorm(nn.Module):
    """`g (x - mean) / sd + b` over the last axis.

    Args:
        width: size of the last axis.
    """

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x (..., width); stacked, x is (S, ..., width)."""
        if self.gain.ndim == 1:
            return nn.functional.layer_norm(x, self.gain.shape, self.gain, self.bias)
        plain = nn.functional.layer_norm(x, self.gain.shape[-1:])
        return plain * per_member(self.gain, x) + per_member(self.bias, x)

    def reset(self, noise: Noise) -> None:
        """Begin as plain normalisation."""
        self.gain.data.fill_(1.0)
        self.bias.data.fill_(0.0)


def per_member(parameter: Tensor, x: Tensor) -> Tensor:
    """A parameter (S, *shape) with axes of size 1 after S, so that it broadcasts against x.

    >>> per_member(torch.zeros(2, 5), torch.zeros(2, 7, 3, 5)).shape
    torch.Size([2, 1, 1, 5])
    """
    extra = x.ndim - parameter.ndim
    return parameter.view(len(parameter), *[1] * extra, *parameter.shape[1:])


def reset(module: nn.Module, noise: Noise) -> None:
    """Draw all parameters of a network anew; each layer's draws depend on its name alone.

    Raises:
        TypeError: some parameter belongs to no layer that can draw it.
    """
    for name, part in module.named_modules():
        if part is not module and (draw := getattr(part, "reset", None)) is not None:
            draw(noise.of(name))
        elif next(part.parameters(recurse=False), None) is not None:
            raise TypeError(f"{name or type(module).__name__} has parameters that no layer draws")
