"""One model whose parameters are spread over the processes: PyTorch's FSDP2.

Every parameter is cut along its first axis; a process keeps its piece, with the gradient, Adam's
state, averages and best weights of that piece. Whole parameters exist for one block of the network
at a time (and for what no block holds), gathered for its forward and its backward pass (Zhao et
al., "PyTorch FSDP", 2023).
A process's pieces are one row (1, P_local): Adam and averages work on it as on a whole model's.

Checkpoints hold whole parameters, so any number of processes can take them up.
"""

import copy
from collections.abc import Callable, Iterable
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from sourcewise.errors import InputError
from sourcewise.families.base import ConditionalModel
from sourcewise.training.processes import Processes
from sourcewise.training.stack import Stack

__all__ = ["ShardedStack"]


class ShardedStack(Stack):
    """One model as a row of which each process has a part; a `Stack` to whoever trains it.

    Args:
        model: it is copied.
        device: where to train.
        dtype: of the parameters.
        processes: those that share it; every method but `bind` is called by all of them.
        losses: names of the model's methods that parameters are gathered for.

    Attributes:
        flat: (1, P_local) this process's part of the parameters.
        grad: (1, P_local) their gradients, summed over the processes.
        matrices: (P_local,) which of them belong to weights with two axes or more.
    """

    summed: ClassVar[bool] = True

    def __init__(
        self,
        model: ConditionalModel,
        device: torch.device,
        dtype: torch.dtype,
        processes: Processes,
        losses: tuple[str, ...],
    ):
        self.model, self.processes = copy.deepcopy(model).to(dtype=dtype), processes
        _shard(self.model, device, processes.count, losses)
        self.shapes = [parameter.shape for parameter in self.parameters]
        self.matrices = torch.cat(
            [torch.full((len(piece),), p.ndim > 1) for p, piece in self._pieces()]
        ).to(device)
        self.bind(torch.cat([piece for _, piece in self._pieces()])[None])

    @property
    def parameters(self) -> list[DTensor]:
        """The cut parameters."""
        cast(FSDPModule, self.model).reshard()  # evaluation leaves the outermost ones whole
        return [p for p in self.model.parameters() if isinstance(p, DTensor)]

    def _pieces(self) -> list[tuple[DTensor, Tensor]]:
        """Each parameter with this process's piece of it, flat; they share memory."""
        with torch.no_grad():
            return [(p, p.to_local().view(-1)) for p in self.parameters]

    def bind(self, flat: Tensor) -> None:
        """Take a row (1, P_local) as the parameters from now on."""
        self.flat, self.grad = flat, torch.zeros_like(flat)

    def _load(self, row: Tensor) -> None:
        """Let the model compute with these parameters, (P_local,)."""
        for (_, piece), values in zip(self._pieces(), self._split(row), strict=True):
            piece.copy_(values)

    def _split(self, row: Tensor) -> tuple[Tensor, ...]:
        return row.split([len(piece) for _, piece in self._pieces()])

    def member(self, s: int, flat: Tensor | None = None) -> ConditionalModel:
        """The model, for evaluation: all processes must call it equally often."""
        self._load((self.flat if flat is None else flat)[s])
        return self.model.eval()

    def descend(self, objectives: Iterable[Callable[[ConditionalModel], Tensor]]) -> Tensor:
        """(1,) this process's part of the objectives; leaves the gradient of the sum in `grad`."""
        self._load(self.flat[0])
        model, total = self.model.train(), torch.zeros_like(self.flat[:, 0])
        for objective in objectives:  # gradients add up
            values = objective(model)
            values.sum().backward()
            total += values.detach()
        parts = []
        for p, piece in self._pieces():
            grad = cast(DTensor | None, p.grad)
            parts.append(torch.zeros_like(piece) if grad is None else grad.to_local().view(-1))
            p.grad = None
        self.grad = torch.cat(parts)[None]
        return total

    def norms(self) -> Tensor:
        """(1,) the norm of the whole gradient."""
        squares = self.grad.square().sum(1)
        self.processes.add(squares)
        return squares.sqrt()

    def whole(self, matrix: Tensor, keep: bool = True) -> Tensor:
        """(..., P) on the CPU, from the parts (..., P_local) of all processes.

        Args:
            matrix: a row, or rows.
            keep: whether this process needs the result; if not it gets (..., 0).
        """
        if matrix.ndim == 1:
            return self._whole_row(matrix, keep)
        rows = [self._whole_row(row, keep) for row in matrix]
        P = sum(shape.numel() for shape in self.shapes) if keep else 0
        return torch.stack(rows) if rows else torch.empty(0, P, dtype=matrix.dtype)

    def _whole_row(self, row: Tensor, keep: bool) -> Tensor:
        """Parameter by parameter, so that the device never holds all of them."""
        out = []
        for p, part in zip(self.parameters, self._split(row), strict=True):
            part = part.view(p.to_local().shape).to(p.device)
            cut = DTensor.from_local(
                part, p.device_mesh, p.placements, shape=p.shape, stride=p.stride()
            )
            full = cut.full_tensor().flatten()
            out += [full.cpu()] if keep else []
        return torch.cat(out) if keep else row[:0]

    def part(self, matrix: Tensor) -> Tensor:
        """(..., P_local) this process's part of (..., P), on its device; nothing is sent."""
        if matrix.ndim == 2:
            rows = [self.part(row) for row in matrix]
            return torch.stack(rows) if rows else self.flat[:0].to(matrix.dtype)
        values = matrix.split([shape.numel() for shape in self.shapes])
        return torch.cat([_cut(v, p) for v, p in zip(values, self.parameters, strict=True)])

    def unload(self, row: Tensor, model: ConditionalModel) -> None:
        """Write all processes' parts (P_local,) into a whole model, on every one of them."""
        super().unload(self.whole(row), model)


def _cut(values: Tensor, p: DTensor) -> Tensor:
    """This process's piece of a whole parameter, flat."""
    whole = values.view(p.shape).to(p.device)
    cut = distribute_tensor(whole, p.device_mesh, p.placements, src_data_rank=None)
    return cut.to_local().reshape(-1)


def _shard(
    model: ConditionalModel, device: torch.device, count: int, losses: tuple[str, ...]
) -> None:
    """Cut the parameters in place: block by block, then what is left."""
    if not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
        raise InputError(f"--shard: PyTorch {torch.__version__} is too old to sum gradients")
    mesh = init_device_mesh(device.type, (count,))
    for module in [*_blocks(model), model]:
        fully_shard(module, mesh=mesh)
        # Objectives are divided by sizes of the whole batch: gradients are summed, not averaged.
        cast(FSDPModule, module).set_gradient_divide_factor(1.0)
        cast(FSDPModule, module).set_force_sum_reduction_for_comms(True)
    for name in losses:  # FSDP gathers for `forward` and for what it is told
        if hasattr(model, name):
            register_fsdp_forward_method(model, name)


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Repeated parts that are networks themselves, not single layers."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    parts = [part for several in lists for part in several if any(part.children())]
    return parts[::-1]  # a part of a part before the part
