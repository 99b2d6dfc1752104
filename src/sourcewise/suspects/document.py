"""From judged labels to the result, and to the table of all of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from sourcewise.cells import csv_text
from sourcewise.results.data import LeftOut
from sourcewise.results.labels import (
    LABELS,
    Confusion,
    Flag,
    JudgedData,
    JudgedSource,
    LabelModel,
    LabelsResult,
    ShareFacts,
)
from sourcewise.suspects.examples import Examples, text_of
from sourcewise.suspects.flags import Judged, Share
from sourcewise.suspects.prepare import PreparedLabels

__all__ = ["SHOWN", "Found", "labels_result", "labels_table"]

SHOWN = 100  # flags of which the result shows what they are
NOISY = 0.5  # labels drawn anew, above which little of them is known
HEAD = ("row", "source", "suggested", "score", "low", "high", "probability", "flagged", "place")


@dataclass(frozen=True)
class Found:
    """Labels of the rows of judged sources, judged."""

    prepared: PreparedLabels
    judged: Judged
    rows: Tensor  # (n,) which of all rows they are

    @cached_property
    def order(self) -> list[int]:
        """Of the judged rows, most suspect first."""
        return self.judged.ranked().tolist()

    @cached_property
    def flagged(self) -> list[int]:
        """Those that are flagged, most suspect first."""
        settings, wrong = self.prepared.settings, self.judged.wrong.tolist()
        return [i for i in self.order if wrong[i] >= settings.probability][: settings.most]

    def source(self, j: int) -> int:
        """The number among all sources of judged source j."""
        return int(self.prepared.judged[j])

    def flag(self, i: int) -> Flag:
        """Judged row i, without what it is."""
        job, judged, at = self.prepared.job, self.judged, int(self.rows[i])
        own, other = self.labels(i)
        low, high = self._ends(i)
        return Flag(
            row=job.data.places.number(at),
            source=job.names[own],
            suggested=job.names[other],
            score=float(judged.score[i]),
            low=low,
            high=high,
            probability=float(judged.wrong[i]),
        )

    def labels(self, i: int) -> tuple[int, int]:
        """Its source, and the one that is suggested."""
        judged = self.judged
        return self.source(int(judged.labels.y[i])), self.source(int(judged.suggested[i]))

    def _ends(self, i: int) -> tuple[float | None, float | None]:
        """Of the interval of a score."""
        if self.judged.reach is None:
            return None, None
        score, reach = float(self.judged.score[i]), float(self.judged.reach[i])
        return score - reach, score + reach


def labels_table(found: Found) -> str:
    """All judged labels as a CSV file, most suspect first; flagged ones with their places."""
    flagged, places = set(found.flagged), found.prepared.job.data.places
    lines: list[Sequence[object]] = [HEAD]
    for i in found.order:
        flag, yes = found.flag(i), i in flagged
        values = tuple(getattr(flag, name) for name in HEAD[:-2])
        place = places(int(found.rows[i])) if yes else None
        lines.append((*values, "yes" if yes else "no", place))
    return csv_text(lines)


def labels_result(found: Found, run: str | None) -> LabelsResult:
    """Put the result together; see docs for its keys."""
    prepared, judged = found.prepared, found.judged
    settings, config, flags = prepared.settings, prepared.config, tuple(_flags(found))
    precision, recall = _shares(judged, found.flagged)
    return LabelsResult(
        schema_version=1,
        kind=LABELS,
        data=_data(found),
        family=prepared.job.family.name,
        strategy=prepared.strategy.name,
        metric=prepared.job.metric.name,
        folds=settings.folds,
        seeds=settings.seeds,
        probability=settings.probability,
        flags=flags,
        expected_precision=precision,
        expected_recall=recall,
        expected_wrong=float(judged.wrong.sum()),
        sources=tuple(_sources(found, flags)),
        confusions=_confusions(flags),
        model=_model(found),
        warnings=(*prepared.notes, *_notes(found)),
        run=run,
        settings=config["settings"] | prepared.chosen,
        versions=config["versions"],
    )


def _notes(found: Found) -> Iterator[str]:
    """What is to be known of what was found, one line each."""
    judged, job = found.judged, found.prepared.job
    rate = float(judged.calibration.rate)
    if rate > NOISY:
        yield (
            f"the labels are likeliest if {rate:.2f} of them were drawn anew, of 1 at most: where "
            "sources overlap, or models are weak, this is hardly known, nor how many labels are "
            "wrong"
        )
    if judged.reach is not None and job.family.trained:
        yield (
            "intervals of scores are wider than 95 % takes: what chance does in training counts "
            "as if it came from the rows"
        )


def _flags(found: Found) -> Iterator[Flag]:
    """Those that are flagged; the first ones with what they are, and where they stand."""
    data = found.prepared.shown
    examples = Examples.of(data)
    for number, i in enumerate(found.flagged):
        flag = found.flag(i)
        if number < SHOWN:
            at, (own, other) = int(found.rows[i]), found.labels(i)
            columns = None if examples is None else examples.telling(at, own, other)
            text, place = text_of(data.x, at), data.places(at)
            flag = replace(flag, place=place, text=text, columns=columns)
        yield flag


def _shares(judged: Judged, flagged: list[int]) -> tuple[ShareFacts, ShareFacts]:
    """Expected precision and recall of the flags."""
    if not flagged:
        none = ShareFacts(None, None, None, "nothing is flagged")
        return none, none
    return _facts(judged.precision(flagged)), _facts(judged.recall(flagged))


def _facts(share: Share) -> ShareFacts:
    return ShareFacts(share.value, share.low, share.high)


def _data(found: Found) -> JudgedData:
    prepared = found.prepared
    job, screened = prepared.job, prepared.screened
    return JudgedData(
        name=job.data.name,
        fingerprint=prepared.config["fingerprint"],
        rows=len(job.data),
        judged=len(found.rows),
        columns=tuple(column.name for column in job.coding.coded_columns),
        left_out=tuple(LeftOut(item.column, item.reason) for item in screened.left_out),
        dropped_rows=screened.dropped,
        duplicate_rows=len(job.data) - len(job.data.same.unique()),
        image=job.coding.image,
    )


def _sources(found: Found, flags: Sequence[Flag]) -> Iterator[JudgedSource]:
    """All of them, in their order."""
    job, count = found.prepared.job, Counter(flag.source for flag in flags)
    y, wrong = found.judged.labels.y, found.judged.wrong
    number = {k: j for j, k in enumerate(found.prepared.judged.tolist())}
    for k, name in enumerate(job.names):
        rows, reason = int(job.data.counts[k]), found.prepared.left.get(name)
        sum_ = float(wrong[y == number[k]].sum()) if k in number else None
        yield JudgedSource(name, rows, count[name], sum_, reason)


def _confusions(flags: Sequence[Flag]) -> tuple[Confusion, ...]:
    pairs = Counter((flag.source, flag.suggested) for flag in flags)
    return tuple(Confusion(*pair, flagged=n) for pair, n in pairs.most_common())


def _model(found: Found) -> LabelModel:
    judged, names = found.judged, found.prepared.job.names
    fit = judged.calibration
    copies = None if judged.labels.votes is None else float(fit.weight)
    return LabelModel(
        scale=float(fit.scale),
        rate=float(fit.rate),
        copies=copies,
        offsets={names[found.source(j)]: a for j, a in enumerate(fit.offsets.tolist())},
        accuracy=float((judged.right.argmax(1) == judged.labels.y).double().mean()),
    )
