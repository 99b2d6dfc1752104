"""Rows that lie far out from their source: the comparison again, of all other rows.

A few rows may make most of a difference, and a small source holds some of them or none. Then its
rows do not tell what the next sample will bring, and its interval is far too narrow. So of such
data the same comparison is made of the other rows as well: another estimand, the difference *of
rows that are not far out*, of which a small sample does tell.

With n_k rows of a source in a column, and its quartiles q1, q2 and q3 (`screening.far.Bulk`), a
value x is far out if

    |x - q2| > 4 (1 + 10 / n_k) (q3 - q1),

of normal values one in 15 million or fewer: the quartiles of few rows are known roughly, those of
fewer than 20 not at all. In a column of values above 0 the logarithm has to be far out as well.
More than a tenth of a source's rows are a shape of their own, and not far out. No model is asked,
so that none is favoured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.plan import Plan
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.verdict import differences, verdict_of
from sourcewise.errors import InputError, counted, listing
from sourcewise.forms import Whole, as_table
from sourcewise.results.comparison import FarOut, Verdict
from sourcewise.results.text import ends, figure, in_order
from sourcewise.screening.far import Bulk
from sourcewise.sources import Sources

__all__ = ["Bounds", "Found", "far_out"]

RANGES, FEW = 4.0, 10.0  # between quartiles, and the rows of which these are known roughly
FEWEST = 20  # rows of a source whose quartiles say something
INFLATED = 1.05  # a source's variance in a column by rows far out, where they matter
ENOUGH = 10.0  # far rows that every source can expect: so many, and its rows tell of them
MOST = 0.1  # of a source's rows: more are a shape of their own, such as a second mode
WIDEST = 20_000  # columns times sources whose quartiles are taken


@dataclass(frozen=True)
class Bounds:
    """The values of a sample's sources that are not far out; of others than numbers, all are not.

    >>> few = torch.arange(20.0).sin()
    >>> few[3] = 99.0
    >>> data = Sources(few[:, None], torch.zeros(20), ["a"])
    >>> Bounds.of(data).far(data).nonzero()[0].tolist()
    [3]
    """

    names: tuple[str, ...]  # of the d columns
    low: np.ndarray  # (K, d)
    high: np.ndarray

    @classmethod
    def of(cls, data: Sources) -> "Bounds":
        """Of columns so many that their quartiles take long, there are none."""
        columns = _numbers(data)
        if len(columns) * data.K > WIDEST:
            columns = {}
        by_source = np.argsort(data.y.numpy(), kind="stable")
        cuts = np.cumsum(data.counts.numpy())[:-1]
        found = np.empty((data.K, len(columns), 2))
        for j, values in enumerate(columns.values()):
            positive = not (values <= 0).any()
            for k, part in enumerate(np.split(values[by_source], cuts)):
                found[k, j] = _few_beyond(part, positive)
        return cls(tuple(columns), found[..., 0], found[..., 1])

    def far(self, data: Sources) -> np.ndarray:
        """(n,) which rows hold a value that is far out."""
        found, y = np.zeros(len(data), bool), data.y.numpy()
        for j, values in enumerate(_numbers(data).values() if self.names else ()):
            found |= (values < self.low[y, j]) | (values > self.high[y, j])
        return found

    def told(self, data: Sources, row: int) -> str:
        """Where a row that is far out stands, and the first value for which it is."""
        k, values = int(data.y[row]), [column[row] for column in _numbers(data).values()]
        j = int(((values < self.low[k]) | (values > self.high[k])).argmax())
        return f"{data.places(row)}: {self.names[j]!r} {values[j]:.9g}"


def _few_beyond(values: np.ndarray, positive: bool) -> tuple[float, float]:
    """Between which values (n,) of a source are not far out; everywhere where others are many."""
    low, high = _ends(values)
    if positive:
        with np.errstate(over="ignore"):  # infinite: nothing is far out
            ends = np.exp(_ends(np.log(values)))
        low, high = min(low, float(ends[0])), max(high, float(ends[1]))
    beyond = ((values < low) | (values > high)).sum()
    return (low, high) if beyond <= MOST * len(values) else (-np.inf, np.inf)


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Between which values (n,) of a source are not far out; everywhere where it has no bulk."""
    n = int((~np.isnan(values)).sum())
    bulk = Bulk.of(values) if n >= FEWEST else None
    if bulk is None:
        return -np.inf, np.inf
    reach = RANGES * (1 + FEW / n) * bulk.width
    return bulk.median - reach, bulk.median + reach


def _numbers(data: Sources) -> dict[str, np.ndarray]:
    """(n,) each: the columns of numbers, by name."""
    if isinstance(data.x, Whole):
        return {}
    table = as_table(data.x)
    names = [column.name for column in table.schema if column.kind == "number"]
    return {name: table.columns[name].numpy() for name in names}


@dataclass(frozen=True)
class Found:
    """What rows that lie far out make of a comparison."""

    facts: FarOut | None = None  # None: there are none that matter
    note: str = ""  # one line
    condition: str = ""  # what the verdict holds under; empty where the others come to the same


def far_out(plan: Plan, baseline: str, verdict: Verdict) -> Found:
    """Look for such rows, and compare without them where a small source holds some or none.

    Args:
        plan: of the comparison.
        baseline: the strategy that differences are taken from.
        verdict: on all rows.
    """
    data = plan.job.data
    bounds = Bounds.of(data)
    far = bounds.far(data)
    if not _matter(data, far, plan.job.tested):
        return Found()
    rows = np.bincount(data.y.numpy()[far], minlength=data.K)
    counts = dict(zip(data.names, rows.tolist(), strict=True))
    facts = FarOut(int(far.sum()), {name: n for name, n in counts.items() if n})
    told = _told(facts, len(data), bounds.told(data, int(far.argmax())))
    try:
        facts = _without(plan, baseline, facts, far)
    except InputError as error:
        return Found(replace(facts, verdict_reason=str(error)), f"{told} ({error})")
    condition = ""
    if verdict.overall != facts.verdict:
        rows = counted(facts.rows, "row")
        condition = f"with {rows} far out, without which the verdict is {facts.verdict!r}"
    return Found(facts, f"{told}; {_of_others(plan, facts, verdict.strategy)}", condition)


def _matter(data: Sources, far: np.ndarray, tested: Sequence[int]) -> bool:
    """Whether samples of these sizes may hold such rows or none, and models follow them."""
    if not far.any():
        return False
    counts = data.counts.numpy()[list(tested)]
    expected = counts.min() * far.mean()
    return bool(expected < ENOUGH) and any(_inflates(data, far, k) for k in tested)


def _inflates(data: Sources, far: np.ndarray, k: int) -> bool:
    """Whether the variance of a column in a source is another without its rows far out."""
    mine = data.y.numpy() == k
    if not far[mine].any():
        return False
    with np.errstate(invalid="ignore", divide="ignore"):
        return any(
            np.nanvar(values[mine]) > INFLATED * np.nanvar(values[mine & ~far])
            for values in _numbers(data).values()
        )


def _told(facts: FarOut, n: int, first: str) -> str:
    """Which of n rows they are, and why that matters."""
    each = listing((f"{rows} of {name!r}" for name, rows in facts.per_source.items()), 4)
    return (
        f"far out from the rest of their source: {facts.rows} of {n} rows ({each}; the first is "
        f"{first}); a sample of a source may hold some or none, so that intervals that take them "
        "in may be far too narrow"
    )


def _without(plan: Plan, baseline: str, facts: FarOut, far: np.ndarray) -> FarOut:
    """The comparison of the other rows."""
    if plan.job.family.trained:
        raise InputError("trained models are not trained again without them")
    rows = torch.from_numpy(np.flatnonzero(~far))
    job = replace(plan.job, data=plan.job.data.take(rows))
    other = replace(plan, job=job, _kept={})
    scored = {str(c): evaluate_cell(other, c, other.shared(c.repetition)) for c in other.cells}
    summary = Summary(other, scored)
    found = differences(summary, baseline)
    verdict = verdict_of(summary, baseline, {}, found)
    return replace(facts, verdict=verdict.overall, differences=tuple(found))


def _of_others(plan: Plan, facts: FarOut, strategy: str) -> str:
    """What the other rows say on average."""
    d = next(d for d in facts.differences or () if d.average and d.strategy == strategy)
    more, less = in_order(strategy, d.baseline, plan.job.metric.higher_is_better)
    return (
        f"of the other rows alone {more} minus {less} is {figure(d.difference, '+.3g')} {d.unit} "
        f"on average ({ends(d.low, d.high)}): {facts.verdict}"
    )
