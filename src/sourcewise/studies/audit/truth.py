"""What strategies truly achieve in a population: of all rows, and of rows that are not far out."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.comparison.far_out import Bounds
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import FOLDS
from sourcewise.encoders.numeric import NumericEncoder
from sourcewise.fitting.job import Job, Work
from sourcewise.fitting.strategy import TrainedStrategy, fit_all
from sourcewise.metrics.expected_distance import expected_energy_score
from sourcewise.metrics.likelihood import expected_log_likelihood
from sourcewise.metrics.log_likelihood import density
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.studies.audit.populations import Population
from sourcewise.studies.grid import Progress

__all__ = ["Audited", "Decides", "compared", "differences", "of_all_rows", "of_typical_rows"]

Values = Mapping[str, np.ndarray]  # (K,) of each strategy, higher is better; nats or distances
Decides = Literal["log-likelihood", "energy-distance"]
Audited = Literal["pooled", "partial"]  # less separate
ROWS = 5000  # of each source, that models of a training sample are tried on


def compared(
    population: Population, metric: Decides, audited: Audited = "pooled"
) -> CompareSettings:
    """The defaults, but for logarithms: truths are known by the moments of the columns.

    Partial pooling is compared beside the others where it is what the audit is of.
    """
    names = _strategies(population) + (",partial" if audited == "partial" else "")
    return CompareSettings(model="gaussian", strategies=names, log=("none",), metric=metric)


def _strategies(population: Population) -> str:
    """What is compared: where the sources come in halves, these are a rival."""
    names = [f"source {k + 1}" for k in range(population.K)]
    half = population.K // 2
    if half < 2 or population.likeness not in ("halves", "hidden"):
        return "pooled,separate"
    return f"pooled,separate,groups:{'+'.join(names[:half])}|{'+'.join(names[half:])}"


def of_all_rows(
    population: Population,
    settings: CompareSettings,
    samples: int,
    noise: Noise,
    progress: Progress | None,
) -> Values:
    """By the moments exact for each training sample, but for what all strategies share."""
    total: dict[str, np.ndarray] = {}
    expected = _log_likelihoods if settings.metric == "log-likelihood" else _scores
    for i in range(samples):
        data = population.draw(noise.of(i), (FOLDS - 1) / FOLDS)
        job = prepare(data, settings).plan.job
        for name, fitted in _fitted(job, noise).items():
            total[name] = total.get(name, 0.0) + expected(population, fitted)
        if progress:
            progress(i + 1, samples)
    return {name: values / samples for name, values in total.items()}


def _log_likelihoods(population: Population, fitted: TrainedStrategy) -> np.ndarray:
    """(K,) expected ones."""
    at, scaled, log_det = _encoded(population, fitted)
    return np.array(expected_log_likelihood(fitted.model, at, scaled).values) + log_det


def _scores(population: Population, fitted: TrainedStrategy) -> np.ndarray:
    """(K,) expected energy scores, less is better turned around."""
    at, scaled, _ = _encoded(population, fitted)
    return -expected_energy_score(fitted.model, at, scaled, population.mixture()).numpy()


def _encoded(population: Population, fitted: TrainedStrategy) -> tuple[Tensor, Tensor, float]:
    """The moments of the rows in the units of models, and the log |dz/dx| of these."""
    encoder, (mean, covariance) = fitted.encoder, population.moments()
    assert isinstance(encoder, NumericEncoder)
    scale = encoder.scale
    scaled = covariance / (scale[:, None] * scale)
    # The logarithm of the scales is the same for all strategies, not for all samples.
    return (mean - encoder.mean) / scale, scaled, -float(scale.log().sum())


def of_typical_rows(
    population: Population,
    settings: CompareSettings,
    samples: int,
    noise: Noise,
    progress: Progress | None,
) -> Values:
    """Rows inside the bounds of each sample, trained on four fifths of its own such rows."""
    total: dict[str, np.ndarray] = {}
    many = population._replace(sizes=(ROWS,) * population.K)
    for i in range(samples):
        data, new = population.draw(noise.of(i)), many.draw(noise.of(i, "new"))
        bounds = Bounds.of(data)
        data, new = (d.take(torch.from_numpy(~bounds.far(d))) for d in (data, new))
        some = data.take(data.folds(FOLDS, noise.of(i, "folds")) > 0)
        job = prepare(some, settings).plan.job
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


def differences(values: Values, audited: Audited) -> np.ndarray:
    """(K + 1,) a strategy minus separate, per source and on average."""
    found = values[audited] - values["separate"]
    return np.append(found, found.mean())
