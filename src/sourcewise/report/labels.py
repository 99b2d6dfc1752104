"""The page of suspect labels: what was found, and the worst examples as a reader sees them."""

import io
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sourcewise.errors import InputError, counted
from sourcewise.files import write_atomic
from sourcewise.readers.npz import load_arrays
from sourcewise.report import words
from sourcewise.report.page import environment, style
from sourcewise.report.tables import Cell, Table
from sourcewise.report.words import ABSENT, fixed, number, signed
from sourcewise.results.labels import SUSPECTS, Flag, LabelsResult, ShareFacts
from sourcewise.results.labels_text import flag_words

__all__ = ["render", "write_labels"]

SHOWN, PICTURES = 50, 40
SIDE = 64  # pixels that small images are enlarged to, about


@dataclass(frozen=True)
class Picture:
    """A suspect image, as a PNG file in a data URI."""

    row: int
    source: str
    suggested: str
    uri: str
    width: int


@dataclass(frozen=True)
class Page:
    """What the page says of a result."""

    result: LabelsResult

    @property
    def line(self) -> str:
        """The answer in one line."""
        count, of = len(self.result.flags), counted(self.result.data.judged, "label")
        if not count:
            return f"None of {of} is suspect."
        return f"{count} of {of} {'is' if count == 1 else 'are'} suspect."

    @property
    def lead(self) -> str:
        """What is expected of the flags."""
        precision = self.result.expected_precision
        count = self.result.expected_wrong
        about = "fewer than 0.1" if count < 0.1 else f"about {number(count, 2)}"
        if precision.value is None:
            return f"Expected to be wrong: {about} of all labels."
        return f"Expected to be wrong: {_percent(precision)} of these, and {about} of all labels."

    @property
    def facts(self) -> dict[str, str]:
        """The numbers, and what was judged how."""
        result, data = self.result, self.result.data
        return {
            "Expected precision": _words(result.expected_precision),
            "Expected recall": _words(result.expected_recall),
            "Judged": f"{data.judged} of {counted(data.rows, 'row')}, "
            f"{counted(len(result.sources), 'source')}",
            "By": f"{result.family}, {result.strategy}; {counted(result.seeds, 'division')} into "
            f"{result.folds} folds",
        }

    @property
    def shown(self) -> tuple[Flag, ...]:
        """The flags that the page shows."""
        return self.result.flags[:SHOWN]

    @property
    def columns(self) -> bool:
        """Whether rows are of columns."""
        return any(flag.columns for flag in self.shown)

    @property
    def more(self) -> int:
        """Flags that it does not show."""
        return len(self.result.flags) - len(self.shown)

    @property
    def worst(self) -> Table:
        """The most suspect rows."""
        heads = ["Row", "Score", "Wrong", "What it is"]
        rows = [
            [
                Cell(f"{flag.row}: {flag.source}, rather {flag.suggested}"),
                Cell(signed(flag.score, 2), _ends(flag)),
                Cell(fixed(flag.probability, 3)),
                _what(flag),
            ]
            for flag in self.shown
        ]
        if not any(row[-1].text for row in rows):
            heads, rows = heads[:-1], [row[:-1] for row in rows]
        return Table("The most suspect rows", heads, rows, (0, 3))

    @property
    def confusions(self) -> Table:
        """Pairs of sources, most flags first."""
        rows = [
            [Cell(pair.source), Cell(pair.suggested), Cell(number(pair.flagged))]
            for pair in self.result.confusions[:SHOWN]
        ]
        return Table(
            "Flags by label and suggestion", ["Label", "Suggested", "Flags"], rows, (0, 1)
        )

    @property
    def sources(self) -> Table:
        """All sources."""
        rows = [
            [
                Cell(item.name, item.reason or ""),
                Cell(number(item.rows)),
                Cell(number(item.flagged) if item.reason is None else ABSENT),
                Cell(ABSENT if item.expected_wrong is None else fixed(item.expected_wrong, 1)),
            ]
            for item in self.result.sources
        ]
        heads = ["Source", "Rows", "Flagged", "Expected wrong"]
        return Table("Labels by source", heads, rows, (0,))

    @property
    def model(self) -> dict[str, str]:
        """What the labels of held-out rows say."""
        fit = self.result.model
        told = {
            "Labels drawn anew": number(fit.rate),
            "Scale of log densities": number(fit.scale),
            "Likeliest label is the label": number(fit.accuracy),
        }
        if fit.copies is not None:
            told["A model is worth"] = f"{number(fit.copies)} copies of a row"
        return told

    @property
    def pictures(self) -> list[Picture]:
        """Of images, the first ones; none without a run folder."""
        if self.result.data.image is None or self.result.run is None:
            return []
        return list(_pictures(self.result, Path(self.result.run) / "samples" / SUSPECTS))


def write_labels(result: LabelsResult, path: Path) -> None:
    """Write the page of a result, whole or not at all."""
    write_atomic(Path(path), render(result))


def render(result: LabelsResult) -> str:
    """The page of a result as HTML; the same result gives the same text."""
    template = environment().get_template("labels.html")
    return template.render(css=style(), glossary={}, result=result, page=Page(result), words=words)


def _percent(share: ShareFacts) -> str:
    assert share.value is not None
    return f"{100 * share.value:.0f} %"


def _words(share: ShareFacts) -> str:
    if share.value is None:
        return f"not known: {share.reason}"
    return (
        f"{fixed(share.value, 3)}, 95 % interval {fixed(share.low, 3)} to {fixed(share.high, 3)}"
    )


def _ends(flag: Flag) -> str:
    return "" if flag.low is None else f"{fixed(flag.low, 2)} to {fixed(flag.high, 2)}"


def _what(flag: Flag) -> Cell:
    """What the row is, and where: the file without its folders, and the line."""
    what = flag_words(flag) if flag.columns is None else _telling(flag)
    place = (flag.place or "").rpartition("/")[2]
    return Cell(what, place) if what else Cell(place)


def _telling(flag: Flag) -> str:
    """How usual the values are, in the label's source and in the suggested one."""
    cells = (
        f"{t.column}={t.value or '(gap)'} "
        f"({100 * t.source_share:.0f} % against {100 * t.suggested_share:.0f} %)"
        for t in flag.columns or ()
    )
    return ", ".join(cells)


def _pictures(result: LabelsResult, path: Path) -> Iterator[Picture]:
    try:
        arrays = load_arrays(path, ("x", "y", "top"))
    except (InputError, KeyError):
        return
    top = int(arrays["top"])
    for flag, pixels in zip(result.flags[:PICTURES], arrays["x"], strict=False):
        wide = max(1, SIDE // max(pixels.shape[1:])) * pixels.shape[2]
        yield Picture(flag.row, flag.source, flag.suggested, _png(pixels, top), wide)


def _png(pixels: np.ndarray, top: int) -> str:
    """An image (C, H, W) as a data URI."""
    from PIL import Image

    bytes_ = (pixels.astype(np.uint16) * 255 // top).astype(np.uint8).transpose(1, 2, 0)
    raw = io.BytesIO()
    Image.fromarray(bytes_.squeeze()).save(raw, "png", optimize=True)
    return f"data:image/png;base64,{b64encode(raw.getvalue()).decode()}"
