"""The energy distance by blocks of matrix products, against `torch.cdist`.

    python benchmarks/energy_distance.py

2000 rows against 2000 draws, one thread, CPU seconds. Exits with 1 if 50 columns take .2 s or
more, if 2048 columns gain less than 5 times, or if the values differ.
"""

import sys
import time
from collections.abc import Callable

import torch

from sourcewise.metrics.energy_distance import energy_distance
from sourcewise.randomness import Noise

N = 2000


def usual(x: torch.Tensor, y: torch.Tensor) -> float:
    """As it is written, every pair by its difference."""
    xy, xx, yy = (
        torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").sum()
        for a, b in ((x, y), (x, x), (y, y))
    )
    return float(2 * xy / N**2 - (xx + yy) / (N * (N - 1)))


def timed(work: Callable[[], float], times: int) -> tuple[float, float]:
    found = []
    for _ in range(times):
        start = time.process_time()
        found.append((work(), time.process_time() - start))
    return min(found, key=lambda pair: pair[1])


def main() -> int:
    torch.set_num_threads(1)
    good = True
    for d in (2, 10, 50, 500, 2048):
        x, y = Noise(0).of("x", d).normal(N, d), 1.1 * Noise(0).of("y", d).normal(N, d)
        a, slow = timed(lambda x=x, y=y: usual(x, y), 2 if d < 500 else 1)
        b, fast = timed(lambda x=x, y=y: energy_distance(x, y), 3)
        print(f"{d:4d} columns: cdist {slow:.3f} s, blocks {fast:.3f} s, ratio {slow / fast:.1f}")
        good &= abs(a - b) < 1e-10 and (d != 50 or fast < 0.2) and (d < 2048 or slow / fast >= 5)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
