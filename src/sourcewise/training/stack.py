"""S models as one: their parameters are the rows of one matrix.

The optimiser, clipping, averaging and checkpoints work on that matrix (S, P) and never see
layers. One model alone is trained as it is; several are one copy of their class with a leading
axis on every parameter (see `networks.layers`), so that a batched product does the work of S.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sourcewise.families.base import ConditionalModel
from sourcewise.randomness import Noise

__all__ = ["Stack", "StepNoise", "same_shapes"]

KEPT = 1 << 25  # numbers drawn for a batch that are kept for its other parts


def same_shapes(a: nn.Module, b: nn.Module) -> bool:
    """Whether two models have parameters of the same names and shapes."""
    shapes = [{name: p.shape for name, p in model.named_parameters()} for model in (a, b)]
    return shapes[0] == shapes[1]


class Stack:
    """Models with equal shapes, their parameters in one matrix.

    Args:
        models: S models; they are copied.
        device: where to train.
        dtype: of the parameters.

    Attributes:
        flat: (S, P) the parameters.
        grad: (S, P) their gradients.
        matrices: (P,) which of them belong to weights with two axes or more: what decays.
    """

    summed: ClassVar[bool] = False  # whether `grad` is a sum over all processes as it is

    def __init__(
        self, models: Sequence[ConditionalModel], device: torch.device, dtype: torch.dtype
    ):
        self.one = copy.deepcopy(models[0]).to(device=device, dtype=dtype).eval()
        self.shapes = [parameter.shape for parameter in self.one.parameters()]
        marks = [torch.full((s.numel(),), len(s) > 1, device=device) for s in self.shapes]
        self.matrices = torch.cat(marks)
        rows = [torch.cat([p.detach().flatten() for p in m.parameters()]) for m in models]
        self.bind(torch.stack(rows).to(device, dtype))

    def __len__(self) -> int:
        return len(self.flat)

    def bind(self, flat: Tensor) -> None:
        """Take a matrix (S, P) as the parameters from now on."""
        self.flat, self.grad = flat, torch.zeros_like(flat)
        self.model = copy.deepcopy(self.one).train()
        for parameter, values in zip(self.model.parameters(), self._views(flat), strict=True):
            parameter.data = values if len(flat) > 1 else values[0]

    def _views(self, matrix: Tensor) -> list[Tensor]:
        """The columns of each parameter, (S, *shape)."""
        columns = matrix.split([shape.numel() for shape in self.shapes], 1)
        return [c.view(len(matrix), *s) for c, s in zip(columns, self.shapes, strict=True)]

    def named(self, matrix: Tensor) -> dict[str, Tensor]:
        """The parameters (S, *shape) in the rows of a matrix (S, P), by name."""
        names = [name for name, _ in self.one.named_parameters()]
        return dict(zip(names, self._views(matrix), strict=True))

    def member(self, s: int, flat: Tensor | None = None) -> ConditionalModel:
        """Model s alone, for evaluation; the next call takes it back."""
        matrix = self.flat if flat is None else flat
        for parameter, values in zip(
            self.one.parameters(), self._views(matrix[s : s + 1]), strict=True
        ):
            parameter.data = values[0]
        return self.one

    def descend(self, objectives: Iterable[Callable[[ConditionalModel], Tensor]]) -> Tensor:
        """(S,) sums of the objectives of each member; leaves their gradients in `grad`."""
        return torch.stack([self._descend(n, part) for n, part in enumerate(objectives)]).sum(0)

    def _descend(self, number: int, objective: Callable[[ConditionalModel], Tensor]) -> Tensor:
        values = objective(self.model)  # (S,): a member's parameters reach its own value only
        parameters = list(self.model.parameters())
        found = torch.autograd.grad(values.sum(), parameters, materialize_grads=True)
        grad = torch.cat([one.reshape(len(self), -1) for one in found], 1)
        self.grad = self.grad.add_(grad) if number else grad
        return values.detach()

    def norms(self) -> Tensor:
        """(S,) norms of the gradients."""
        return self.grad.norm(dim=1)

    def whole(self, matrix: Tensor, keep: bool = True) -> Tensor:
        """(..., P) on the CPU, of parameters as they are held here."""
        return matrix.cpu()

    def part(self, matrix: Tensor) -> Tensor:
        """The inverse of `whole`."""
        return matrix.to(self.flat.device)

    def unload(self, row: Tensor, model: ConditionalModel) -> None:
        """Write a row (P,) into a model like those of the stack."""
        start = 0
        for parameter in model.parameters():
            end = start + parameter.numel()
            parameter.data.copy_(row[start:end].view(parameter.shape))
            start = end


@dataclass(frozen=True)
class StepNoise:
    """Noise for one batch of every member: each has its own stream, whoever trains beside it.

    Draws begin with the batch's rows. A member draws for its own whole batch, then keeps the rows
    that this process works on.

    Args:
        members: S streams.
        rows: (S) rows of each member's whole batch.
        share: which rows of a batch are worked on here.
        key: what follows the members' own keys.
        known: draws for whole batches, for those who work on other rows of the same; None: they
            are not kept.
    """

    members: Sequence[Noise]
    rows: Sequence[int]
    share: slice = field(default_factory=lambda: slice(None))
    key: tuple[int | str, ...] = ()
    known: dict[object, Tensor] | None = field(default=None, repr=False, compare=False)

    def of_rows(self, share: slice) -> "StepNoise":
        """The same draws of other rows."""
        return replace(self, share=share)

    def of(self, *key: int | str) -> "StepNoise":
        """The noise of a longer key."""
        return replace(self, key=(*self.key, *key))

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Uniform draws on [0, 1), (B, ...) alone, (S, B, ...) for several members."""
        return self._draw("uniform", shape, dtype)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Standard normal draws, likewise."""
        return self._draw("normal", shape, dtype)

    def whole(
        self, kind: Literal["uniform", "normal"], *shape: int, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Draws that belong to no rows: (*shape) alone, (S, *shape) for several members."""
        members = [noise.of(*self.key) for noise in self.members]
        out = [noise.whole(kind, *shape, dtype=dtype) for noise in members]
        return torch.stack(out) if len(out) > 1 else out[0]

    def _draw(self, kind: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        out = torch.zeros(len(self.members), *shape, dtype=dtype)
        for s, rows in enumerate(self.rows):
            part = self._whole_batch(s, kind, (rows, *shape[1:]), dtype)[self.share]
            out[s, : len(part)] = part
        return out if len(self.members) > 1 else out[0]

    def _whole_batch(
        self, s: int, kind: str, shape: tuple[int, ...], dtype: torch.dtype
    ) -> Tensor:
        """The draws of a member, kept for other rows as far as there is room."""
        name, known = (s, self.key, kind, shape, dtype), self.known
        if known is not None and name in known:
            return known[name]
        drawn = getattr(self.members[s].of(*self.key), kind)(*shape, dtype=dtype)
        if known is not None and drawn.numel() + sum(map(Tensor.numel, known.values())) <= KEPT:
            known[name] = drawn
        return drawn
