"""Truths for the study of energy-based models: random members of the class that is trained.

Every parameter of the network is uniform in [-B, B], but for

- the embeddings, uniform within `own B`: they say how far sources differ;
- the first layer: a ReLU unit bends where `<w, x> + <v, V_Y[y]> + b = 0`. A uniform b would leave
  most bends outside the cube, where the unit is off or linear. So w is uniform within B/D and
  `b = -<w, c>`, c uniform in the cube: without an embedding the bend passes through c;
- the last layer, scaled so that log p has the standard deviation `spread` over the cube, on
  average over sources. Draws that need more than B are drawn again.
"""

from typing import cast

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.network import EnergyNetwork
from sourcewise.networks.layers import Linear
from sourcewise.quadrature import midpoints
from sourcewise.randomness import Noise
from sourcewise.studies.energy.settings import EnergyStudySettings

__all__ = ["GRID", "apart", "draw_truth", "layers", "log_densities"]

TRIES = 1000
GRID = {1: 4096, 2: 256}  # per axis by D, midpoints on which densities are compared


def draw_truth(settings: EnergyStudySettings, D: int, K: int, d_e: int, noise: Noise) -> Energy:
    """A random member of the class; float64.

    Args:
        settings: width, depth, bound, spread, own.
        D: coordinates.
        K: sources.
        d_e: numbers per embedding.
        noise: of the draw.

    Raises:
        InputError: no network of the class varies as much as `spread`.
    """
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
