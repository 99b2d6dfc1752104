"""The table family: p(row | y, c) of mixed columns, one column after another.

    p(z | y, c) = prod_j p(z_j | y, c, z_1, ..., z_{j-1})

z are places (`encoders.mixed`): a code, of a category, a bin of numbers or missing, and u in
[0, 1), where inside it. A factor is a softmax over the slots of its column (`layout`): P_a of
codes that are categories, missing or a single recorded value, and P_0 of a mixture m of logistic
distributions on the column's scale t. With [a, b) the part of the scale that is the code,

    p(z_j | ...) = P_0 m(t(z_j)) dt/du            in a code with a density inside,
                   P_a + P_0 integral_a^b m(t) dt  in one of a single value, uniform in u,
                   P_a                             in one without a place on a scale.

So a factor is normalised whatever the network says: sums over codes of integrals over u are 1.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.encoders.places import place
from sourcewise.families.base import (
    BatchNoise,
    Caution,
    ConditionalModel,
    Density,
    Diagnosed,
    Occasion,
)
from sourcewise.families.table.layout import Layout, Placed, TableColumn
from sourcewise.families.table.mixture import LogisticMixture
from sourcewise.families.table.network import ColumnNetwork
from sourcewise.families.table.settings import TableSettings
from sourcewise.networks.transformer import Drop
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["TableModel"]

_SCORED = 2**13  # rows scored at once
_GRID = 2.0**32  # of u: coarser than what rounding changes between batches


class TableModel(ConditionalModel):
    """Autoregressive over columns of codes.

    Args:
        settings: sizes and dropout.
        K: number of sources.
        codes: number of codes of each column, in the order of the factors.
        counts: of each column of numbers, weights of its codes; () of others.
        alone: likewise, the codes of a single recorded value.
        unscored: of each column, the code without a probability or None; () if there are none.
        C: number of given columns, encoded.
    """

    stackable = True

    def __init__(
        self,
        settings: TableSettings,
        *,
        K: int,
        codes: Sequence[int],
        counts: Sequence[Sequence[int]] = (),
        alone: Sequence[Sequence[int]] = (),
        unscored: Sequence[int | None] = (),
        C: int = 0,
    ):
        super().__init__()
        self.settings, self.K, self.codes, self.C = settings, K, tuple(codes), C
        none = [()] * len(codes)
        parts = zip(
            codes, counts or none, alone or none, unscored or [None] * len(codes), strict=True
        )
        self.layout = Layout(
            TableColumn(number, tuple(weights), frozenset(single), gap)
            for number, weights, single, gap in parts
        )
        width = settings.width
        self.network = ColumnNetwork(
            self.layout,
            K=K,
            width=width,
            layers=settings.layers,
            hidden=2 * width,
            components=settings.components,
            C=C,
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
            batch: of (B, D) places.
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
        """Of rows (B, D) of places; never with dropout."""
        rows = torch.arange(len(batch), device=batch.y.device).split(_SCORED)
        parts = [self.conditionals(batch.take(i)).sum(-1) for i in rows]
        return Density(torch.cat(parts) if parts else self.network.last.gain.new_zeros(0))

    def conditionals(self, batch: Batch) -> Tensor:
        """(..., B, D) `log p(z_j | y, c, z_1, ..., z_{j-1})`, in nats."""
        return self._conditionals(batch, None)

    def _conditionals(self, batch: Batch, drop: Drop | None) -> Tensor:
        placed = self.layout.placed(batch.tensor)
        scores, mixture = self.network(placed, batch.y, batch.c, drop)
        log_slots = scores.log_softmax(-1)
        log_p = log_slots.gather(-1, placed.slot[..., None]).squeeze(-1)
        if mixture is not None:
            at = self.network.at
            log_scale = log_slots[..., at, self.network.heads.last[at]]
            own, here = log_p.index_select(-1, at), placed.of(at, log_p.dtype)
            log_p = log_p.index_copy(-1, at, _of_numbers(here, own, log_scale, mixture))
        return log_p.masked_fill(placed.unscored, 0.0)

    @torch.no_grad()
    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Tensor:
        """One row of places per entry of y, (B, D) int64.

        Slots, and places on a scale, invert their distribution functions. The network runs in
        float64, and u is rounded to 2^-32: a row depends on its batch only where a draw falls
        within rounding of a jump.
        """
        layout = self.layout
        network, noise = copy.deepcopy(self.network).double().eval(), noise.each(y)
        start = network.start(y, c)
        parts = [
            _draw(network, layout, start[i], noise.take(i))
            for i in torch.arange(len(y), device=y.device).split(_SCORED)
        ]
        empty = torch.empty(0, len(self.codes), dtype=torch.int64, device=y.device)
        return torch.cat([empty, *parts])


def _of_numbers(here: Placed, own: Tensor, log_scale: Tensor, mixture: LogisticMixture) -> Tensor:
    """(..., N) log p of places, of the logs of P_a (or P_0 where dense) and P_0, (..., N) each."""
    inside = own + mixture.log_density(here.t) + here.log_slope
    spread = torch.logaddexp(own, log_scale + mixture.log_mass(here.low, here.width))
    return torch.where(here.dense, inside, torch.where(here.ordered, spread, own))


def _draw(network: ColumnNetwork, layout: Layout, total: Tensor, noise: ExampleNoise) -> Tensor:
    """(B, D) places, of states (B, w) before the first column."""
    D, places = len(layout.columns), []
    slots, inside, cells = (noise.of(what).uniform(D) for what in ("slots", "inside", "within"))
    for j in range(D):
        scores, mixture = network.next(total, j)
        mass = scores.softmax(-1).cumsum(-1)
        at = slots[:, j, None] * mass[:, -1:]
        slot = torch.searchsorted(mass, at, right=True).squeeze(-1)
        slot = slot.clamp(max=layout.columns[j].slots - 1)  # a draw that rounded up to all of it
        code, u = layout.code[j, slot], cells[:, j]
        if mixture is not None:
            own, where = layout.at(mixture.quantile(inside[:, j]), j)
            code = torch.where(code < 0, own, code)
            u = torch.where(layout.dense[j, code], where, u)
        places.append(place(code, ((u * _GRID).floor() + 0.5) / _GRID))
        if j < D - 1:
            total = total + network.cell(layout.placed(places[-1][:, None], j), j, total)
    return torch.stack(places, 1)
