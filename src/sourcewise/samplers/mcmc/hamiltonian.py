"""One kernel on the box [0,1]^D: unadjusted Langevin, MALA and Hamiltonian Monte Carlo.

The target is `p(x) = exp(-u(x)) / Z` on [0,1]^D. With a diagonal scale s, momenta v ~ N(0, I) and
`H(x, v) = u(x) + |v|^2 / 2`, a leapfrog step of size e is

    v <- v - (e/2) s grad u(x),   (x, v) <- fold(x + e s v, v),   v <- v - (e/2) s grad u(x).

`fold` lets the path bounce off the walls: along each coordinate z,

    n = floor(z),   x = z - n for even n, 1 - (z - n) for odd n,   v <- (-1)^n v.

Each part keeps volumes, and the whole followed by `v <- -v` is its own inverse, so accepting with
probability `min(1, exp(H - H'))` leaves p invariant (Duane et al., "Hybrid Monte Carlo", 1987;
Neal, "MCMC using Hamiltonian dynamics", 2011, sections 3.2 and 5.1).

| leapfrog steps | Metropolis test | kernel |
|---|---|---|
| 1 | no | Langevin `fold(x - h s^2 grad u(x) + sqrt(2h) s v)`, h = e^2 / 2 |
| 1 | yes | MALA (Roberts and Tweedie, 1996) |
| several | yes | Hamiltonian Monte Carlo |

Langevin without the test is biased to first order in h: for a normal of variance s^2 inside the
box its own stationary variance is `s^2 / (1 - h / (2 s^2))`.

An energy maps x (..., D) to u (...), each point independent of all others, so that the gradient of
the sum is the gradient of each. Leading axes are free: (C, D) chains, (K, C, D) for K sources.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Energy", "State", "fold", "leap", "transition"]

Energy = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class State:
    """Points with their energies and gradients, all detached.

    Args:
        x: (..., D) in [0,1]^D.
        u: (...) energies.
        grad: (..., D) gradients of u.
    """

    x: Tensor
    u: Tensor
    grad: Tensor

    @staticmethod
    def at(energy: Energy, x: Tensor) -> "State":
        """Energy and gradient at x; leaves gradients of parameters alone.

        >>> state = State.at(lambda x: (x**2).sum(-1), torch.tensor([[1.0, 0.5]]))
        >>> state.u.tolist(), state.grad.tolist()
        ([1.25], [[2.0, 1.0]])
        """
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            u = energy(x)
            # an energy that is constant has no graph
            grad = torch.autograd.grad(u.sum(), x)[0] if u.requires_grad else torch.zeros_like(x)
        return State(x.detach(), u.detach(), grad)

    @property
    def finite(self) -> Tensor:
        """(...) whether point, energy and gradient are all finite."""
        whole = self.x.isfinite() & self.grad.isfinite()
        return whole.all(-1) & self.u.isfinite()

    def where(self, keep: Tensor, other: "State") -> "State":
        """Itself where `keep` (...) holds, the other elsewhere."""
        at = keep[..., None]
        return State(
            torch.where(at, self.x, other.x),
            torch.where(keep, self.u, other.u),
            torch.where(at, self.grad, other.grad),
        )


def fold(z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Where a path that bounces off the walls is, instead of z, and how fast.

    >>> x, v = fold(torch.tensor([0.25, 1.25, -0.25, 2.25]), torch.ones(4))
    >>> x.tolist(), v.tolist()
    ([0.25, 0.75, 0.25, 0.25], [1.0, -1.0, -1.0, 1.0])

    Args:
        z: (..., D) any real numbers.
        v: (..., D) momenta.
    """
    cell = z.floor()
    odd = cell.remainder(2) == 1
    within = z - cell
    return torch.where(odd, 1 - within, within), torch.where(odd, -v, v)


def leap(
    energy: Energy, state: State, v: Tensor, *, rate: Tensor | float, steps: int
) -> tuple[State, Tensor]:
    """State and momentum after some leapfrog steps.

    Args:
        energy: u.
        state: where the path starts.
        v: (..., D) momentum.
        rate: `e s`, broadcast over (..., D).
        steps: >= 1, one gradient each.
    """
    for _ in range(steps):
        half = v - rate / 2 * state.grad
        x, half = fold(state.x + rate * half, half)
        state = State.at(energy, x)
        v = half - rate / 2 * state.grad
    return state, v


def transition(
    energy: Energy,
    state: State,
    *,
    step: Tensor | float,
    normal: Tensor,
    uniform: Tensor,
    scale: Tensor | None = None,
    leapfrog: int = 1,
    adjusted: bool = True,
) -> tuple[State, Tensor]:
    """One transition of every chain.

    Paths that meet an energy, a gradient or a point that is not finite are refused, adjusted or
    not.

    Args:
        energy: u, maps (..., D) to (...).
        state: of the chains.
        step: e > 0, broadcast over chains (...), e.g. (K, 1) for chains (K, C).
        normal: (..., D) standard normal draws, the momenta.
        uniform: (...) uniform draws on [0, 1), of the Metropolis test.
        scale: s > 0, broadcast over (..., D); 1 if None.
        leapfrog: steps, >= 1.
        adjusted: whether there is a Metropolis test.

    Returns:
        The new state; (...) `min(1, exp(H - H'))`, the probability of acceptance (adjusted or
        not: warm-up takes it), 0 where refused.
    """
    step = torch.as_tensor(step).to(state.x)
    rate = step[..., None] * (1 if scale is None else scale.to(state.x))
    v = normal.to(state.x)
    new, w = leap(energy, state, v, rate=rate, steps=leapfrog)
    change = new.u - state.u + (w.square() - v.square()).sum(-1) / 2
    accept = torch.where(new.finite, change.neg().clamp(max=0).exp(), 0.0).nan_to_num(0.0)
    keep = uniform.to(state.x) < accept if adjusted else new.finite
    return new.where(keep, state), accept
