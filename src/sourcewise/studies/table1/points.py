"""What table 1 finds: a point for each cell and budget, beside the paper's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sourcewise.studies.result import Result, markdown
from sourcewise.studies.table1.settings import Budget, Table1Settings

__all__ = ["PAPER", "Spread", "Table1", "Table1Point"]

# The paper's average FID, separate and pooled, by (N, level, K).
PAPER = {
    (500, 1, 3): (30.03, 29.94),
    (500, 1, 10): (30.18, 29.28),
    (500, 2, 3): (32.69, 30.69),
    (500, 2, 10): (30.54, 28.75),
    (1000, 1, 3): (28.01, 26.41),
    (1000, 1, 10): (27.49, 25.84),
    (1000, 2, 3): (30.58, 29.35),
    (1000, 2, 10): (29.01, 27.81),
}


@dataclass(frozen=True)
class Spread:
    """A value over sets of draws from models of all training seeds.

    Args:
        mean: over the sets.
        sd: of one set; 0 of a single one.
    """

    mean: float
    sd: float


@dataclass(frozen=True)
class Table1Point:
    """One cell at one budget. Bounds are of log-likelihoods, in the metric's unit."""

    n: int  # training images of a class, those that tell when to stop among them
    level: int
    K: int
    budget: Budget
    classes: tuple[str, ...]
    similarity: float  # mean depth of the lowest common ancestor of two classes
    unit: str
    separate: float | None  # bound, averaged over classes
    pooled: float | None
    gain: float | None  # pooled less separate, with its 95 % interval
    low: float | None
    high: float | None
    verdict: str
    per_class: dict[str, float | None]  # gains
    terms: dict[str, float | None]  # what parts of the bound make of the gain
    frechet: dict[str, Spread]  # by strategy: average over classes
    floor: float  # of real images against others
    updates: dict[str, tuple[int, int]]  # by strategy: least and most of a model, over seeds
    improving: dict[str, int]  # by strategy: models whose best weights were mostly their last

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """The gain and the ends of its interval, if all are known."""
        if self.gain is None or self.low is None or self.high is None:
            return None
        return self.gain, self.low, self.high

    @property
    def advantage(self) -> float:
        """`(separate - pooled) / separate` of Frechet distances, as in the paper's figure 3."""
        separate, pooled = self.frechet["separate"].mean, self.frechet["pooled"].mean
        return (separate - pooled) / separate if separate else 0.0

    @property
    def advantage_sd(self) -> float:
        """About the standard deviation of an advantage of one set of draws, and of models."""
        spread = math.hypot(*(self.frechet[name].sd for name in ("separate", "pooled")))
        separate = self.frechet["separate"].mean
        return spread / separate if separate else 0.0


@dataclass(frozen=True)
class Table1(Result):
    """All points."""

    settings: Table1Settings  # that they were computed for
    points: tuple[Table1Point, ...]
    data: str  # the name of the data

    def __str__(self) -> str:
        """A Markdown table for each budget, and what it says of the paper's two claims."""
        parts = [
            f"{self.data}: averages over classes; bounds in {self.points[0].unit}; Frechet "
            f"distances of {self.settings.draws} draws of a class, sd over "
            f"{self.settings.sampling_seeds} sets from the models of each of "
            f"{self.settings.seeds} training seeds"
        ]
        for budget in dict.fromkeys(point.budget for point in self.points):
            mine = self.select(budget=budget)
            parts += ["", f"budget {budget}:", "", *_table(mine), "", *_claims(mine)]
            parts += ["", *_of_terms(mine)]
        return "\n".join([*parts, "", *_of_paper()])


def _table(points: Sequence[Table1Point]) -> list[str]:
    head = (
        "N", "similarity", "K", "separate", "pooled", "gain", "95 % interval", "verdict",
        "Frechet separate", "pooled", "floor", "advantage", "updates separate", "pooled",
    )  # fmt: skip
    return markdown(head, map(_cells, points))


def _cells(p: Table1Point) -> list[str]:
    interval = "-" if p.interval is None else "{1:+.4f} to {2:+.4f}".format(*p.interval)
    return [
        f"{p.n}",
        f"{p.level} ({p.similarity:.1f})",
        f"{p.K}",
        _number(p.separate),
        _number(p.pooled),
        _number(p.gain, "+.4f"),
        interval,
        p.verdict,
        *(f"{p.frechet[s].mean:.3f} ({p.frechet[s].sd:.3f})" for s in ("separate", "pooled")),
        f"{p.floor:.3f}",
        f"{p.advantage:+.1%}",
        *(_updates(p, s) for s in ("separate", "pooled")),
    ]


def _of_terms(points: Sequence[Table1Point]) -> list[str]:
    """Where the gains come from."""
    names = list(points[0].terms)
    rows = (
        [f"{p.n}", f"{p.level}", f"{p.K}", *(_number(p.terms[name], "+.4f") for name in names)]
        for p in points
    )
    lines = markdown(["N", "similarity", "K", *names], rows)
    return ["of which (noise in standard deviations of a pixel):", "", *lines]


def _number(value: float | None, form: str = ".4f") -> str:
    return "-" if value is None else format(value, form)


def _updates(p: Table1Point, strategy: str) -> str:
    low, high = p.updates[strategy]
    text = f"{low}" if low == high else f"{low} to {high}"
    late = p.improving[strategy]
    return f"{text}, {late} still improving" if late else text


def _claims(points: Sequence[Table1Point]) -> list[str]:
    """Whether more classes, and more similar ones, gain more by pooling."""
    told = []
    for name, key in (("more sources", "K"), ("more similarity", "level")):
        pairs = _pairs(points, key)
        if not pairs:
            continue
        found = []
        for what in ("gain", "advantage"):
            values = [(getattr(a, what), getattr(b, what)) for a, b in pairs]
            known = [b > a for a, b in values if a is not None and b is not None]
            found.append(f"the {what} is larger in {sum(known)} of {len(known)} pairs")
        apart = sum(_above(b, a) for a, b in pairs), sum(_above(a, b) for a, b in pairs)
        told.append(
            f"- {name}: {', '.join(found)}; intervals of the gain are apart in {apart[0]} for it "
            f"and {apart[1]} against it"
        )
    return told


def _pairs(points: Sequence[Table1Point], key: str) -> list[tuple[Table1Point, Table1Point]]:
    """Cells that differ in one thing alone, the smaller first."""
    fixed = [name for name in ("n", "level", "K") if name != key]
    found = []
    for a in points:
        for b in points:
            same = all(getattr(a, name) == getattr(b, name) for name in fixed)
            if same and getattr(a, key) < getattr(b, key):
                found.append((a, b))
    return found


def _above(a: Table1Point, b: Table1Point) -> bool:
    """Whether the gain of a is above that of b, by their intervals."""
    return a.interval is not None and b.interval is not None and a.interval[1] > b.interval[2]


def _of_paper() -> list[str]:
    """The paper's table."""
    head = "N", "similarity", "K", "FID separate", "pooled", "advantage"
    rows = (
        [*map(str, key), f"{a:.2f}", f"{b:.2f}", f"{(a - b) / a:+.1%}"]
        for key, (a, b) in PAPER.items()
    )
    return ["the paper (ImageNet at 256 x 256):", "", *markdown(head, rows)]
