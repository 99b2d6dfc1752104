"""Adam on the rows of a matrix, with a learning rate of each row's own; schedules.

    m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2,
    theta <- theta - lr [ m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + e) + decay theta ]

(Kingma and Ba, "Adam", 2015; the decay apart from the gradient: Loshchilov and Hutter, "Decoupled
weight decay regularization", 2019). torch.optim knows no rows: S models that train as one matrix
need S learning rates and S gradient norms.

Where training goes on from weights theta_0, they draw towards themselves: the objective has the
further term pull |theta - theta_0|^2 / 2 (L2-SP: Li, Grandvalet and Davoine, "Explicit inductive
bias for transfer learning with convolutional networks", 2018). Its step is the proximal one in
Adam's own metric, which no strength makes unstable,

    theta <- theta_0 + (theta - theta_0) / (1 + lr pull / (sqrt(v / (1 - b2^t)) + e)).
"""

import math

import torch
from torch import Tensor

from sourcewise.families.settings import TrainedSettings

__all__ = ["Adam", "clip", "rate"]

BETA1, EPSILON = 0.9, 1e-8


class Adam:
    """The state m, v of Adam for a matrix of parameters.

    Args:
        flat: (S, P) the parameters.
        settings: beta2, weight decay.
        matrices: (P,) the columns that decay.
        start: (S, P) weights that draw towards themselves; None: there are none.
    """

    def __init__(
        self,
        flat: Tensor,
        settings: TrainedSettings,
        matrices: Tensor,
        start: Tensor | None = None,
    ):
        self.start, self.pull = start, settings.pull
        self.m, self.v = torch.zeros_like(flat), torch.zeros_like(flat)
        self.beta2 = settings.beta2
        self.decay = settings.weight_decay * matrices.to(flat.dtype)

    def step(self, flat: Tensor, grad: Tensor, lr: Tensor, t: int) -> None:
        """Update t = 1, 2, ... in place; lr is (S, 1)."""
        self.m.lerp_(grad, 1 - BETA1)
        self.v.mul_(self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
        root = (self.v / (1 - self.beta2**t)).sqrt_().add_(EPSILON)
        change = self.m.div(1 - BETA1**t).div_(root)
        flat.sub_(change.addcmul_(flat, self.decay).mul_(lr))
        if self.start is not None and self.pull:
            flat.sub_(self.start).div_(1 + lr * self.pull / root).add_(self.start)

    def keep(self, at: Tensor) -> None:
        """Go on with some rows only."""
        self.m, self.v = self.m[at], self.v[at]
        self.start = None if self.start is None else self.start[at]


def clip(grad: Tensor, norms: Tensor, largest: float) -> None:
    """Scale each row (P,) of a gradient, of norms (S,), to at most this norm, in place."""
    grad.mul_((largest / norms.clamp(min=largest))[:, None])


def rate(settings: TrainedSettings, t: int, total: int) -> float:
    """The learning rate of update t = 0, 1, ... of `total`.

    Linear warm-up over w = warmup * total updates; then constant, half a cosine down to 0, or
    `sqrt(w / t)`.

    >>> settings = TrainedSettings(learning_rate=1.0, warmup=0.1)
    >>> [round(rate(settings, t, 100), 3) for t in (0, 9, 10, 55, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    w = math.ceil(settings.warmup * total)
    if t < w:
        return settings.learning_rate * (t + 1) / w
    if settings.schedule == "cosine":
        return settings.learning_rate * (1 + math.cos(math.pi * (t - w) / max(total - w, 1))) / 2
    if settings.schedule == "inverse-sqrt":
        return settings.learning_rate * math.sqrt(max(w, 1) / max(t, 1))
    return settings.learning_rate
