"""The picture of self-purification: accuracy of draws by labels, and flags along the training."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from sourcewise.studies.curves import over_seeds
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
    parts = list(zip(*result.flags, strict=False))
    if len(parts) > 1:
        _flags(right, parts)
    else:
        _shares(right, {"of all looks": sum(parts, ()), "by row": result.kept})
    right.set_ylim(0, 1.02)
    right.set_title("flags of the pooled model", fontsize=9)
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
    _legend_below(axes, 2)


def _legend_below(axes: "Axes", columns: int) -> None:
    """Bars fill the axes: what they are stands below."""
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1), "ncols": columns}
    axes.legend(fontsize=7, frameon=False, **place)


def _flags(axes: "Axes", parts: Sequence[Sequence[Flagging]]) -> None:
    """Means over the seeds along the training, of its parts."""
    x = [fmean(f.update for f in part) for part in parts]
    for name, (label, colour) in RATES.items():
        found = [[getattr(f, name) for f in part] for part in parts]
        y = [fmean(v for v in each if v is not None) if any(each) else 0.0 for each in found]
        axes.plot(x, y, "o-", ms=3, lw=1.2, color=colour, label=label)
    axes.set_xlim(0, 1.05 * max(x))  # from the first update on
    axes.legend(fontsize=7)
    frame(axes, "update")


def _shares(axes: "Axes", groups: Mapping[str, Sequence[Flagging]]) -> None:
    """Bars with intervals over the seeds, of a training that is not told in parts."""
    width = 0.8 / len(RATES)
    for i, (name, (label, colour)) in enumerate(RATES.items()):
        each = [[getattr(f, name) for f in flags] for flags in groups.values()]
        known = [[v for v in values if v is not None] for values in each]
        found = [over_seeds(values) if len(values) > 1 else None for values in known]
        x = [j + (i - 1) * width for j in range(len(groups))]
        y = [fmean(values) if values else 0.0 for values in known]
        reach = [0.0 if one is None else one.high - one.value for one in found]
        axes.bar(x, y, width, color=colour, label=label)
        axes.errorbar(x, y, yerr=reach, fmt="none", color="black", lw=0.8, capsize=2)
    axes.set_xticks(range(len(groups)), groups)
    _legend_below(axes, len(RATES))


PICTURE = Picture(_figure, STYLE)
