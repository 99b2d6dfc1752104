"""Time of the theory's bounds over a 200 x 200 grid of K and n, Gaussian family, one thread.

    python benchmarks/bounds.py

Times are CPU seconds of one call after a small one. Exits with 1 if a goal is missed: 2 seconds
for paper, simple and the laws, 30 for the sharper forms; `sourcewise bound` under 1 second.
"""

import subprocess
import sys
from collections.abc import Callable
from resource import RUSAGE_CHILDREN, getrusage
from time import process_time

import numpy as np

from sourcewise.theory.asymptotic import asymptotic_bound
from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_bracketing
from sourcewise.theory.gaussian.drawn import Shares, localized_drawn
from sourcewise.theory.gaussian.laws import asymptotic_tv_balanced, m_blocks
from sourcewise.theory.gaussian.localized import Counts, localized
from sourcewise.theory.general import paper, refined, simple

D, OWN, B = 10, 5, 5.0
K = np.arange(1, 201)[:, None]
N = np.unique(np.geomspace(100, 10**7, 200).round())[None]
M = m_blocks(K, D, OWN)

WORK: dict[str, tuple[float, Callable[[], object]]] = {
    "paper": (2, lambda: paper(gaussian_bracketing(M, D, B), N)),
    "simple": (2, lambda: simple(gaussian_bracketing(M, D, B), N)),
    "law, upper": (2, lambda: asymptotic_bound(M, N)),
    "law, sharp": (2, lambda: asymptotic_tv_balanced(K, N, D, OWN)),
    "refined": (30, lambda: refined(envelope_bracketing(M, D, B), N)),
    "localized": (30, lambda: localized(Counts.equal(K, N), D, OWN, B)),
    "localized_drawn": (30, lambda: localized_drawn(Shares.equal(K), N, D, OWN, B)),
}
COMMAND = "bound gaussian --sources 5 --samples 500 --dim 10 --specific 5 --mean-bound 5 --json"


def seconds(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


def command_seconds() -> float:
    """CPU seconds of the command line, the whole process."""
    before = getrusage(RUSAGE_CHILDREN)
    code = (
        f"from sourcewise.cli import main; import sys; sys.argv[1:] = {COMMAND.split()!r}; main()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    localized(Counts.equal(5, [100, 200]), D, OWN, B)
    met = True
    for name, (goal, work) in WORK.items():
        time = seconds(work)
        met &= time < goal
        print(f"{name:<16}{K.size * N.size:>8,} points{time:>8.2f} s   goal {goal} s")
    time = command_seconds()
    met &= time < 1
    print(f"{'command line':<16}{1:>8,} point {time:>8.2f} s   goal 1 s")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
