"""One model per block of sources, behind the face of a single model."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import BatchNoise, ConditionalModel, Density, Diagnostic, SharedError
from sourcewise.families.offers import BOUND_TERMS, HasBound, HasDensity
from sourcewise.forms import Ragged, take
from sourcewise.partition import Partition
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["PartitionedModel"]

Kind = Literal["exact", "estimate", "lower bound"]
KINDS: tuple[Kind, ...] = ("exact", "estimate", "lower bound")  # from better to worse


class PartitionedModel(ConditionalModel):
    """Routes each example to the model of its source's block.

    Nothing downstream can tell which strategy it was given. Within a block, sources are numbered
    0, 1, ... in the order of the block.

    Args:
        partition: the blocks; sources in none of them are refused.
        build: makes an untrained model for a number of sources.
        names: all K sources' names.
    """

    def __init__(
        self,
        partition: Partition,
        build: Callable[[int], ConditionalModel],
        names: tuple[str, ...],
    ):
        super().__init__()
        self.partition, self.names = partition, names
        self.blocks = nn.ModuleList([build(len(block)) for block in partition])
        routes = torch.full((len(names), 2), -1)
        for j, block in enumerate(partition):
            for local, source in enumerate(block):
                routes[source] = torch.tensor([j, local])
        self.routes = routes  # (K, 2): block, number within the block

    @property
    def free_parameters(self) -> int:
        """The sum over blocks."""
        return sum(self.block(j).free_parameters for j in range(len(self.blocks)))

    def diagnostics(self) -> list[Diagnostic]:
        """Of all blocks, in their order; on settings they agree."""
        found: dict[tuple[str, bool], list[Diagnostic]] = {}
        for j in range(len(self.blocks)):
            for item in self.block(j).diagnostics():
                found.setdefault((item.name, item.setting), []).append(item)
        return [
            items[0]
            if setting
            else replace(items[0], values=tuple(v for d in items for v in d.values))
            for (_, setting), items in found.items()
        ]

    @property
    def penalty(self) -> str:
        """Of any block: they agree."""
        return self.block(0).penalty

    @property
    def kind(self) -> type[ConditionalModel]:
        """The class of the blocks' models."""
        return type(self.block(0))

    @property
    def validated_by(self) -> str:
        """Of any block: they agree."""
        return self.block(0).validated_by

    def block(self, j: int) -> ConditionalModel:
        """The model of block j."""
        model = self.blocks[j]
        assert isinstance(model, ConditionalModel)
        return model

    def route(self, y: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """For each block with examples: its number, their indices, their sources within it."""
        block = self.routes[:, 0].int()[y]  # rows may be millions: small numbers, one copy
        if (block < 0).any():
            source = self.names[int(y[(block < 0).nonzero()[0]])]
            raise InputError(
                f"source {source!r} was not trained: no block of the partition has it"
            )
        sizes = torch.bincount(block).tolist()
        order = torch.argsort(block, stable=True)
        del block
        for j, rows in enumerate(torch.split(order, sizes)):
            if len(rows):
                yield j, rows, self.routes[y[rows], 1]

    def route_known(self, y: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """See `route`; examples of sources in no block are left."""
        inside = (self.routes[y, 0] >= 0).nonzero().squeeze(1)
        for j, rows, local in self.route(y[inside]):
            yield j, inside[rows], local

    def start_from(self, parent: "PartitionedModel") -> None:
        """Give each block, of one source, the weights that a model of several has for it.

        What a model has for each of its sources stands first in a parameter's first axis.

        Raises:
            InputError: a parameter that is not so.
        """
        for j, (source,) in enumerate(self.partition):
            at, k = parent.routes[source].tolist()
            theirs, K = dict(parent.block(at).named_parameters()), len(parent.partition.blocks[at])
            for name, own in self.block(j).named_parameters():
                values = theirs[name].detach()
                if values.shape != own.shape:
                    values = torch.cat([values[k : k + 1], values[K:]])
                if values.shape != own.shape:
                    raise InputError(
                        f"a model of one source cannot begin from one of {K}: the first axis of "
                        f"the parameter {name} is not that of sources"
                    )
                own.data = values.clone()

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of each row under its block's model; errors are those of the blocks that have rows."""
        columns = torch.full((len(self.names), 3), torch.nan, dtype=torch.float64)
        kinds: list[Kind] = ["exact"]
        known = False

        def of_block(j: int, rows: Batch) -> Tensor:
            nonlocal known
            found = cast(HasDensity, self.block(j)).log_density(rows, noise.of("block", j))
            error, known = found.shared, known or found.shared is not None
            columns[list(self.partition.blocks[j])] = (
                0.0 if error is None else error.columns.double().cpu()
            )
            kinds.append(found.kind)
            return found.value

        value = self._gather(of_block, batch)
        kind = max(kinds, key=KINDS.index)
        return Density(value, kind, SharedError.of(columns) if known else None)

    def bound(self, batch: Batch, noise: ExampleNoise) -> Tensor:
        """See `HasBound`, of each row under its block's model; the noise is numbered before."""
        terms = len(batch), len(BOUND_TERMS)
        out = torch.empty(terms, dtype=torch.float64, device=batch.device)
        for j, rows, local in self.route(batch.y.cpu()):
            own = replace(batch.take(rows), y=local.to(batch.device))
            out[rows] = cast(HasBound, self.block(j)).bound(own, noise.take(rows)).double()
        return out

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """Loss of each row under its block's model, (B,)."""

        def of_block(j: int, rows: Batch) -> Tensor:
            return self.block(j).loss(rows, noise.of("block", j))

        return self._gather(of_block, batch)

    def refuse_rows(self, rows: Batch) -> None:
        """Of any block; rows of sources in none of them do not train."""
        if self.kind.refuse_rows is ConditionalModel.refuse_rows:
            return  # nothing is copied for nothing
        rows = rows.take((self.routes[rows.y, 0] >= 0).nonzero().squeeze(1))
        for j, at, local in self.route(rows.y):
            self.block(j).refuse_rows(replace(rows.take(at), y=local))

    def _gather(self, of_block: Callable[[int, Batch], Tensor], batch: Batch) -> Tensor:
        """One value per row, (B,), each from its block."""
        device = batch.device
        indices, values = [torch.empty(0, dtype=torch.int64)], []
        for j, rows, local in self.route(batch.y.cpu()):
            own = replace(batch.take(rows), y=local.to(device))
            values.append(of_block(j, own))
            indices.append(rows)
        if not values:
            return torch.empty(0, dtype=torch.float64, device=device)
        return torch.cat(values)[torch.argsort(torch.cat(indices)).to(device)]

    def sample(
        self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None, **options: Any
    ) -> Any:
        """One sample per entry of y; the noise is numbered before it is routed.

        Args:
            y: (B,) sources.
            noise: one stream per sample.
            c: (B, C) given columns, routed with y.
            **options: passed on to the blocks: what their family's `sample` takes besides.
        """
        each, parts, indices = noise.each(y), [], []
        for j, rows, local in self.route(y):
            given = None if c is None else c[rows]
            parts.append(self.block(j).sample(local, each.take(rows), given, **options))
            indices.append(rows)
        return take(_joined(parts), torch.argsort(torch.cat(indices)))


def _joined(parts: list[Any]) -> Tensor | Ragged:
    """Samples of several blocks in one; padded sequences become as wide as the widest."""
    if isinstance(parts[0], Ragged):
        return Ragged.joined(parts)
    if parts[0].ndim == 2:
        widest = max(part.shape[1] for part in parts)
        pad = nn.functional.pad
        parts = [pad(part, (0, widest - part.shape[1]), value=-1) for part in parts]
    return torch.cat(parts)
