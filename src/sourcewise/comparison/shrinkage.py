"""What partial pooling does to each source: its estimates beside those of the other strategies."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from sourcewise.families.offers import HasMoments
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.fitting.job import Job
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.results.comparison import Shrinkage
from sourcewise.results.contract import known

__all__ = ["shrinkage"]

MOST = 2  # columns of each quantity: those that vary most from source to source
QUANTITIES = "mean", "standard deviation"
UNIT = "standard deviations of all rows"


def shrinkage(job: Job, models: Mapping[str, TrainedStrategy]) -> tuple[Shrinkage, ...]:
    """Means and standard deviations by source, under all strategies that are no controls.

    Nothing where no strategy pools partially, or coordinates are no columns.
    """
    if not any(strategy.partial for strategy in job.strategies):
        return ()
    names = [strategy.name for strategy in job.strategies if not strategy.shuffled]
    first = models[names[0]]
    columns = [column.name for column in first.encoder.coding.coded_columns]
    moments = {name: _moments(models[name].model, job.data.K) for name in names}
    if any(found is None or found.shape[2] != len(columns) for found in moments.values()):
        return ()
    every = {name: found for name, found in moments.items() if found is not None}
    return tuple(_facts(job, columns, every))


def _moments(model: PartitionedModel, K: int) -> Tensor | None:
    """(2, K, d) means and standard deviations, NaN without a model; None: it tells none."""
    parts = []
    for j, block in enumerate(model.partition):
        one = model.block(j)
        if not isinstance(one, HasMoments):
            return None
        parts.append((list(block), torch.stack(one.source_moments())))
    out = torch.full((2, K, parts[0][1].shape[2]), torch.nan, dtype=torch.float64)
    for block, found in parts:
        out[:, block] = found.to(out.dtype)
    return out


def _facts(job: Job, columns: list[str], moments: Mapping[str, Tensor]) -> Iterator[Shrinkage]:
    first = next(iter(moments.values()))
    used = first[0].isfinite().all(1).nonzero().squeeze(1)
    sources = tuple(job.names[k] for k in used.tolist())
    for q, quantity in enumerate(QUANTITIES):
        spread = torch.stack([found[q, used].var(0) for found in moments.values()]).amax(0)
        for j in spread.argsort(descending=True)[:MOST].tolist():
            estimates = {
                name: tuple(map(known, found[q, used, j].tolist()))
                for name, found in moments.items()
            }
            yield Shrinkage(columns[j], quantity, UNIT, sources, estimates)
