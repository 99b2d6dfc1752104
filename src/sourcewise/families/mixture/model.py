"""Mixtures of Gaussians, of one source or of several that share what they share.

    p(x | y = k, c) = sum_j pi_kj N(x; mu_kj + B_j (c - m_kj), Sigma_j)

Sources of a block have weights of their own and share covariances; `sharing` says what else. Given
columns c enter each component as a linear regression, with weights that do not depend on c: mu, m,
B and Sigma are the moments of (x, c) among the rows of a component, by which EM maximises the
likelihood of x given c. Gaps of a row are left out, in fitting (exact conditional expectations) as
in scoring (exact marginals).
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor

from sourcewise.batch import Batch, needed
from sourcewise.errors import InputError
from sourcewise.families.base import BatchNoise, ConditionalModel, Density, Diagnostic
from sourcewise.families.mixture.choice import chosen, fitted
from sourcewise.families.mixture.em import Fits
from sourcewise.families.mixture.sample import Found, Sample, free_parameters, used_parts
from sourcewise.families.mixture.settings import Means, MixtureSettings, Shape
from sourcewise.families.mixture.sharing import Form
from sourcewise.families.mixture.ways import FEW, sizes, ways
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.truths.gaussian import gaussian_log_prob

__all__ = ["Mixture"]

MEANS: tuple[Means, ...] = ("components", "offsets", "means")
SHAPES: tuple[Shape, ...] = ("full", "diagonal", "tied")
LEAST = 1e-6  # variance, in encoded units: a column's over all sources is 1


class Mixture(ConditionalModel):
    """A mixture of J Gaussians of K sources, fitted by EM.

    Args:
        settings: what is fixed, and what is chosen.
        K: number of sources.
        d: number of variables.
        C: number of given columns, encoded.
        steps: (d,) between recorded values, encoded; 0: none is known.
        partial: draw what is a source's own towards what the sources share.

    Attributes:
        log_weight: log pi, (K, M) for at most M components; minus infinity of those that are none.
        mean: [mu; m], (K, M, d + C).
        covariance: of (x, c), (M, d + C, d + C).
        found: (3,) J, and the numbers of what means share and of the shape of covariances.
    """

    recipe: ClassVar[str] = "exact"
    takes_gaps: ClassVar[bool] = True
    log_weight: Tensor
    mean: Tensor
    covariance: Tensor
    found: Tensor

    def __init__(
        self,
        settings: MixtureSettings,
        *,
        K: int,
        d: int,
        C: int = 0,
        steps: Sequence[float] = (),
        partial: bool = False,
    ):
        super().__init__()
        self.settings, self.K, self.d, self.C, self.partial = settings, K, d, C, partial
        self.steps = tuple(steps) or (0.0,) * d
        M, D = max(sizes(settings)), d + C
        self._start: Found | None = None  # what was chosen, until it is fitted to all rows
        log_weight = torch.full((K, M), -torch.inf, dtype=torch.float64)
        log_weight[:, 0] = 0.0
        covariance = torch.zeros(M, D, D, dtype=torch.float64)
        covariance.diagonal(dim1=1, dim2=2).fill_(1.0)
        self.register_buffer("log_weight", log_weight)
        self.register_buffer("mean", torch.zeros(K, M, D, dtype=torch.float64))
        self.register_buffer("covariance", covariance)
        self.register_buffer("found", torch.tensor([1, 0, 0]))

    @property
    def J(self) -> int:
        """Components."""
        return int(self.found[0])

    @property
    def form(self) -> Form:
        """What is shared, and the shape of covariances."""
        _, means, shape = self.found.tolist()
        return Form(MEANS[means], SHAPES[shape], self.partial)

    @property
    def free_parameters(self) -> int:
        """See `sample.free_parameters`."""
        return free_parameters(self.form, self.J, self.K, self.d, self.C)

    def diagnostics(self) -> list[Diagnostic]:
        """Components, the shape of their covariances, and what the sources of a block share."""
        told = [
            Diagnostic("components", (self.J,), shown=str),
            Diagnostic("covariances", (self.form.shape,), shown=str),
        ]
        return told + [Diagnostic("sharing", (self.form.means,), shown=str)] * (self.K > 1)

    @property
    def penalty(self) -> str:
        """The prior of covariances."""
        return "" if self.settings.prior == 0 and self.settings.components == 1 else "prior"

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of each row (B, d) under its source, given c; gaps (NaN) are left out."""
        return Density(self._components(batch).logsumexp(1))

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """Minus the log density, (B,)."""
        return -self._components(batch).logsumexp(1)

    def _components(self, batch: Batch) -> Tensor:
        """(B, J) `log pi_yj + log N(x | c; j)`."""
        z, y, d, out = self._joined(batch), batch.y, self.d, []
        for j in range(self.J):
            mean, S = self.mean[:, j], self.covariance[j : j + 1]
            value = gaussian_log_prob(z, y, mean, torch.linalg.cholesky(S))
            if self.C:
                V = torch.linalg.cholesky(S[:, d:, d:])
                value = value - gaussian_log_prob(z[:, d:], y, mean[:, d:], V)
            out.append(self.log_weight[y, j] + value)
        return torch.stack(out, 1)

    def _joined(self, batch: Batch) -> Tensor:
        """(B, d + C) rows with their given columns."""
        return torch.cat([batch.tensor, needed(batch.c)], 1) if self.C else batch.tensor

    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Tensor:
        """One draw per entry of y, (B, d): a component, then a row of it."""
        each, d = noise.each(y), self.d
        u, normal = each.of("component").uniform(1), each.of("row").normal(d)
        shares = self.log_weight[y, : self.J].exp().cumsum(1)
        j = (u > shares[:, :-1]).sum(1)
        S, V = self.covariance[:, :d, :d], self.covariance[:, d:, d:]
        mean = self.mean[y, j]
        x = mean[:, :d]
        if self.C:
            B = torch.linalg.solve(V, self.covariance[:, d:, :d]).mT  # (M, d, C)
            S = S - B @ self.covariance[:, d:, :d]
            x = x + (B[j] @ (needed(c) - mean[:, d:])[:, :, None])[:, :, 0]
        L = torch.linalg.cholesky(0.5 * (S + S.mT))
        return x + (L[j] @ normal.to(x.dtype)[:, :, None])[:, :, 0]

    @torch.no_grad()
    def choose(self, rows: Batch, part: Tensor, names: tuple[str, ...]) -> None:
        """See `families.offers.Choosing`: components, form, sharing and strength of the prior."""
        self.choose_together([self], [rows], [part])

    @classmethod
    @torch.no_grad()
    def choose_together(
        cls, models: "Sequence[Mixture]", rows: Sequence[Batch], parts: Sequence[Tensor]
    ) -> None:
        """See `families.offers.ChoosingTogether`: models of one source each are grown together."""
        if models[0].settings.choice == "bic":
            return
        for stack, left_out in _stacks(models, rows, parts):
            own, blocks = [models[i] for i in stack], [rows[i] for i in stack]
            known = [parts[i] for i in stack]
            centers = [model._center(batch) for model, batch in zip(own, blocks, strict=True)]
            sample = own[0]._sample(blocks, centers, torch.cat(known), left_out)
            found = _open(own[0], sample, len(blocks[0]))
            for model, item in zip(own, found, strict=True):
                model._start = item

    @torch.no_grad()
    def fit_exactly(self, rows: Batch, names: tuple[str, ...]) -> None:
        """Fit what was chosen to all rows; where nothing was, BIC chooses.

        Args:
            rows: (n, d) training rows, with gaps, and their sources.
            names: the K sources' names, for messages.

        Raises:
            InputError: a source without rows.
        """
        counts = torch.bincount(rows.y, minlength=self.K)
        if not bool(counts.all()):
            empty = names[int((counts == 0).nonzero()[0])]
            raise InputError(f"source {empty!r} has no training rows: no mean can be estimated")
        center = self._center(rows)
        sample = self._sample([rows], [center])
        found = self._start or _open(self, sample, len(rows))[0]
        climbed = fitted(sample, found, self.settings.tolerance, self.settings.steps)
        self._start = None
        self._keep(climbed.fits, center, found.choice.way.form)

    def _center(self, rows: Batch) -> Tensor:
        """(d + C,) means of the columns: 0 where no row has a value."""
        return self._joined(rows).nanmean(0).nan_to_num(0.0)

    def _sample(
        self,
        rows: Sequence[Batch],
        centers: Sequence[Tensor],
        part: Tensor | None = None,
        parts: Sequence[int] = (),
    ) -> Sample:
        """The rows of blocks, each about its center."""
        pairs = list(zip(rows, centers, strict=True))
        z = torch.cat([self._joined(batch) - center for batch, center in pairs])
        apart = len(rows) > 1
        y = [torch.full_like(b.y, i) for i, b in enumerate(rows)] if apart else [rows[0].y]
        K = len(rows) if apart else self.K
        known = {"given": self.C, "part": part, "parts": parts}
        return Sample.of(z, torch.cat(y), K, _floor(self.steps, z), apart=apart, **known)

    def _keep(self, fits: Fits, center: Tensor, form: Form) -> None:
        J = fits.J
        self.log_weight[:, :J], self.log_weight[:, J:] = fits.log_weight[0], -torch.inf
        self.mean[:, :J] = fits.mean[0] + center
        self.covariance[:J] = fits.covariance[0, 0]
        self.found.copy_(torch.tensor([J, MEANS.index(form.means), SHAPES.index(form.shape)]))


def _stacks(
    models: Sequence[Mixture], rows: Sequence[Batch], parts: Sequence[Tensor]
) -> Iterator[tuple[list[int], tuple[int, ...]]]:
    """Models that are grown together, and the parts that are left out.

    Those of one source each, that have as many ways and leave out the same parts; each depends on
    its own rows alone.
    """
    stacks: dict[tuple[object, ...], list[int]] = {}
    for i, (model, batch, part) in enumerate(zip(models, rows, parts, strict=True)):
        alone = model.K == 1
        key = (used_parts(part, alone=alone), len(batch) <= FEW, -1 if alone else i)
        stacks.setdefault(key, []).append(i)
    for (left_out, *_), stack in stacks.items():
        yield stack, cast(tuple[int, ...], left_out)


def _open(model: Mixture, sample: Sample, n: int) -> list[Found]:
    """By the rows of a sample, what the settings of models of about n rows leave open."""
    found = ways(model.settings, n, model.K, model.C, partial=model.partial)
    return chosen(sample, found, sizes(model.settings))


def _floor(steps: Sequence[float], z: Tensor) -> Tensor:
    """(D,) least variances: of a value spread over its cell, `step^2 / 12`; at least `LEAST`."""
    cells = z.new_zeros(z.shape[1])
    cells[: len(steps)] = z.new_tensor(steps).square() / 12
    return cells.clamp(min=LEAST)
