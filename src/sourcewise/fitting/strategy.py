"""Rows of a split as tensors, a strategy in training on them, and what comes of it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.encoders.base import Encoder, Rows, Sizes
from sourcewise.encoders.given import GivenEncoder, GivenRows
from sourcewise.families.base import Diagnosed
from sourcewise.families.family import Family
from sourcewise.families.offers import Choosing, ChoosingTogether
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.fitting.flags import FlaggedRows, flagged_rows
from sourcewise.fitting.job import Job, Split, Work, share, shuffled_labels
from sourcewise.forms import Images, Table, X, as_table, take
from sourcewise.memory import give_back
from sourcewise.metrics.base import HeldOut
from sourcewise.metrics.features import registry as features
from sourcewise.metrics.features.base import Features
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy, in_order
from sourcewise.training import Effort, TrainingData, fit

__all__ = [
    "Encoded",
    "Encoders",
    "TrainedStrategy",
    "encoded_batch",
    "filled_batch",
    "fit_all",
    "fit_strategies",
    "fit_strategy",
    "joined_columns",
    "untrained",
    "whole_split",
]

PARTS = 5  # of all rows, by which fits choose what settings leave open


@dataclass(frozen=True)
class Encoders:
    """What turns the rows of a split into tensors and points, shared by all strategies."""

    x: Encoder  # of the examples
    given: GivenEncoder | None  # of given columns, if there are such
    features: Features | None  # for the metric, if it asks for them

    @classmethod
    def fit(cls, job: Job, rows: Rows, split: Split) -> "Encoders":
        """On all rows that train or tell when to stop."""
        used = torch.zeros(len(job.data), dtype=torch.bool)
        used[split.train] = used[split.valid] = True
        x, y, c = job.data.x, job.data.y, job.data.c
        if not used.all():  # or nothing is copied
            known = used.nonzero().squeeze(1)
            rows, y = rows.take(known), y[known]
            x = take(x, known) if job.metric.features else x
            c = None if c is None else take(c, known)
        return cls(
            job.coding.fit(rows, y, job.data.K),
            None if c is None else GivenEncoder.fit(c),
            features.fit(x, job.coding) if job.metric.features else None,
        )

    def sizes(self, family: Family) -> Sizes:
        """What its models must know of the data; of given columns C, where there are such."""
        further = {name: v for name, v in self.x.further.items() if name in family.asks}
        given = {} if self.given is None else {"C": self.given.width}
        return {**self.x.sizes, **given, **further}


@dataclass(frozen=True)
class Encoded:
    """Rows of a split as tensors."""

    encoders: Encoders  # shared by all strategies
    scored: Batch  # training rows as metrics take them, with their true sources
    log_det: Tensor  # (n_train,) log |dz/dx|
    filled: Batch  # the same as training takes them
    valid: Batch  # validation rows, likewise

    @classmethod
    def of(cls, job: Job, rows: Rows, split: Split) -> "Encoded":
        """Fit the encoders and encode."""
        encoders = Encoders.fit(job, rows, split)
        scored, log_det = encoded_batch(job, encoders, rows, split.train)
        filled = _filled(scored, encoders.x, _chosen(rows, split.train))
        valid = filled_batch(job, encoders, rows, split.valid)
        return cls(encoders, scored, log_det, filled, valid)


def encoded_batch(job: Job, encoders: Encoders, rows: Rows, index: Tensor) -> tuple[Batch, Tensor]:
    """Some rows as metrics take them, and (B,) the log |dz/dx|."""
    z, log_det = encoders.x.encode(_chosen(rows, index), job.data.y[index])
    c = _encoded(job.data.c, encoders.given, index)
    return Batch(z, job.data.y[index], c, job.sizes[index]), log_det


def _chosen(rows: Rows, index: Tensor) -> Rows:
    """Some rows; all of them in their order are not copied, as they may be millions."""
    every = len(index) == len(rows) and torch.equal(index, torch.arange(len(index)))
    return rows if every else rows.take(index)


def _encoded(c: X | None, given: GivenEncoder | None, index: Tensor) -> Tensor | None:
    return None if c is None or given is None else given.encode(take(c, index))


def filled_batch(job: Job, encoders: Encoders, rows: Rows, index: Tensor) -> Batch:
    """Some rows as training takes them: without gaps."""
    return _filled(encoded_batch(job, encoders, rows, index)[0], encoders.x, _chosen(rows, index))


def _filled(batch: Batch, encoder: Encoder, rows: Rows) -> Batch:
    return replace(batch, x=encoder.fill(batch.x, rows, batch.y))


@dataclass(frozen=True)
class TrainedStrategy:
    """A trained strategy: its models, the encoders of its data, and what training cost."""

    model: PartitionedModel
    encoders: Encoders
    efforts: tuple[Effort, ...]
    given_rows: GivenRows | None = None  # what draws are given where nobody says
    flags: FlaggedRows | None = None  # of training rows whose labels were judged, when trained

    @contextlib.contextmanager
    def on(self, device: torch.device) -> Iterator[None]:
        """Its models are on a device within, if they can be used there; afterwards at home again.

        Draws and scores agree with those at home to rounding.
        """
        first = next(self.model.parameters(), None)
        if first is None or not self.model.kind.movable or first.device == device:
            yield
            return
        home = first.device
        try:
            self.model.to(device)
            yield
        finally:
            self.model.to(home)

    @property
    def encoder(self) -> Encoder:
        """Of the examples."""
        return self.encoders.x

    @property
    def given(self) -> GivenEncoder | None:
        """Of given columns, if there are such."""
        return self.encoders.given

    @property
    def features(self) -> Features | None:
        """What rows are as points, if the metric asks for that."""
        return self.encoders.features

    def draw(
        self, y: Tensor, noise: ExampleNoise, c: Tensor | None = None, **options: Any
    ) -> tuple[X, Tensor | None]:
        """A draw for each entry of y in original units, and the given columns (B, C) of it.

        Args:
            y: (B,) sources.
            noise: of each.
            c: (B, C) given columns, encoded; None: those of training rows, if there are such.
            **options: what the family's `sample` takes besides.
        """
        if c is None and self.given_rows is not None:
            c = self.given_rows.draw(y, noise)
        with torch.no_grad():
            z = self.model.sample(y, noise, c, **options)
            return self.encoder.decode_draws(z.to(y.device), noise), c

    def given_table(self, c: Tensor | None) -> Table | None:
        """Given columns (B, C) in original units, where there are such."""
        return None if self.given is None or c is None else self.given.decode(c)

    @property
    def diagnosed(self) -> Diagnosed:
        """What its models say of their fits."""
        return Diagnosed(self.model.diagnostics(), self.efforts)

    def held_out(self, data: Sources, rows: Rows, sizes: Tensor) -> HeldOut:
        """Rows as metrics take them."""
        z, log_det = self.encoder.encode(rows, data.y)
        c = _encoded(data.c, self.given, torch.arange(len(data)))
        return HeldOut(data.x, Batch(z, data.y, c, sizes), log_det)


def joined_columns(given: Table | None, x: X) -> X:
    """Rows with their given columns before them, where there are such; images are rows alone."""
    if given is None or isinstance(x, Images):
        return x
    table = as_table(x)
    return Table({**given.columns, **table.columns}, (*given.schema, *table.schema))


def untrained(job: Job, strategy: Strategy, sizes: Sizes, y: Tensor) -> PartitionedModel:
    """The models of a strategy, for the sources among y that are needed."""
    settings = job.settings_of(strategy)
    partition = strategy.partition.keep(y.unique().tolist(), needed=job.tested)
    if strategy.partial:
        sizes = {**sizes, "partial": True}
    job.family.refuse_large(settings, K=max(map(len, partition)), **sizes)
    return PartitionedModel(
        partition, lambda K: job.family.build(settings, K=K, **sizes), job.names
    )


def fit_strategies(
    job: Job, encoded: Encoded, split: Split, shuffled: Tensor, work: Work
) -> Iterator[tuple[Strategy, TrainedStrategy]]:
    """Train every strategy on the encoded rows of a split; what others begin from comes first.

    Labels (n,) are `shuffled` for the control that trains on such. Strategies that begin from
    another share its training, unless a search found settings of their own for them.
    """
    parents = {strategy.parent for strategy in job.strategies}
    known: dict[Strategy, TrainedStrategy] = {}
    for i, strategy in enumerate(in_order(job.strategies)):
        labels = shuffled if strategy.shuffled else job.data.y
        part, parent = work.part(i, len(job.strategies), strategy.name), strategy.parent
        same = parent in known and job.settings_of(parent) == job.settings_of(strategy)
        start = known[parent] if parent and same else None
        trained = fit_strategy(job, strategy, encoded, split, labels, part, start)
        if strategy in parents:
            known[strategy] = trained
        yield strategy, trained


def fit_strategy(
    job: Job,
    strategy: Strategy,
    encoded: Encoded,
    split: Split,
    labels: Tensor,
    work: Work,
    start: TrainedStrategy | None = None,
) -> TrainedStrategy:
    """Train one strategy on the encoded rows of a split.

    Args:
        job: what is fitted.
        strategy: to be trained.
        encoded: the rows.
        split: which of them train.
        labels: (n,) of all rows.
        work: how and where.
        start: its parent, trained with its settings; None: it is trained first.
    """
    parent = strategy.parent
    if parent and start is None:
        alike = replace(job, tuned={parent.name: job.settings_of(strategy)})
        first = work.part(0, 2, parent.name)
        start = fit_strategy(alike, parent, encoded, split, labels, first)
        work = replace(work, progress=share(work.progress, 1, 2))
    takes_gaps = job.family.model_class.takes_gaps
    train = replace(encoded.scored if takes_gaps else encoded.filled, y=labels[split.train])
    valid = replace(encoded.valid, y=labels[split.valid])
    model = untrained(job, strategy, encoded.encoders.sizes(job.family), train.y)
    if job.metric.needs == "density":
        model.refuse_rows(train)
    _choose(model, train, split.part.long())
    if start:
        model.start_from(start.model)
    # Other splits would hold out rows that a parent has seen.
    efforts = fit(
        model,
        TrainingData(train, valid, None if start else split.turn),
        names=job.names,
        noise=work.noise,
        settings=job.settings_of(strategy),
        progress=work.progress,
        folder=work.folder,
        execution=work.execution,
        begun=start is not None,
    )
    if start:
        efforts = _with_those_before(model, efforts, start)
    y, c = encoded.scored.y, encoded.scored.c
    rows = None if c is None else GivenRows(y, c)
    flags = flagged_rows(model, split.train, train.y)
    return TrainedStrategy(model, encoded.encoders, tuple(efforts), rows, flags)


def _with_those_before(
    model: PartitionedModel, efforts: Sequence[Effort], start: TrainedStrategy
) -> list[Effort]:
    """Counted from the beginning: the training of the parent is part of what each model took."""
    blocks = [int(start.model.routes[block[0], 0]) for block in model.partition]
    return [effort.after(start.efforts[j]) for j, effort in zip(blocks, efforts, strict=True)]


def _choose(model: PartitionedModel, train: Batch, part: Tensor) -> None:
    """What settings leave open is settled block by block; see `families.offers.Choosing`."""
    blocks, batches, parts = [], [], []
    for j, rows, local in model.route_known(train.y):
        block, names = model.block(j), (model.names[k] for k in model.partition.blocks[j])
        if not isinstance(block, Choosing):
            return
        own = train if len(rows) == len(train) else train.take(rows)  # in order, if they are all
        own = replace(own, y=local)
        if isinstance(block, ChoosingTogether):
            blocks, batches, parts = [*blocks, block], [*batches, own], [*parts, part[rows]]
        else:
            block.choose(own, part[rows], tuple(names))
    if blocks:
        blocks[0].choose_together(blocks, batches, parts)


def whole_split(job: Job, noise: Noise) -> Split:
    """All rows train, apart from those that tell when to stop."""
    every = torch.arange(len(job.data))
    parts = 1 if job.family.trained else PARTS  # what is trained has nothing to choose by parts
    fold = every * 0 if parts == 1 else job.data.folds(parts, noise.of("folds"))
    return Split.of(job, every, every[:0], noise.of("validation"), fold)


def fit_all(job: Job, rows: Rows, fold: Tensor, work: Work) -> dict[str, TrainedStrategy]:
    """Every strategy trained on all rows: the models to keep.

    Within a fold (n,) labels are shuffled, for the control that trains on such.
    """
    y, noise = job.data.y, work.noise
    split = whole_split(job, noise)
    encoded = Encoded.of(job, rows, split)
    give_back()
    shuffled = shuffled_labels(y, fold, noise)
    work = replace(work, noise=noise.of("training", "all rows"))
    trained = {
        strategy.name: found
        for strategy, found in fit_strategies(job, encoded, split, shuffled, work)
    }
    return {strategy.name: trained[strategy.name] for strategy in job.strategies}
