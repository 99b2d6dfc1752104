"""Truths of the study of energy-based models, random members of the class, and their sharp laws.

Every parameter of the network is uniform in [-B, B], but for

- the embeddings, uniform within `own B`: they say how far sources differ;
- the first layer: a ReLU unit bends where `<w, x> + <v, V_Y[y]> + b = 0`. A uniform b would leave
  most bends outside the cube, where the unit is off or linear. So w is uniform within B/D and
  `b = -<w, c>`, c uniform in the cube: without an embedding the bend passes through c;
- the last layer, scaled so that log p has the standard deviation `spread` over the cube, on
  average over sources. Draws that need more than B are drawn again.

`laws` is the law of theory, section 3, where the information matrix may be singular:

    average TV ~ (2 pi n)^(-1/2) sum_k p_k E[sqrt(s' I^+ s) | k],    p_k = 1/K

s is the score of a pair (x, y), `s = -(grad u - E[grad u | y])`, I its second moment and I^+ the
pseudo-inverse: directions that change no density (scale a ReLU unit's inputs by c and its output
by 1/c; move what all embeddings have in common into the offsets) have no score, and drop out. The
rank of I counts the others. Separate models have an information matrix each, from n/K examples.
The law holds where the map from parameters to densities has this rank all around the truth. It
does not around a unit that is off, or linear, on the whole cube: then it is a lower value than
what is to be expected.
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.func import functional_call  # pyright: ignore[reportPrivateImportUsage]

from sourcewise.errors import InputError
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.network import EnergyNetwork
from sourcewise.networks.layers import Linear
from sourcewise.quadrature import midpoints
from sourcewise.randomness import Noise
from sourcewise.studies.energy.settings import EnergyStudySettings

__all__ = ["GRID", "Law", "apart", "draw_truth", "laws", "layers", "log_densities", "scores"]

TRIES = 1000
GRID = {1: 4096, 2: 256}  # per axis by D, midpoints on which densities are compared
NODES = {1: 1024, 2: 48}  # likewise, on which scores are
NEGLIGIBLE = 1e-9  # of the largest eigenvalue


def draw_truth(settings: EnergyStudySettings, D: int, K: int, d_e: int, noise: Noise) -> Energy:
    """A random member of the class; float64. `InputError` if none varies as much as `spread`."""
    model = Energy(settings.training(D, d_e), K=K, D=D).double().requires_grad_(False)
    points, _ = midpoints(GRID[D] // 8, D)
    last = layers(model)[-1]
    for number in range(TRIES):
        _fill(model, settings, noise.of("try", number))
        spread = model.network.at(points).std(-1).mean()
        last.weight.mul_(settings.spread / spread.clamp(min=1e-300))
        if float(last.weight.abs().max()) <= settings.bound:
            return model
    raise InputError(
        f"settings: no random network with bound={settings.bound:g} reached "
        f"spread={settings.spread:g} in {TRIES} draws"
    )


def _fill(model: Energy, settings: EnergyStudySettings, noise: Noise) -> None:
    """Draw all parameters, the last layer's not yet scaled."""
    for name, parameter in model.named_parameters():
        u = noise.of(name).uniform(*parameter.shape)
        parameter.copy_(settings.bound * (2 * u - 1))
    model.network.V_Y.weight.mul_(settings.own)
    first, D = layers(model)[0], model.D
    assert first.bias is not None
    w = first.weight[:, :D].div_(D)
    bend = noise.of("bend").uniform(settings.width, D)
    first.bias.copy_(-(w * bend).sum(1))


def layers(model: Energy) -> list[Linear]:
    """The affine layers of its network, the first one first."""
    return [cast(Linear, layer) for layer in cast(EnergyNetwork, model.network).mlp.layers]


@torch.no_grad()
def log_densities(model: Energy, nodes: int) -> Tensor:
    """(K, N) log-probabilities of the cells around the midpoints of `nodes^D` cells."""
    points, log_weight = midpoints(nodes, model.D)
    parts = [model.network.at(part) for part in points.split(1 << 14)]
    return (log_weight - torch.cat(parts, -1)).log_softmax(-1)


def apart(truth: Energy) -> float:
    """Average TV between a source and the mean of all sources; 0 if all are alike."""
    p = log_densities(truth, GRID[truth.D]).exp()
    return 0.5 * float((p - p.mean(0)).abs().sum(1).mean())


class Law(NamedTuple):
    """What the information says: n^(1/2) times the average TV, and the rank."""

    root_n_tv: float
    rank: int


def laws(truth: Energy) -> tuple[Law, Law]:
    """Of separate and of pooled training, for a truth in float64."""
    parts = [scores(truth, k) for k in range(truth.K)]
    matrices = [s.mT @ (p[:, None] * s) for s, p in parts]  # (P, P) E[s s']
    K, root = truth.K, 1 / math.sqrt(2 * math.pi)
    alone = [_inverse(matrix) for matrix in matrices]
    together, rank = _inverse(cast(Tensor, sum(matrices)) / K)
    apart = [_mean_root(s, p, inverse) for (s, p), (inverse, _) in zip(parts, alone, strict=True)]
    joint = [_mean_root(s, p, together) for s, p in parts]
    return (
        Law(root * math.sqrt(K) * sum(apart) / K, sum(rank for _, rank in alone)),
        Law(root * sum(joint) / K, rank),
    )


def scores(truth: Energy, k: int) -> tuple[Tensor, Tensor]:
    """(N, P) scores under source k at the midpoints of N cells, and (N,) the cells' masses.

    Every point has its own copy of the parameters, so that one gradient gives all rows.
    """
    points, log_weight = midpoints(NODES[truth.D], truth.D)
    N = len(points)
    copies = {
        name: p.detach().expand(N, *p.shape).clone().requires_grad_()
        for name, p in truth.network.named_parameters()
    }
    y = torch.full((N, 1), k)
    u = cast(Tensor, functional_call(truth.network, copies, (points[:, None], y))).squeeze(1)
    gradients = torch.autograd.grad(u.sum(), list(copies.values()))
    g = torch.cat([gradient.flatten(1) for gradient in gradients], 1)
    p = (log_weight - u.detach()).softmax(0)
    return p @ g - g, p


def _inverse(matrix: Tensor) -> tuple[Tensor, int]:
    """The pseudo-inverse and the rank."""
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > NEGLIGIBLE * values[-1]
    inverse = torch.where(kept, 1 / values.where(kept, torch.ones(())), 0.0)
    return (vectors * inverse) @ vectors.mT, int(kept.sum())


def _mean_root(s: Tensor, p: Tensor, inverse: Tensor) -> float:
    """`E sqrt(s' I^+ s)`."""
    return float(p @ ((s @ inverse) * s).sum(1).clamp(min=0).sqrt())
