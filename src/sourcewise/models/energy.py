"""The paper's conditional energy-based model (section 4.3), trained by exact maximum likelihood.

    p(x|y) = exp(-u(x|y)) / Z(y)   on the cube [0,1]^D,   Z(y) = integral of exp(-u(x|y)) dx

u is a network (`networks.energy`). For D <= 3, Z is a tensor product of Gauss-Legendre rules of N
nodes per axis,

    log Z(y) = logsumexp_i (log w_i - u(x_i|y)),

for all sources in one batched evaluation, once per batch. The gradient of `u + log Z` is that of
the rule, exactly. Training takes N nodes, validation 2 N, scores 4 N: a network that hides mass
between the nodes of training is found out by the validation rows. `fitted` tells what doubling 2 N
changes, which bounds the error of scores: spikes (most rows at one value) make it large, and a
verdict on smaller differences than that decides nothing.
"""

import copy
import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.models.base import ConditionalModel
from sourcewise.models.settings import EnergySettings
from sourcewise.networks.energy import EnergyNetwork
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["NODES", "Energy", "gauss_legendre"]

NODES = {1: 64, 2: 32, 3: 16}  # per axis by D, in training
CELLS = {1: 4096, 2: 256, 3: 64}  # per axis by D, of the grid that samples come from
CHUNK = 1 << 15  # rows through the network at a time


class Energy(ConditionalModel):
    """The conditional energy-based model on [0,1]^D.

    Args:
        settings: embedding, width, depth, activation, nodes.
        K: sources.
        D: coordinates, 1 to 3.

    Raises:
        InputError: D above 3, or a width below `D + d_e` (Definition 4.2).
    """

    stackable = True

    def __init__(self, settings: EnergySettings, *, K: int, D: int):
        super().__init__()
        d_e, width = settings.embedding, settings.width
        if D not in NODES:
            raise InputError(f"the energy family takes 1 to 3 columns for now, not {D}")
        if width < D + d_e:
            raise InputError(
                f"setting width: at least the {D} columns + the {d_e} numbers of an embedding, "
                f"not {width}"
            )
        self.settings, self.K, self.D = settings, K, D
        self.nodes = NODES[D] if settings.nodes == "auto" else settings.nodes
        self.network = EnergyNetwork(K, D, d_e, width, settings.depth, settings.activation)

    def reset(self, noise: Noise) -> None:
        """Draw all parameters anew, the first layer's as for uniform x made standard."""
        super().reset(noise)
        first = self.network.mlp.first
        of_x = first.weight.data[:, : self.D]
        of_x *= math.sqrt(12)
        if first.bias is not None:
            first.bias.data -= of_x.sum(1) / 2

    @property
    def free_parameters(self) -> int:
        """`P_shared + K P_src` of the theory (section 7, dense)."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def fitted(self) -> dict[str, list[float]]:
        """The change of log Z from 2 N nodes to the 4 N of scores, the largest of the sources."""
        return {"quadrature error": [float(self.quadrature_error(2 * self.nodes).max())]}

    def log_normaliser(self, nodes: int) -> Tensor:
        """(..., K) log Z of every source, by a rule with this many nodes per axis."""
        weight = self.network.V_Y.weight
        points, log_weight = (part.to(weight) for part in gauss_legendre(nodes, self.D))
        rows = weight.numel() // weight.shape[-1]  # S K
        parts = points.split(max(1, CHUNK // rows))
        u = torch.cat([self.network.at(part) for part in parts], -1)
        return (log_weight - u).logsumexp(-1)

    @torch.no_grad()
    def quadrature_error(self, nodes: int) -> Tensor:
        """(K,) `|log Z_n - log Z_2n|`, the error of a rule with n nodes per axis."""
        return (self.log_normaliser(nodes) - self.log_normaliser(2 * nodes)).abs()

    def loss(self, x: Tensor, y: Tensor, *, c: Tensor | None = None, noise: Noise) -> Tensor:
        """`u(x|y) + log Z(y)`, minus the log-likelihood.

        Args:
            x: (B, D) points of the cube.
            y: (B,) sources.
            c: not used.
            noise: not used.

        Returns:
            (B,); with S models at once (S, B), of x (S, B, D) and y (S, B).
        """
        log_Z = self.log_normaliser(self.nodes if self.training else 2 * self.nodes)
        return self.network(x.to(log_Z), y) + log_Z.gather(-1, y)

    def log_prob(self, x: Tensor, y: Tensor, *, c: Tensor | None = None) -> Tensor:
        """(B,) natural log of the density at x (B, D) under sources y (B,); -inf off the cube."""
        x = x.to(self.network.V_Y.weight)
        u = torch.cat(
            [self.network(*part) for part in zip(x.split(CHUNK), y.split(CHUNK), strict=True)]
        )
        log_p = -u - self.log_normaliser(4 * self.nodes)[y]
        inside = ((x >= 0) & (x <= 1)).all(-1)
        return torch.where(inside, log_p, -torch.inf)

    @torch.no_grad()
    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise | ExampleNoise) -> Tensor:
        """One point per entry of y, (B, D) float64, by inverse distribution functions on a grid.

        Cells of side h (see `CELLS`) have masses `exp(-u)` of their centres; within its cell, a
        point follows `exp(-<grad u, x>)`, the gradient being that of the centre. Both leave an
        error of order h^2 in total variation.

        Args:
            y: (B,) sources.
            c: not used.
            noise: one stream per point.
        """
        network, each = copy.deepcopy(self.network).double().eval(), noise.each(y)
        draws = each.of("cell").uniform().to(y.device)
        within = each.of("within").uniform(self.D).to(y.device)
        centres = _centres(self.D).to(y.device)
        cell = torch.zeros_like(y)
        for k in y.unique().tolist():
            rows = (y == k).nonzero().squeeze(1)
            cell[rows] = _pick(_masses(network, centres, k), draws[rows])
        slope = _slopes(network, centres[cell], y)
        h = 1 / CELLS[self.D]
        return centres[cell] + h * (_tilted(within, -h * slope) - 0.5)


@lru_cache(maxsize=16)
def gauss_legendre(nodes: int, D: int) -> tuple[Tensor, Tensor]:
    """Points (N, D) of [0,1]^D and logs (N,) of their weights, `N = nodes^D`; float64.

    >>> x, log_weight = gauss_legendre(3, 2)
    >>> round(float(log_weight.exp() @ (x[:, 0] ** 5 * x[:, 1] ** 2)), 12)  # 1/6 * 1/3
    0.055555555556
    """
    u, weight = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(nodes))
    x, log_weight = (u + 1) / 2, (weight / 2).log()
    logs = torch.cartesian_prod(*[log_weight] * D).view(-1, D)
    return torch.cartesian_prod(*[x] * D).view(-1, D), logs.sum(1)


def _centres(D: int) -> Tensor:
    """(G^D, D) centres of the grid's cells."""
    side = (torch.arange(CELLS[D], dtype=torch.float64) + 0.5) / CELLS[D]
    return torch.cartesian_prod(*[side] * D).view(-1, D)


def _masses(network: EnergyNetwork, centres: Tensor, k: int) -> Tensor:
    """(G^D,) shares of the cells under source k."""
    y = torch.tensor(k, device=centres.device)
    u = torch.cat([network(part, y.expand(len(part))) for part in centres.split(CHUNK)])
    return (-u).softmax(0)


def _pick(masses: Tensor, draws: Tensor) -> Tensor:
    """(B,) cells at the quantiles `draws` (B,); never one that rounding left without mass."""
    total = masses.cumsum(0)
    found = torch.searchsorted(total, draws * total[-1], right=True)
    return found.clamp(max=int(torch.searchsorted(total, total[-1])))


def _slopes(network: EnergyNetwork, x: Tensor, y: Tensor) -> Tensor:
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
