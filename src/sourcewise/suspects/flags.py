"""Which labels are suspect, how surely, and how many of them are wrong."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sourcewise.suspects.posterior import Calibration, Labels, calibrated, penalised

__all__ = ["Judged", "Share", "judge"]

NORMAL = 1.959963984540054  # quantile of .975
FEWEST, NEIGHBOURS = 4, 25  # rows of nearest score, on each side, whose variances are averaged


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, error: float) -> "Share":
        """Cut to [0, 1]."""
        reach = NORMAL * error
        return cls(value, max(0.0, value - reach), min(1.0, value + reach))


@dataclass(frozen=True)
class Judged:
    """Labels of n rows, judged.

    Args:
        labels: those that the rows have.
        scores: (R, n, J) log densities, by division into folds.
        free: (J + 3,) of the calibration.
        folds: parts that were held out in turn.
    """

    labels: Labels
    scores: Tensor
    free: Tensor
    folds: int

    @cached_property
    def calibration(self) -> Calibration:
        """What the labels say of the models, of copies and of themselves."""
        return Calibration.of(self.free)

    @cached_property
    def right(self) -> Tensor:
        """(n, J) how likely each label is the right one."""
        return self.calibration.right(self.scores.mean(0), self.labels)

    @cached_property
    def score(self) -> Tensor:
        """(n,) log odds that each label is wrong."""
        return self.calibration.odds(self.right, self.labels)

    @cached_property
    def wrong(self) -> Tensor:
        """(n,) how likely each label is wrong."""
        return self.score.sigmoid()

    @cached_property
    def suggested(self) -> Tensor:
        """(n,) the likeliest other label."""
        others = self.right.clone()
        others.scatter_(1, self.labels.y[:, None], -1.0)
        return others.argmax(1)

    @cached_property
    def error(self) -> Tensor | None:
        """(n,) standard errors of scores over training samples; None from one division.

        Each division scores a row by models of the rows outside its fold. Divisions that leave out
        a share 1/F of n rows differ with the variance v; the variance over samples of n rows is
        `(F - 1) v` (the delete-d jackknife: Shao and Wu, "A general theory for jackknife variance
        estimation", 1989, Ann. Statist. 17). Of few divisions v is averaged over the rows whose
        scores are nearest.

        Of trained families they are too large, never too small: each division trains, and spreads
        rounded values, with noise of its own. What that adds to v, say u, counts as `(F - 1) u`,
        and to the score, the mean over R divisions, it does only `u / R`. The same noise for all
        divisions would not mend it: other rows make other batches of it.
        """
        R = len(self.scores)
        if R < 2:
            return None
        fit, labels = self.calibration, self.labels
        each = [fit.odds(fit.right(one, labels), labels) for one in self.scores]
        variance = torch.stack(each).var(0)
        return ((self.folds - 1) * _smoothed(variance, self.score)).sqrt()

    def ranked(self) -> Tensor:
        """(n,) the rows, most suspect first; of equal scores in their order."""
        return torch.argsort(self.score, descending=True, stable=True)

    @property
    def reach(self) -> Tensor | None:
        """(n,) half the widths of the 95 % intervals of scores."""
        return None if self.error is None else NORMAL * self.error

    def precision(self, flagged: list[int]) -> Share:
        """The share of flagged labels that are wrong: its mean, and what it may come to.

        Its variance is that of labels that are wrong independently of each other, and that of the
        calibration: the inverse of the curvature of its likelihood, by the delta method. Copies
        vote for each other, so that their labels are not independent: of many it is too small.
        """
        w = self.wrong[flagged]
        chance = float((w * (1 - w)).sum()) / len(w) ** 2
        spread = self._variance(lambda wrong: wrong[flagged].mean())
        return Share.of(float(w.mean()), math.sqrt(chance + spread))

    def recall(self, flagged: list[int]) -> Share:
        """The share of all wrong labels that are flagged, likewise."""
        w, inside = self.wrong, torch.zeros(len(self.wrong), dtype=torch.bool)
        inside[flagged] = True
        total, value = float(w.sum()), float(w[flagged].sum() / w.sum())
        chance = float((w * (1 - w) * (inside.double() - value) ** 2).sum()) / total**2
        spread = self._variance(lambda wrong: wrong[flagged].sum() / wrong.sum())
        return Share.of(value, math.sqrt(chance + spread))

    def _variance(self, share: Callable[[Tensor], Tensor]) -> float:
        """That the calibration makes of something of `wrong` (n,)."""
        free, scores = self.free.clone().requires_grad_(), self.scores.mean(0)
        found = Calibration.of(free)
        value = share(found.odds(found.right(scores, self.labels), self.labels).sigmoid())
        (slope,) = torch.autograd.grad(value, free)
        return float(slope @ torch.linalg.solve(self._curvature, slope))

    @cached_property
    def _curvature(self) -> Tensor:
        """(J + 3, J + 3) of minus the log-likelihood of the labels, at its smallest."""
        scores, labels = self.scores.mean(0), self.labels
        found = torch.autograd.functional.hessian(
            lambda free: penalised(free, scores, labels), self.free
        )
        values, vectors = torch.linalg.eigh(found)
        return vectors @ torch.diag(values.clamp(min=1e-6)) @ vectors.T


def judge(scores: Tensor, labels: Labels, folds: int) -> Judged:
    """Calibrate and judge, given (R, n, J) log densities of rows that no model had seen."""
    return Judged(labels, scores, calibrated(scores.mean(0), labels), folds)


def _smoothed(variance: Tensor, score: Tensor) -> Tensor:
    """(n,) averaged over the rows of nearest score, as many above as below; at the ends over few.

    Variances change with the score, most at the ends: rows on one side only would mislead.
    """
    order = torch.argsort(score, stable=True)
    n, at = len(order), np.arange(len(order))
    half = np.clip(np.minimum(at, n - 1 - at), FEWEST, NEIGHBOURS)
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, n)
    total = np.concatenate([[0.0], np.cumsum(variance[order].numpy())])
    out = torch.empty_like(variance)
    out[order] = torch.from_numpy((total[last] - total[first]) / (last - first))
    return out
