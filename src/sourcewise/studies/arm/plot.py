"""The picture of an ARM table: measured, the paper, counts and the asymptotic laws."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sourcewise.errors import InputError
from sourcewise.studies.arm.cells import Cell
from sourcewise.studies.curves import STRATEGIES, Strategy, select
from sourcewise.studies.pictures import COLOURS, STYLE, frame, measured, powers, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_LABELS = {"K": "number of sources $K$", "n": "sample size $n$", "D": "positions $D$"}


def draw(sweep: str, cells: Sequence[Cell], png: Path, svg: Path) -> None:
    """Write the picture twice; the same cells give the same bytes.

    Args:
        sweep: what is varied.
        cells: of the table.
        png, svg: where to.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not cells:
        raise InputError("no cell to draw: the sweep is empty")
    with rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        axes = figure.subplots()
        for strategy in STRATEGIES:
            _curve(axes, select(cells, strategy=strategy), strategy)
        separate = select(cells, strategy="separate")
        _laws(axes, separate)
        _finish(axes, sweep, [cell.value for cell in separate])
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        save(figure, png, svg)


def _curve(axes: "Axes", cells: Sequence[Cell], strategy: Strategy) -> None:
    measured(axes, cells, strategy, "o", f"{strategy}, measured")
    known = [(cell.value, cell.paper) for cell in cells if cell.paper is not None]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            "D",
            markerfacecolor="white",
            markeredgecolor=COLOURS[strategy],
            markersize=4.6,
            label=f"{strategy}, the paper",
        )


def _laws(axes: "Axes", cells: Sequence[Cell]) -> None:
    """What needs no training; the same for both strategies."""
    x = [cell.value for cell in cells]
    axes.plot(x, [c.frequencies for c in cells], ":", color="0.3", linewidth=1.2, label="counts")
    law = [(c.value, c.saturated) for c in cells if c.saturated < 1]
    if len(law) > 1:
        dashed: dict[str, Any] = {"color": "0.3", "linewidth": 0.8, "dashes": (4, 2.5)}
        axes.plot(*zip(*law, strict=True), label="law, saturated class", **dashed)


def _finish(axes: "Axes", sweep: str, values: Sequence[int]) -> None:
    frame(axes, _LABELS[sweep])
    axes.set_ylabel("average TV")
    if sweep == "D":
        axes.set_ylim(0, 1)
    else:
        powers(axes)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
