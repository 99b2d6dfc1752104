"""What the distances between distributions take: truths and models alike.

Gaussians (anything with `mean` and `scale_tril`), finite spaces (tensors of log probabilities)
and, for everything else, whatever can be sampled and has an exact density.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.offers import HasDensity
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.metrics.estimate import Estimate, PerSource
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.truths.gaussian import GaussianTruth

__all__ = [
    "GaussianLike",
    "Listed",
    "Moments",
    "Sampled",
    "Scored",
    "as_gaussian",
    "distance",
    "log_prob",
    "log_ratio",
    "moments",
]

Moments = tuple[Tensor, Tensor]  # mean (d,), lower Cholesky factor of the covariance (d, d)


@runtime_checkable
class GaussianLike(Protocol):
    """`x | y=k ~ N(mean[k], L_k L_k')`, L_k = scale_tril[k], or scale_tril[0] if shared."""

    @property
    def mean(self) -> Tensor:
        """(K, d)."""
        ...

    @property
    def scale_tril(self) -> Tensor:
        """(K, d, d) or (1, d, d)."""
        ...


@runtime_checkable
class HasLogProb(Protocol):
    """A truth's density."""

    def log_prob(self, x: Any, y: Tensor) -> Tensor:
        """(B,) natural log of the density of each example under its source."""
        ...


class Sampled(Protocol):
    """What can be sampled."""

    def sample(self, y: Tensor, *, noise: Noise | ExampleNoise) -> Any:
        """One sample per entry of y."""
        ...


Scored = HasLogProb | HasDensity  # a truth, or a model


def log_prob(p: Scored, x: Any, y: Tensor, noise: Noise | None = None) -> Tensor:
    """(B,) natural log of the density of each example under its source.

    Noise is of densities that are simulated; that of seed 0 if None.
    """
    if isinstance(p, HasDensity):
        return p.log_density(Batch.of(x, y), noise or Noise(0)).value
    return p.log_prob(x, y)


@runtime_checkable
class Listed(Protocol):
    """A distribution on a finite space that can be listed whole."""

    def log_table(self, k: int) -> Tensor:
        """(outcomes,) log-probabilities under source k, in an order that all lists share."""
        ...


def _home(p: Any, k: int) -> tuple[Any, int]:
    """What models source k, and the source's number there."""
    if not isinstance(p, PartitionedModel):
        return p, k
    ((j, _, local),) = p.route(torch.tensor([k]))
    return p.block(j), int(local)


def _listed(p: Any, k: int) -> Tensor:
    home, local = _home(p, k)
    with torch.no_grad():
        return home.log_table(local).double()


def as_gaussian(p: Any) -> GaussianTruth | None:
    """The moments of a Gaussian, or of a partition of Gaussians, in float64; else None.

    Sources that the partition does not model are refused by its routes.
    """
    if isinstance(p, PartitionedModel):
        return _assembled(p)
    if not isinstance(p, GaussianLike):
        return None
    return GaussianTruth(p.mean.detach().double(), p.scale_tril.detach().double())


def _assembled(p: PartitionedModel) -> GaussianTruth | None:
    """One mean and covariance per source, gathered from the blocks' models."""
    blocks = [as_gaussian(model) for model in p.blocks]
    if any(block is None for block in blocks):
        return None
    routes = [*p.route(torch.arange(len(p.names)))]
    index = torch.argsort(torch.cat([rows for _, rows, _ in routes]))
    gathered = [
        (block.mean[local], block.scale_tril.expand(len(block.mean), -1, -1)[local])
        for j, _, local in routes
        if (block := blocks[j]) is not None
    ]
    means, factors = (torch.cat(part)[index] for part in zip(*gathered, strict=True))
    return GaussianTruth(means, factors)


def distance(
    p: Any,
    q: Any,
    K: int | None,
    gaussian: Callable[[Moments, Moments], Estimate | None],
    finite: Callable[[Tensor, Tensor], Estimate],
    simulated: Callable[[Any, Any, int], Estimate],
) -> PerSource:
    """The distance of each source by the best of three ways.

    Args:
        p: a Gaussian, a table (K, outcomes) of log probabilities, anything `Listed`, or a
            truth or model.
        q: likewise.
        K: number of sources; may be None where p tells it.
        gaussian: the closed form for two Gaussians; None where there is none.
        finite: the sum over two rows of log probabilities.
        simulated: the estimate for two truths or models and a source otherwise.
    """
    if isinstance(p, Tensor) or isinstance(q, Tensor):
        p, q = _tables(p, q)
        return PerSource(tuple(finite(p[k], q[k]) for k in range(len(p))))
    if K is not None and isinstance(_home(p, 0)[0], Listed) and isinstance(_home(q, 0)[0], Listed):
        return PerSource(tuple(finite(_listed(p, k), _listed(q, k)) for k in range(K)))
    a, b = as_gaussian(p), as_gaussian(q)
    if a is not None and b is not None:
        if a.mean.shape != b.mean.shape:
            raise InputError(f"means differ in shape: {[*a.mean.shape]} and {[*b.mean.shape]}")
        closed = [gaussian(moments(a, k), moments(b, k)) for k in range(len(a.mean))]
        return PerSource(
            tuple(simulated(a, b, k) if e is None else e for k, e in enumerate(closed))
        )
    if K is None or K < 1:
        raise InputError(f"K, the number of sources, must be given and at least 1, got {K}")
    return PerSource(tuple(simulated(p, q, k) for k in range(K)))


def log_ratio(
    p: Scored, q: Scored, k: int, *, under: Sampled, samples: int, noise: Noise
) -> Tensor:
    """`log p(x|k) - log q(x|k)` at draws of x from `under`, (samples,) float64."""
    if samples < 2:
        raise InputError(f"samples must be at least 2, got {samples}")
    y = torch.full((samples,), k)
    with torch.no_grad():
        x = under.sample(y, noise=noise.each(y))
        ratio = log_prob(p, x, y).double() - log_prob(q, x, y).double()  # (samples,)
    if bool(ratio.isnan().any()):
        raise InputError(f"log density of source {k} is not a number at some samples")
    return ratio


def moments(p: GaussianTruth, k: int) -> Moments:
    """Mean (d,) and lower Cholesky factor (d, d) of source k."""
    return p.mean[k], p.scale_tril[k if len(p.scale_tril) > 1 else 0]


def _tables(p: Any, q: Any) -> tuple[Tensor, Tensor]:
    """Check two tables of log probabilities over the same support, (K, outcomes)."""
    if not (
        isinstance(p, Tensor) and isinstance(q, Tensor) and p.shape == q.shape and p.ndim == 2
    ):
        raise InputError("p and q must both be tables (K, outcomes) of one shape, or neither")
    for name, table in (("p", p), ("q", q)):
        if not bool((torch.logsumexp(table.double(), 1).abs() < 1e-4).all()):
            raise InputError(f"each row of {name} must hold log probabilities that sum to 1")
    return p.detach().double(), q.detach().double()
