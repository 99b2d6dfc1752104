"""How studies draw their results, and the looks that their pictures share."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sourcewise.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sourcewise.studies.curves import Point, Strategy

__all__ = ["COLOURS", "STYLE", "Picture", "frame", "measured", "powers"]

# Blue and vermilion of Okabe and Ito: told apart by colour-blind readers, and in grey.
COLOURS = {"separate": "#0072B2", "pooled": "#D55E00"}
STYLE = {
    "font.size": 9,
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Picture:
    """How a result is drawn."""

    figure: "Callable[[Any], Figure]"  # of a result
    style: Mapping[str, object]  # matplotlib's settings
    dpi: int = 200  # of the PNG file

    def write(self, result: object, png: Path, svg: Path) -> None:
        """Write the picture twice; the same result gives the same bytes."""
        from matplotlib import rc_context

        style: Any = {**self.style, "svg.hashsalt": "sourcewise"}  # the same names in each run
        with rc_context(style):
            figure = self.figure(result)
            for path in (png, svg):
                content, kind = io.BytesIO(), path.suffix[1:]
                metadata = {"Date": None} if kind == "svg" else {"Software": None}
                figure.savefig(content, format=kind, dpi=self.dpi, metadata=metadata)
                write_atomic(path, content.getvalue())


def measured(
    axes: "Axes", points: "Sequence[Point]", strategy: "Strategy", marker: str, label: str = ""
) -> None:
    """A curve with the intervals over seeds."""
    axes.errorbar(
        [point.value for point in points],
        [point.measured for point in points],
        yerr=[point.half_width for point in points],
        fmt=f"{marker}-",
        color=COLOURS[strategy],
        label=label or None,
        markersize=3.2,
        linewidth=1.2,
        capsize=2,
    )


def frame(axes: "Axes", label: str) -> None:
    """Ticks on all sides, a pale grid behind the curves, and a name for x."""
    axes.set_xlabel(label)
    axes.tick_params(top=True, right=True, length=2.5, which="both")
    axes.grid(linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)


def powers(axes: "Axes") -> None:
    """Logarithmic axes, on which powers are straight; y has plain numbers."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())
