"""The picture of self-purification: accuracy of draws by labels, and flags along the training."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from sourcewise.studies.pictures import COLOURS, STYLE, Picture, frame
from sourcewise.studies.result import select
from sourcewise.studies.spfm.points import LABELS, Flagging, SpfmPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sourcewise.studies.spfm.table import Spfm

__all__ = ["PICTURE"]

# Okabe and Ito's colours, told apart by all forms of colour blindness.
RATES = {
    "precision": ("precision", "#009E73"),
    "recall": ("recall", "#CC79A7"),
    "false": ("right labels flagged", "#999999"),
}


def _figure(result: "Spfm") -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _accuracies(left, result.points)
    _flags(right, result.flags)
    return figure


def _accuracies(axes: "Axes", points: Sequence[SpfmPoint]) -> None:
    """A group of bars for each kind of labels; paler with guidance."""
    every = list(dict.fromkeys((p.strategy, p.guidance) for p in points))
    width = 0.8 / len(every)
    for i, (strategy, w) in enumerate(every):
        mine = select(points, strategy=strategy, guidance=w)
        x = [j + (i - (len(every) - 1) / 2) * width for j in range(len(mine))]
        y = [p.accuracy for p in mine]
        known = [p.low is not None for p in mine]
        reach = [p.high - p.accuracy if p.high is not None else 0.0 for p in mine]
        alpha = 1.0 if w == every[0][1] else 0.5
        label = f"{strategy}, w = {w:g}"
        axes.bar(x, y, width, color=COLOURS.get(strategy), alpha=alpha, label=label)
        if all(known):
            axes.errorbar(x, y, yerr=reach, fmt="none", color="black", lw=0.8, capsize=2)
    axes.set_xticks(range(len(LABELS)), LABELS)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("accuracy of draws")
    axes.set_title("trained on labels that are", fontsize=9)
    # Bars fill the axes: what they are stands below.
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False)


def _flags(axes: "Axes", seeds: Sequence[Sequence[Flagging]]) -> None:
    """Means over the seeds along the training."""
    parts = list(zip(*seeds, strict=False))
    x = [fmean(f.update for f in part) for part in parts]
    for name, (label, colour) in RATES.items():
        found = [[getattr(f, name) for f in part] for part in parts]
        y = [fmean(v for v in each if v is not None) if any(each) else 0.0 for each in found]
        axes.plot(x, y, "o-", ms=3, lw=1.2, color=colour, label=label)
    axes.set_xlim(0, 1.05 * max(x, default=1))  # from the first update on, of one part too
    axes.set_ylim(0, 1.02)
    axes.set_title("flags of the pooled model", fontsize=9)
    axes.legend(fontsize=7)
    frame(axes, "update")


PICTURE = Picture(_figure, STYLE)
