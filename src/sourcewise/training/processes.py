"""Several processes under `torchrun`: they share the batches of a model, or the models.

- A model's batch is shared (data parallel): each process takes every `count`-th row of the same
  global batch, and gradients are summed. Objectives are sums over the global batch divided by its
  sizes, so neither their number nor an uneven last batch changes them.
- Many models are dealt out, largest first, to whoever has least to do. No training is sent: a
  model's last checkpoint tells the others that it is done, and what became of it.
- What a model does after its training (annealing, warm-up of chains) is done by one process, which
  sends the others what it found: they need not wait for their own, nor agree to the last bit.

Without `torchrun` there is one process.
"""

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Processes", "deal_out"]


@dataclass(frozen=True)
class Processes:
    """The processes that work on one model together.

    Args:
        rank: this one's number.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def found(cls) -> "Processes":
        """Those of `torchrun`, connected; one alone without it."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        import torch.distributed as dist
        from torch.distributed.rendezvous import rendezvous

        if not dist.is_initialized():
            store, rank, _ = next(rendezvous("env://"))
            # The store outlives a restart: old addresses must not be found in it again.
            attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
            fresh = dist.PrefixStore(f"attempt {attempt}", store)  # pyright: ignore[reportPrivateImportUsage]
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            if torch.cuda.is_available():  # "cuda" is this process's own
                local = int(os.environ.get("LOCAL_RANK", "0"))
                torch.cuda.set_device(local % torch.cuda.device_count())
            dist.init_process_group(backend, store=fresh, rank=rank, world_size=count)
            atexit.register(dist.destroy_process_group)  # its threads must not outlive Python
        return cls(dist.get_rank(), count)

    def shares(self, rows: int, most: int = 0) -> list[slice]:
        """The rows of a batch that this process works on, in parts; all have equally many parts.

        >>> Processes(0, 2).shares(6, most=2)
        [slice(0, 4, 2), slice(4, 6, 2)]

        Args:
            rows: of the batch.
            most: of a part; 0: any number.
        """
        end = max(rows, 1)
        wide = most * self.count if most else end
        return [
            slice(at + self.rank, min(at + wide, end), self.count) for at in range(0, end, wide)
        ]

    @property
    def first(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0

    def agreed(self, found: bool) -> bool:
        """What the first process found; the others wait for it."""
        word = torch.tensor(float(found and self.first))
        self.add(word)
        return bool(word)

    def meet(self) -> None:
        """Wait until all processes have come this far."""
        self.agreed(True)

    def send(self, tensor: Tensor, rank: int) -> None:
        """Give a tensor of process `rank` to all others, in place."""
        if self.count > 1:
            import torch.distributed as dist

            dist.broadcast(tensor, rank)

    def add(self, *tensors: Tensor) -> None:
        """Sum each tensor over the processes, in place."""
        if self.count > 1:
            import torch.distributed as dist

            for tensor in tensors:
                dist.all_reduce(tensor)


def deal_out(costs: Sequence[float], count: int) -> list[list[int]]:
    """Tasks of each of `count` processes: largest first, each to the least loaded.

    >>> deal_out([1, 9, 4, 5], 2)
    [[1, 0], [3, 2]]
    """
    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for task in sorted(range(len(costs)), key=lambda i: -costs[i]):
        least = min(range(count), key=loads.__getitem__)
        shares[least].append(task)
        loads[least] += costs[task]
    return shares
