"""The result of the studies of self-purification, and how it is printed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from sourcewise.settings import Settings
from sourcewise.studies.curves import over_seeds
from sourcewise.studies.result import Result, markdown, select
from sourcewise.studies.spfm.closed import TIMES, ClosedPoint
from sourcewise.studies.spfm.points import Change, Flagging, Probe, SpfmPoint

__all__ = ["Spfm"]


@dataclass(frozen=True)
class Spfm(Result):
    """What was found. `points` are of the trained models."""

    settings: Settings
    points: tuple[SpfmPoint, ...]
    data: str  # what models were trained on
    closed: tuple[ClosedPoint, ...]  # flags by fields in closed form
    changes: tuple[Change, ...]  # what wrong labels cost, and what purification makes of that
    flags: tuple[tuple[Flagging, ...], ...]  # of each seed, in parts of its training
    kept: tuple[Flagging, ...]  # of each seed, by row
    probes: tuple[Probe, ...]  # of models that were trained on wrong labels, mean over seeds
    real: float | None  # accuracy of the classifier on real rows; None: it is exact

    def __str__(self) -> str:
        """In Markdown."""
        parts = [*self._closed(), f"{self.data}:", "", *self._drawn(), "", *self._changes(), ""]
        return "\n".join([*parts, *self._flags(), "", *self._probes()])

    def _closed(self) -> Iterator[str]:
        if not self.closed:
            return
        yield "flags by fields in closed form, recall / false (in brackets: published):"
        yield ""
        rows = (
            [case, f"{R}", *map(_rates, select(self.closed, case=case, R=R))]
            for case, R in dict.fromkeys((p.case, p.R) for p in self.closed)
        )
        yield from markdown(["setting", "R", *(f"t = {t:g}" for t in TIMES)], rows)
        yield ""
        for case in dict.fromkeys(p.case for p in self.closed):
            most = max(p.apart for p in select(self.closed, case=case))
            yield f"{case}: at most {most:.3f} apart"
        yield ""

    def _drawn(self) -> Iterator[str]:
        head = ["labels", "strategy", "w", "accuracy", "95 % interval", "distance", "updates"]
        yield from markdown(head, map(_of_draws, self.points))
        if self.real is not None:
            yield ""
            yield f"the classifier's accuracy on real rows: {self.real:.3f}"

    def _changes(self) -> Iterator[str]:
        for c in self.changes:
            share = "" if c.share is None else f", {c.share:.0%} of it"
            ends = "" if c.low is None else f" ({c.low:.0%} to {c.high:.0%})"
            yield (
                f"- {c.strategy}, w = {c.guidance:g}: wrong labels cost {c.cost:+.3f}, "
                f"purification regains {c.gain:+.3f}{share}{ends}"
            )

    def _flags(self) -> Iterator[str]:
        rows = [
            [f"to update {max(f.update for f in part)}", *_flag_rates(part)]
            for part in zip(*self.flags, strict=False)
        ]
        if self.kept:
            rows.append(["by row, most of its looks", *_flag_rates(self.kept)])
        yield from markdown(["flags of the pooled model", "precision", "recall", "false"], rows)

    def _probes(self) -> Iterator[str]:
        yield "flags by the pooled model that was trained on wrong labels, recall / false:"
        yield ""
        rows = (
            [f"{R}", *(f"{p.recall:.2f}/{p.false:.2f}" for p in select(self.probes, R=R))]
            for R in dict.fromkeys(p.R for p in self.probes)
        )
        yield from markdown(["R", *(f"t = {t:g}" for t in TIMES)], rows)


def _of_draws(p: SpfmPoint) -> list[str]:
    ends = "-" if p.low is None else f"{p.low:.3f} to {p.high:.3f}"
    distance = "-" if p.distance is None else f"{p.distance:.4f}"
    numbers = [f"{p.guidance:g}", f"{p.accuracy:.3f}", ends, distance, f"{p.updates}"]
    return [p.labels, p.strategy, *numbers]


def _flag_rates(each: Sequence[Flagging]) -> Iterator[str]:
    """Precision, recall, false flags: means over seeds, with t intervals of several."""
    precision = [f.precision for f in each if f.precision is not None]
    return map(_mean, (precision, [f.recall for f in each], [f.false for f in each]))


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "-"
    found = over_seeds(values)
    return f"{mean(values):.3f} ± {found.high - found.value:.3f}"


def _rates(p: ClosedPoint) -> str:
    ours = f"{p.recall:.2f}/{p.false:.2f}"
    if p.published_recall is None:
        return ours
    return f"{ours} ({p.published_recall:.2f}/{p.published_false:.2f})"
