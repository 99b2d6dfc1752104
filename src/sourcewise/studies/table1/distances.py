"""Frechet distances of a cell: draws of all its models against images that none has trained on.

Models of every training seed draw several sets, once they are trained; both strategies draw by the
same noise. In a folder each distance is kept as soon as it is known, so that a comparison that was
stopped goes on without the models that are gone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from sourcewise.comparison.plan import Plan
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.scores import Cell
from sourcewise.errors import InputError
from sourcewise.execution import Execution, device_of
from sourcewise.files import read_tensors, write_tensors
from sourcewise.fitting.strategy import TrainedStrategy, untrained
from sourcewise.forms import Images, take
from sourcewise.metrics.features.base import Features
from sourcewise.metrics.features.choice import features_of
from sourcewise.metrics.frechet import frechet_distance, real_floor
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.studies.table1.points import Spread
from sourcewise.studies.table1.settings import Table1Settings
from sourcewise.training.processes import Processes

__all__ = ["Distances", "drawing_seconds"]

TRIED = 8  # draws that are timed


@dataclass(frozen=True)
class Distances:
    """Averages over classes, by training seed and strategy.

    Args:
        settings: how many draws, and how often.
        features: that distances are in.
        real: of each class the features (m_k, F) of images that no model has trained on.
        folder: of the comparison; None keeps distances in memory.
        known: (S,) of each set of draws, by seed and strategy.
    """

    settings: Table1Settings
    features: Features
    real: Sequence[Tensor]
    folder: Path | None
    known: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls, settings: Table1Settings, plan: Plan, spare: Sources, folder: Path | None
    ) -> "Distances":
        """Of the models of a plan; the classifier is kept beside the folders of comparisons.

        Args:
            settings: of the study.
            plan: what is compared.
            spare: images of the same classes that it has no use for.
            folder: of the comparison.
        """
        real, features = _held_out(
            settings, plan, spare, None if folder is None else folder.parent / "classifiers"
        )
        return cls(settings, features, [features(x) for x in real], folder)

    @property
    def floor(self) -> float:
        """Of real images from others, as many as there are draws; the average over classes."""
        noise, m = Noise(self.settings.seed).of("floor"), self.settings.draws
        return fmean(real_floor(x, m, noise.of(k)) for k, x in enumerate(self.real))

    def look(self, cell: Cell, strategy: str, trained: TrainedStrategy) -> None:
        """Draw from trained models: sets of draws are dealt out to the processes."""
        noise, processes = Noise(self.settings.seed).of("table 1", "draws"), Processes.found()
        found = torch.zeros(self.settings.sampling_seeds, dtype=torch.float64)
        (mine,) = processes.shares(len(found))
        with trained.on(device_of(Execution().device)):
            for i in range(len(found))[mine]:
                found[i] = self._average(trained, noise.of("set", cell.repetition, i))
        processes.add(found)
        self.known[cell.repetition, strategy] = found
        if self.folder is not None and processes.first:
            file = self._file(cell.repetition, strategy)
            file.parent.mkdir(exist_ok=True)
            write_tensors(file, {"distances": found})

    def spread(self, strategy: str) -> Spread:
        """Over all sets of draws of all training seeds.

        Raises:
            InputError: a file of an earlier run is damaged or gone.
        """
        seeds = range(self.settings.seeds)
        found = torch.cat([self._of_seed(r, strategy) for r in seeds])
        return Spread(float(found.mean()), float(found.std()) if len(found) > 1 else 0.0)

    def _of_seed(self, seed: int, strategy: str) -> Tensor:
        if (seed, strategy) in self.known or self.folder is None:
            return self.known[seed, strategy]
        file = self._file(seed, strategy)
        try:
            return read_tensors(file)["distances"]
        except (InputError, KeyError) as error:
            told = f"{file} is damaged or gone, and so are the models: delete {self.folder}"
            raise InputError(told) from error

    def _file(self, seed: int, strategy: str) -> Path:
        assert self.folder is not None
        return self.folder / "distances" / f"{seed}-{strategy}.safetensors"

    def _average(self, trained: TrainedStrategy, noise: Noise) -> float:
        """The mean distance of one set of draws from as many images, of each class."""
        K, m = len(self.real), self.settings.draws
        y, number = torch.arange(K).repeat_interleave(m), torch.arange(m).repeat(K)
        x, _ = trained.draw(y, noise.each(y, number))
        parts = self.features(x).split(m)
        chosen = [x[noise.of("real", k).permutation(len(x))[:m]] for k, x in enumerate(self.real)]
        return fmean(frechet_distance(*pair) for pair in zip(chosen, parts, strict=True))


def drawing_seconds(prepared: Prepared) -> float:
    """That a draw takes, as untrained models do it."""
    job, strategy = prepared.job, prepared.job.strategies[0]
    sizes = prepared.encoders.sizes(job.family)
    trained = TrainedStrategy(untrained(job, strategy, sizes, job.data.y), prepared.encoders, ())
    y, start = torch.arange(TRIED) % job.data.K, time.process_time()
    trained.draw(y, Noise(0).each(y))
    return (time.process_time() - start) / TRIED


def _held_out(
    settings: Table1Settings, plan: Plan, spare: Sources, cache: Path | None
) -> tuple[list[Images], Features]:
    """Images of each class that no model has trained on, nor a copy of them, and the features of
    those that models have trained on."""
    split, data = next(plan.splits(Cell(0, None), plan.folds(0))), plan.job.data
    seen = torch.cat([split.train, split.valid])
    known, test, x = _images(data, seen), _images(data, split.test), _images(spare)
    keys = set(known.keys())
    fresh = torch.tensor([key not in keys for key in list(x.keys())], dtype=torch.bool)
    real = []
    for k in range(data.K):
        own = test.take((data.y[split.test] == k).nonzero().squeeze(1))
        more = x.take((fresh & (spare.y == k)).nonzero().squeeze(1))
        real.append(Images.of(torch.cat([own.pixels(), more.pixels()]), known.top))
    noise = Noise(settings.seed).of("table 1", "features")
    y = data.y[seen]
    return real, features_of(settings.features, known, plan.job.coding, y, noise, cache)


def _images(data: Sources, index: Tensor | None = None) -> Images:
    x = data.x if index is None else take(data.x, index)
    assert isinstance(x, Images)
    return x
