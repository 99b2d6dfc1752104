"""Separate models trained at the same time, against one after another.

    python benchmarks/stacked_training.py

K = 10 of the paper's ARMs (M = 2, D = 10), batch 100, the same updates and the same results; one
thread. Also the exact full-batch step on prefix counts. Exits with 1 if minibatches gain less than
2.5 times, or results differ.
"""

import sys
import time
from collections.abc import Callable

import torch

from sourcewise.execution import Execution
from sourcewise.families.arm.model import Arm
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

K, M, D, PER_SOURCE = 10, 2, 10, 2000


def train(stacked: bool, batch: int | str, passes: int) -> tuple[torch.Tensor, float]:
    settings = ArmSettings.parse(
        {"batch": batch, "passes": passes, "validation": 0, "check": 1000}
    )
    model = PartitionedModel(
        Partition.separate(K),
        lambda K: Arm(settings, K=K, M=M, D=D),
        tuple(f"source {k}" for k in range(K)),
    )
    y = torch.arange(K).repeat_interleave(PER_SOURCE)
    data = TrainingData.plain(Noise(1).integers(M, len(y), D), y)
    where = Execution(stacked=stacked)
    start = time.process_time()
    fit(model, data, names=model.names, noise=Noise(0), settings=settings, execution=where)
    seconds = time.process_time() - start
    return torch.cat([p.detach().flatten() for p in model.parameters()]), seconds


def best(
    run: Callable[[], tuple[torch.Tensor, float]], times: int = 3
) -> tuple[torch.Tensor, float]:
    results = [run() for _ in range(times)]
    return results[0][0], min(seconds for _, seconds in results)


def main() -> int:
    torch.set_num_threads(1)
    met = True
    for batch, passes, updates in ((100, 3, 60), ("all", 60, 60)):
        alone, slow = best(lambda: train(False, batch, passes))  # noqa: B023
        together, fast = best(lambda: train(True, batch, passes))  # noqa: B023
        worst = ((alone - together).abs() / alone.abs().clamp(min=1e-2)).max().item()
        print(
            f"batch {batch}: one after another {1e3 * slow / updates:.1f} ms per update of all "
            f"{K}, stacked {1e3 * fast / updates:.1f} ms, ratio {slow / fast:.2f}, "
            f"largest difference {worst:.1e}"
        )
        met &= worst < 1e-3 and (batch == "all" or slow / fast >= 2.5)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
