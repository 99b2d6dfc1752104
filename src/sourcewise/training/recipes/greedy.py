"""Parts trained in order, each with its own optimiser and stopping, frozen after.

    theta_1 = argmin L_1(theta_1),   theta_2 = argmin L_2(theta_1, theta_2),   ...

Each part is trained by `recipes.gradient` as if it were a model of its own: drawn anew by its own
noise, with its own checkpoints. So a training that was killed goes on within the part where it
stopped, and parts that are done are read, not trained again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from torch import Tensor, nn

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.base import BatchNoise, ConditionalModel
from sourcewise.networks.layers import reset
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.settings import Settings
from sourcewise.training.recipes.base import Effort, Member, Progress, Recipe
from sourcewise.training.recipes.gradient import Gradient

__all__ = ["RECIPE", "Greedy"]


class Greedy(Protocol):
    """What this recipe asks of a model."""

    @property
    def parts(self) -> Sequence[nn.Module]:
        """In the order in which they are trained."""
        ...

    def part_loss(self, number: int, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) what part `number` lowers, given the parts before it."""
        ...


class Part(ConditionalModel):
    """One part of a model, behind the face of a model whose parameters are those of the part."""

    stackable: ClassVar[bool] = False  # the frozen parts of several models are not one stack

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
        """Draw the part anew, and no other."""
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
        counts = [len(cast(Greedy, member.model).parts) for member in members]
        efforts, done = [], 0
        for member, count in zip(members, counts, strict=True):
            parts = []
            for number in range(count):
                alone = replace(member, model=Part(member.model, number))
                place = None if folder is None else folder / f"part {number}"
                told = _share(progress, done, sum(counts))
                own = noise.of("part", number)
                parts += Gradient().train([alone], settings, own, execution, told, place)
                done += 1
            efforts.append(_together(parts))
        return efforts


def _share(progress: Progress | None, i: int, of: int) -> Progress | None:
    """The progress of part i of equal parts, told as that of the whole."""
    return None if progress is None else lambda done, all_: progress(i * all_ + done, of * all_)


def _together(parts: Sequence[Effort]) -> Effort:
    """Of all parts; the validation loss is that of the last."""
    return Effort(
        sum(part.examples_seen for part in parts),
        sum(part.updates for part in parts),
        None,
        parts[-1].validation,
        f"greedy, {len(parts)} parts one after another",
    )


RECIPE = PartByPart()
