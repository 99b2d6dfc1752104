"""Metrics of samples against the usual way to compute them, in one run on this machine.

    python benchmarks/frechet.py [--small]

CPU seconds of one thread. The usual ways are: the matrix root of scipy (of the product of
covariances), covariances where rows are fewer than coordinates, and `torch.cdist`, every pair by
its difference. The second table is the bias of the Frechet distance: between two samples of one
normal law, whose distance is 0. Exits with 1 if the values differ.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from sourcewise.metrics.energy_distance import energy_distance
from sourcewise.metrics.frechet import frechet_between, frechet_distance
from sourcewise.metrics.frechet_replicates import gram_of
from sourcewise.metrics.manifold import manifold
from sourcewise.metrics.summary import Summary
from sourcewise.randomness import Noise

Work = Callable[[], float]


def points(n: int, d: int, seed: int) -> Tensor:
    """Of a normal law whose coordinates have falling variances."""
    scale = torch.arange(1, d + 1, dtype=torch.float64) ** -0.5
    return Noise(seed).of(n, d).normal(n, d) * scale


def by_root(first: Summary, second: Summary) -> float:
    """With the matrix root."""
    gap = (first.mean - second.mean).square().sum()
    root = scipy.linalg.sqrtm((first.covariance @ second.covariance).numpy())
    traces = first.covariance.trace() + second.covariance.trace()
    return float(gap + traces) - 2 * float(np.real(np.trace(root)))


def by_covariances(x: Tensor, y: Tensor) -> float:
    """With covariances of all coordinates, and eigenvalues of their product."""
    first, second = Summary.of([x]), Summary.of([y])
    gap = (first.mean - second.mean).square().sum()
    roots = torch.linalg.eigvals(first.covariance @ second.covariance).real.clamp(min=0).sqrt()
    return float(gap + first.covariance.trace() + second.covariance.trace() - 2 * roots.sum())


def by_differences(x: Tensor, y: Tensor) -> float:
    """The energy distance, every pair by its difference."""
    n, exact = len(x), "donot_use_mm_for_euclid_dist"
    xy, xx, yy = (torch.cdist(a, b, compute_mode=exact).sum() for a, b in ((x, y), (x, x), (y, y)))
    return float(2 * xy / n**2 - (xx + yy) / (n * (n - 1)))


def by_rows(x: Tensor, y: Tensor, k: int = 5) -> float:
    """Precision + recall + density + coverage, every pair by its difference."""
    exact = "donot_use_mm_for_euclid_dist"
    xx, yy, xy = (torch.cdist(a, b, compute_mode=exact) for a, b in ((x, x), (y, y), (x, y)))
    around, among = (d.kthvalue(k + 1).values for d in (xx, yy))
    inside, reached = xy <= around[:, None], xy <= among
    shares = inside.any(0), reached.any(1), inside.sum(0) / k, inside.any(1)
    return float(sum(share.double().mean() for share in shares))


def ours_by_rows(x: Tensor, y: Tensor) -> float:
    return sum(vars(manifold(x, y)).values())


def timed(work: Work, times: int) -> tuple[float, float]:
    """The value, and the seconds of the fastest of some calls."""
    found = []
    for _ in range(times):
        start = time.process_time()
        value = work()
        found.append((value, time.process_time() - start))
    return min(found, key=lambda pair: pair[1])


def cases(small: bool) -> Sequence[tuple[str, str, Work, Work, float]]:
    """What is computed, the usual way in words, that way, ours, and how far they may differ."""
    d, rows, few, many = (256, 600, 100, 500) if small else (2048, 4096, 500, 2000)
    samples = points(rows, d, 0), 1.1 * points(rows, d, 1)
    first, second = (Summary.of([sample]) for sample in samples)
    x, y = points(few, d, 2), 1.1 * points(few, d, 3)
    n = 4 * few
    a, b = points(n, d, 4), 1.1 * points(n, d, 5)
    p, q = points(many, d, 6), 1.02 * points(many, d, 7)
    gram, i = gram_of(x, y), Noise(0).integers(few, few)
    return (
        (
            f"Frechet from statistics, d = {d}",
            "matrix root",
            lambda: by_root(first, second),
            lambda: frechet_between(first, second),
            1e-6,
        ),
        (
            f"Frechet, {few} rows, d = {d}",
            "covariances",
            lambda: by_covariances(x, y),
            lambda: frechet_distance(x, y),
            1e-3,
        ),
        (
            f"one bootstrap replicate of it, {few} rows",
            "from points",
            lambda: frechet_distance(x[i], y[i]),
            lambda: gram.take(i, i).distance,
            1e-8,
        ),
        (
            f"energy distance, {n} rows, d = {d}",
            "cdist",
            lambda: by_differences(a, b),
            lambda: energy_distance(a, b),
            1e-9,
        ),
        (
            f"precision, recall, density, coverage, {many} rows, d = {d}",
            "cdist",
            lambda: by_rows(p, q),
            lambda: ours_by_rows(p, q),
            1e-2,
        ),
    )


def bias(small: bool) -> None:
    """Print the distance between two samples of one normal law, by their rows."""
    d, repeats = 64, 10 if small else 100
    print(f"\n| rows of each sample, d = {d} | mean distance (true: 0) | standard deviation |")
    print("|---" * 3 + "|")
    for n in (50, 100, 250, 1000, 4000):
        pairs = ([Noise(s).of(n, side).normal(n, d) for side in (0, 1)] for s in range(repeats))
        found = torch.tensor([frechet_distance(*pair) for pair in pairs])
        print(f"| {n} | {found.mean():.3f} | {found.std():.3f} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Metrics of samples")
    parser.add_argument("--small", action="store_true", help="small sizes, to see that it runs")
    small = parser.parse_args().small
    torch.set_num_threads(1)
    print("| work | usual way | seconds | ours, seconds | ratio | values differ by |")
    print("|---" * 6 + "|")
    good = True
    for what, usual, slow, fast, close in cases(small):
        (b, ours), (a, theirs) = timed(fast, 3), timed(slow, 1)
        gap = abs(a - b) / max(abs(a), abs(b), 1e-9)
        good &= gap < close
        print(
            f"| {what} | {usual} | {theirs:.3f} | {ours:.3f} | {theirs / ours:.1f} | {gap:.0e} |",
            flush=True,
        )
    bias(small)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
