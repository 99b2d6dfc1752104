"""The normaliser of an energy by quadrature, for all sources in one batched evaluation.

    log Z(y) = log integral over [0,1]^D of exp(-u(x|y)) dx ~ logsumexp_i (log w_i - u(x_i|y))

Its gradient is that of the rule, exactly. Doubling the nodes per axis shows its error.
"""

import torch
from torch import Tensor

from sourcewise.networks.energy import EnergyNetwork, ImageEnergyNetwork
from sourcewise.quadrature import RULES

__all__ = ["MOST_CELLS", "NODES", "log_normaliser", "quadrature_error"]

NODES = {1: 64, 2: 32, 3: 16}  # per axis by D, in training
MOST_CELLS = 1 << 20  # of a grid that is summed over
CHUNK = 1 << 15  # rows through the network at a time


def log_normaliser(network: EnergyNetwork | ImageEnergyNetwork, rule: str, nodes: int) -> Tensor:
    """(..., K) log Z of every source.

    Args:
        network: of the energies; with S models in it the result is (S, K).
        rule: a name in `quadrature.RULES`.
        nodes: per axis.
    """
    weight = network.V_Y.weight
    points, log_weight = (part.to(weight) for part in RULES[rule](nodes, network.D))
    rows = weight.numel() // weight.shape[-1]  # S K
    parts = points.split(max(1, CHUNK // rows))
    u = [network.at(part) for part in parts]
    u = torch.cat(u, -1) if len(u) > 1 else u[0]  # of one part it would be a copy
    return (log_weight - u).logsumexp(-1)


@torch.no_grad()
def quadrature_error(network: EnergyNetwork | ImageEnergyNetwork, rule: str, nodes: int) -> Tensor:
    """(K,) `|log Z_n - log Z_2n|`, the error of a rule with n nodes per axis."""
    coarse, fine = (log_normaliser(network, rule, n) for n in (nodes, 2 * nodes))
    return (coarse - fine).abs()
