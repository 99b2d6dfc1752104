"""Averages of weights over the updates, while they are made and after.

An average with a decay d is `ema <- d ema + (1 - d) theta`. One whose length is a share of the
updates so far is a power function of the update (Karras et al., "Analyzing and improving the
training dynamics of diffusion models", 2024, section 3 and appendix C):

    ema_t = integral_0^t p(s) theta(s) ds,   p(s) = (g + 1) s^g / t^(g + 1),
    ema_t = (1 - 1/t)^(g + 1) ema_(t-1) + [1 - (1 - 1/t)^(g + 1)] theta_t.

Its *relative length* is the standard deviation of p over t, `sqrt((g + 1) / ((g + 3) (g + 2)^2))`.
Two such averages, of relative lengths .05 and .1, and what they were at earlier updates
(*snapshots*), give the average of any other length at one of these updates: the combination whose
profile is nearest to p in mean square. Which length is best is so found after the training, by
validation rows.

Snapshots take many times what the parameters do, and never change: they are kept in the computer's
memory whatever the device, and checkpoints hold each in a file of its own (`checkpoint`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sourcewise.families.settings import TrainedSettings
from sourcewise.training.checkpoint import SNAPSHOT

__all__ = ["Averages", "average", "combination", "exponent", "relative_length"]

STORED = (0.05, 0.1)  # relative lengths; the last one is evaluated as training goes on
FIRST, RATIO, OLDEST = 16, 1.25, 24  # updates: of the first snapshot, between two, of the oldest


def relative_length(g: float) -> float:
    """Of an average with the exponent g.

    >>> round(relative_length(6.94), 4)
    0.1
    """
    return math.sqrt((g + 1) / (g + 3)) / (g + 2)


def exponent(length: float) -> float:
    """g of a relative length in (0, .288), the inverse of `relative_length`.

    >>> round(exponent(0.1), 3), round(exponent(0.05), 3)
    (6.937, 16.972)
    """
    v = length**-2
    return float(max(r.real for r in np.roots([1, 7, 16 - v, 12 - v]) if abs(r.imag) < 1e-9))


def combination(
    steps: Sequence[float], lengths: Sequence[float], step: float, length: float
) -> np.ndarray:
    """(N,) weights of N averages that come nearest to another one, brought to a sum of 1.

    With profiles p_i, `A x = b` for the inner products `A_ij = <p_i, p_j>`, `b_i = <p_i, p>`:

        <p_i, p_j> = (g_i + 1) (g_j + 1) m^(g_i + g_j + 1)
                     / [(g_i + g_j + 1) t_i^(g_i + 1) t_j^(g_j + 1)],   m = min(t_i, t_j).

    Args:
        steps: (N,) t_i.
        lengths: (N,) their relative lengths.
        step: t of the other one.
        length: its relative length.
    """
    t = np.array([*steps, step], dtype=float) / step
    g = np.array([exponent(one) for one in (*lengths, length)])
    low = np.minimum(t[:, None], t)
    both = g[:, None] + g + 1
    logs = np.log1p(g) - (g + 1) * np.log(t)
    inner = np.exp(logs[:, None] + logs + both * np.log(low)) / both
    x = np.linalg.lstsq(inner[:-1, :-1], inner[:-1, -1], rcond=1e-12)[0]
    return x / x.sum()


class Averages:
    """Averages of S models' weights over their updates.

    Args:
        flat: (S, P) the parameters.
        settings: which; `ema` or the last of `STORED` is the one that is evaluated,
            `kept_averages` are kept beside it.

    Attributes:
        rows: (S, P) of each by name.
        snapshots: update to what the rows of power functions were, on the CPU.
    """

    def __init__(self, flat: Tensor, settings: TrainedSettings):
        self.lengths, self.early = settings.ema_lengths, settings.early_share
        decays = {"ema": settings.ema} if settings.ema and not self.lengths else {}
        self.decays = decays | {f"average/{i}": d for i, d in enumerate(settings.kept_averages)}
        stored = STORED if self.lengths else ()
        self.powers = {f"power/{one}": exponent(one) for one in stored}
        self.rows = {name: flat.clone() for name in (*self.powers, *self.decays)}
        self.snapshots: dict[int, dict[str, Tensor]] = {}

    @property
    def evaluated(self) -> Tensor | None:
        """(S, P), if there is such an average."""
        return self.rows.get(f"power/{STORED[-1]}" if self.lengths else "ema")

    def kept(self, s: int, best: int) -> Tensor:
        """(A, P) of model s, those that are kept beside it; `best` is the update that it is of."""
        every = [rows[s].clone() for name, rows in self.rows.items() if name.startswith("average")]
        if self.early and self.snapshots:
            t = min(sorted(self.snapshots), key=lambda t: abs(t - self.early * best))
            found = self.snapshots[t][f"power/{STORED[-1]}"][s]
            every.append(found.to(self.rows[f"power/{STORED[-1]}"].device, copy=True))
        return torch.stack(every) if every else torch.empty(0)

    def update(self, flat: Tensor, t: int) -> None:
        """After update t = 1, 2, ..."""
        for name, decay in self.decays.items():
            average(self.rows[name], flat, decay, t)
        for name, g in self.powers.items():
            self.rows[name].lerp_(flat, 1 - (1 - 1 / t) ** (g + 1))
        if self.powers and t >= max(FIRST, RATIO * max(self.snapshots, default=0)):
            self.snapshots[t] = {n: self.rows[n].to("cpu", copy=True) for n in self.powers}
            self.snapshots = {at: v for at, v in self.snapshots.items() if OLDEST * at >= t}

    def keep(self, at: Tensor) -> None:
        """Go on with some models only."""
        self.rows = {name: rows[at] for name, rows in self.rows.items()}
        past, at = self.snapshots if len(at) else {}, at.cpu()
        self.snapshots = {t: {name: rows[at] for name, rows in past[t].items()} for t in past}

    def afterwards(
        self, places: Sequence[int], step: int, best: int
    ) -> Iterator[tuple[float, int, Tensor]]:
        """Averages of all wanted lengths near the update that was best: length, the update, and
        (N, P) weights.

        Args:
            places: N of the S models.
            step: the last update.
            best: the update that evaluated best.
        """
        if not self.lengths:
            return
        every = self.snapshots | {step: {name: self.rows[name] for name in self.powers}}
        before, after = (t for t in (_nearest(every, best, d) for d in (-1, 1)))
        for end in dict.fromkeys(t for t in (before, after) if t is not None):
            known = [(t, one) for t in sorted(every) if t <= end for one in STORED]
            for length in self.lengths:
                steps, lengths = [t for t, _ in known], [one for _, one in known]
                x = combination(steps, lengths, end, length).tolist()
                total = torch.zeros_like(self.rows[f"power/{STORED[-1]}"][places])
                for weight, (t, one) in zip(x, known, strict=True):  # the device holds one of them
                    rows = every[t][f"power/{one}"][places]
                    total.add_(rows.to(total.device), alpha=weight)
                yield length, end, total

    def tensors(self) -> dict[str, Tensor]:
        """All of them, as checkpoints keep them."""
        past = {
            f"{SNAPSHOT}{t}-{len(rows)}/{name}": rows  # S tells which models: they only leave
            for t, found in self.snapshots.items()
            for name, rows in found.items()
        }
        return self.rows | past

    def wanted(self, names: Mapping[str, Tensor], like: Tensor) -> dict[str, Tensor]:
        """Of a checkpoint's names those of snapshots, with tensors of their shape.

        Raises:
            ValueError: they are not those of snapshots.
        """
        found = {name: like for name in names if name.startswith(SNAPSHOT)}
        steps = {name.split("/")[1].removesuffix(f"-{len(like)}") for name in found}
        every = {f"{SNAPSHOT}{t}-{len(like)}/{name}" for t in steps for name in self.powers}
        if every != found.keys() or not all(t.isdecimal() for t in steps):
            raise ValueError(f"snapshots {sorted(found)} are too many or too few")
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        self.rows = {name: tensors[name] for name in self.rows}
        self.snapshots = {}
        for name in sorted(name for name in tensors if name.startswith(SNAPSHOT)):
            _, key, power = name.split("/", 2)
            self.snapshots.setdefault(int(key.split("-")[0]), {})[power] = tensors[name]


def _nearest(steps: Mapping[int, object], best: int, side: int) -> int | None:
    """The one nearest to `best` at or before (side -1) or after it; None: there is none."""
    some = [t for t in steps if (t <= best if side < 0 else t > best)]
    return min(some, key=lambda t: abs(t - best)) if some else None


def average(ema: Tensor, flat: Tensor, decay: float, t: int) -> None:
    """`ema <- d ema + (1 - d) flat` in place, d = min(decay, t / (t + 9)): early weights fade."""
    ema.lerp_(flat, 1 - min(decay, t / (t + 9)))
