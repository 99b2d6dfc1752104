"""The layers that all networks are made of; they also run S networks at once.

Every parameter may carry one leading axis S: then inputs carry it too, and one batched product
does the work of S. A network written with these layers (and with operations that act on trailing
axes only) needs no second version for that.

The affine layers may bound their largest singular value: with `spectral` c > 0 they compute with

    A = W / max(1, s / c),   s = s_max(W),

so that they are c-Lipschitz in the Euclidean norm, and W moves freely where it is small enough
already. This is the spectral normalisation of Miyato et al. ("Spectral normalization for
generative adversarial networks", 2018) as a bound in place of an equality; s is exact, its
gradient that of the singular value.
"""

import math

import torch
from torch import Tensor, nn

from sourcewise.randomness import Noise

__all__ = [
    "Conv2d",
    "Embedding",
    "LayerNorm",
    "Linear",
    "bounded",
    "convolve",
    "per_member",
    "reset",
]


class Linear(nn.Module):
    """`x W' + b` on the last axis.

    Args:
        inputs: size of the last axis of x.
        outputs: size of the last axis of the result.
        bias: whether there is b.
        gain: entries start uniform within `gain / sqrt(inputs)`; 0: at zero.
        spectral: c, the largest singular value that A may have, >= 0; 0: any.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        gain: float = 1.0,
        spectral: float = 0.0,
    ):
        super().__init__()
        self.bound, self.spectral = gain / math.sqrt(inputs), spectral
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    @property
    def matrix(self) -> Tensor:
        """A (..., outputs, inputs), the weight that x is multiplied with."""
        return bounded(self.weight, self.spectral) if self.spectral else self.weight

    def forward(self, x: Tensor) -> Tensor:
        """(..., outputs) of x (..., inputs); with stacked weights x is (S, ..., inputs)."""
        if self.weight.ndim == 2:
            return nn.functional.linear(x, self.matrix, self.bias)
        flat, turned = x.flatten(1, -2), self.matrix.mT
        if self.bias is None:
            out = torch.bmm(flat, turned)
        else:
            out = torch.baddbmm(self.bias[:, None], flat, turned)
        return out.unflatten(1, x.shape[1:-1])

    def reset(self, noise: Noise) -> None:
        """Draw the parameters."""
        _within(self.bound, self, noise)


class Conv2d(nn.Module):
    """A convolution with offset on the last three axes (channels, height, width), zeros around.

    A pixel is in at most r^2 patches, `r = ceil(size / stride)`, so that the convolution is
    `r s_max(W)`-Lipschitz, W (outputs, inputs size^2) the matrix that a patch is multiplied with.

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        size: side of the kernel, odd.
        stride: the result has `ceil(side / stride)` pixels per side.
        gain: entries start uniform within `gain / sqrt(inputs size^2)`.
        spectral: c, a bound of `r s_max(A)`, >= 0; 0: none.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        stride: int = 1,
        gain: float = 1.0,
        spectral: float = 0.0,
    ):
        super().__init__()
        self.bound, self.stride = gain / math.sqrt(inputs * size**2), stride
        self.spectral = spectral / math.ceil(size / stride)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.empty(outputs))

    @property
    def kernel(self) -> Tensor:
        """A (..., outputs, inputs, size, size), what patches are multiplied with."""
        if not self.spectral:
            return self.weight
        return bounded(self.weight.flatten(-3), self.spectral).view_as(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., outputs, H', W') of x (..., inputs, H, W); stacked, x is (S, ..., C, H, W)."""
        return self.convolve(x, self.kernel, self.bias)

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        """Likewise, by another kernel, of some of the inputs say."""
        return convolve(x, kernel, bias, self.stride)

    def reset(self, noise: Noise) -> None:
        """Draw the parameters."""
        _within(self.bound, self, noise)


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


def convolve(x: Tensor, kernel: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    """A convolution on the last three axes, with zeros around; S kernels are S groups.

    Args:
        x: (..., inputs, H, W), or (S, ..., inputs, H, W).
        kernel: (outputs, inputs, size, size), or (S, outputs, inputs, size, size); size is odd.
        bias: (outputs,), or (S, outputs).
        stride: the result has `ceil(side / stride)` pixels per side.
    """
    S = kernel.shape[:-4]
    images = x.reshape(*S, -1, *x.shape[-3:])  # (*S, B, C, H, W)
    if S:
        images, kernel = images.transpose(0, 1).flatten(1, 2), kernel.flatten(0, 1)
    out = nn.functional.conv2d(
        images,
        kernel,
        None if bias is None else bias.flatten(),
        stride,
        padding=kernel.shape[-1] // 2,
        groups=math.prod(S),
    )
    if S:
        out = out.unflatten(1, (*S, -1)).transpose(0, 1)
    return out.reshape(*x.shape[:-3], *out.shape[-3:])


def bounded(weight: Tensor, c: float) -> Tensor:
    """`W / max(1, s_max(W) / c)`, whose singular values are at most c.

    >>> bounded(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), 1.5).tolist()
    [[1.5, 0.0], [0.0, 0.5]]

    Args:
        weight: W, (..., rows, columns), each matrix by itself.
        c: above 0.
    """
    s = torch.linalg.matrix_norm(weight, 2, keepdim=True)  # (..., 1, 1)
    return weight / (s / c).clamp(min=1)


def per_member(parameter: Tensor, x: Tensor) -> Tensor:
    """A parameter (S, *shape) with axes of size 1 after S, so that it broadcasts against x.

    >>> per_member(torch.zeros(2, 5), torch.zeros(2, 7, 3, 5)).shape
    torch.Size([2, 1, 1, 5])
    """
    extra = x.ndim - parameter.ndim
    return parameter.view(len(parameter), *[1] * extra, *parameter.shape[1:])


def reset(module: nn.Module, noise: Noise) -> None:
    """Draw all parameters of a network anew; each layer's draws depend on its name alone.

    Layers of torch (`nn.Linear`, `nn.Conv2d`, ...) start as torch has them start, by draws of the
    noise: the global generator is what it was before.

    Raises:
        TypeError: some parameter belongs to no layer that can draw it.
    """
    for name, part in module.named_modules():
        if part is not module and (draw := getattr(part, "reset", None)) is not None:
            draw(noise.of(name))
        elif (draw := getattr(part, "reset_parameters", None)) is not None:
            with torch.random.fork_rng(devices=()):
                torch.set_rng_state(noise.of(name).generator().get_state())
                draw()
        elif next(part.parameters(recurse=False), None) is not None:
            raise TypeError(f"{name or type(module).__name__} has parameters that no layer draws")


def _within(bound: float, layer: nn.Module, noise: Noise) -> None:
    """Draw a layer's parameters uniform within a bound, each by its name."""
    for name, parameter in layer.named_parameters(recurse=False):
        draws = noise.of(name).uniform(*parameter.shape, dtype=parameter.dtype)
        parameter.data.copy_((2 * draws - 1) * bound)
