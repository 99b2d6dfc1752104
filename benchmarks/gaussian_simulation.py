"""Time per simulated run of the paper's figure 1: the direct way against ours, on one thread.

A run draws n labels and n examples, fits the pooled and the separate means, and scores both.

- direct: one run at a time, a distribution object per test point, as the paper's code has it
  (its 500 test points share the truth's object and draw between the two strategies).
- samples: `studies.figure1.simulation.in_batches`, every label and every x drawn, exact TV.
- samples + points: the same, scored by the paper's estimator with 500 test points.
- statistics: `draw_statistics`, only the sufficient statistics drawn, exact TV.

    python benchmarks/gaussian_simulation.py

Times are medians of CPU seconds. Exits with 1 if a sweep's ratio is below its goal.
"""

import sys
from collections.abc import Callable
from statistics import mean, median
from time import process_time

import torch
from torch.distributions import MultivariateNormal

from sourcewise.randomness import Noise
from sourcewise.studies.figure1.settings import Figure1Settings
from sourcewise.studies.figure1.simulation import (
    Setup,
    average_tv,
    distances,
    draw_statistics,
    in_batches,
    paper_estimates,
)
from sourcewise.truths.gaussian import paper_gaussian

GOALS = {"K": 1000, "n": 500, "beta": 1000}
GOAL_STATISTICS = 50_000
POINTS = 500


def direct_run(setup: Setup) -> tuple[float, float]:
    """Average TV of the separate and the pooled fit of one run, estimated at test points."""
    K, n, d, d1 = setup.K, setup.n, setup.d, setup.d1
    mu, identity = paper_gaussian(K, d, d1).mean.float(), torch.eye(d)
    y = torch.randint(K, (n,))
    x = mu[y] + torch.randn(n, d)
    separate = torch.stack([x[y == k].mean(0) for k in range(K)])
    pooled = separate.clone()
    pooled[:, d1:] = x[:, d1:].mean(0)
    sums = [0.0, 0.0]
    for _ in range(POINTS):
        k = int(torch.randint(K, ()))
        truth = MultivariateNormal(mu[k], identity)
        point = truth.sample()
        log_truth = truth.log_prob(point)
        for i, fit in enumerate((separate, pooled)):
            log_fit = MultivariateNormal(fit[k], identity).log_prob(point)
            sums[i] += abs(torch.exp(log_fit - log_truth).item() - 1) / 2
    return sums[0] / POINTS, sums[1] / POINTS


def sample_runs(setup: Setup, runs: int, noise: Noise) -> None:
    for fit in in_batches(setup, runs, noise):
        average_tv(fit.tv, fit.seen)


def sample_runs_with_points(setup: Setup, runs: int, noise: Noise) -> None:
    paper_estimates(in_batches(setup, runs, noise), noise, POINTS)


def statistics_runs(setup: Setup, runs: int, noise: Noise) -> None:
    for fit in distances(setup, draw_statistics(setup, runs, noise)):
        average_tv(fit.tv, fit.seen)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds, after one unmeasured call."""
    work()
    times = []
    for _ in range(repeats):
        start = process_time()
        work()
        times.append(process_time() - start)
    return median(times)


def measure(setup: Setup) -> dict[str, float]:
    """Seconds per run of each way."""
    noise = Noise(0)
    return {
        "direct": seconds(lambda: direct_run(setup), 3),
        "samples": seconds(lambda: sample_runs(setup, 500, noise), 5) / 500,
        "samples + points": seconds(lambda: sample_runs_with_points(setup, 500, noise), 5) / 500,
        "statistics": seconds(lambda: statistics_runs(setup, 10_000, noise), 5) / 10_000,
    }


def report(sweep: str, times: list[dict[str, float]]) -> bool:
    """Print a sweep's time per run, averaged over its cells; whether both goals are met."""
    per_run = {way: mean(cell[way] for cell in times) for way in times[0]}
    ratio = {way: per_run["direct"] / per_run[way] for way in per_run}
    for way, time in per_run.items():
        print(f"{sweep:<6}{way:<18}{time * 1e6:>12.2f} us per run{ratio[way]:>12,.0f} x")
    worst = min(cell["direct"] / cell["samples"] for cell in times)
    print(f"{sweep:<6}smallest ratio of one cell, every sample drawn: {worst:,.0f}\n")
    return ratio["samples"] >= GOALS[sweep] and ratio["statistics"] >= GOAL_STATISTICS


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = Figure1Settings()
    met = []
    for sweep in GOALS:
        cells = [cell for cell in settings.cells() if cell.sweep == sweep]
        setups = [Setup(cell.K, cell.n, settings.d, cell.d1) for cell in cells]
        met.append(report(sweep, [measure(setup) for setup in setups]))
    print(
        f"goals (samples {GOALS}, statistics {GOAL_STATISTICS}):", "met" if all(met) else "MISSED"
    )
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
