"""What simulated fits have in common: samples, and the models of both ways of training.

Row i of a sample is of source i mod K, and its draw depends on (seed, source, i) alone, so a
smaller sample is the beginning of a larger one.
"""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from sourcewise.families.base import ConditionalModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.metrics.distributions import Sampled
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.grid import Progress
from sourcewise.training.data import TrainingData
from sourcewise.training.recipes.base import Member
from sourcewise.training.recipes.registry import recipe

__all__ = ["Block", "all_blocks", "blocks", "member", "numbers", "sample", "train"]

Block = tuple[int, ...]
Key = TypeVar("Key", bound=Hashable)


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
    """An untrained model with its rows of the data; `more` tells it from others of its block."""
    names = tuple(f"seed {r} source {k}" for k in block)
    return Member((*names, *more), model, data.of(numbers(block, K)))


def train(
    how: str,
    members: Mapping[Key, Member],
    settings: TrainedSettings,
    noise: Noise,
    progress: Progress | None,
    folder: Path | None,
) -> dict[Key, int]:
    """Train all members as one stack, by the recipe `how`; the updates that each has made."""
    efforts = recipe(how).train(
        list(members.values()), settings, noise, progress=progress, folder=folder
    )
    return dict(zip(members, (effort.updates for effort in efforts), strict=True))
