"""What strategies truly achieve in a population: of all rows, and of rows that are not far out."""

from collections.abc import Mapping

import numpy as np
import torch

from sourcewise.batch import Batch
from sourcewise.comparison.far_out import Bounds
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import FOLDS
from sourcewise.encoders.numeric import NumericEncoder
from sourcewise.fitting.job import Job, Work
from sourcewise.fitting.strategy import TrainedStrategy, fit_all
from sourcewise.metrics.likelihood import expected_log_likelihood
from sourcewise.metrics.log_likelihood import density
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.studies.audit.populations import Population
from sourcewise.studies.grid import Progress

__all__ = ["compared", "differences", "of_all_rows", "of_typical_rows"]

Values = Mapping[str, np.ndarray]  # (K,) expected log-likelihoods of each strategy
ROWS = 5000  # of each source, that models of a training sample are tried on


def compared(population: Population) -> CompareSettings:
    """The defaults, but for logarithms: truths are known by the moments of the columns."""
    return CompareSettings(model="gaussian", strategies=_strategies(population), log=("none",))


def _strategies(population: Population) -> str:
    """What is compared: where the sources come in halves, these are a rival."""
    names = [f"source {k + 1}" for k in range(population.K)]
    half = population.K // 2
    if half < 2 or population.likeness not in ("halves", "hidden"):
        return "pooled,separate"
    return f"pooled,separate,groups:{'+'.join(names[:half])}|{'+'.join(names[half:])}"


def of_all_rows(
    population: Population, samples: int, noise: Noise, progress: Progress | None
) -> Values:
    """By the moments exact for each training sample, but for what all strategies share."""
    total: dict[str, np.ndarray] = {}
    mean, covariance = population.moments()
    for i in range(samples):
        data = population.draw(noise.of(i), (FOLDS - 1) / FOLDS)
        job = prepare(data, compared(population)).plan.job
        for name, fitted in _fitted(job, noise).items():
            encoder = fitted.encoder
            assert isinstance(encoder, NumericEncoder)
            at = (mean - encoder.mean) / encoder.scale
            scaled = covariance / (encoder.scale[:, None] * encoder.scale)
            values = np.array(expected_log_likelihood(fitted.model, at, scaled).values)
            # The logarithm of the scales is the same for all strategies, not for all samples.
            total[name] = total.get(name, 0.0) + values - float(encoder.scale.log().sum())
        if progress:
            progress(i + 1, samples)
    return {name: values / samples for name, values in total.items()}


def of_typical_rows(
    population: Population, samples: int, noise: Noise, progress: Progress | None
) -> Values:
    """Rows inside the bounds of each sample, trained on four fifths of its own such rows."""
    total: dict[str, np.ndarray] = {}
    many = population._replace(sizes=(ROWS,) * population.K)
    for i in range(samples):
        data, new = population.draw(noise.of(i)), many.draw(noise.of(i, "new"))
        bounds = Bounds.of(data)
        data, new = (d.take(torch.from_numpy(~bounds.far(d))) for d in (data, new))
        some = data.take(data.folds(FOLDS, noise.of(i, "folds")) > 0)
        job = prepare(some, compared(population)).plan.job
        for name, fitted in _fitted(job, noise).items():
            total[name] = total.get(name, 0.0) + _tried(job, fitted, new)
        if progress:
            progress(i + 1, samples)
    return {name: values / samples for name, values in total.items()}


def _fitted(job: Job, noise: Noise) -> Mapping[str, TrainedStrategy]:
    """Every strategy on all rows."""
    data = job.data
    rows = job.coding.prepare(data.x, noise.each(data.y))
    return fit_all(job, rows, data.y, Work(noise))


def _tried(job: Job, fitted: TrainedStrategy, new: Sources) -> np.ndarray:
    """(K,) mean log-likelihoods of new rows."""
    noise = Noise(0)
    z, log_det = fitted.encoder.encode(job.coding.prepare(new.x, noise.each(new.y)), new.y)
    batch = Batch(z, new.y, None, torch.ones(len(new)))
    rows = density(fitted.model, batch, noise).value + log_det
    return np.bincount(new.y.numpy(), rows.numpy(), new.K) / new.counts.numpy()


def differences(values: Values) -> np.ndarray:
    """(K + 1,) pooled minus separate, per source and on average."""
    found = values["pooled"] - values["separate"]
    return np.append(found, found.mean())
