"""Flow matching that stops believing some of the labels (SPFM, arXiv 2509.19091).

    e_i = mean over R draws n of (|v(x_t, t, y_i) - u|^2 - |v(x_t, t) - u|^2) / D,
    x_t = a x_i + b n,   u = a' x_i + b' n,

t the probe time, v(x_t, t) the velocity without a label. A row with e_i > 0, by a margin of some
of its standard errors, is better known without its label: from a share of the updates on it is
trained on without it, and counted, see `training.recipes.purified`, which may average e_i over
the looks at a row. Both velocities have the same noise, no gradient and no dropout.

A model of one source learns the same law with its label and without: nothing is judged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import BatchNoise, Caution, Diagnosed, Diagnostic, Occasion
from sourcewise.families.flow.model import Flow
from sourcewise.families.offers import LabelFlags
from sourcewise.families.purified_flow.settings import PurifiedFlowSettings
from sourcewise.samplers.odes import Velocity
from sourcewise.samplers.purification import label_excess

__all__ = ["PurifiedFlow", "flow_excess"]

FEW = 0.02  # of labels, flagged: below, nothing is said of it


class PurifiedFlow(Flow):
    """A flow that judges the labels of its training rows.

    Args:
        settings: those of a flow, the share of updates, the probe time, the draws.
        sizes: see `DenoiserModel`.

    Attributes:
        flags: of the training rows, while the model that was trained is in memory.
        flagged: () the share of them that was flagged more often than not; NaN before training.
    """

    recipe: ClassVar[str] = "purified"
    settings: PurifiedFlowSettings  # pyright: ignore[reportIncompatibleVariableOverride]
    flags: LabelFlags | None = None
    flagged: Tensor

    def __init__(self, settings: PurifiedFlowSettings, **sizes: Any):
        super().__init__(settings, **sizes)
        self.register_buffer("flagged", torch.tensor(torch.nan))

    @property
    def judged_after(self) -> float | None:
        """See `families.offers.Judging`."""
        return self.settings.purify_after if self.K > 1 else None

    @property
    def label_memory(self) -> float:
        """See `families.offers.Judging`."""
        return self.settings.probe_memory

    @property
    def validated_by(self) -> str:
        """See `ConditionalModel`."""
        return f"{super().validated_by}, without labels that it flags"

    def diagnostics(self) -> list[Diagnostic]:
        """The share of labels that were flagged."""
        found = super().diagnostics()
        if bool(self.flagged.isnan()):
            return found
        return [*found, Diagnostic("flagged", (float(self.flagged),), "share of labels")]

    @classmethod
    def cautions(
        cls, strategies: Mapping[str, Diagnosed], occasion: Occasion
    ) -> Iterator[Caution]:
        """That scores believe all labels."""
        yield from super().cautions(strategies, occasion)
        shares = [v for d in strategies.values() for v in d.fitted.get("flagged", [])]
        if occasion.purpose in ("compare", "evaluate") and max(shares, default=0.0) > FEW:
            yield Caution(
                f"up to {max(shares):.0%} of a model's training labels were flagged as wrong "
                "(flags.csv beside the models): scores are by the labels of held-out rows as they "
                "stand, and wrong ones count against a model that does not believe them"
            )

    def keep_flags(self, flags: LabelFlags) -> None:
        """See `families.offers.Judging`."""
        self.flags = flags
        self.flagged.fill_(float((flags.share > 0.5).double().mean()))

    def label_excess(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """See `families.offers.Judging`; with S models at once (S, B)."""
        s = self.settings
        return flow_excess(self, batch, noise, s.probe_draws, s.probe_time, s.probe_margin)

    def _seen(self, batch: Batch, noise: BatchNoise) -> tuple[Tensor, Tensor, Tensor]:
        """See `DenoiserModel`; rows with y = -1 have no label."""
        known = batch.y >= 0
        x, label, n = super()._seen(replace(batch, y=batch.y.clamp(min=0)), noise)
        return x, label * known[..., None], n


@torch.no_grad()
def flow_excess(
    flow: Flow, batch: Batch, noise: BatchNoise, R: int, t: float, margin: float = 0.0
) -> Tensor:
    """(B,) e of rows under a flow of several sources, with R draws at time t, less its margin.

    Args:
        flow: trained or in training; it is used without dropout.
        batch: B rows; with S models at once a leading axis S.
        noise: of the draws.
        R: draws.
        t: the probe time.
        margin: in standard errors of e.
    """
    event, shape = len(flow.shape), flow.shape
    x = batch.tensor.to(next(flow.parameters()).dtype)
    x = x.unflatten(-1, shape) if event > 1 else x
    label = torch.nn.functional.one_hot(batch.y, flow.K).to(x).repeat_interleave(R, -2)
    c = None if batch.c is None else batch.c.repeat_interleave(R, -2)
    n = noise.normal(label.shape[-2] // R, R, *shape).to(x)

    def field(label: Tensor) -> Velocity:
        def velocity(z: Tensor, at: Tensor) -> Tensor:
            return flow.velocity(z, at.expand(label.shape[:-1]), label, c)

        return velocity

    return label_excess(field(label), field(0 * label), x, n, t, flow.path, event, margin)
