"""All metrics of samples by one set of draws: drawing is what costs.

What needs more rows than there are is None: a covariance two of each, a floor four, neighbours
more than five, a ratio of memorisation training rows.
"""

from dataclasses import dataclass

from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.metrics.energy_distance import energy_distance
from sourcewise.metrics.frechet import Floor, equal_rows, floor, frechet_distance
from sourcewise.metrics.kernel_distance import kernel_distance
from sourcewise.metrics.manifold import NEIGHBOURS, Manifold, manifold
from sourcewise.metrics.memorisation import Memorisation, memorisation
from sourcewise.randomness import Noise

__all__ = ["SampleScores", "sample_scores"]


@dataclass(frozen=True)
class SampleScores:
    """Of a source's draws.

    Args:
        energy: distance, without bias, of all rows and draws.
        kernel: likewise.
        frechet: distance of as many rows as draws; biased.
        floor: the same of halves, beside that of real halves.
        manifold: precision, recall, density and coverage of as many rows as draws.
        memorisation: how near draws are to training rows.
    """

    energy: float
    kernel: float
    frechet: float
    floor: Floor | None
    manifold: Manifold | None
    memorisation: Memorisation | None


def sample_scores(
    held_out: Tensor, draws: Tensor, noise: Noise, training: Tensor | None = None
) -> SampleScores:
    """Of the points of a source.

    Args:
        held_out: (n, D) rows, n >= 2.
        draws: (m, D), m >= 2.
        noise: of the rows that are left out where one sample is larger, and of halves.
        training: (N, D) rows that the model was trained on; None: memorisation is not asked for.

    Raises:
        InputError: fewer than two rows or draws.
    """
    if (few := min(len(held_out), len(draws))) < 2:
        raise InputError(f"scores of samples need 2 rows and 2 draws, and there are {few} of one")
    rows, drawn = equal_rows(held_out, draws, noise.of("equal"))
    return SampleScores(
        energy=energy_distance(held_out, draws),
        kernel=kernel_distance(held_out, draws),
        frechet=frechet_distance(rows, drawn),
        floor=floor(rows, drawn, noise.of("floor")) if few >= 4 else None,
        manifold=manifold(rows, drawn) if few > NEIGHBOURS else None,
        memorisation=None if training is None else memorisation(draws, training, held_out),
    )
