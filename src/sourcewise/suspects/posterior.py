"""From log densities to how likely each label is the right one.

Rows of all sources are taken to be labelled like this: with probability 1 - eps a row keeps the
label of its source; with probability eps its label is drawn anew, source j with its share pi_j of
all labels. With l_j = log p(x | y = j), scored by models that have not seen the row,

    p_j  =  pi_j exp(b l_j + a_j) / sum_k pi_k exp(b l_k + a_k)          the right label
    t_j  =  (alpha p_j + n_j) / (alpha + n)                               knowing its copies
    q_j  =  (1 - eps) t_j + eps pi_j                                      the label it has

where n_j of n identical rows that no model of this row has seen are labelled j: the right label of
a copy is drawn from a Dirichlet distribution about p of the concentration alpha. Four things would
mislead: models that fit too closely exaggerate (the scale b, as in temperature scaling), sources
of few rows are scored too low as a whole (the offsets a_j, drawn to 0 with the strength of a unit
normal), wrong labels would make b small (eps), and copies of a text know better what it is than
any model (alpha). All are chosen together by the likelihood of the labels, `sum_i log q_(y_i)`,
penalised (see `penalised`). Wrong are `eps (1 - sum_j pi_j^2)` of all labels: eps may come near 1,
as labels say something of the rows as long as it is below.

The score of a label y is the log odds that it is wrong, in nats:

    s  =  log pi_y (1 - t_y) / t_y  +  log eps / (1 - eps + eps pi_y).

Without copies and offsets `log pi_y / t_y = log sum_k pi_k exp(b l_k) - b l_y`: the marginal
against the conditional log-likelihood, both tempered, beside which all else is nearly constant for
labels that are likely wrong (t_y near 0).

Reference:
    Guo et al., "On calibration of modern neural networks", ICML 2017 (temperature scaling);
    Alexandari, Kundaje and Shrikumar, "Maximum likelihood with bias-corrected calibration is
    hard-to-beat at label shift adaptation", ICML 2020 (offsets);
    Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
    2021, JAIR 70 (wrong labels from predictions of held-out rows).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Calibration", "Labels", "calibrated", "penalised"]

BEYOND = 1e6  # nats: what stands for certainty
STARTS = (0.02, 0.2, 0.8)  # of eps
SMALLEST = 1e-300
USUAL = 10.0  # alpha, where no copies say otherwise
COMMON = 0.05  # eps, likewise of labels


@dataclass(frozen=True)
class Labels:
    """Labels of n rows among J sources, and what their copies are labelled.

    Args:
        y: (n,) in {0, ..., J - 1}.
        share: (J,) of the labels, pi.
        votes: (n, J) labels of the copies of each row, itself left out; None: no row has any.
    """

    y: Tensor
    share: Tensor
    votes: Tensor | None = None

    def at(self, values: Tensor) -> Tensor:
        """(n,) of values (n, J) those of the rows' own labels."""
        return values.gather(1, self.y[:, None]).squeeze(1)


@dataclass(frozen=True)
class Calibration:
    """What the labels of held-out rows say of the models, of copies and of the labels.

    Args:
        offsets: (J,) a, by source.
        scale: b.
        rate: eps, share of the labels that are drawn anew.
        weight: alpha, rows that a model's word is worth beside copies.
    """

    offsets: Tensor
    scale: Tensor
    rate: Tensor
    weight: Tensor

    @classmethod
    def of(cls, free: Tensor) -> "Calibration":
        """From (J + 3,) numbers without limits."""
        scale, rate, weight = free[-3:]
        return cls(free[:-3], scale.exp(), rate.sigmoid(), weight.exp())

    def right(self, scores: Tensor, labels: Labels) -> Tensor:
        """(n, J) t, how likely each label is the right one, given log densities (n, J)."""
        scores = (scores - scores.max(1, keepdim=True).values).clamp(min=-BEYOND)
        p = (self.scale * scores + self.offsets + labels.share.log()).softmax(1)
        if labels.votes is None:
            return p
        count = labels.votes.sum(1, keepdim=True)
        return (self.weight * p + labels.votes) / (self.weight + count)

    def seen(self, right: Tensor, labels: Labels) -> Tensor:
        """(n, J) q, how likely each label is the one that a row has."""
        return (1 - self.rate) * right + self.rate * labels.share

    def odds(self, right: Tensor, labels: Labels) -> Tensor:
        """(n,) s, the log odds that the label of each row is wrong."""
        own, pi = labels.at(right), labels.share[labels.y]
        others = right.scatter(1, labels.y[:, None], 0.0).sum(1)  # 1 - own, but for rounding
        anew = self.rate * pi
        prior = anew.log() - (1 - self.rate + anew).log()
        return others.clamp(min=SMALLEST).log() - own.clamp(min=SMALLEST).log() + prior


def _logit(rate: float) -> float:
    """What `Calibration.of` takes back to eps."""
    return math.log(rate / (1 - rate))


def penalised(free: Tensor, scores: Tensor, labels: Labels) -> Tensor:
    """() minus the log-likelihood of the labels that rows have, with what draws it.

    Offsets, log b and (log alpha - log 10) / 2 are unit normals; log eps / (1 - eps) is a
    normal of three units about one label in twenty, which keeps it from 0 and from 1.
    """
    found = Calibration.of(free)
    seen = labels.at(found.seen(found.right(scores, labels), labels))
    scale, rate, weight = free[-3:]
    squares = free[:-3].square().sum() + scale.square() + (weight - math.log(USUAL)).square() / 4
    squares = squares + (rate - _logit(COMMON)).square() / 9
    return squares / 2 - seen.clamp(min=SMALLEST).log().sum()


def calibrated(scores: Tensor, labels: Labels) -> Tensor:
    """(J + 3,) the numbers of the likeliest `Calibration`, given log densities (n, J)."""
    from scipy.optimize import minimize

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.from_numpy(free).requires_grad_()
        value = penalised(at, scores, labels)
        (slope,) = torch.autograd.grad(value, at)
        return float(value.detach()), slope.numpy()

    J, found = scores.shape[1], []
    for rate in STARTS:
        start = np.zeros(J + 3)
        start[-2] = _logit(rate)
        start[-1] = math.log(USUAL)
        found.append(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}))
    return torch.from_numpy(min(found, key=lambda item: item.fun).x)
