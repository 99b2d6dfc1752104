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
    network: AnyEnergyNetwork,
    y: Tensor,
    noise: ExampleNoise,
    cells: int,
    tilted: bool,
    c: Tensor | None = None,
) -> Tensor:
    """One point per entry of y, (B, D) float64.

    Args:
        network: of the energies.
        y: (B,) sources.
        noise: one stream per point.
        cells: per axis.
        tilted: whether points follow the slope of u within a cell, or are uniform there.
        c: (B, C) given columns; cells are summed for every different value of y and c.
    """
    network, D = copy.deepcopy(network).double().eval(), network.D
    draws = noise.of("cell").uniform().to(y.device)
    within = noise.of("within").uniform(D).to(y.device)
    centres = midpoints(cells, D)[0].to(y.device)
    cell = torch.zeros_like(y)
    conditions = y[:, None].double() if c is None else torch.cat([y[:, None].to(c), c], 1)
    _, place, counts = conditions.unique(dim=0, return_inverse=True, return_counts=True)
    for rows in place.argsort(stable=True).split(counts.tolist()):
        given = None if c is None else c[rows[0]]
        cell[rows] = _pick(_masses(network, centres, y[rows[0]], given), draws[rows])
    if tilted:
        within = _tilted(within, -_slopes(network, centres[cell], y, c) / cells)
    return centres[cell] + (within - 0.5) / cells


def _masses(network: AnyEnergyNetwork, centres: Tensor, y: Tensor, c: Tensor | None) -> Tensor:
    """(G^D,) shares of the cells under source y () given c (C,)."""
    parts = []
    for part in centres.split(CHUNK):
        given = None if c is None else c.expand(len(part), -1)
        parts.append(network(part, y.expand(len(part)), given))
    return (-torch.cat(parts)).softmax(0)


def _pick(masses: Tensor, draws: Tensor) -> Tensor:
    """(B,) cells at the quantiles `draws` (B,); never one that rounding left without mass."""
    total = masses.cumsum(0)
    found = torch.searchsorted(total, draws * total[-1], right=True)
    return found.clamp(max=int(torch.searchsorted(total, total[-1])))


def _slopes(network: AnyEnergyNetwork, x: Tensor, y: Tensor, c: Tensor | None) -> Tensor:
    """(B, D) gradients of u at x."""
    parts = []
    for at in torch.arange(len(x), device=x.device).split(CHUNK):
        given = None if c is None else c[at]
        with torch.enable_grad():
            points = x[at].clone().requires_grad_()
            parts.append(torch.autograd.grad(network(points, y[at], given).sum(), points)[0])
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
