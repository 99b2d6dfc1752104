"""`labels`: which labels are suspect, from the scores of all folds to the files of the run."""

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sourcewise.documents import reading
from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.files import read_tensors, write_atomic, write_json, write_tensors
from sourcewise.fitting.execute import Runnable, execute
from sourcewise.fitting.job import Progress, Split, Work, share
from sourcewise.forms import Images
from sourcewise.memory import give_back
from sourcewise.randomness import Noise
from sourcewise.results.contract import Json, to_json
from sourcewise.results.labels import SUSPECTS, LabelsResult
from sourcewise.results.labels_text import labels_lines
from sourcewise.results.read import read_labels
from sourcewise.results.samples import as_arrays
from sourcewise.results.text import joined
from sourcewise.run_folders import as_written
from sourcewise.sources import Sources
from sourcewise.suspects.copies import votes
from sourcewise.suspects.document import SHOWN, Found, labels_result, labels_table
from sourcewise.suspects.flags import judge
from sourcewise.suspects.posterior import Labels
from sourcewise.suspects.prepare import Division, LabelsSettings, PreparedLabels, prepare
from sourcewise.suspects.scores import fold_scores, scoring_seconds
from sourcewise.training.processes import Processes

__all__ = ["LabelsRun", "LabelsSettings", "Suspects", "labels"]

CELLS, TRAINING, SCORES = "cells", "training", "scores.safetensors"


@dataclass(frozen=True)
class Suspects:
    """Suspect labels. `print(suspects)` shows the most suspect ones.

    Args:
        result: what was found.
    """

    result: LabelsResult

    @cached_property
    def document(self) -> Json:
        """The result as JSON has it (see docs)."""
        return to_json(self.result)

    def __str__(self) -> str:
        return joined(labels_lines(self.result))


def labels(
    data: Sources,
    settings: LabelsSettings | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Suspects:
    """Find rows that another source explains better than the one that they are labelled as.

    >>> import sourcewise as sw
    >>> wine = sw.read("wine")
    >>> y = wine.y.clone()
    >>> y[9], y[69] = 1, 0  # two labels are made wrong
    >>> found = sw.labels(sw.Sources(wine.x, y, wine.names), seeds=2)
    >>> [(flag["row"], flag["source"], flag["suggested"]) for flag in found.document["flags"]]
    [(10, 'class_1', 'class_0'), (70, 'class_0', 'class_1')]

    Args:
        data: the sample, from `sourcewise.read`.
        settings: a `LabelsSettings`; or give its fields by name: `model`, `set`, `strategy`,
            `folds`, `seeds`, `probability`, `most`, `min_rows`, `seed`, `missing`, `log`.
        out: the run folder; None keeps everything in memory. A folder that holds the same run,
            finished or not, is resumed; `probability` and `most` may be others, nothing is
            trained for them.
        overwrite: replace another run in `out`.
        progress: called with (done, in all).
        **changes: fields of the settings, or of `Execution`.

    Raises:
        InputError: whatever is wrong with the data or settings.
        TrainingFailed: a loss is not finite.
    """
    execution, changes = Execution.taken_from(changes)
    run = LabelsRun(prepare(data, LabelsSettings.changed(settings, changes)), execution)
    return execute(run, out, overwrite, progress)


class LabelsRun(Runnable[PreparedLabels, Tensor, Suspects]):
    """A search for suspect labels, ready to run; see `fitting.execute`."""

    files: tuple[str, ...] = ("labels.csv", SCORES, "samples", "result.json")

    def work(self, path: Path | None, progress: Progress | None) -> Tensor:
        """(R, N, J) log densities of all N rows by division; NaN of sources that nobody judges."""
        prepared, found = self.prepared, []
        seeds = prepared.settings.seeds
        known = self._known(path)
        if known is not None:
            return known
        for r in range(seeds):
            division = prepared.division(r)
            scores = torch.full(division.shape, torch.nan, dtype=torch.float64)
            for part in range(division.folds):
                told = share(share(progress, r, seeds), part, division.folds)
                split = division.split(part)
                scores[split.test] = self._scored(division, split, part, path, told)
                give_back()
            found.append(scores)
        return torch.stack(found)

    def _known(self, path: Path | None) -> Tensor | None:
        """Of all divisions, from a run that was finished with other flags."""
        processes, known = Processes.found(), None
        shape = self.prepared.settings.seeds, *self.prepared.division(0).shape
        if path and processes.first and as_written(path, SCORES):
            known = _finished(path / SCORES, shape)
        if not processes.agreed(known is not None):
            return None
        return torch.full(shape, torch.nan) if known is None else known  # the first one writes

    def _scored(
        self,
        division: Division,
        split: Split,
        part: int,
        path: Path | None,
        progress: Progress | None,
    ) -> Tensor:
        """(m, J) of a fold, from the folder if it was finished earlier."""
        if progress:
            progress(0, 1)
        name, processes = f"{division.repetition}-{part}", Processes.found()
        file, place = path and path / CELLS / f"{name}.safetensors", path and path / TRAINING
        shape = len(split.test), division.shape[1]
        known = _finished(file, shape) if file and processes.first else None
        if processes.agreed(known is not None):
            return known if known is not None else torch.full(shape, torch.nan)
        noise = division.noise.of("training", part)
        work = Work(noise, self.execution, place and place / name, progress)
        judged, job = self.prepared.judged, self.prepared.job
        scores = fold_scores(job, division.rows, split, judged, work)
        if file and processes.first:
            file.parent.mkdir(exist_ok=True)
            write_tensors(file, {"scores": scores})
        processes.meet()
        if place and processes.first:
            shutil.rmtree(place / name, ignore_errors=True)
        return scores

    def write(self, folder: Path, outcome: Tensor) -> None:
        """All labels, log densities, images of those that are shown, and `result.json`."""
        found = self._found(outcome)
        write_atomic(folder / "labels.csv", labels_table(found))
        write_tensors(folder / SCORES, {"scores": outcome})
        _write_images(folder, found)
        write_json(folder / "result.json", to_json(labels_result(found, str(folder))))

    def result(self, outcome: Tensor) -> Suspects:
        """In memory."""
        return Suspects(labels_result(self._found(outcome), None))

    def finished(self, path: Path) -> Suspects:
        """From its folder."""
        return Suspects(read_labels(path))

    def current(self, path: Path) -> bool:
        """Whether the flags in a folder are those of these settings."""
        found = read_labels(path).settings
        return all(found.get(name) == value for name, value in self.prepared.chosen.items())

    def tidy(self, path: Path) -> None:
        """Finished folds are in `scores.safetensors` now."""
        for name in (CELLS, TRAINING):
            shutil.rmtree(path / name, ignore_errors=True)

    def seconds(self) -> float:
        """That it will take; an exact fit is tried on one fold, others see a few updates."""
        prepared, settings = self.prepared, self.prepared.settings
        folds = settings.seeds * settings.folds
        if prepared.job.family.trained:
            return folds * (prepared.rehearsal.seconds() + self._scoring_seconds())
        division, start = prepared.division(0), time.process_time()
        fold_scores(
            prepared.job, division.rows, division.split(0), prepared.judged, Work(Noise(0))
        )
        return folds * (time.process_time() - start)

    def _scoring_seconds(self) -> float:
        """Of a fold."""
        prepared, of = self.prepared, self.prepared.rehearsal
        count = len(prepared.judged)
        return scoring_seconds(prepared.job, of.rows, of.split, of.encoders, count)

    def _found(self, scores: Tensor) -> Found:
        """Labels judged, given log densities (R, N, J)."""
        prepared, data = self.prepared, self.prepared.job.data
        number = torch.full((data.K,), -1)
        number[prepared.judged] = torch.arange(len(prepared.judged))
        y = number[data.y]
        rows = (y >= 0).nonzero().squeeze(1)
        _refuse_lost(scores[:, rows], data, rows)
        share = torch.bincount(y[rows], minlength=len(prepared.judged)).double() / len(rows)
        copies = votes(data, y, len(prepared.judged))
        known = Labels(y[rows], share, None if copies is None else copies[rows])
        return Found(prepared, judge(scores[:, rows], known, prepared.settings.folds), rows)


def _refuse_lost(scores: Tensor, data: Sources, rows: Tensor) -> None:
    """Raise if models say nothing of a row, whatever its label."""
    lost = (scores.isnan().any(2) | scores.isinf().all(2)).any(0).nonzero().squeeze(1)
    if len(lost):
        first = data.places(int(rows[lost[0]]))
        told = f"{len(lost)} of {len(rows)} rows have no density under any source"
        raise FloatingPointError(f"{told} (first: {first})")


def _finished(file: Path, shape: tuple[int, ...]) -> Tensor | None:
    """Scores that were written earlier; a damaged file counts as not there."""
    if not file.exists():
        return None
    with suppress(InputError), reading(file):
        found = read_tensors(file)["scores"]
        return found if found.shape == shape and found.dtype == torch.float64 else None
    return None


def _write_images(folder: Path, found: Found) -> None:
    """`samples/suspects.npz`: the images of the flags that are shown, if examples are images."""
    data = found.prepared.shown
    if not isinstance(data.x, Images):
        return
    (folder / "samples").mkdir(exist_ok=True)
    rows = found.rows[found.flagged[:SHOWN]]
    names = [str(data.names[k]) for k in data.y[rows].tolist()]
    write_atomic(folder / "samples" / SUSPECTS, as_arrays(data.x.take(rows), names, data.names))
