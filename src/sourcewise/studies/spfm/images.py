"""Self-purification on classes of images of which a share of the labels is wrong.

Each sample takes some images of every class, trains flows on their right labels, flows on wrong
ones, and purified flows on the wrong ones, as `sourcewise train` does, pooled and separate. Draws
are judged by a classifier that was trained on other images with their right labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.families.registry import family
from sourcewise.families.settings import TrainedSettings
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Images, take
from sourcewise.lifecycle.prepare import TrainSettings, prepare
from sourcewise.lifecycle.train import TrainingRun
from sourcewise.metrics.image_classifier import ImageRecipe, TrainedImages, train_images
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.studies.curves import Strategy
from sourcewise.studies.grid import Grid, Progress
from sourcewise.studies.spfm.pictures import PICTURE
from sourcewise.studies.spfm.plane import FAMILIES, by_row, mislabelled, probed
from sourcewise.studies.spfm.points import (
    LABELS,
    Drawn,
    Flagging,
    Labels,
    Probe,
    Trained,
    changes,
    flagging,
    folded,
    mean_probes,
    merged,
)
from sourcewise.studies.spfm.settings import SpfmImagesSettings
from sourcewise.studies.spfm.table import Spfm

__all__ = ["SpfmImagesSettings", "grid"]

PROBED = 150  # images that a trained model judges
TRIED = 8  # of the other images, one in so many tries the classifier


class Cell(NamedTuple):
    """Models of one sample and strategy, with one kind of labels."""

    labels: Labels
    strategy: Strategy
    r: int

    @property
    def name(self) -> str:
        """Says it."""
        return f"{self.labels}-{self.strategy}-{self.r}"


@dataclass(frozen=True)
class Sample:
    """Images that models train on, with their right labels, and others."""

    own: Sources
    others: Sources

    @classmethod
    def of(cls, data: Sources, settings: SpfmImagesSettings, noise: Noise) -> "Sample":
        """Some of every class, drawn without replacement."""
        own, others = [], []
        for k in range(data.K):
            rows = (data.y == k).nonzero().squeeze(1)
            order = rows[noise.of("images", k).permutation(len(rows))]
            own.append(order[: settings.rows])
            others.append(order[settings.rows : settings.rows + settings.clean])
        first, second = (data.take(torch.cat(part).sort()[0]) for part in (own, others))
        return cls(first, second)

    def labelled(self, labels: Labels, share: float, noise: Noise) -> Sources:
        """With right labels or wrong ones."""
        if labels == "right":
            return self.own
        return replace(self.own, y=mislabelled(self.own.y, self.own.K, share, noise))


def grid(settings: SpfmImagesSettings, data: Sources) -> Grid[Cell, Trained, Spfm]:
    """Seed by seed."""
    if not isinstance(data.x, Images):
        raise InputError(f"{data.name}: spfm-images is of images")
    data = _first(data, settings.classes)
    least = int(data.counts.min())
    if least < settings.rows + TRIED:
        raise InputError(
            f"{data.name}: {settings.rows} images of a class to train on, and others for the "
            f"classifier, and one class has {least} (setting rows)"
        )
    cells = _cells(settings)
    return Grid(
        cells=cells,
        compute=partial(_measure, settings, data),
        found=Trained,
        fold=partial(_fold, settings, data),
        time=lambda: sum(settings.seeds * _seconds(settings, data, c) for c in cells if not c.r),
        picture=PICTURE,
        weight=partial(_seen, settings, data),
    )


def _cells(settings: SpfmImagesSettings) -> list[Cell]:
    seeds, strategies = range(settings.seeds), settings.strategies
    return [Cell(labels, s, r) for r in seeds for s in strategies for labels in LABELS]


def _first(data: Sources, classes: int) -> Sources:
    """The first classes only."""
    K = min(classes, data.K)
    kept = data.take((data.y < K).nonzero().squeeze(1))
    return replace(kept, names=tuple(data.names[:K]))


def _run(settings: SpfmImagesSettings, data: Sources, cell: Cell) -> TrainingRun:
    """The training of a cell."""
    given = {
        "model": FAMILIES[cell.labels],
        "set": settings.of_model(cell.labels == "purified"),
        "seed": cell.r,
        "strategy": cell.strategy,
    }
    return TrainingRun(prepare(data, TrainSettings.parse(given)), Execution())


def _seconds(settings: SpfmImagesSettings, data: Sources, cell: Cell) -> float:
    """Of training, if no model stops early."""
    sample = Sample.of(data, settings, Noise(settings.seed))
    return _run(settings, sample.own, cell).seconds()


def _seen(settings: SpfmImagesSettings, data: Sources, cell: Cell) -> float:
    """Images in updates, those of probes as what they cost."""
    pooled, purified = cell.strategy == "pooled", cell.labels == "purified"
    trained = family(FAMILIES[cell.labels]).parse(settings.of_model(purified)).suited("images")
    assert isinstance(trained, TrainedSettings)
    models, n = (1, settings.rows * data.K) if pooled else (data.K, settings.rows)
    probes = 2 * settings.probe_draws / 3 if pooled and purified else 0
    return models * (1 + probes) * trained.planned(n) * trained.rows_per_update(n)


def _measure(
    settings: SpfmImagesSettings,
    data: Sources,
    cell: Cell,
    progress: Progress | None,
    folder: Path | None,
) -> Trained:
    """Train, draw and classify."""
    noise = Noise(settings.seed).of("spfm", cell.r)
    sample = Sample.of(data, settings, noise)
    given = sample.labelled(cell.labels, settings.noise, noise)
    classifier, real = _classifier(settings, sample.others, noise)
    run, wrong = _run(settings, given, cell), given.y != sample.own.y
    (trained,) = run.work(folder, progress)[0].values()
    updates = max(effort.updates for effort in trained.efforts)
    drawn = _drawn(settings, cell.strategy, trained, classifier, noise)
    flags: tuple[Flagging, ...] = ()
    kept: Flagging | None = None
    probes: tuple[Probe, ...] = ()
    if cell.strategy == "pooled" and cell.labels == "wrong":
        probes = _probed(run, trained, given, wrong, noise)
    if trained.flags:
        found, known = trained.flags.flags, wrong[trained.flags.row]
        flags = (flagging(found, known, updates),)
        kept = flagging(by_row(found), known, updates)
    return Trained(tuple(drawn), flags, kept, {cell.strategy: updates}, real, probes)


def _probed(
    run: TrainingRun, trained: TrainedStrategy, given: Sources, wrong: Tensor, noise: Noise
) -> tuple[Probe, ...]:
    """Flags by a trained model; of some of the images it has trained on."""
    some = noise.of("probed").permutation(len(given))[:PROBED].sort()[0]
    data, coding = given.take(some), run.prepared.job.coding
    rows = coding.prepare(data.x, noise.of("encode").each(data.y))
    batch = trained.held_out(data, rows, coding.sizes(data.x)).batch
    return probed(trained.model.block(0), batch, wrong[some], noise)


def _classifier(
    settings: SpfmImagesSettings, others: Sources, noise: Noise
) -> tuple[TrainedImages, float]:
    """Trained on most of the other images; its accuracy on the rest."""
    tried = noise.of("tried").permutation(len(others)) % TRIED == 0
    recipe = ImageRecipe(updates=settings.classifier_updates)
    x, y = take(others.x, ~tried), others.y[~tried]
    found = train_images(x, y, others.K, noise.of("classifier"), recipe)
    right = found.labels_of(take(others.x, tried)) == others.y[tried]
    return found, float(right.double().mean())


def _drawn(
    settings: SpfmImagesSettings,
    strategy: str,
    trained: TrainedStrategy,
    classifier: TrainedImages,
    noise: Noise,
) -> list[Drawn]:
    """Draws of every class at every weight, and what the classifier takes them for."""
    K = len(trained.model.names)
    y = torch.arange(K).repeat_interleave(settings.draws)
    found = []
    for w in settings.guidance:
        x, _ = trained.draw(y, noise.of("draws").each(y), guidance=w)
        right: Tensor = classifier.labels_of(x) == y
        found.append(Drawn(strategy, w, float(right.double().mean()), None))
    return found


def _fold(settings: SpfmImagesSettings, data: Sources, found: Mapping[str, Trained]) -> Spfm:
    trained: dict[Labels, Sequence[Trained]] = {
        labels: [
            merged([found[Cell(labels, s, r).name] for s in settings.strategies])
            for r in range(settings.seeds)
        ]
        for labels in LABELS
    }
    points, purified = folded(trained), trained["purified"]
    real = torch.tensor([one.real for one in found.values()], dtype=torch.float64)
    told = (
        f"{data.name}: {data.K} classes, {settings.rows} images of each, "
        f"{100 * settings.noise:g} % wrong labels, samples: {settings.seeds}"
    )
    return Spfm(
        settings,
        points,
        told,
        (),
        tuple(changes(points)),
        tuple(one.flags for one in purified),
        tuple(one.kept for one in purified if one.kept),
        mean_probes(trained["wrong"]),
        float(real.mean()),
    )
