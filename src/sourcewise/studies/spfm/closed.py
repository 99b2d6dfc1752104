"""Flags by fields in closed form: nothing is trained.

K classes are isotropic normals, m_k + s z. A label of class c is contaminated by a share rho of
all other classes alike: its law is the mixture `(1 - rho) p_c + rho / (K - 1) sum_(k != c) p_k`,
and the law without a label the mean of all classes. The velocities of both, at points of the
linear path, are those of mixtures of normals (`truths.normal_mixture`).

The published table does not say how far apart its classes are. As t goes to 0, v - u goes to
`E[x | c] - x`, whatever n is: one draw then decides as many do. So its lines for K = 2, whose
shares of false flags at t = .1 are .18 with one draw and .00 with 16, are of different distances.
`CASES` has for each line those that give it, by search.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sourcewise.randomness import Noise
from sourcewise.samplers.odes import Velocity
from sourcewise.samplers.paths import PATHS
from sourcewise.samplers.purification import label_excess
from sourcewise.truths.normal_mixture import NormalMixture

__all__ = ["CASES", "TIMES", "Case", "ClosedPoint", "Rates", "contaminated", "flag_rates"]

PATH = PATHS["linear"]
AT_ONCE = 1 << 22  # numbers
TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)


class Rates(NamedTuple):
    """Shares of labels that are flagged."""

    recall: float  # of wrong ones
    false: float  # of right ones


@dataclass(frozen=True)
class Case:
    """Classes, and how many labels are wrong.

    Args:
        K: classes.
        d: coordinates.
        rho: the share of wrong labels.
        spread: of two classes half their distance; of more the standard deviation of a mean's
            coordinates.
        scale: s.
        published: by R and t, what the table of reference has for one of its lines.
        means: seed of the means of more than two classes.
    """

    K: int
    d: int
    rho: float
    spread: float
    scale: float
    published: dict[tuple[int, float], Rates]
    means: int = 0

    @property
    def name(self) -> str:
        """Says all but the last."""
        return (
            f"K{self.K}-d{self.d}-noise{100 * self.rho:.0f}-spread{self.spread:g}"
            f"-scale{self.scale:g}"
        )

    @property
    def truth(self) -> NormalMixture:
        """The classes, each a source of one component."""
        if self.K == 2:
            line = torch.zeros(1, self.d, dtype=torch.float64)
            line[0, 0] = self.spread
            mean = torch.cat([-line, line])
        else:
            drawn = Noise(self.means).of("means").normal(self.K, self.d)
            mean = self.spread * drawn
        one = torch.ones(self.K, 1, dtype=torch.float64)
        return NormalMixture(one, mean[:, None], self.scale * one)


@dataclass(frozen=True)
class ClosedPoint:
    """Flags in one case, with R draws at one time."""

    case: str
    R: int
    t: float
    recall: float
    false: float
    published_recall: float | None = None  # None: of another line
    published_false: float | None = None

    @property
    def apart(self) -> float:
        """The larger difference from what is published; 0 if nothing is."""
        both = (self.recall, self.published_recall), (self.false, self.published_false)
        return max(abs(a - b) if b is not None else 0.0 for a, b in both)


def contaminated(truth: NormalMixture, rho: float) -> NormalMixture:
    """(1 - rho) of each class and rho of all others alike; of classes of one component."""
    K, mean = truth.K, truth.mean[:, 0]
    weight = torch.full((K, K), rho / (K - 1), dtype=mean.dtype)
    weight.fill_diagonal_(1 - rho)
    return NormalMixture(weight, mean.expand(K, -1, -1), truth.scale[:, 0].expand(K, -1))


def flag_rates(case: Case, R: int, t: float, n: int, noise: Noise) -> Rates:
    """Of n rows with wrong labels, and n with right ones; all classes alike.

    Args:
        case: the classes.
        R: draws of noise.
        t: the probe time.
        n: rows of either kind.
        noise: of rows, labels and draws.
    """
    truth = case.truth
    y = torch.arange(n) % case.K
    x = truth.sample(y, noise=noise.of("rows"))
    other = (y + 1 + noise.of("labels").integers(case.K - 1, n)) % case.K
    wrong, right = (flagged(truth, case.rho, x, label, R, t, noise) for label in (other, y))
    return Rates(float(wrong.double().mean()), float(right.double().mean()))


def flagged(
    truth: NormalMixture, rho: float, x: Tensor, label: Tensor, R: int, t: float, noise: Noise
) -> Tensor:
    """(n,) whether labels of rows x (n, d) are flagged by exact fields."""
    told, untold = contaminated(truth, rho), truth.mixed()
    parts = []
    for rows in _parts(len(x), R * truth.K * truth.D):
        n = noise.of("draws").each(rows * 0, rows).normal(R, truth.D)
        own = label[rows].repeat_interleave(R)
        fields = _field(told, own), _field(untold, own * 0)
        parts.append(label_excess(*fields, x[rows], n, t, PATH) > 0)
    return torch.cat(parts)


def _parts(n: int, each: int) -> Iterator[Tensor]:
    yield from torch.arange(n).split(max(1, AT_ONCE // each))


def _field(law: NormalMixture, y: Tensor) -> Velocity:
    return lambda x, t: law.velocity(x, y, PATH.at(t))


def _published(*lines: tuple[int, str]) -> dict[tuple[int, float], Rates]:
    """From `recall/false` at each time."""
    found = {}
    for R, line in lines:
        for t, text in zip(TIMES, line.split(), strict=True):
            recall, false = map(float, text.split("/"))
            found[R, t] = Rates(recall, false)
    return found


CASES = (
    Case(2, 2, 0.2, 0.4, 0.3, _published((1, ".97/.18 .96/.19 .92/.23 .79/.32 .58/.47"))),
    Case(2, 2, 0.2, 1.75, 0.3, _published((16, "1.0/.00 1.0/.00 1.0/.02 .88/.12 .09/.00"))),
    Case(10, 16, 0.4, 1.05, 0.5, _published((1, ".88/.00 .75/.06 .56/.39 .31/.49 .09/.30")), 3),
    Case(10, 16, 0.4, 1.15, 0.5, _published((16, ".93/.00 .99/.00 .90/.04 .62/.06 .09/.01"))),
)
