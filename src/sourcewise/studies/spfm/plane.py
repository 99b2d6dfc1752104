"""Models of classes in the plane: trained on right labels, on wrong ones, and with purification.

The classes are normals on a circle, with standard deviation s about their means; all rows together
have standard deviation 1 in either coordinate. A wrong label is any other one, all alike likely.
Validation rows have wrong labels too. Draws are judged by the Bayes rule of the classes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import ConditionalModel
from sourcewise.families.denoisers.model import DenoiserModel
from sourcewise.families.flow.model import Flow
from sourcewise.families.offers import LabelFlags
from sourcewise.families.purified_flow.model import flow_excess
from sourcewise.families.registry import family
from sourcewise.families.settings import TrainedSettings
from sourcewise.metrics.energy_distance import energy_distance
from sourcewise.randomness import Noise
from sourcewise.studies.blocks import blocks, member, sample
from sourcewise.studies.curves import Strategy
from sourcewise.studies.grid import Progress, within
from sourcewise.studies.spfm.closed import TIMES
from sourcewise.studies.spfm.points import Drawn, Flagging, Labels, Probe, Trained, flagging
from sourcewise.studies.spfm.settings import SpfmSettings
from sourcewise.training.data import TrainingData
from sourcewise.training.recipes.base import Effort, Member
from sourcewise.training.recipes.purified import Purified, PurifiedTraining
from sourcewise.training.recipes.registry import recipe
from sourcewise.training.stack_training import StackTraining
from sourcewise.truths.normal_mixture import NormalMixture

__all__ = ["FAMILIES", "by_row", "circle", "measure", "mislabelled", "probed"]

FAMILIES: dict[Labels, str] = {"right": "flow", "wrong": "flow", "purified": "purified-flow"}
PARTS = 10  # of training, that flags are told of
PROBES = (1, 4, 16)  # draws that trained models are tried with
HELD_OUT = 10  # one row in so many tells when to stop


def circle(K: int, s: float) -> NormalMixture:
    """K classes of one component each, evenly on a circle; `radius^2 / 2 + s^2 = 1`."""
    angle = 2 * math.pi * torch.arange(K, dtype=torch.float64) / K
    mean = math.sqrt(2 * (1 - s**2)) * torch.stack([angle.cos(), angle.sin()], 1)
    one = torch.ones(K, 1, dtype=torch.float64)
    return NormalMixture(one, mean[:, None], s * one)


def mislabelled(y: Tensor, K: int, share: float, noise: Noise) -> Tensor:
    """(n,) labels of which about a share is wrong: another one, all alike likely."""
    other = (y + 1 + noise.of("other").integers(K - 1, len(y))) % K
    return torch.where(noise.of("which").uniform(len(y)) < share, other, y)


@dataclass(frozen=True)
class Rows:
    """A sample, its labels, and what models train on."""

    truth: NormalMixture
    wrong: Tensor  # (n_train,) whether the label of a training row is
    data: TrainingData

    @classmethod
    def of(cls, settings: SpfmSettings, labels: Labels, noise: Noise) -> "Rows":
        """The same rows, and the same wrong labels, whatever is made of them."""
        truth = circle(settings.K, settings.scale)
        x, y = sample(truth, settings.K, settings.K * settings.rows, noise.of("rows"))
        given = y if labels == "right" else mislabelled(y, settings.K, settings.noise, noise)
        held = noise.of("held out").permutation(len(y)) % HELD_OUT == 0
        train, valid = (TrainingData.plain(x[i], given[i]).train for i in (~held, held))
        return cls(truth, (given != y)[~held], TrainingData(train, valid))


class Watching(PurifiedTraining):
    """A training that remembers what its first model has flagged, at every look."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.seen: list[tuple[int, Tensor]] = []

    def look(self) -> list[float | None]:
        """See `StackTraining.look`."""
        self.seen.append((self.step, self.records[0][:3].clone()))
        return super().look()


class Watched(Purified):
    """The recipe, with what its last training saw."""

    training: ClassVar[type[StackTraining]] = Watching

    def __init__(self) -> None:
        self.seen: list[tuple[int, Tensor]] = []

    def conclude(self, training: StackTraining, s: int, how: str, own: bool) -> Effort:
        """See `Purified.conclude`."""
        assert isinstance(training, Watching)
        self.seen = training.seen
        return super().conclude(training, s, how, own)

    def flags(self, wrong: Tensor) -> Iterator[Flagging]:
        """In parts of the training of about as many looks."""
        judged = [(step, record) for step, record in self.seen if bool(record[0].any())]
        before = torch.zeros(3, len(wrong), dtype=torch.float64)
        for i in range(PARTS):
            some = judged[i * len(judged) // PARTS : (i + 1) * len(judged) // PARTS]
            if some:
                step, record = some[-1]
                yield flagging(LabelFlags(*(record - before)), wrong, step)
                before = record


def measure(
    settings: SpfmSettings,
    labels: Labels,
    r: int,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Trained:
    """Train both ways on sample r, and draw; nothing unfinished is kept."""
    noise = Noise(settings.seed).of("spfm", r)
    rows = Rows.of(settings, labels, noise)
    watched, drawn, updates = Watched(), [], {}
    kept: Flagging | None = None
    probes: tuple[Probe, ...] = ()
    for i, strategy in enumerate(settings.strategies):
        members = _members(settings, labels, strategy, rows, r)
        trained = members[0].model.settings
        assert isinstance(trained, TrainedSettings)
        pooled = strategy == "pooled" and labels == "purified"
        how = watched if pooled else recipe(members[0].model.recipe)
        part = within(progress, i / len(settings.strategies), (i + 1) / len(settings.strategies))
        efforts = how.train(members, trained, noise.of("training"), progress=part)
        updates[strategy] = max(effort.updates for effort in efforts)
        drawn += [_drawn(settings, strategy, members, rows, w, noise) for w in settings.guidance]
        if pooled:
            found = getattr(members[0].model, "flags", None)
            assert isinstance(found, LabelFlags)
            kept = flagging(by_row(found), rows.wrong, updates[strategy])
        elif strategy == "pooled" and labels == "wrong":
            probes = probed(members[0].model, rows.data.train, rows.wrong, noise)
    return Trained(tuple(drawn), tuple(watched.flags(rows.wrong)), kept, updates, probes=probes)


def probed(model: ConditionalModel, rows: Batch, wrong: Tensor, noise: Noise) -> tuple[Probe, ...]:
    """Flags by a trained flow at several times, by several numbers of draws.

    Args:
        model: a flow of several sources.
        rows: n encoded rows.
        wrong: (n,) whether their labels are.
        noise: of the draws.
    """
    assert isinstance(model, Flow)
    rows, found = rows.to("cpu", next(model.parameters()).dtype), []
    for R, t in product(PROBES, TIMES):
        flagged = flow_excess(model, rows, noise.of("probe", R), R, t) > 0
        rates = (float(flagged[which].double().mean()) for which in (wrong, ~wrong))
        found.append(Probe(R, t, *rates))
    return tuple(found)


def by_row(flags: LabelFlags) -> LabelFlags:
    """A row counts once: as flagged where most of its looks were."""
    seen = flags.looks.ne(0).double()
    return LabelFlags(seen, (flags.share > 0.5).double(), flags.excess)


def _members(
    settings: SpfmSettings, labels: Labels, strategy: Strategy, rows: Rows, r: int
) -> list[Member]:
    """The untrained models of a strategy."""
    chosen = family(FAMILIES[labels])
    own = chosen.parse(settings.of_model(labels == "purified"))
    return [
        member(chosen.build(own, K=len(block), d=2), rows.data, settings.K, r, block)
        for block in blocks(strategy, settings.K)
    ]


def _drawn(
    settings: SpfmSettings,
    strategy: Strategy,
    members: list[Member],
    rows: Rows,
    w: float,
    noise: Noise,
) -> Drawn:
    """Draws of every class: what the Bayes rule takes them for, and how far they are from it."""
    right, distances = [], []
    for block, one in zip(blocks(strategy, settings.K), members, strict=True):
        for local, k in enumerate(block):
            y, own = torch.full((settings.draws,), k), noise.of("draws", k)
            model = one.model.eval()
            assert isinstance(model, DenoiserModel)
            x = model.sample(y * 0 + local, own.each(y), guidance=w).double()
            right.append(float((_bayes(rows.truth, x) == k).double().mean()))
            clean = rows.truth.sample(y, noise=own.of("clean"))
            distances.append(energy_distance(clean, x))
    return Drawn(strategy, w, fmean(right), fmean(distances))


def _bayes(truth: NormalMixture, x: Tensor) -> Tensor:
    """(n,) the likeliest class of each row."""
    every = [truth.log_prob(x, torch.full((len(x),), k)) for k in range(truth.K)]
    return torch.stack(every).argmax(0)
