"""Points of an energy by inverting distribution functions on a grid: exact but for its cells.

Cells of side h have masses proportional to `exp(-u)` at their centres. Within its cell a point
follows `exp(-<grad u, x>)`, the gradient being that of the centre; both leave an error of order
h^2 in total variation. Under `rule=grid` the density is constant in the cells of the rule, and
the points are exact.
"""

import copy

import torch
from torch import Tensor

from sourcewise.families.energy.network import CHUNK, AnyEnergyNetwork
from sourcewise.quadrature import midpoints
from sourcewise.randomness import ExampleNoise

__all__ = ["CELLS", "sample_grid"]

CELLS = {1: 4096, 2: 256, 3: 64}  # per axis by D


@torch.no_grad()
def sample_grid(
    network: AnyEnergyNetwork, y: Tensor, noise: ExampleNoise, cells: int, tilted: bool
) -> Tensor:
    """One point per entry of y, (B, D) float64.

    Args:
        network: of the energies.
        y: (B,) sources.
        noise: one stream per point.
        cells: per axis.
        tilted: whether points follow the slope of u within a cell, or are uniform there.
    """
    network, D = copy.deepcopy(network).double().eval(), network.D
    draws = noise.of("cell").uniform().to(y.device)
    within = noise.of("within").uniform(D).to(y.device)
    centres = midpoints(cells, D)[0].to(y.device)
    cell = torch.zeros_like(y)
    for k in y.unique().tolist():
        rows = (y == k).nonzero().squeeze(1)
        cell[rows] = _pick(_masses(network, centres, k), draws[rows])
    if tilted:
        within = _tilted(within, -_slopes(network, centres[cell], y) / cells)
    return centres[cell] + (within - 0.5) / cells


def _masses(network: AnyEnergyNetwork, centres: Tensor, k: int) -> Tensor:
    """(G^D,) shares of the cells under source k."""
    y = torch.tensor(k, device=centres.device)
    u = torch.cat([network(part, y.expand(len(part))) for part in centres.split(CHUNK)])
    return (-u).softmax(0)


def _pick(masses: Tensor, draws: Tensor) -> Tensor:
    """(B,) cells at the quantiles `draws` (B,); never one that rounding left without mass."""
    total = masses.cumsum(0)
    found = torch.searchsorted(total, draws * total[-1], right=True)
    return found.clamp(max=int(torch.searchsorted(total, total[-1])))


def _slopes(network: AnyEnergyNetwork, x: Tensor, y: Tensor) -> Tensor:
    """(B, D) gradients of u at x."""
    parts = []
    for points, sources in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
        with torch.enable_grad():
            points = points.clone().requires_grad_()
            parts.append(torch.autograd.grad(network(points, sources).sum(), points)[0])
    return torch.cat(parts)


def _tilted(u: Tensor, g: Tensor) -> Tensor:
    """Quantiles u of the density proportional to `exp(g t)` on [0, 1].

    >>> u, g = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
    >>> [round(t, 4) for t in _tilted(u, g).tolist()]  # log((1 + e) / 2)
    [0.5, 0.6201]
    """
    g = g.clamp(-500, 500)  # expm1 stays finite
    flat = g.abs() < 1e-9
    steep = torch.where(flat, 1.0, g)
    return torch.where(flat, u, torch.log1p(u * torch.expm1(steep)) / steep)
