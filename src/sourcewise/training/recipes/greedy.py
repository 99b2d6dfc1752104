"""Parts trained in order, each with its own optimiser and stopping, frozen after.

    theta_1 = argmin L_1(theta_1),   theta_2 = argmin L_2(theta_1, theta_2),   ...

Each part is trained by `recipes.gradient` as if it were a model of its own: drawn anew by its own
noise, with its own checkpoints. So a training that was killed goes on within the part where it
stopped, and parts that are done are read, not trained again.

A model may begin parts otherwise (`Starting`). Its parts may also see rows as the parts before
them leave them (`Handing`): these are then gone through once, and parts of several models train at
the same time, as models do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.base import BatchNoise, ConditionalModel
from sourcewise.networks.layers import reset
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.settings import Settings
from sourcewise.training.data import TrainingData
from sourcewise.training.recipes.base import Effort, Member, Progress, Recipe
from sourcewise.training.recipes.gradient import Gradient

__all__ = ["RECIPE", "Greedy", "Handing", "Starting"]


class Greedy(Protocol):
    """What this recipe asks of a model."""

    @property
    def parts(self) -> Sequence[nn.Module]:
        """In the order in which they are trained."""
        ...

    def part_loss(self, number: int, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) what part `number` lowers, given the parts before it."""
        ...


@runtime_checkable
class Starting(Protocol):
    """A model that says how its parts begin."""

    def start(self, number: int, noise: Noise) -> None:
        """Give part `number` its first weights, once the parts before it are trained."""
        ...


@runtime_checkable
class Handing(Protocol):
    """A model whose parts need of the parts before them only what these make of the rows."""

    def handed(self, number: int, rows: Batch, noise: Noise) -> Batch:
        """Rows that part `number` is trained on, of those of the part before it.

        Asked for each part in order, once more after the last, and in the beginning (`number` 0)
        of the rows themselves. `part_loss` of such a part uses no other part.

        Args:
            number: of the part.
            rows: all of them, those of training first, then those of validation.
            noise: of the part.
        """
        ...


class Part(ConditionalModel):
    """One part of a model, behind the face of a model whose parameters are those of the part."""

    stackable = False  # the frozen parts of several models are not one stack

    def __init__(self, whole: ConditionalModel, number: int):
        super().__init__()
        self.whole, self.number = whole, number

    @property
    def part(self) -> nn.Module:
        """The part itself."""
        return cast(Greedy, self.whole).parts[self.number]

    def named_parameters(self, *args: Any, **options: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Those of the part alone."""
        return self.part.named_parameters(*args, **options)

    def reset(self, noise: Noise) -> None:
        """Give the part its first weights, and no other."""
        if isinstance(self.whole, Starting):
            self.whole.start(self.number, noise)
        else:
            reset(self.part, noise)

    @property
    def constrained(self) -> bool:
        """As the whole is."""
        return self.whole.constrained

    def constrain(self, parameters: Mapping[str, Tensor]) -> None:
        """As the whole holds those of the part, under the names that they have there."""
        place = next(name for name, at in self.whole.named_modules() if at is self.part)
        self.whole.constrain({f"{place}.{name}": v for name, v in parameters.items()})

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """See `Greedy.part_loss`."""
        return cast(Greedy, self.whole).part_loss(self.number, batch, noise)

    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Any:
        """Of the whole model."""
        return self.whole.sample(y, noise, c)

    @property
    def free_parameters(self) -> int:
        """Entries of the part."""
        return sum(parameter.numel() for parameter in self.parameters())


class OwnPart(Part):
    """A part that needs no other: those of several models are one stack."""

    stackable = True


class PartByPart(Recipe):
    """See the module."""

    def train(
        self,
        members: Sequence[Member],
        settings: Settings | None,
        noise: Noise,
        execution: Execution | None = None,
        progress: Progress | None = None,
        folder: Path | None = None,
    ) -> list[Effort]:
        """See `Recipe.train`."""
        count, efforts = len(cast(Greedy, members[0].model).parts), []
        for number in range(count):
            own = noise.of("part", number)
            members = [_handed(member, number, own) for member in members]
            alone = [replace(member, model=_part(member.model, number)) for member in members]
            place = None if folder is None else folder / f"part {number}"
            told = _share(progress, number, count)
            efforts.append(Gradient().train(alone, settings, own, execution, told, place))
        for member in members:
            _handed(member, count, noise.of("part", count))
        return [_together(parts) for parts in zip(*efforts, strict=True)]


def _part(model: ConditionalModel, number: int) -> Part:
    own = isinstance(model, Handing) and model.stackable
    return OwnPart(model, number) if own else Part(model, number)


def _handed(member: Member, number: int, noise: Noise) -> Member:
    """A member with the rows of its next part, if these are not the same for all parts."""
    model, data = member.model, member.data
    if not isinstance(model, Handing):
        return member
    rows = model.handed(number, data.merged(), noise.of("block", member.key, "handed"))
    at = torch.arange(len(rows)) < len(data.train)
    # Further splits would hold out rows that the parts before have seen.
    turn = data.turn if number == 0 else None
    return replace(member, data=TrainingData(rows.take(at), rows.take(~at), turn))


def _share(progress: Progress | None, i: int, of: int) -> Progress | None:
    """The progress of part i of equal parts, told as that of the whole."""
    return None if progress is None else lambda done, all_: progress(i * all_ + done, of * all_)


def _together(parts: Sequence[Effort]) -> Effort:
    """Of all parts; the best update and its validation loss are those of the last."""
    before = sum(part.updates for part in parts[:-1])
    best, how = parts[-1].best, parts[-1].how.removeprefix("gradient").removeprefix(", ")
    return Effort(
        sum(part.examples_seen for part in parts),
        before + parts[-1].updates,
        None if best is None else before + best,
        parts[-1].validation,
        f"greedy, {len(parts)} parts one after another" + (f"; {how}" if how else ""),
    )


RECIPE = PartByPart()
