"""What a mixture leaves open, chosen by rows that fits have not seen.

Components are added until more of them predict no better. Every way (what is shared, the shape of
covariances, how strongly they are drawn) grows a mixture of its own on all rows but those of each
part, all parts and strengths in one stack. A way and size takes the lead if the rows left out are
likelier under it, by more than the standard error of the mean difference: where few rows decide,
the simpler one stays. The fit to all rows starts from the best fit of the leader. Where rows have
no parts, `log p - m/2 log n` of all rows decides (BIC, Schwarz, 1978; m counts free parameters).

One component is shrunk, by the ladder of `Ridge`, each step weighed by how likely it makes the
rows left out (pseudo-Bayesian model averaging, Geisser and Eddy, 1979). The result W is what the
covariances of J components are drawn to: T = W / J^(2/D), a J-th of the volume (after Fraley and
Raftery, 2007).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from sourcewise.families.mixture.climb import Climbed
from sourcewise.families.mixture.em import Fits, Prior, Sums, expect, log_densities
from sourcewise.families.mixture.sample import (
    Choice,
    Found,
    Ridge,
    Sample,
    Way,
    free_parameters,
)
from sourcewise.families.mixture.sharing import Form

__all__ = ["chosen", "fitted"]

LADDER = (0.0, *(4.0**i for i in range(-1, 7)))  # rows that a target counts for
EARLY = 4  # components, at which the form that leads grows on alone
PATIENCE = 2  # sizes without gain, after which no more are tried
FEWEST = 16  # rows for each component
LEAD = 1.0  # standard errors, by which a larger model must lead

_Item = TypeVar("_Item", Fits, Sums)


def chosen(sample: Sample, ways: Iterable[Way], sizes: Sequence[int]) -> list[Found]:
    """The best of all ways and sizes for each group."""
    judge, ones, growths = _Judge(sample), dict[Form, _One](), list[_Growth]()
    for form, draws in _stacked(ways):
        key = replace(form, shape="full")
        if key not in ones:
            ones[key] = _one(sample, key)
        fewest = FEWEST if len(sizes) > 1 else 0  # a number that is asked for is asked for
        growths.append(_Growth(sample, form, draws, ones[key], judge, fewest))
    early = max(1, sum(J <= EARLY for J in sizes))
    for growth in growths:
        growth.run(sizes[:early])
    for growth in growths:  # only the form that leads grows on
        growth.leading()
        growth.run(sizes[early:])
    return [found for found in judge.best if found is not None]


def _stacked(ways: Iterable[Way]) -> Iterator[tuple[Form, list[float]]]:
    """Ways that differ in their strength alone, together."""
    groups: dict[Form, list[float]] = {}
    for way in ways:
        groups.setdefault(way.form, []).append(way.draws)
    yield from groups.items()


class _Judge:
    """The leader of each group, and how likely it makes rows that were left out."""

    def __init__(self, sample: Sample):
        self.best: list[Found | None] = [None] * sample.G
        self.group = torch.zeros(sample.pieces.n, dtype=torch.int64)
        if sample.G > 1:
            source = sample.pieces.source[sample.pieces.pair]
            row = sample.pieces.row
            self.group[row[row >= 0]] = source[:, None].expand_as(row)[row >= 0]
        self.rows = torch.full((sample.pieces.n,), torch.nan, dtype=sample.floor.dtype)
        self.by_parts = bool(sample.out.any())
        self.G = sample.G

    def held(self, sample: Sample, climbed: Climbed, form: Form, V: int) -> Tensor:
        """(n, V) log densities of rows left out, NaN of others; or n-ths of minus BIC."""
        if self.by_parts:
            each = log_densities(climbed.fits, sample.pieces, sample.given)
            out = sample.out[:, None]
            found = torch.where(out, each.unflatten(1, (V, -1)), 0.0).sum(2)
            return torch.where(out.any(2), found, torch.nan)
        n, K = sample.all_rows, 1 if sample.G > 1 else sample.pieces.K
        d = sample.pieces.D - sample.given
        m = free_parameters(form, climbed.fits.J, K, d, sample.given)
        inside = climbed.sums.inside.unflatten(0, (V, -1))[:, 0]
        whole = (inside - 0.5 * m * n.log()) / n  # (V, G)
        return whole.T[self.group] if sample.G == self.G else whole.T[torch.zeros_like(self.group)]

    def means(self, held: Tensor) -> Tensor:
        """(V, G) over the rows of each group; NaN of a group without."""
        known = ~held[:, 0].isnan()
        sums = held.new_zeros(self.G, held.shape[1]).index_add_(0, self.group[known], held[known])
        return (sums / torch.bincount(self.group[known], minlength=self.G)[:, None]).T

    def hears(self, found: dict[int, Found], held: Tensor) -> None:
        """Candidates by group, and log densities (n,) of rows under them."""
        difference = (held - self.rows)[:, None]
        gain = self.means(difference)[0]
        error = self.means(difference.square())[0] - gain.square()
        known = torch.bincount(self.group[~held.isnan()], minlength=self.G)
        wanted = LEAD * (error.clamp(min=0) / known).sqrt() if self.by_parts else 0 * gain
        for g, item in found.items():
            if self.best[g] is None or bool(gain[g] > wanted[g]):
                self.best[g] = item
                self.rows = torch.where(self.group == g, held, self.rows)


@dataclass(frozen=True)
class _One:
    """One component of every group, as all ways with the same means begin."""

    climbed: Climbed  # of P fits
    W: Tensor  # (P, G, D, D)
    ridge: Ridge

    def only(self, kept: Tensor) -> "_One":
        """Of some groups."""
        climbed = Climbed(_kept(self.climbed.fits, kept), _kept(self.climbed.sums, kept))
        return _One(climbed, self.W[:, kept], self.ridge.take(kept))


def _kept(item: _Item, kept: Tensor) -> _Item:
    """Of some sources, where nothing is shared."""
    return type(item)(*(v[:, kept] for v in vars(item).values()))


def _one(sample: Sample, form: Form) -> _One:
    """One component, shrunk by the ladder; by one row where nothing is left out."""
    climb, start = sample.climb(form), sample.start()
    climbed, rows = climb.up(start, sample.nothing), sample.rows
    S = climbed.fits.covariance[:, :, 0]
    ridge = _ridge(sample, climbed, rows) if bool(sample.out.any()) else None
    ridge = ridge or Ridge(rows[0] * 0 + 1.0, rows[0] * 0)
    W = ridge.shrunk(S, rows)
    fits = Fits(climbed.fits.log_weight, climbed.fits.mean, W[:, :, None])
    return _One(
        Climbed(fits, expect(fits, sample.pieces, sample.inside, None, sample.given)), W, ridge
    )


def _ridge(sample: Sample, climbed: Climbed, rows: Tensor) -> Ridge:
    """The ladder of both targets, weighed by how likely they make the rows left out."""
    P, fits, none = sample.P, climbed.fits, rows[0] * 0
    S = fits.covariance[:, :, 0]
    ways = [Ridge(none + r, none) for r in LADDER] + [Ridge(none, none + r) for r in LADDER[1:]]
    tried = torch.stack([way.shrunk(S, rows) for way in ways])  # (R, P, G, D, D)
    many = fits.take(torch.arange(P).repeat(len(ways)))
    many = Fits(many.log_weight, many.mean, tried.flatten(0, 1)[:, :, None])
    inside = sample.inside.repeat(1, len(ways), 1)
    sums = expect(many, sample.pieces, inside, None, sample.given)
    weights = sums.outside.unflatten(0, (-1, P)).sum(1).softmax(0)  # (R, G)
    n = rows.mean(0)
    diagonal, sphere = (
        torch.stack([getattr(way, name) / (n + way.diagonal + way.sphere) for way in ways])
        for name in ("diagonal", "sphere")
    )
    shares = [(weights * share).sum(0) for share in (diagonal, sphere)]
    left = 1 - shares[0] - shares[1]
    return Ridge(*(n * share / left for share in shares))


class _Growth:
    """Mixtures of more and more components, of one form, V strengths at once."""

    def __init__(
        self,
        sample: Sample,
        form: Form,
        draws: list[float],
        one: _One,
        judge: _Judge,
        fewest: int,
    ):
        self.sample, self.form, self.draws = sample, form, draws
        self.one, self.judge, self.fewest = one, judge, fewest
        self.groups = torch.arange(sample.G)  # that still grow
        self.top = torch.full((sample.G,), -torch.inf, dtype=sample.floor.dtype)
        self.waited = torch.zeros(sample.G)
        self.climbed = one.climbed.take(self.index)

    @property
    def index(self) -> Tensor:
        """(V P,) the part of each fit."""
        return torch.arange(self.sample.P).repeat(len(self.draws))

    def run(self, sizes: Sequence[int]) -> None:
        """Grow, and let the judge hear of every size."""
        for J in sizes:
            if len(self.groups):
                self.narrow(J)
            if not len(self.groups):
                return
            if J > 1:
                self.grow(J)
            held = self.judge.held(self.sample, self.climbed, self.form, len(self.draws))
            means = self.judge.means(held)
            best = means.nan_to_num(-torch.inf).argmax(0)  # (G,) of all groups
            own = held.gather(1, best[self.judge.group][:, None])[:, 0]
            self.judge.hears(self.found(J, best), own)
            reached = means.amax(0)[self.groups]
            self.waited = torch.where(reached > self.top, 0, self.waited + 1)
            self.top = self.top.maximum(reached)

    def found(self, J: int, best: Tensor) -> dict[int, Found]:
        """By group, under the strengths (G,) that are best."""
        P, out = self.sample.P, {}
        for i, g in enumerate(self.groups.tolist()):
            v = int(best[g])
            fits = self.climbed.fits.take(torch.arange(v * P, (v + 1) * P))
            way = Way(self.form, self.draws[v])
            choice = Choice(way, J, self.one.ridge.take(torch.tensor([i])))
            out[g] = Found(choice, fits if fits.G == 1 else fits.source(i))
        return out

    def leading(self) -> None:
        """Leave out the groups of which another form leads."""
        best = (self.judge.best[g] for g in self.groups.tolist())
        leads = [item is not None and item.choice.way.form == self.form for item in best]
        self.keep(torch.tensor(leads, dtype=torch.bool))

    def narrow(self, J: int) -> None:
        """Leave out the groups that wait in vain, or have too few rows for J components."""
        enough = (self.sample.all_rows >= self.fewest * J) | (J == 1)
        self.keep((self.waited < PATIENCE) & enough)

    def keep(self, going: Tensor) -> None:
        """Some groups (G,) alone."""
        kept = going.nonzero().squeeze(1)
        if len(kept) == len(self.groups):
            return
        self.groups, self.top, self.waited = self.groups[kept], self.top[kept], self.waited[kept]
        if len(kept) and self.sample.G > 1:
            self.sample, self.one = self.sample.only(kept), self.one.only(kept)
            self.climbed = Climbed(_kept(self.climbed.fits, kept), _kept(self.climbed.sums, kept))

    def grow(self, J: int) -> None:
        """To J components, each split doubling them at most."""
        sample, D, V = self.sample, self.sample.pieces.D, len(self.draws)
        rows = self.one.W.new_tensor(self.draws).repeat_interleave(sample.P) * (D + 1)
        target = self.one.W[self.index] / J ** (2 / D)
        prior = Prior(rows[:, None].expand(-1, sample.G), target, sample.floor)
        climb = sample.climb(self.form, V)
        while self.climbed.fits.J < J:
            more = min(J, 2 * self.climbed.fits.J)
            self.climbed = climb.grown(self.climbed, prior, more)


def fitted(sample: Sample, found: Found, tolerance: float, steps: int) -> Climbed:
    """The fit of a choice to all rows of a block, from the best of its fits."""
    choice, form = found.choice, found.choice.way.form
    D, S = sample.pieces.D, found.fits.S
    one = sample.climb(replace(form, shape="full")).up(sample.start(), sample.nothing)
    C, ridge = one.fits.covariance[:, :, 0], choice.ridge
    climb = replace(sample.climb(form), tolerance=tolerance, steps=steps)
    if choice.J == 1:
        rows = sample.rows * 0 + ridge.diagonal + ridge.sphere
        target = ridge.target(C) / rows.clamp(min=1e-300)[..., None, None]
        return climb.up(one.fits, Prior(rows, target, sample.floor))
    W = ridge.shrunk(C, sample.rows) / choice.J ** (2 / D)
    rows, fits = sample.rows * 0 + choice.way.draws * (D + 1), found.fits
    if S > 1:
        wide = Prior(rows.expand(S, 1), W.expand(S, 1, D, D), sample.floor)
        tried = sample.climb(form, S).up(fits, wide, 2)
        fits = tried.fits.take(tried.sums.objective[:, 0].argmax(0, keepdim=True))
    return climb.up(fits, Prior(rows, W, sample.floor))
