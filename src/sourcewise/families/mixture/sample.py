"""Training rows as fits take them, and what there is to choose among."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.families.mixture.climb import Climb
from sourcewise.families.mixture.em import Fits, Prior, grouped
from sourcewise.families.mixture.pieces import Pieces
from sourcewise.families.mixture.sharing import Form

__all__ = ["Choice", "Found", "Ridge", "Sample", "Way", "free_parameters", "used_parts"]

ENOUGH = {True: 300, False: 1000}  # rows left out that tell enough, of one source and of several


@dataclass(frozen=True)
class Way:
    """One way to fit.

    Args:
        form: what is shared, and the shape of covariances.
        draws: what the target of a covariance counts for, in D + 1 rows.
    """

    form: Form
    draws: float = 1.0


@dataclass(frozen=True)
class Ridge:
    """Rows that the targets of a single covariance S count for: diag S, and the sphere tr(S)/D I.

    Args:
        diagonal: (G,).
        sphere: (G,).
    """

    diagonal: Tensor
    sphere: Tensor

    def shrunk(self, S: Tensor, rows: Tensor) -> Tensor:
        """(..., G, D, D) `(n S + r T + r' T') / (n + r + r')` of S of n rows (..., G)."""
        whole = rows + self.diagonal + self.sphere
        return ((rows[..., None, None] * S) + self.target(S)) / whole[..., None, None]

    def target(self, S: Tensor) -> Tensor:
        """(..., G, D, D) `r T + r' T'`."""
        own = S.diagonal(dim1=-2, dim2=-1)
        ball = own.mean(-1, keepdim=True).expand_as(own)
        return torch.diag_embed(self.diagonal[..., None] * own + self.sphere[..., None] * ball)

    def take(self, kept: Tensor) -> "Ridge":
        """Of some groups."""
        return Ridge(self.diagonal[kept], self.sphere[kept])


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Args:
        way: the form, and how covariances are drawn.
        J: components.
        ridge: of one component, (1,) each.
    """

    way: Way
    J: int
    ridge: Ridge


@dataclass(frozen=True)
class Found:
    """A choice, and fits to start from."""

    choice: Choice
    fits: Fits


@dataclass(frozen=True)
class Sample:
    """Rows in pieces, with what fits to them need to know.

    Args:
        pieces: the rows (n, D), given columns last.
        inside: (B, P, L) 1 for the rows that each of P fits is fitted to.
        out: (n, P) whether a row is left out.
        floor: (D,) least variances.
        G: 1: all sources are of one model; K: each has its own.
        given: number of given columns.
    """

    pieces: Pieces
    inside: Tensor
    out: Tensor
    floor: Tensor
    G: int = 1
    given: int = 0

    @classmethod
    def of(
        cls,
        z: Tensor,
        y: Tensor,
        K: int,
        floor: Tensor,
        *,
        apart: bool = False,
        given: int = 0,
        part: Tensor | None = None,
        parts: Sequence[int] = (),
    ) -> "Sample":
        """Of rows (n, D); of their parts (n,) some are left out, each by one fit."""
        pieces, out = Pieces.of(z, y, K), torch.zeros(len(y), 1, dtype=torch.bool)
        if part is not None and parts:
            out = torch.stack([part == p for p in parts], 1)
        inside = pieces.laid((~out).to(z.dtype)).mT
        return cls(pieces, inside, out, floor, K if apart else 1, given)

    @property
    def P(self) -> int:
        """Fits."""
        return self.inside.shape[1]

    @property
    def rows(self) -> Tensor:
        """(P, G) that each is fitted to."""
        return self.climb(Form()).rows(self.G)

    @property
    def all_rows(self) -> Tensor:
        """(G,) of each group."""
        whole = replace(self, inside=self.pieces.features[..., :1].mT)
        return whole.rows[0]

    @property
    def nothing(self) -> Prior:
        """A prior that draws nothing."""
        D = self.pieces.D
        target = torch.zeros(self.P, self.G, D, D, dtype=self.floor.dtype)
        return Prior(target[..., 0, 0], target, self.floor)

    def climb(self, form: Form, times: int = 1) -> Climb:
        """EM of `times` P fits."""
        return Climb(self.pieces, self.inside.repeat(1, times, 1), form, self.given)

    def start(self) -> Fits:
        """One component about 0 with the columns' variances."""
        D, K, x = self.pieces.D, self.pieces.K, self.pieces.features
        pair, source = self.pieces.pair, self.pieces.source[self.pieces.pair]
        seen = x[..., 0].sum(1)[:, None] * self.pieces.observed[self.pieces.pattern[pair]]
        squares = x[..., 1 : 1 + D].square().sum(1)
        squares, seen = (
            grouped(v.new_zeros(1, K, D).index_add_(1, source, v[None]), self.G)[0]
            for v in (squares, seen)
        )
        variance = (squares / seen.clamp(min=1)).maximum(self.floor)
        covariance = torch.diag_embed(variance)[None, :, None].expand(self.P, -1, 1, -1, -1)
        return Fits(x.new_zeros(self.P, K, 1), x.new_zeros(self.P, K, 1, D), covariance)

    def only(self, kept: Tensor) -> "Sample":
        """Some sources, each with a model of its own."""
        pieces, at = self.pieces.only(kept)
        return replace(self, pieces=pieces, inside=self.inside[at], G=len(kept))


def used_parts(part: Tensor, *, alone: bool) -> tuple[int, ...]:
    """The parts (n,) of a block to leave out: in order, until their rows tell enough.

    None of a single part: nothing would be left.

    >>> used_parts(torch.tensor([3, 1, 1, 2]), alone=True)
    (1, 2, 3)
    """
    numbers, counts = part.unique(return_counts=True)
    enough = int((counts.cumsum(0) - counts < ENOUGH[alone]).sum())
    return tuple(numbers[:enough].tolist()) if len(numbers) > 1 else ()


def free_parameters(form: Form, J: int, K: int, d: int, C: int = 0) -> int:
    """Of J components of K sources: weights, intercepts, slopes and covariances.

    `K (J - 1)` weights; J d, (J + K - 1) d or K J d intercepts; `d (d + 1) / 2` entries of each
    full covariance, d of a diagonal one; d C slopes with each covariance.

    >>> free_parameters(Form("means"), J=1, K=3, d=2)
    9
    """
    own = {"components": J, "offsets": J + K - 1, "means": K * J}[form.means]
    entries = d if form.shape == "diagonal" else d * (d + 1) // 2
    return K * (J - 1) + own * d + (1 if form.shape == "tied" else J) * (entries + d * C)
