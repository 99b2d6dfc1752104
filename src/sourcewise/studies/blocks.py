"""What simulated fits have in common: samples, and the models of both ways of training.

Row i of a sample is of source i mod K, and its draw depends on (seed, source, i) alone, so a
smaller sample is the beginning of a larger one.
"""

import torch
from torch import Tensor

from sourcewise.families.base import ConditionalModel
from sourcewise.metrics.distributions import Sampled
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.training.data import TrainingData
from sourcewise.training.recipes.base import Member

__all__ = ["Block", "all_blocks", "blocks", "member", "numbers", "sample"]

Block = tuple[int, ...]


def sample(truth: Sampled, K: int, n: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """Examples (n, ...) and their sources (n,), `n / K` of each up to one."""
    y = torch.arange(n) % K
    return truth.sample(y, noise=noise), y


def blocks(strategy: Strategy, K: int) -> tuple[Block, ...]:
    """The sources of each model."""
    partition = Partition.pooled(K) if strategy == "pooled" else Partition.separate(K)
    return partition.blocks


def all_blocks(K: int) -> tuple[Block, ...]:
    """Those of both strategies; with K = 1 both are one."""
    return tuple(dict.fromkeys(block for name in STRATEGIES for block in blocks(name, K)))


def numbers(block: Block, K: int) -> Tensor:
    """(K,) the sources' numbers within the block, -1 outside."""
    number = torch.full((K,), -1)
    number[list(block)] = torch.arange(len(block))
    return number


def member(
    model: ConditionalModel, data: TrainingData, K: int, r: int, block: Block, *more: str
) -> Member:
    """A model that is to be trained on its rows.

    Args:
        model: untrained.
        data: of all K sources.
        K: sources.
        r: which seed.
        block: the model's sources.
        more: what tells it from others of this seed and block.
    """
    names = tuple(f"seed {r} source {k}" for k in block)
    return Member((*names, *more), model, data.of(numbers(block, K)))
