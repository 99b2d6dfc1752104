"""Train every strategy on some rows, score it on others: the step that all scopes repeat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.comparison.scoring import label_effect, log_prob
from sourcewise.encoders.base import Coding, Encoder, Rows, Z
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import Family
from sourcewise.families.settings import TrainedSettings
from sourcewise.forms.x import take
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.sources import Sources
from sourcewise.splits import hold_out
from sourcewise.strategies import Strategy
from sourcewise.training import Effort, TrainingData, fit

__all__ = [
    "Encoded",
    "Fitted",
    "Job",
    "Keep",
    "Progress",
    "Scores",
    "Split",
    "Work",
    "evaluate",
    "fit_all",
    "fit_strategy",
    "lifted",
    "part",
    "shuffle",
]

REGION_PER_VARIABLE = 0.01  # nats
Progress = Callable[[int, int], None]
Keep = Callable[[str, "Fitted"], None]


@dataclass(frozen=True)
class Job:
    """All that stays the same throughout a comparison.

    Args:
        data: the screened sample.
        coding: how examples become tensors.
        family: the model family.
        settings: its settings, for all strategies that have none of their own.
        strategies: what is compared.
        tested: the sources that are tested (the others only train with them).
        tuned: settings of strategies that were searched for, by name.
    """

    data: Sources
    coding: Coding
    family: Family
    settings: Settings
    strategies: tuple[Strategy, ...]
    tested: tuple[int, ...]
    tuned: Mapping[str, Settings] = field(default_factory=dict)

    def settings_of(self, strategy: Strategy) -> Settings:
        """The settings that a strategy trains with."""
        return self.tuned.get(strategy.name, self.settings)

    @property
    def names(self) -> tuple[str, ...]:
        """The sources' names."""
        return tuple(self.data.names)

    @cached_property
    def sizes(self) -> Tensor:
        """(n,) units of each example: what its score is divided by."""
        return self.coding.sizes(self.data.x)

    @property
    def unit(self) -> str:
        """What scores are in."""
        return f"nats per {self.coding.unit}"

    @property
    def region(self) -> float:
        """Half the width of practical equivalence, in nats per unit."""
        return REGION_PER_VARIABLE * self.coding.variables

    @property
    def validation(self) -> float:
        """Share of the training rows that tell when to stop; an exact fit needs none."""
        return self.settings.validation if isinstance(self.settings, TrainedSettings) else 0.0


@dataclass(frozen=True)
class Split:
    """Indices of rows.

    Args:
        train: that models are trained on, of all sources.
        valid: that tell when to stop, likewise; none for an exact fit.
        test: that models are scored on, of tested sources.
    """

    train: Tensor
    valid: Tensor
    test: Tensor

    @classmethod
    def of(cls, job: Job, train: Tensor, test: Tensor, noise: Noise) -> "Split":
        """Set the validation rows apart from the training rows, the same for all strategies."""
        held = hold_out(job.data.units[train], job.data.y[train], job.validation, noise)
        return cls(train[~held], train[held], test)


def part(progress: Progress | None, i: int, of: int) -> Progress | None:
    """The progress of part i of equal parts, told as that of the whole."""
    return None if progress is None else lambda done, all_: progress(i * all_ + done, of * all_)


@dataclass(frozen=True)
class Work:
    """How and where one split is worked on.

    Args:
        noise: of all training on it.
        folder: where training may leave checkpoints; None: nowhere.
        progress: called with (done, in all).
        probe: whether to ask what the labels are worth to each strategy.
    """

    noise: Noise
    folder: Path | None = None
    progress: Progress | None = None
    probe: bool = False

    def part(self, i: int, of: int, name: str) -> "Work":
        """Of part i of equal parts; its name is that of its folder, not of its noise."""
        folder = None if self.folder is None else self.folder / name
        return replace(self, folder=folder, progress=part(self.progress, i, of))


@dataclass(frozen=True)
class Fitted:
    """A trained strategy: the model, the encoder of its data, and what training cost."""

    model: PartitionedModel
    encoder: Encoder
    efforts: tuple[Effort, ...]

    def log_prob(self, rows: Rows, y: Tensor) -> Tensor:
        """Log density in original units, (n,)."""
        z, log_det = self.encoder.encode(rows, y)
        return log_prob(self.model, z, y) + log_det


@dataclass(frozen=True)
class Scores:
    """Of one strategy on one split.

    Args:
        test: (n_test,) log density of each test row.
        train: (K,) log density per unit of each source's own training rows; NaN if it has none.
        examples_seen: (K,) by the model of each source's block.
        updates: (K,) likewise.
        best: (K,) the update whose weights were kept, likewise; NaN if the last.
        validation: (K,) their loss on the validation rows; NaN without such rows.
        parameters: free parameters of all models together.
        label: (2,) from `label_effect`; NaN where not asked for.
        density_error: (K, 3) errors that log densities of a source share, see `families.base`.
    """

    test: Tensor
    train: Tensor
    examples_seen: Tensor
    updates: Tensor
    best: Tensor
    validation: Tensor
    parameters: int
    label: Tensor
    density_error: Tensor


@dataclass(frozen=True)
class Encoded:
    """Rows of a split as tensors; the encoder is fitted on training and validation rows."""

    encoder: Encoder
    z: Z
    log_det: Tensor
    filled: Z
    valid: Z

    @classmethod
    def of(cls, job: Job, rows: Rows, split: Split) -> "Encoded":
        """Fit the encoder and encode."""
        y = job.data.y
        known = torch.cat([split.train, split.valid]).sort().values
        encoder = job.coding.fit(rows.take(known), y[known], job.data.K)
        train, valid = rows.take(split.train), rows.take(split.valid)
        z, log_det = encoder.encode(train, y[split.train])
        filled = encoder.fill(z, train, y[split.train])
        z_valid, _ = encoder.encode(valid, y[split.valid])
        return cls(encoder, z, log_det, filled, encoder.fill(z_valid, valid, y[split.valid]))


def lifted(job: Job, noise: Noise) -> Rows:
    """All rows with everything done that needs no fitting, once per repetition."""
    return job.coding.prepare(job.data.x, noise.of("encode").each(job.data.y))


def shuffle(y: Tensor, fold: Tensor, noise: Noise) -> Tensor:
    """Labels permuted inside each fold, so that every training set keeps its counts."""
    out = y.clone()
    for part in fold.unique().tolist():
        rows = (fold == part).nonzero().squeeze(1)
        out[rows] = y[rows[noise.of("shuffle", part).permutation(len(rows))]]
    return out


def untrained(job: Job, strategy: Strategy, encoder: Encoder, y: Tensor) -> PartitionedModel:
    """The models of a strategy, for the sources among y that are needed."""
    settings = job.settings_of(strategy)
    return PartitionedModel(
        strategy.partition.keep(y.unique().tolist(), needed=job.tested),
        lambda K: job.family.build(settings, K=K, **encoder.sizes),
        job.names,
    )


def fit_strategy(
    job: Job, strategy: Strategy, encoded: Encoded, split: Split, labels: Tensor, work: Work
) -> Fitted:
    """Train one strategy on the encoded rows of a split; `labels` (n,) are of all rows."""
    y, y_valid = labels[split.train], labels[split.valid]
    model = untrained(job, strategy, encoded.encoder, y)
    sizes = job.sizes[split.train], job.sizes[split.valid]
    efforts = fit(
        model,
        TrainingData(encoded.filled, y, sizes[0], encoded.valid, y_valid, sizes[1]),
        names=job.names,
        noise=work.noise,
        settings=job.settings_of(strategy),
        progress=work.progress,
        folder=work.folder,
    )
    return Fitted(model, encoded.encoder, tuple(efforts))


def evaluate(
    job: Job,
    rows: Rows,
    split: Split,
    shuffled: Tensor,
    work: Work,
    keep: Keep | None = None,
) -> Mapping[str, Scores]:
    """Train every strategy on the training rows of a split and score it on its test rows.

    Args:
        job: what is compared.
        rows: all n rows.
        split: which train and which test.
        shuffled: (n,) permuted labels, for the control that trains on them.
        work: randomness, folder and progress of the training.
        keep: called with each strategy's name and models.
    """
    encoded = Encoded.of(job, rows, split)
    test = encoded.encoder.encode(rows.take(split.test), job.data.y[split.test])
    out = {}
    for i, strategy in enumerate(job.strategies):
        labels = shuffled if strategy.shuffled else job.data.y
        part = work.part(i, len(job.strategies), strategy.name)
        fitted = fit_strategy(job, strategy, encoded, split, labels, part)
        out[strategy.name] = _score(job, fitted, encoded, split, test, work)
        if keep is not None:
            keep(strategy.name, fitted)
    return out


def _score(
    job: Job,
    fitted: Fitted,
    encoded: Encoded,
    split: Split,
    test: tuple[Z, Tensor],
    work: Work,
) -> Scores:
    (z, log_det), model, y = test, fitted.model, job.data.y[split.test]
    own = log_prob(model, z, y)
    label = torch.full((2,), torch.nan, dtype=torch.float64)
    if work.probe:
        label = label_effect(model, own, z, y, job.sizes[split.test], work.noise.of("probe"))
    return Scores(
        own + log_det,
        _own_rows(job, model, encoded, split.train),
        **_per_source(fitted),
        parameters=model.free_parameters,
        label=label,
        density_error=model.density_error,
    )


def _own_rows(job: Job, model: PartitionedModel, encoded: Encoded, train: Tensor) -> Tensor:
    """(K,) log density per unit of each source's training rows; NaN where it has none."""
    y, K = job.data.y[train], job.data.K
    inside = (model.routes[y, 0] >= 0).nonzero().squeeze(1)
    z = encoded.z if len(inside) == len(y) else take(encoded.z, inside)
    own = log_prob(model, z, y[inside]) + encoded.log_det[inside]
    sums, sizes = torch.zeros(2, K, dtype=torch.float64)
    sums.index_add_(0, y[inside], own)
    return sums / sizes.index_add_(0, y[inside], job.sizes[train][inside])


def fit_all(
    job: Job,
    rows: Rows,
    fold: Tensor,
    noise: Noise,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Fitted]:
    """Every strategy trained on all rows: the models to keep."""
    y = job.data.y
    every = torch.arange(len(y))
    split = Split.of(job, every, every[:0], noise.of("validation"))
    encoded = Encoded.of(job, rows, split)
    shuffled = shuffle(y, fold, noise)
    work, fitted = Work(noise.of("training", "all rows"), folder, progress), {}
    for i, strategy in enumerate(job.strategies):
        labels = shuffled if strategy.shuffled else y
        part = work.part(i, len(job.strategies), strategy.name)
        fitted[strategy.name] = fit_strategy(job, strategy, encoded, split, labels, part)
    return fitted


def _per_source(fitted: Fitted) -> dict[str, Tensor]:
    """(K,) each: what training the model of a source's block took; 0 or NaN where not known."""
    out = {}
    for quantity in ("examples_seen", "updates", "best", "validation"):
        start = 0.0 if quantity in ("examples_seen", "updates") else torch.nan
        out[quantity] = torch.full((len(fitted.model.names),), start, dtype=torch.float64)
        for block, effort in zip(fitted.model.partition, fitted.efforts, strict=True):
            value = getattr(effort, quantity)
            out[quantity][list(block)] = torch.nan if value is None else float(value)
    return out
