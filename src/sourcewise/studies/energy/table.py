"""The result of the energy study: its tables as text, and its picture.

The picture has a row of panels per dimension, a column per sweep. Colours are strategies; how a
line is drawn says what it is: measured, a law, or the bound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

from sourcewise.studies.curves import STRATEGIES, Fit, Strategy
from sourcewise.studies.energy.points import EnergyPoint
from sourcewise.studies.energy.settings import SWEEPS, EnergyStudySettings, Sweep
from sourcewise.studies.pictures import COLOURS, STYLE, Picture, frame, measured, powers
from sourcewise.studies.result import Result, number, row, select

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "EnergyStudy", "Exponent"]

_ERRORS = (
    "strategy", "measured", "+-", "at truth", "informat.", "law", "bound", "gain", "+-",
    "beta-hat", "by law",
)  # fmt: skip
_CHECKS = (
    "strategy", "2 log LR", "at truth", "rank", "2 pi n R2", "p", "below", "starts", "log Z",
    "TV", "apart", "beta",
)  # fmt: skip
_LABELS = {"n": "examples $n$", "K": "sources $K$", "d_e": "numbers per embedding $d_e$"}
_MARKERS = {"separate": "s", "pooled": "o"}
_LINES: dict[str, tuple[str, tuple[float, ...]]] = {  # field of a point: its name and dashes
    "bound": ("refined bound", (6, 2, 1, 2)),
    "law": (r"$\sqrt{p/(2\pi n)}$, $p$ of the class", (1, 1.5)),
    "information": ("law of the information matrix", (4, 2)),
}
_TRUTH: Any = {"linestyle": "", "markerfacecolor": "white", "markersize": 4.2}
_NAMES = {"n": "examples n", "K": "sources K", "d_e": "numbers per embedding d_e"}


@dataclass(frozen=True)
class Exponent:
    """The fitted power of n or K on one curve of a sweep."""

    D: int
    sweep: Sweep
    fit: Fit


@dataclass(frozen=True)
class EnergyStudy(Result):
    """The points of all sweeps, with the exponents of their curves."""

    settings: EnergyStudySettings
    points: tuple[EnergyPoint, ...]
    exponents: tuple[Exponent, ...]

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(study: EnergyStudy) -> Iterator[str]:
    """Header, a table of errors and one of checks per sweep, ratios, exponents."""
    yield from _header(study.settings)
    for D in study.settings.dimensions:
        for sweep in SWEEPS:
            if points := study.select(D=D, sweep=sweep):
                yield from _tables(points)
    yield from ("", "over all different places (smallest, geometric mean, largest):")
    yield from _ratios(study.points)
    if study.exponents:
        yield from ("", "exponents (least squares of logarithms; of n -1/2 is expected):")
    for e in study.exponents:
        yield f"  D = {e.D}, of {e.sweep}: {e.fit.line(26)}"


def _tables(points: Sequence[EnergyPoint]) -> list[str]:
    """Of one sweep: errors, then checks."""
    first = points[0]
    fixed = ", ".join(f"{k} = {getattr(first, k)}" for k in SWEEPS if k != first.sweep)
    title = f"D = {first.D}, against {_NAMES[first.sweep]}"
    errors = [row((first.sweep, *_ERRORS), 7), *[_errors(point) for point in points]]
    checks = [row((first.sweep, *_CHECKS), 7), *[_checks(point) for point in points]]
    return ["", f"{title} ({fixed}): errors", *errors, "", f"{title}: checks", *checks]


def _header(s: EnergyStudySettings) -> list[str]:
    batch = "full batch" if s.batch == "all" else f"batches of {s.batch} (all rows if fewer)"
    return [
        "Average TV of conditional energy-based models, by quadrature; truth: a random member of "
        "the class",
        f"class: ReLU network of width {s.width} and depth {s.depth}, parameters within "
        f"{s.bound:g}; truth: spread {s.spread:g}, embeddings within {s.own * s.bound:g}; "
        f"{s.seeds} seeds",
        f"training: {batch}, {s.updates} updates, {s.optimizer}, rate {s.learning_rate:g} "
        f"{s.schedule}, the likeliest of {s.starts} starts; quadrature with "
        f"{s.nodes[0]} (D = 1) and {s.nodes[1]} (D = 2) nodes per axis",
        "measured: mean over seeds; +-: half of its 95 % t interval; at truth: of fits that start "
        "at the truth, with a tenth of the rate;",
        "informat.: the law of the information matrix; law: sqrt(p / (2 pi n)), p of the class; "
        "by law: beta-hat of the two informat.;",
        f"bound: refined, at {1 - s.delta:.0%}; 2 log LR: of fits over truth; below: blocks less "
        "likely than the truth, of all; starts: likewise; log Z, TV: largest error",
    ]


def _ratios(points: Sequence[EnergyPoint]) -> Iterator[str]:
    """What stands to what, and how many blocks stay below the truth, by strategy."""
    different = {(p.D, p.K, p.n, p.d_e, p.strategy): p for p in points}
    for strategy in STRATEGIES:
        some = select(different.values(), strategy=strategy)
        for name, values in _compared(some).items():
            if values:
                yield f"  {strategy:<10}{name:<34}{_range(values)}"
        below = f"{sum(p.below for p in some)} of {sum(p.blocks for p in some)} blocks"
        starts = f"{sum(p.starts_below for p in some)} of {sum(p.starts for p in some)} starts"
        yield f"  {strategy:<10}below the truth's likelihood: {below}, {starts}"


def _compared(points: Sequence[EnergyPoint]) -> dict[str, list[float]]:
    """Ratios by name, one per point."""
    reached = select(points, below=0)
    return {
        "bound / measured": [p.bound / p.measured for p in points],
        "class law / measured": [p.law / p.measured for p in points],
        "measured / information's law": [p.measured / p.information for p in points],
        "the same where no block is below": [p.measured / p.information for p in reached],
        "at truth / information's law": [p.near / p.information for p in points],
        "2 log LR / rank, none below": [p.gained / p.rank for p in reached],
        "2 log LR at truth / rank": [p.near_gained / p.rank for p in points],
        "p of the class / rank": [p.parameters / p.rank for p in points],
    }


def _range(values: list[float]) -> str:
    """Of positive or negative values; the mean only of positive ones."""
    middle = f"{geometric_mean(values):8.2f}" if min(values) > 0 else f"{'-':>8}"
    return f"{min(values):8.2f}{middle}{max(values):8.2f}"


def _errors(point: EnergyPoint) -> str:
    laws = (point.near, point.information, point.law, point.bound)
    gain, betas = (point.gain, point.gain_half_width), (point.beta_hat, point.beta_information)
    values = (point.measured, point.half_width, *laws, *gain, *betas)
    return row((str(point.value), point.strategy, *(number(v) for v in values)), 7)


def _checks(point: EnergyPoint) -> str:
    counts = (point.gained, point.near_gained, point.rank, point.effective)
    texts = (
        str(point.value),
        point.strategy,
        *(f"{count:.1f}" for count in counts),
        str(point.parameters),
        f"{point.below}/{point.blocks}",
        f"{point.starts_below}/{point.starts}",
        f"{point.normaliser:.0e}",
        f"{point.quadrature:.0e}",
        f"{point.apart:.3f}",
        f"{point.beta:.4f}",
    )
    return row(texts, 7)


def _figure(study: EnergyStudy) -> "Figure":
    """A row of panels for each D."""
    from matplotlib.figure import Figure

    dimensions = study.settings.dimensions
    sweeps = [sweep for sweep in SWEEPS if study.select(sweep=sweep)]
    size = (2.45 * len(sweeps) + 0.3, 2.6 * len(dimensions) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(dimensions), len(sweeps), squeeze=False, sharey=True)
    for D, line in zip(dimensions, panels, strict=True):
        for sweep, axes in zip(sweeps, line, strict=True):
            _panel(axes, sweep, study.select(D=D, sweep=sweep))
        line[0].set_ylabel(f"average TV, $D = {D}$")
    _legend(figure)
    return figure


def _panel(axes: "Axes", sweep: str, points: Sequence[EnergyPoint]) -> None:
    """One sweep."""
    from matplotlib.ticker import NullLocator

    for strategy in STRATEGIES:
        _curves(axes, select(points, strategy=strategy), strategy)
    frame(axes, _LABELS[sweep])
    powers(axes)
    values = [point.value for point in select(points, strategy="pooled")]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values, [str(v) if v % 1000 else f"{v // 1000}k" for v in values])


def _curves(axes: "Axes", points: Sequence[EnergyPoint], strategy: Strategy) -> None:
    """Measured with intervals, from the truth, the laws and the bound of one strategy."""
    x, colour = [point.value for point in points], COLOURS[strategy]
    for name, (_, dashes) in _LINES.items():
        y = [getattr(point, name) for point in points]
        axes.plot(x, y, dashes=dashes, color=colour, linewidth=0.9)
    measured(axes, points, strategy, _MARKERS[strategy])
    near = [point.near for point in points]
    axes.plot(x, near, _MARKERS[strategy], markeredgecolor=colour, **_TRUTH)


def _legend(figure: "Figure") -> None:
    """Strategies in colour, kinds of lines in grey."""
    from matplotlib.lines import Line2D

    grey = "0.35"
    handles = [
        Line2D(
            [], [], color=COLOURS[s], marker=_MARKERS[s], markersize=3.2, label=f"{s}, measured"
        )
        for s in STRATEGIES
    ]
    label = "fits that start at the truth"
    handles.append(Line2D([], [], marker="o", markeredgecolor=grey, label=label, **_TRUTH))
    handles += [
        Line2D([], [], color=grey, linewidth=0.9, dashes=dashes, label=name)
        for name, dashes in _LINES.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.6)


PICTURE = Picture(_figure, STYLE)
