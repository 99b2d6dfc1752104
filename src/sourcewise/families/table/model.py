"""The table family: p(row | y, c) of mixed columns, one column after another.

    p(z | y, c) = prod_j p(z_j | y, c, z_1, ..., z_{j-1})

z are codes (`encoders.mixed`): categories, bins of numbers, missing. Each factor is a softmax over
the codes of its column. Read as a density of code + u, u uniform on [0, 1), it is the same number.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import (
    BatchNoise,
    Caution,
    ConditionalModel,
    Density,
    Diagnosed,
    Occasion,
)
from sourcewise.families.table.network import ColumnNetwork
from sourcewise.families.table.settings import TableSettings
from sourcewise.networks.transformer import Drop
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["TableModel"]

_SCORED = 2**13  # rows scored at once
_GRID = 2.0**32  # u lies in the middle of a cell of this grid: code + u is exact, u is never 0


class TableModel(ConditionalModel):
    """Autoregressive over columns of codes.

    Args:
        settings: sizes and dropout.
        K: number of sources.
        codes: number of codes of each column, in the order of the factors.
        C: number of given columns, encoded.
    """

    stackable = True

    def __init__(self, settings: TableSettings, *, K: int, codes: Sequence[int], C: int = 0):
        super().__init__()
        self.settings, self.K, self.codes, self.C = settings, K, tuple(codes), C
        width = settings.width
        self.network = ColumnNetwork(
            self.codes, K=K, width=width, layers=settings.layers, hidden=2 * width, C=C
        )

    @classmethod
    def cautions(
        cls, strategies: Mapping[str, Diagnosed], occasion: Occasion
    ) -> Iterator[Caution]:
        """Where categories hardly repeat, most of a score is what is said of values never seen."""
        if told := occasion.told_misfits:
            yield Caution(condition=f"with {told} among the columns, see the notes")

    @property
    def free_parameters(self) -> int:
        """Number of entries of all parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) `-log p(z | y, c)` in nats; with S models at once (S, B).

        Args:
            batch: of (B, D) codes.
            noise: for dropout, in training only: masks of a row's channels, alike in all columns.
        """
        x, share = batch.tensor, self.settings.dropout
        if not (self.training and share):
            return -self.conditionals(batch).sum(-1)

        def drop(update: Tensor, number: int) -> Tensor:
            draws = noise.of("dropout", number).uniform(x.shape[-2], update.shape[-1])
            kept = (draws >= share).to(update) / (1 - share)
            return update * kept[..., None, :]

        return -self._conditionals(batch, drop).sum(-1)

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of rows (B, D) of codes, or samples code + u; never with dropout."""
        rows = torch.arange(len(batch), device=batch.y.device).split(_SCORED)
        parts = [self.conditionals(batch.take(i)).sum(-1) for i in rows]
        return Density(torch.cat(parts) if parts else self.network.last.gain.new_zeros(0))

    def conditionals(self, batch: Batch) -> Tensor:
        """(..., B, D) `log p(z_j | y, c, z_1, ..., z_{j-1})`, in nats."""
        return self._conditionals(batch, None)

    def _conditionals(self, batch: Batch, drop: Drop | None) -> Tensor:
        x = batch.tensor
        z = x.floor().long() if x.is_floating_point() else x
        log_p = self.network(z, batch.y, batch.c, drop).log_softmax(-1)
        return log_p.gather(-1, z[..., None]).squeeze(-1)

    @torch.no_grad()
    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Tensor:
        """One row of code + u per entry of y, (B, D) float64: where inside a bin is u.

        Codes invert the distribution function. The network runs in float64: a row depends on its
        batch only where a uniform draw falls within rounding of a jump.
        """
        network, noise = copy.deepcopy(self.network).double().eval(), noise.each(y)
        start = network.start(y, c)
        parts = [
            _draw(network, start[i], noise.take(i), self.codes)
            for i in torch.arange(len(y), device=y.device).split(_SCORED)
        ]
        empty = torch.empty(0, len(self.codes), dtype=torch.float64, device=y.device)
        return torch.cat([empty, *parts])


def _draw(
    network: ColumnNetwork, total: Tensor, noise: ExampleNoise, counts: Sequence[int]
) -> Tensor:
    """(B, D) code + u, for columns with `counts` codes, from states (B, w) before the first."""
    D, codes = len(counts), []
    draws = noise.of("codes").uniform(D)
    within = ((noise.of("within").uniform(D) * _GRID).floor() + 0.5) / _GRID
    for j in range(D):
        mass = network.score_next(total, j).softmax(-1).cumsum(-1)
        at = draws[:, j, None] * mass[:, -1:]
        code = torch.searchsorted(mass, at, right=True).squeeze(-1)
        codes.append(code.clamp(max=counts[j] - 1))  # a draw that rounded up to all of the mass
        if j < D - 1:
            total = total + network.cell(codes[-1], j)
    return torch.stack(codes, 1) + within
