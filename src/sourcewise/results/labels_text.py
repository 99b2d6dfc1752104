"""How suspect labels print."""

from collections.abc import Iterator

from sourcewise.errors import counted, visible
from sourcewise.results import text
from sourcewise.results.labels import Flag, LabelsResult, ShareFacts

__all__ = ["ASSUMED", "flag_words", "labels_lines", "share_words"]

SHOWN = 20  # flags on the screen
ASSUMED = (
    "this holds if wrong labels were drawn whatever their rows are, and if right ones look like "
    "their sources as often as the models say; rows that are unlike their source make it lower"
)


def labels_lines(result: LabelsResult) -> Iterator[str]:
    """All of it, line by line."""
    yield head_line(result)
    yield from text.note_lines(result.warnings)
    yield ""
    yield from found_lines(result)
    if result.flags:
        yield ""
        yield from _flag_lines(result)
        yield ""
        yield from _source_lines(result)


def head_line(result: LabelsResult) -> str:
    """What was judged, and how."""
    data = result.data
    repeated = counted(result.seeds, "division")
    return (
        f"{data.name}: {data.rows} rows, {counted(len(result.sources), 'source')}; "
        f"{result.family}, {result.strategy}: {repeated} into {result.folds} folds"
    )


def found_lines(result: LabelsResult) -> Iterator[str]:
    """How many labels are suspect, and how many of them are expected to be wrong."""
    count, all_ = len(result.flags), counted(result.data.judged, "label")
    yield f"{count} of {all_} suspect: wrong with probability {result.probability:g} or more"
    wrong = f"expected wrong labels: {result.expected_wrong:.0f} in all"
    if not count:
        yield wrong
        return
    yield f"expected precision: {share_words(result.expected_precision)}"
    yield f"{wrong}, of which the flags hold {share_words(result.expected_recall)}"
    yield from text.wrapped(f"({ASSUMED})")


def share_words(share: ShareFacts) -> str:
    """A share with its interval.

    >>> share_words(ShareFacts(0.9, 0.85, 0.94))
    '0.900 (0.850 to 0.940)'
    >>> share_words(ShareFacts(None, None, None, "nothing is flagged"))
    'not known: nothing is flagged'
    """
    if share.value is None:
        return f"not known: {share.reason}"
    ends = f" ({share.low:.3f} to {share.high:.3f})" if share.low is not None else ""
    return f"{share.value:.3f}{ends}"


def flag_words(flag: Flag, most: int | None = None) -> str:
    """What a reader sees of a flagged row, on one line; of tables at most so many columns."""
    if flag.text is not None:
        return visible(flag.text)
    columns = (flag.columns or ())[:most]
    return ", ".join(f"{t.column}={t.value or '(gap)'}" for t in columns)


def _flag_lines(result: LabelsResult) -> Iterator[str]:
    head = ("row", "label", "suggested", "score", "95 % interval", "wrong", "what it is")
    rows = [
        (
            str(flag.row),
            text.brief(flag.source, 20),
            text.brief(flag.suggested, 20),
            f"{flag.score:+.2f}",
            "-" if flag.low is None else f"{flag.low:+.2f} to {flag.high:+.2f}",
            f"{flag.probability:.3f}",
            text.brief(flag_words(flag, 2), 40),
        )
        for flag in result.flags[:SHOWN]
    ]
    yield "score: log odds that the label is wrong, in nats"
    yield from _table(head, rows)
    if len(result.flags) > SHOWN:
        yield f"  ... {len(result.flags) - SHOWN} more in labels.csv and --json"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Words to the left, numbers to the right."""
    words = {1, 2, 6}
    table = [head, *rows]
    widths = [max(len(row[j]) for row in table) for j in range(len(head))]
    for row in table:
        cells = (
            f"{cell:<{wide}}" if j in words else f"{cell:>{wide}}"
            for j, (cell, wide) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(["", *cells]).rstrip()


def _source_lines(result: LabelsResult) -> Iterator[str]:
    rows = [
        (
            text.brief(item.name),
            str(item.rows),
            str(item.flagged),
            text.figure(item.expected_wrong, ".1f"),
            next(
                (text.brief(c.suggested) for c in result.confusions if c.source == item.name), ""
            ),
        )
        for item in sorted(result.sources, key=lambda item: -item.flagged)[: text.MOST_LINES]
    ]
    head = ("source", "rows", "flagged", "expected wrong", "mostly suggested")
    yield from text.aligned(head, rows, numbers=3)
