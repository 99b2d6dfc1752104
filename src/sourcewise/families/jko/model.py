"""The JKO flow: p(x | y, c) by blocks that lead data to standard normal noise, one by one.

Block n, a velocity v_n on times [0, 1], takes the law p_n of rows on to p_{n+1} and is trained on

    L_n = E[ |x(1)|^2/2 - integral of div v_n(x(t), t) dt + |x(1) - x(0)|^2 / (2 gamma_n) ],

which is, but for a constant, `KL(p_{n+1}||q) + W2^2(p_n, p_{n+1}) / (2 gamma_n)` with q = N(0, I):
a step of the scheme of Jordan, Kinderlehrer and Otto (Xu, Cheng and Xie, "Normalizing flow neural
networks by JKO scheme", 2023; theory: Cheng, Lu, Tan and Xie, arXiv 2310.17582). Then

    log p(x) = log N(x_N; 0, I) + sum_n integral of div v_n dt,    x_0 = x,

and draws go back through the blocks. A block begins where the one before it ended.

In training, rows of a block are (x, l, g): x as the blocks before it left them, l their integrals
so far, g = 1/(2 gamma_n). Earlier blocks are so gone through once, and not in every update.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from sourcewise.batch import Batch
from sourcewise.families.base import (
    BatchNoise,
    ConditionalModel,
    Density,
    Diagnostic,
    SharedError,
)
from sourcewise.families.jko.network import Block, Masks
from sourcewise.families.jko.settings import JKOSettings
from sourcewise.families.jko.steps import affine_residual, next_size
from sourcewise.networks.layers import reset
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["JKOFlow"]

AT_ONCE = 2**12  # rows that are moved at once, after training
FINE = 16  # steps of a block after training
HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class JKOFlow(ConditionalModel):
    """A flow of JKO steps, on columns of about unit variance.

    Args:
        settings: sizes, steps, dropout.
        K: number of sources.
        d: number of variables.
        C: number of given columns, encoded.

    Attributes:
        gamma: (N,) sizes of the steps; NaN before training, as the others.
        movement: (N,) root of the mean square of how far each block moves rows.
        residual: (N,) of each the affine part of its first-order residual, which is at most the
            whole: see `steps.affine_residual`.
    """

    stackable = True
    recipe = "greedy"
    gamma: Tensor
    movement: Tensor
    residual: Tensor

    def __init__(self, settings: JKOSettings, *, K: int, d: int, C: int = 0):
        super().__init__()
        self.settings, self.K, self.d, self.C = settings, K, d, C
        self.blocks = nn.ModuleList(
            Block(d, settings.width, K=K, C=C) for _ in range(settings.blocks)
        )
        for name in ("gamma", "movement", "residual"):
            unknown = torch.full((settings.blocks,), torch.nan, dtype=torch.float64)
            self.register_buffer(name, unknown)

    @property
    def parts(self) -> Sequence[Block]:
        """The blocks, from data to noise."""
        return [block for block in self.blocks if isinstance(block, Block)]

    @property
    def free_parameters(self) -> int:
        """Number of entries of all parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def validated_by(self) -> str:
        """See `ConditionalModel`."""
        return "minus the log-likelihood, and its last block's movement"

    def diagnostics(self) -> list[Diagnostic]:
        """Of the last step its size and S/gamma, of all of them the largest affine residual."""
        found = {
            "last step size": float(self.gamma[-1]),
            "movement over step size": float(self.movement[-1] / self.gamma[-1]),
            "largest affine part of a residual": float(self.residual.max()),
        }
        return [Diagnostic(n, (v,)) for n, v in found.items() if math.isfinite(v)]

    def start(self, number: int, noise: Noise) -> None:
        """Begin a block where the one before it ended; the first is drawn."""
        block = self.parts[number]
        if number == 0:
            reset(block, noise)
        else:
            block.load_state_dict(self.parts[number - 1].state_dict())

    @torch.no_grad()
    def handed(self, number: int, rows: Batch, noise: Noise) -> Batch:
        """See `training.recipes.greedy`: rows (x, l, g) of a block, of those before it."""
        x, d = rows.tensor.double(), self.d
        if number == 0:
            x = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
        else:
            end, log_det = self._through(number - 1, x[:, :d], rows)
            self._note(number - 1, x[:, :d], end)
            x = torch.cat([end, x[:, d : d + 1] + log_det[:, None]], 1)
        if number < len(self.parts):
            self.gamma[number] = self._size(number)
        size = float(self.gamma[min(number, len(self.parts) - 1)])
        return replace(rows, x=torch.cat([x, torch.full_like(x[:, :1], 0.5 / size)], 1))

    def _note(self, number: int, before: Tensor, after: Tensor) -> None:
        """What a trained block does."""
        self.movement[number] = (after - before).square().sum(1).mean().sqrt()
        self.residual[number] = affine_residual(before, after, float(self.gamma[number]))

    def _size(self, number: int) -> float:
        """gamma of a block, when those before it are trained."""
        s = self.settings
        if number == 0 or s.ratio:
            return s.gamma * s.ratio**number
        last, moved = float(self.gamma[number - 1]), float(self.movement[number - 1])
        return next_size(last, moved, s.left * math.sqrt(self.d), len(self.parts) - number)

    def part_loss(self, number: int, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) `-log p(x)`, if nothing came after this block, and the movement over 2 gamma.

        On validation rows by twice as many steps, so that nothing is gained by their errors.

        Args:
            number: of the block.
            batch: of rows (x, l, g), (..., B, d + 2); other blocks are not needed.
            noise: for dropout, in training only.
        """
        rows = batch.tensor.to(self.parts[number].inputs.weight)
        x, log_det, weight = rows[..., : self.d], rows[..., self.d], rows[..., self.d + 1]
        steps = self.settings.steps * (1 if self.training else 2)
        masks = self._masks(noise, x)
        end, more = self.parts[number](x, batch.y, batch.c, steps, masks)
        return _nats(end, log_det + more) + weight * (end - x).square().sum(-1)

    def _masks(self, noise: BatchNoise, x: Tensor) -> Masks | None:
        share, shape = self.settings.dropout, (x.shape[-2], self.settings.width)
        if not (self.training and share):
            return None

        def mask(layer: int) -> Tensor:
            draws = noise.of("dropout", layer).uniform(*shape, dtype=x.dtype)
            return (draws >= share).to(x) / (1 - share)

        return mask

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) `-log p(x)` of all blocks, by the steps of training."""
        x = batch.tensor.to(self.parts[0].inputs.weight)
        log_det = torch.zeros_like(x[..., 0])
        for block in self.parts:
            x, more = block(x, batch.y, batch.c, self.settings.steps)
            log_det = log_det + more
        return _nats(x, log_det)

    @torch.no_grad()
    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of rows (B, d). What steps leave out is taken from half as many of them.

        The method is of order 4: an error is 1/15 of the change from half as many steps.
        """
        fine, coarse = (self._log_p(batch, steps) for steps in (FINE, FINE // 2))
        return Density(fine, "exact", SharedError.of_steps(fine - coarse, batch.y, self.K))

    def _log_p(self, batch: Batch, steps: int) -> Tensor:
        x = batch.tensor.double()
        log_det = torch.zeros_like(x[:, 0])
        for number in range(len(self.parts)):
            x, more = self._through(number, x, batch, steps)
            log_det = log_det + more
        return -_nats(x, log_det)

    def _through(
        self, number: int, x: Tensor, rows: Batch, steps: int = FINE
    ) -> tuple[Tensor, Tensor]:
        """Rows (B, d) after a block, and its integrals (B,), in float64."""
        block = copy.deepcopy(self.parts[number]).double()
        c = None if rows.c is None else rows.c.double()
        found = [
            block(x[i], rows.y[i], None if c is None else c[i], steps)
            for i in torch.arange(len(x), device=x.device).split(AT_ONCE)
        ]
        ends, integrals = zip(*found, strict=True) if found else ((x,), (x[:, 0],))
        return torch.cat(ends), torch.cat(integrals)

    @torch.no_grad()
    def sample(
        self,
        y: Tensor,
        noise: Noise | ExampleNoise,
        c: Tensor | None = None,
        steps: int = FINE,
    ) -> Tensor:
        """One row per entry of y, (B, d) float64: standard normal draws, led back.

        Args:
            y: (B,) sources.
            noise: of the rows.
            c: (B, C) given columns.
            steps: of each block.
        """
        blocks = [copy.deepcopy(block).double() for block in reversed(self.parts)]
        x = noise.each(y).normal(self.d)
        parts = []
        for i in torch.arange(len(y), device=y.device).split(AT_ONCE):
            z, given = x[i], None if c is None else c[i].double()
            for block in blocks:
                z, _ = block.back(z, y[i], given, steps)
            parts.append(z)
        return torch.cat(parts) if parts else x


def _nats(x: Tensor, log_det: Tensor) -> Tensor:
    """(...,) `-log N(x; 0, I) - log_det`."""
    return 0.5 * x.square().sum(-1) + x.shape[-1] * HALF_LOG_2_PI - log_det
