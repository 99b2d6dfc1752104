"""An ARM table: a point with what stands beside its measured error; points as text, and drawn."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from sourcewise.studies.arm.settings import PAPER, ArmStudySettings, Cell, Sweep
from sourcewise.studies.curves import STRATEGIES, Fit, Point, Strategy, compared, reason
from sourcewise.studies.pictures import COLOURS, STYLE, Picture, frame, measured, powers
from sourcewise.studies.result import Result, number, row
from sourcewise.theory import arm as theory
from sourcewise.theory.asymptotic import asymptotic_bound
from sourcewise.theory.sharing import empirical_beta

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "ArmPoint", "ArmTable", "Errors", "distance", "point"]

NOT_STATED = (
    "the paper's truth, network sizes and training are not stated in what we hold; "
    "all of them are our choice"
)
_COLUMNS = (
    "sweep", "strategy", "measured", "+-", "paper", "ratio", "counts", "class", "saturated",
    "gain", "+-", "beta-hat", "paper's", "beta", "updates",
)  # fmt: skip
_EXPECTED = {"K": "+0.5 for separate", "n": "-0.5"}
_LABELS = {"K": "number of sources $K$", "n": "sample size $n$", "D": "positions $D$"}


@dataclass(frozen=True)
class Errors:
    """Average TV in one cell, a value per seed."""

    separate: list[float]  # of one model each
    pooled: list[float]  # of one model for all
    # of the relative frequencies of sequences, source by source: a model that learns its rows by
    # heart
    frequencies: list[float]
    updates: dict[Strategy, int]  # gradient steps of the longest-trained separate and pooled model
    similarity: float  # of the truth


@dataclass(frozen=True)
class ArmPoint(Point):
    """A point with what it is compared with."""

    sweep: Sweep
    D: int  # positions
    paper: float | None  # the paper's value
    frequencies: float  # average TV of the relative frequencies of the same rows, mean over seeds
    law: float  # `sqrt(p / (2 pi n))`, p the parameters of the class; may be above 1
    saturated: float  # the same for `p = K (M^D - 1)`
    paper_beta_hat: float | None  # `beta_hat` of the paper's two values


def point(settings: ArmStudySettings, cell: Cell, strategy: Strategy, errors: Errors) -> ArmPoint:
    """The point of a strategy in a cell."""
    K, n, D = cell.sizes
    pooled, sizes = strategy == "pooled", settings.sizes(D)
    paper = PAPER.get(cell.sizes) if settings.M == 2 else None
    return ArmPoint(
        **cell._asdict(),
        **compared(errors.separate, errors.pooled, strategy, K)._asdict(),
        strategy=strategy,
        paper=paper[STRATEGIES.index(strategy)] if paper else None,
        frequencies=mean(errors.frequencies),
        law=asymptotic_bound(theory.m(sizes, K, 1 if pooled else K), n),
        saturated=asymptotic_bound(K * (settings.M**D - 1), n),
        paper_beta_hat=(
            empirical_beta(paper[1] / paper[0], K) if paper and pooled and K > 1 else None
        ),
        beta=sizes.beta,
        updates=errors.updates[strategy],
        reason=reason(strategy, K, *([] if paper else ["the paper has no such cell"])),
    )


def distance(pairs: Iterable[tuple[float, float | None]]) -> float | None:
    """Root mean square of `log(measured / paper)`; None where the paper has nothing.

    >>> round(distance([(2.0, 1.0), (0.5, 1.0), (3.0, None)]), 4)
    0.6931
    """
    logs = [math.log(measured / paper) for measured, paper in pairs if paper]
    return math.sqrt(mean(v * v for v in logs)) if logs else None


@dataclass(frozen=True)
class ArmTable(Result):
    """One of the tables, with the exponents of its curves and the similarity of the truth."""

    settings: ArmStudySettings
    points: tuple[ArmPoint, ...]
    fits: tuple[Fit, ...]
    similarity: float

    @property
    def sweep(self) -> Sweep:
        """What is varied."""
        return self.points[0].sweep

    @property
    def distance(self) -> float | None:
        """Root mean square of `log(measured / paper)` over the cells that the paper has."""
        return distance((point.measured, point.paper) for point in self.points)

    def to_json(self) -> Mapping[str, object]:
        """As plain values."""
        stated = {"stated by the paper": False, "stated_by_the_paper_reason": NOT_STATED}
        return {**stated, **super().to_json(), "distance": self.distance}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(table: ArmTable) -> Iterator[str]:
    """Header, a line per point, distance and exponents."""
    s, sweep = table.settings, table.sweep
    fixed = ", ".join(f"{k} = {getattr(s, k)}" for k in ("K", "n", "D") if k != sweep)
    yield (
        f"Average TV of conditional ARMs against {sweep} ({fixed}), exact; not stated by the "
        "paper, so chosen by us:"
    )
    yield from _choices(s)
    yield (
        "+-: half of the 95 % t interval over seeds; counts: relative frequencies of the same "
        "rows; class, saturated: sqrt(p / (2 pi n))"
    )
    yield from ("", row(_COLUMNS, 11), *[_line(point) for point in table.points])
    if table.distance is not None:
        yield from ("", f"distance to the paper (rms of log ratios): {table.distance:.4f}")
    if table.fits:
        about = f"(least squares of logarithms; expected {_EXPECTED[sweep]}):"
        yield from ("", f"exponent of {sweep} {about}")
        yield from (f"  {fit.line(18)}" for fit in table.fits)


def _choices(s: ArmStudySettings) -> list[str]:
    """What was chosen, in two lines: the truth, and the model with its training."""
    if s.truth == "independent":
        truth = f"independent Dirichlet({s.concentration:g}) sources"
    elif s.truth == "shared":
        truth = f"softmax of shared plus {s.own:g} x own logits, spread {s.spread:g}"
    else:
        truth = f"a random ARM of the same sizes, spread {s.spread:g}"
    batch = "full batch" if s.batch == "all" else f"batches of {s.batch}"
    length = f"{s.updates} updates" if s.batch == "all" else f"{s.passes:g} passes"
    stop = f", early stopping on {s.validation:.0%} of the rows" if s.validation else ""
    return [
        f"truth: {truth}; M = {s.M}; {s.seeds} seeds",
        f"model: d_e {s.embedding}, width {s.width}, depth {s.depth}, encoder {s.encoder}; "
        f"{batch}, {length}, {s.optimizer}, rate {s.learning_rate:g} {s.schedule}{stop}",
    ]


def _line(point: ArmPoint) -> str:
    ratio = None if point.paper is None else point.measured / point.paper
    values = (point.measured, point.half_width, point.paper, ratio, point.frequencies)
    gain, betas = (point.gain, point.gain_half_width), (point.beta_hat, point.paper_beta_hat)
    numbers = [number(v) for v in (*values, point.law, point.saturated, *gain, *betas, point.beta)]
    cell = f"{point.sweep} = {point.value}"
    return row((cell, point.strategy, *numbers, str(point.updates)), 11)


def _figure(table: ArmTable) -> "Figure":
    """Measured, the paper, counts and the asymptotic law, in one panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axes = figure.subplots()
    for strategy in STRATEGIES:
        _curve(axes, table.select(strategy=strategy), strategy)
    separate = table.select(strategy="separate")
    _laws(axes, separate)
    frame(axes, _LABELS[table.sweep])
    axes.set_ylabel("average TV")
    if table.sweep == "D":
        axes.set_ylim(0, 1)
    else:
        powers(axes)
    axes.set_xticks([p.value for p in separate], [f"{p.value:g}" for p in separate])
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _curve(axes: "Axes", points: Sequence[ArmPoint], strategy: Strategy) -> None:
    measured(axes, points, strategy, "o", f"{strategy}, measured")
    known = [(point.value, point.paper) for point in points if point.paper is not None]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            "D",
            markerfacecolor="white",
            markeredgecolor=COLOURS[strategy],
            markersize=4.6,
            label=f"{strategy}, the paper",
        )


def _laws(axes: "Axes", points: Sequence[ArmPoint]) -> None:
    """What needs no training; the same for both strategies."""
    x = [point.value for point in points]
    axes.plot(x, [p.frequencies for p in points], ":", color="0.3", linewidth=1.2, label="counts")
    law = [(p.value, p.saturated) for p in points if p.saturated < 1]
    if len(law) > 1:
        x, y = zip(*law, strict=True)
        axes.plot(x, y, color="0.3", linewidth=0.8, dashes=(4, 2.5), label="law, saturated class")


PICTURE = Picture(_figure, STYLE)
