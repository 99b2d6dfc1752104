"""From noise to data by the T steps of a variance-preserving chain.

Forwards `X_t = sqrt(alpha_t) X_{t-1} + sqrt(1 - alpha_t) W`, t = 1..T, with score s_t of X_t. A
step goes from Y_t to Y_{t-1}, for t = T, ..., 2; what it reaches is compared with X_1, not with
data. With a = alpha_t:

| function | law of Y_1 within | evaluations |
|---|---|---|
| `ddpm` | log T / T | 1 |
| `probability_flow` | 1 / T | 1 |
| `accelerated_flow` | 1 / T^2 | 2 |
| `accelerated_ddpm` | 1 / T, on normal laws 1 / T^2 | 1 |

up to constants and powers of log T (Li and Yan, "O(d/T) convergence theory for diffusion
probabilistic models", 2024; Li, Wei, Chen and Chi, "Towards non-asymptotic convergence for
diffusion-based generative models", 2023; Li et al., "Accelerating convergence of score-based
diffusion models, provably", 2024). A step draws nothing itself.
"""

import math
from collections.abc import Callable

from torch import Tensor

__all__ = ["StepScore", "accelerated_ddpm", "accelerated_flow", "ddpm", "probability_flow"]

StepScore = Callable[[Tensor, int], Tensor]  # x and t to s_t(x)


def ddpm(score: StepScore, y: Tensor, t: int, a: float, z: Tensor) -> Tensor:
    """`(y + (1 - a) s_t(y) + sqrt(1 - a) z) / sqrt(a)`."""
    return (y + (1 - a) * score(y, t) + math.sqrt(1 - a) * z) / math.sqrt(a)


def probability_flow(score: StepScore, y: Tensor, t: int, a: float) -> Tensor:
    """`(y + (1 - a)/2 s_t(y)) / sqrt(a)`."""
    return (y + (1 - a) / 2 * score(y, t)) / math.sqrt(a)


def accelerated_flow(score: StepScore, y: Tensor, t: int, a: float, after: float | None) -> Tensor:
    """The probability flow with a difference of scores, which takes its first error away.

        y^- = sqrt(a') (y - (1 - a')/2 s_t(y)),   a' = alpha_{t+1}
        (y + (1 - a)/2 s_t(y) + f [s_t(y) - sqrt(a') s_{t+1}(y^-)]) / sqrt(a),
        f = (1 - a)^2 / (4 (1 - a'))

    Args:
        score: s.
        y: where it is.
        t: the step.
        a: alpha_t.
        after: a'; None at t = T, where the step is that of the plain flow.
    """
    if after is None:
        return probability_flow(score, y, t, a)
    s = score(y, t)
    behind = math.sqrt(after) * (y - (1 - after) / 2 * s)
    change = s - math.sqrt(after) * score(behind, t + 1)
    return (y + (1 - a) / 2 * s + (1 - a) ** 2 / (4 * (1 - after)) * change) / math.sqrt(a)


def accelerated_ddpm(
    score: StepScore, y: Tensor, t: int, a: float, z: tuple[Tensor, Tensor]
) -> Tensor:
    """DDPM whose score is taken after half of the noise.

    y^+ = y + sqrt((1 - a)/2) z1,   (y^+ + (1 - a) s_t(y^+) + sqrt((1 - a)/2) z2) / sqrt(a)
    """
    half = math.sqrt((1 - a) / 2)
    moved = y + half * z[0]
    return (moved + (1 - a) * score(moved, t) + half * z[1]) / math.sqrt(a)
