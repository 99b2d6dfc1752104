"""The picture of an ARM table: measured, the paper, counts and the asymptotic laws."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sourcewise.errors import InputError
from sourcewise.studies.curves import COLOURS, STYLE, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sourcewise.studies.arm_settings import Strategy
    from sourcewise.studies.arm_study import ArmTable

__all__ = ["draw"]

_LABELS = {"K": "number of sources $K$", "n": "sample size $n$", "D": "positions $D$"}


def draw(table: "ArmTable", png: Path, svg: Path) -> None:
    """Write the picture twice; the same result gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not table.cells:
        raise InputError("no cell to draw: the sweep is empty")
    with rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        axes = figure.subplots()
        _curve(axes, table, "separate")
        _curve(axes, table, "pooled")
        _laws(axes, table)
        _finish(axes, table)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        save(figure, png, svg)


def _curve(axes: "Axes", table: "ArmTable", strategy: "Strategy") -> None:
    cells, colour = table.select(strategy), COLOURS[strategy]
    x, y = [cell.value for cell in cells], [cell.measured for cell in cells]
    bars = [cell.high - cell.measured for cell in cells]
    style: dict[str, Any] = {"color": colour, "markersize": 3.2, "linewidth": 1.2}
    axes.errorbar(x, y, yerr=bars, fmt="o-", capsize=2, label=f"{strategy}, measured", **style)
    known = [(cell.value, cell.paper) for cell in cells if cell.paper is not None]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            "D",
            markerfacecolor="white",
            markeredgecolor=colour,
            markersize=4.6,
            label=f"{strategy}, the paper",
        )


def _laws(axes: "Axes", table: "ArmTable") -> None:
    cells = table.select("separate")
    x = [cell.value for cell in cells]
    axes.plot(x, [c.frequencies for c in cells], ":", color="0.3", linewidth=1.2, label="counts")
    law = [(c.value, c.saturated) for c in cells if c.saturated < 1]
    if len(law) > 1:
        dashed: dict[str, Any] = {"color": "0.3", "linewidth": 0.8, "dashes": (4, 2.5)}
        axes.plot(*zip(*law, strict=True), label="law, saturated class", **dashed)


def _finish(axes: "Axes", table: "ArmTable") -> None:
    sweep = table.settings.sweep
    axes.set_xlabel(_LABELS[sweep])
    axes.set_ylabel("average TV")
    axes.tick_params(top=True, right=True, length=2.5)
    axes.grid(linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)
    if sweep == "D":
        axes.set_ylim(0, 1)
    else:  # powers of K and n are straight
        axes.set_xscale("log")
        axes.set_yscale("log")
        from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    values = [cell.value for cell in table.select("separate")]
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
