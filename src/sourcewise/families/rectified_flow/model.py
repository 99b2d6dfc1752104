"""Rectified flow: flows one after another, each on pairs of noise and draw of the one before.

    Z_t = (1 - t) Z_0 + t Z_1,   v_k(z, t) ~ E[Z_1 - Z_0 | Z_t = z],   dZ/dt = v_k(Z, t)

(Liu, Gong and Liu, "Flow straight and fast: learning to generate and transfer data with rectified
flow", 2023). For the first flow Z_0 is noise and Z_1 a row, independent of each other: it is flow
matching on the linear path. For flow k > 1 the pair is what flow k - 1 makes of noise: Z_1 is
where it leads Z_0, under the source and the given columns of a row. A flow keeps the law of Z_1,
and its ways are straighter than those of the one before, so that fewer steps follow them. Each
flow also adds its own error to the law of the one before.

A distilled part learns the same pairs at t = 0 alone, `Z_1 = Z_0 + v(Z_0, 0)`: one step is all
that it does (section 2.2 there).

Pairs are made before a flow k > 1 is trained: several for each row of data, by Heun's method, of
the row's source and given columns. Validation rows have pairs of their own. Times of these flows
are denser near both ends, where the first of few steps is taken and where coupled ends are hardest
to tell (Lee, Lin and Fanti, "Improving the training of rectified flows", 2024):

    density of t proportional to cosh(a (2 t - 1)),   a = 2.

The bound of denoisers needs noise that is independent of rows. Here the density of what draws
follow decides, or draws do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import BatchNoise, ConditionalModel, Density, Diagnostic
from sourcewise.families.flow.model import Flow
from sourcewise.families.rectified_flow.settings import RectifiedFlowSettings
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["RectifiedFlow", "times"]

LOOKS = 4  # pairs of a validation row, each at a time of its own
ROUGH = 2  # steps of pairs that are not trained on
STEPS = 4  # of draws, unless users say
ENDS = 2.0  # a
WAYS = 100  # rows whose ways tell how straight a flow is


class RectifiedFlow(ConditionalModel):
    """Flows of images, or of columns of numbers, trained in order; the last one draws.

    Args:
        settings: how many, and those of each.
        sizes: see `DenoiserModel`.

    Attributes:
        bends: (rectifications,) S of each flow, see `samplers.straightness`; NaN before training.

    Raises:
        InputError: of `Flow`.
    """

    stackable = True
    recipe: ClassVar[str] = "greedy"
    slow_density = True
    movable = True
    bends: Tensor

    def __init__(self, settings: RectifiedFlowSettings, **sizes: Any):
        super().__init__()
        self.settings = settings
        count = settings.rectifications + settings.distilled
        self.flows = nn.ModuleList(Flow(settings, **sizes) for _ in range(count))
        self.slow_draws = len(self.flow(0).shape) > 1
        unknown = torch.full((settings.rectifications,), torch.nan, dtype=torch.float64)
        self.register_buffer("bends", unknown)

    @property
    def parts(self) -> Sequence[Flow]:
        """See `recipes.greedy`: the flows, and the distilled part, if there is one."""
        return [self.flow(number) for number in range(len(self.flows))]

    def flow(self, number: int) -> Flow:
        """Part `number`, from 0."""
        part = self.flows[number]
        assert isinstance(part, Flow)
        return part

    @property
    def free_parameters(self) -> int:
        """Of all parts together."""
        return sum(part.free_parameters for part in self.parts)

    @property
    def fills_core(self) -> bool:
        """See `ConditionalModel`."""
        return self.flow(0).fills_core

    @property
    def validated_by(self) -> str:
        """See `ConditionalModel`."""
        return "the loss of its last part"

    def diagnostics(self) -> list[Diagnostic]:
        """How bent the ways of each flow are: 0 is straight."""
        found = enumerate(self.bends.tolist(), 1)
        return [Diagnostic(f"bend of flow {i}", (S,)) for i, S in found if math.isfinite(S)]

    def constrain(self, parameters: Mapping[str, Tensor]) -> None:
        """Of each part that has some among them."""
        for number, part in enumerate(self.parts):
            place = f"flows.{number}."
            own = {n.removeprefix(place): v for n, v in parameters.items() if n.startswith(place)}
            if own:
                part.constrain(own)

    def start(self, number: int, noise: Noise) -> None:
        """See `recipes.greedy`: a part begins where the one before it ended."""
        part = self.flow(number)
        if number:
            part.load_state_dict(self.flow(number - 1).state_dict())
        else:
            part.reset(noise)

    def handed(self, number: int, rows: Batch, noise: Noise) -> Batch:
        """See `recipes.greedy`: in place of rows their pairs, (B, M 2 D); the first has rows.

        M is the setting `pairs`, or how often training comes by a row, if that is less. It is
        noted how bent the ways of the flow before are.
        """
        if 0 < number <= len(self.bends):
            self._note(number - 1, rows, noise.of("bend"))
        if number in (0, len(self.flows)):
            return rows
        s, before, parts = self.settings, self.flow(number - 1), []
        seen = s.planned(len(rows)) * s.rows_per_update(len(rows)) / len(rows)
        for m in range(min(s.pairs, math.ceil(seen))):
            pairs = before.pairs(rows, noise.of("pair", m), s.pair_steps)
            parts += [pairs.n.flatten(1), pairs.x.flatten(1)]
        return replace(rows, x=torch.cat(parts, 1))

    def _note(self, number: int, rows: Batch, noise: Noise) -> None:
        """How bent the ways of a trained flow are, under the labels of some of the rows."""
        count = min(WAYS, len(rows))
        some = rows.take(torch.arange(count) * len(rows) // count)
        self.bends[number] = self.flow(number).bends(some, noise).mean()

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) what all parts lower, each its own, of rows; pairs are made anew, by few steps."""
        losses = [self.flow(0).loss(batch, noise.of("part", 0))]
        for number, part in enumerate(self.parts[1:], 1):
            own = noise.of("part", number)
            pairs = self.flow(number - 1).pairs(batch, own, ROUGH)
            losses.append(part.paired_loss(pairs, self._times(number, _level(batch, own)), own))
        return torch.stack(losses).sum(0)

    def part_loss(self, number: int, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) of rows for the first flow, of the pairs that were handed for others.

        In training each row has one of its pairs at one time, in validation several.
        """
        part = self.flow(number)
        if not number:
            return part.loss(batch, noise)
        level, M = _level(batch, noise), batch.tensor.shape[-1] // (2 * math.prod(part.shape))
        if self.training:
            which = (M * noise.of("pair").uniform(len(batch))).long()
            pairs = part.paired(batch, which)
            return part.paired_loss(pairs, self._times(number, level), noise)
        looks = []
        for i in range(LOOKS):
            pairs = part.paired(batch, torch.full_like(batch.y, i % M))
            t = self._times(number, (i + level) / LOOKS)
            looks.append(part.paired_loss(pairs, t, noise))
        return torch.stack(looks).mean(0)

    def _times(self, number: int, share: Tensor) -> Tensor:
        """At quantiles of those that a part is trained at: 0 alone, if it is the distilled one."""
        distilled = number == self.settings.rectifications
        return torch.zeros_like(share) if distilled else times(share)

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of rows of numbers, under draws of the last flow that are followed exactly.

        Raises:
            InputError: the flow is distilled.
        """
        if self.settings.distilled:
            raise InputError("setting distilled: one step has no density, draws judge it")
        return self.flow(-1).log_density(batch, noise)

    def sample(
        self,
        y: Tensor,
        noise: Noise | ExampleNoise,
        c: Tensor | None = None,
        steps: int = 0,
        guidance: float = 1.0,
        sampler: str = "euler",
        guide: str = "unlabelled",
    ) -> Tensor:
        """One row per entry of y, flat (B, D), from the last part; see `DenoiserModel.sample`.

        Args:
            y: (B,) sources.
            noise: of the rows.
            c: (B, C) given columns.
            steps: of the sampler; 0: one of a distilled flow, otherwise `STEPS`.
            guidance: w.
            sampler: a name of `FlowSampling`.
            guide: what draws are led away from.

        Raises:
            InputError: more than one step of a distilled flow.
        """
        if self.settings.distilled and (steps > 1 or sampler != "euler"):
            raise InputError("setting distilled: draws take one step of euler, and no other")
        steps = steps or (1 if self.settings.distilled else STEPS)
        return self.flow(-1).sample(y, noise, c, steps, guidance, sampler, guide)


def _level(batch: Batch, noise: BatchNoise) -> Tensor:
    return noise.of("level").uniform(len(batch))


def times(share: Tensor) -> Tensor:
    """Times whose density is proportional to `cosh(a (2 t - 1))`, at quantiles in [0, 1].

    >>> [round(t, 3) for t in times(torch.tensor([0.0, 0.1, 0.5, 1.0])).tolist()]
    [0.0, 0.053, 0.5, 1.0]
    """
    return 0.5 + torch.asinh((2 * share - 1) * math.sinh(ENDS)) / (2 * ENDS)
