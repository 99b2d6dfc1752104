"""Chains with a settled step and scale.

    x_0, x_1, ..., x_T   by `hamiltonian.transition`, draws keyed by the transition's number

With L > 1 leapfrog steps, their number is uniform on {ceil(L/2), ..., L} and the same for all
chains of a transition: paths of one length would return to their start where the target's period
divides it (Mackenzie, "An improved hybrid Monte Carlo method", 1989). The number is independent of
where the chains are, so the target stays invariant.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.samplers.mcmc.hamiltonian import Energy, State, transition

__all__ = ["Chains", "Tuning", "move", "run_chains"]


@dataclass(frozen=True)
class Tuning:
    """What warm-up settles; a group is all chains of the last chain axis.

    Args:
        step: (..., 1) e > 0 of each group, broadcast over its chains.
        scale: (..., 1, D) s > 0 of each group, broadcast over its chains.
        acceptance: (...) mean probability of acceptance in the last window of warm-up.
    """

    step: Tensor
    scale: Tensor
    acceptance: Tensor


@dataclass(frozen=True)
class Chains:
    """What a run gives.

    Args:
        x: (..., C, D) where the chains ended.
        history: (T, ..., C, D) kept states, oldest first; T = 0 if none were to be kept.
        acceptance: (..., C) mean probability of acceptance of each chain.
    """

    x: Tensor
    history: Tensor
    acceptance: Tensor


def move(
    energy: Energy,
    state: State,
    *,
    noise: Noise | ExampleNoise,
    step: Tensor | float,
    scale: Tensor | None,
    leapfrog: int,
    adjusted: bool = True,
) -> tuple[State, Tensor]:
    """One `transition` whose draws come from a noise; see the module on `leapfrog`.

    With an `ExampleNoise`, x must be (B, D), and each chain has its own stream.
    """
    D, chains = state.x.shape[-1], state.x.shape[:-1]
    alone = isinstance(noise, ExampleNoise)
    normal = noise.of("momentum").normal(*(() if alone else chains), D)
    uniform = noise.of("test").uniform(*(() if alone else chains))
    common = noise.noise if alone else noise
    fewer = int(common.of("leapfrog").integers(leapfrog // 2 + 1)) if leapfrog > 1 else 0
    return transition(
        energy,
        state,
        step=step,
        normal=normal,
        uniform=uniform,
        scale=scale,
        leapfrog=leapfrog - fewer,
        adjusted=adjusted,
    )


def run_chains(
    energy: Energy,
    x: Tensor,
    tuning: Tuning,
    *,
    noise: Noise | ExampleNoise,
    transitions: int,
    leapfrog: int = 1,
    thin: int = 1,
    keep: bool = True,
    adjusted: bool = True,
) -> Chains:
    """Run all chains with frozen steps.

    >>> tuning = Tuning(torch.tensor([1.0]), torch.tensor([[0.2]]), torch.tensor(1.0))
    >>> x = torch.full((3, 1), 0.5)
    >>> run = run_chains(lambda x: x[..., 0], x, tuning, noise=Noise(0), transitions=6, thin=2)
    >>> run.history.shape, run.acceptance.shape
    (torch.Size([3, 3, 1]), torch.Size([3]))

    Args:
        energy: u, maps (..., C, D) to (..., C).
        x: (..., C, D) starts, in the box.
        tuning: of `warm_up`.
        noise: which draws; with an `ExampleNoise`, x is (B, D) and each chain has its own stream.
        transitions: >= 1.
        leapfrog: most leapfrog steps of a transition; 1 is MALA.
        thin: every so many transitions one state is kept, 1 to `transitions`.
        keep: whether states are kept at all.
        adjusted: whether there is a Metropolis test.

    Raises:
        InputError: no transitions, or thin out of range.
    """
    if transitions < 1 or not 1 <= thin <= transitions:
        raise InputError(f"thin must be 1 to transitions, got {thin} of {transitions}")
    state, kept = State.at(energy, x), []
    total = torch.zeros_like(state.u)
    for t in range(transitions):
        state, accept = move(
            energy,
            state,
            noise=noise.of(t),
            step=tuning.step,
            scale=tuning.scale,
            leapfrog=leapfrog,
            adjusted=adjusted,
        )
        total += accept
        if keep and (t + 1) % thin == 0:
            kept.append(state.x)
    history = torch.stack(kept) if kept else x.new_empty(0, *x.shape)
    return Chains(state.x, history, total / transitions)
