"""Words and tables that the printed results and the report share."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import wrap

from sourcewise.cells import as_cell
from sourcewise.errors import counted, listing, visible
from sourcewise.results.comparison import Lead
from sourcewise.results.data import DataFacts, DiagnosticFacts, Resolved, SourceFacts
from sourcewise.schema import SeenColumn

__all__ = [
    "MOST_LINES",
    "about_lines",
    "aligned",
    "bits",
    "brief",
    "ends",
    "extent",
    "few_degrees",
    "figure",
    "findings",
    "in_order",
    "joined",
    "leaning",
    "metric_name",
    "note_lines",
    "quoted",
    "resolved_lines",
    "seen_lines",
    "span",
    "within",
    "wrapped",
]

MOST_LINES = 60  # of a table on the screen
WIDTH, NARROW = 98, 60
FEW_DEGREES = 5.0
# An option with its value, and a word in quotes: broken in two, neither could be pasted.
_QUOTED = r"""\(*(?:\$'(?:\\.|[^'\\])*'|'[^']*'|"[^"]*")+\S*"""
_WHOLE = re.compile(rf"(?<!\S)(?:\(?--[a-z-]+ (?:{_QUOTED}|\S+)|{_QUOTED})")
_SPACE = "\0"  # one inside such a word; no visible text holds it


def joined(lines: Iterable[str]) -> str:
    """All lines of a printed result; names and values from data cannot leave theirs.

    >>> joined(["a\\nb", "c"])
    'a\\\\nb\\nc'
    """
    return "\n".join(map(visible, lines))


def wrapped(text: str, first: str = "", then: str = "  ") -> list[str]:
    """Lines that fit the screen; where there is none, of a width that reads well.

    What is to be pasted into a shell stays on one line, even if that is too long.
    """
    width = max(NARROW, min(WIDTH, get_terminal_size((WIDTH, 0)).columns))
    whole = _WHOLE.sub(lambda found: found[0].replace(" ", _SPACE), visible(text))
    lines = wrap(
        whole,
        width,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_SPACE, " ") for line in lines]


def note_lines(warnings: Iterable[str]) -> Iterator[str]:
    """Warnings, each with its lines indented."""
    for warning in warnings:
        yield from wrapped(f"note: {warning}", "  ", "        ")


def aligned(
    head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int | None = None
) -> list[str]:
    """A table: names to the left, numbers to the right, and words after them to the left.

    >>> aligned(("source", "rows", "verdict"), [("a", "12", "pool")], numbers=1)
    ['  source  rows  verdict', '  a         12  pool']

    The first column is of names; `numbers` columns of numbers follow, by default all others.
    """
    last = len(head) if numbers is None else numbers + 1
    table = [head, *rows]
    sides = ["<" if i == 0 or i >= last else ">" for i in range(len(head))]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    forms = [f"{side}{width}" for side, width in zip(sides, widths, strict=True)]
    return ["  ".join(["", *map(format, row, forms)]).rstrip() for row in table]


def seen_lines(seen: Sequence[SeenColumn]) -> list[str]:
    """The columns of a table as they were read; of very many the first ones."""
    rows = [
        (brief(c.name), f"{c.gaps}", f"{c.distinct}", c.kind, brief(c.example, 14), c.why)
        for c in seen[:MOST_LINES]
    ]
    more = [f"  ... and {len(seen) - MOST_LINES} more (--json has all)"]
    lines = aligned(("column", "gaps", "distinct", "kind", "example", "why"), rows, numbers=2)
    return [*lines, *(more if len(seen) > MOST_LINES else [])]


def brief(name: str, limit: int = 28) -> str:
    """A name that fits a table."""
    name = visible(name)
    return name if len(name) <= limit else name[: limit - 1] + "…"


def quoted(name: str) -> str:
    """A source's name inside a sentence: in quotes where it could be read as a number.

    >>> quoted("north"), quoted("0"), quoted("-1.5")
    ('north', "'0'", "'-1.5'")
    """
    return name if name[:1].isalpha() else repr(name)


def metric_name(key: str) -> str:
    """How users write the metric that documents have under a key.

    >>> metric_name("log_likelihood"), metric_name("train_log_likelihood")
    ('log-likelihood', 'log-likelihood of training rows')
    """
    training = key.startswith("train_")
    name = key.removeprefix("train_").replace("_", "-")
    return f"{name} of training rows" if training else name


def extent(data: DataFacts[SourceFacts]) -> str:
    """What a row is made of; of sequences, how many symbols there are in all; what is given.

    Of images channels, height and width.
    """
    return _extent(data) + (f" given {listing(map(as_cell, data.given), 6)}" if data.given else "")


def _extent(data: DataFacts[SourceFacts]) -> str:
    if data.image:
        return f"images of {'x'.join(map(str, data.image))}"
    if data.scored_per != "row":
        return f"{sum(source.size for source in data.sources):.0f} {data.scored_per}s"
    if data.columns:
        return counted(len(data.columns), "column")
    return f"{data.variables} positions" + (f" of {data.symbols} symbols" if data.symbols else "")


def figure(x: float | None, form: str = ".4f") -> str:
    """A number in a table; a dash where it is unknown."""
    return "-" if x is None else f"{x:{form}}"


def bits(x: float | None, unit: str) -> str:
    """A log-likelihood of pixel values as images' are often told; empty for other values.

    >>> bits(-2.0, "nats per pixel value"), bits(-2.0, "nats per row")
    ('2.8854 bits per dimension', '')
    """
    if x is None or unit != "nats per pixel value":
        return ""
    return f"{-x / math.log(2):.4f} bits per dimension"


def ends(low: float | None, high: float | None) -> str:
    """An interval in a table."""
    return "-" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"


def few_degrees(df: float | None) -> str:
    """Degrees of freedom, where they are so few that the interval is a rough one."""
    if df is None or df >= FEW_DEGREES:
        return ""
    count = f"{df:.2g}"
    return f"{count} degree{'' if count == '1' else 's'} of freedom"


def span(values: Sequence[float], form: str) -> str:
    """The smallest to the largest of some numbers."""
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return low if low == high else f"{low} to {high}"


def findings(diagnostics: Iterable[DiagnosticFacts]) -> list[str]:
    """What fitting found, each with its name."""
    return [f"{item.name} {item.words}" for item in diagnostics if not item.setting]


def about_lines(
    resolved: Mapping[str, Resolved], diagnostics: Mapping[str, Iterable[DiagnosticFacts]]
) -> Iterator[str]:
    """What settings came to, and what fitting found beside the parameters, by strategy."""
    yield from resolved_lines(resolved)
    for strategy, items in diagnostics.items():
        if found := findings(items):
            yield f"{strategy}: {', '.join(found)}"


def resolved_lines(resolved: Mapping[str, Resolved]) -> Iterator[str]:
    """What settings came to, a line for all strategies that agree on it.

    >>> values = {"objective": "likelihood", "nodes": 32}
    >>> list(resolved_lines({"pooled": values, "separate": values}))
    ['pooled, separate: objective likelihood, nodes 32']
    """
    names: dict[str, list[str]] = {}
    for name, values in resolved.items():
        words = ", ".join(f"{key} {value}" for key, value in values.items())
        names.setdefault(words, []).append(name)
    for words, agreed in names.items():
        if words:
            yield from wrapped(f"{', '.join(agreed)}: {words}")


def in_order(strategy: str, baseline: str, higher_is_better: bool) -> tuple[str, str]:
    """What a difference that favours the strategy above 0 is of: the first minus the second.

    >>> in_order("pooled", "separate", True), in_order("pooled", "separate", False)
    (('pooled', 'separate'), ('separate', 'pooled'))
    """
    return (strategy, baseline) if higher_is_better else (baseline, strategy)


def within(region: float, unit: str, total_variation: float | None) -> str:
    """A region of equivalence, and how far distributions inside it may differ.

    >>> within(0.05, "nats per row", 0.1581)
    'within ±0.05 nats per row, at most 0.16 in total variation'
    """
    bound = f", at most {total_variation:.2g} in total variation" if total_variation else ""
    return f"within ±{region:.3g} {unit}{bound}"


def leaning(lead: Lead, unit: str) -> str:
    """Where evidence points that decides nothing.

    >>> leaning(Lead("pooled", "separate", 0.0123, -0.01, 0.03, 0.874), "nats per row")
    'leaning to pooled (by 0.0123 nats per row over separate, 87 % sure)'
    """
    much = f"by {figure(lead.difference, '.3g')} {unit} over {lead.over}, {lead.surely}"
    return f"leaning to {lead.strategy} ({much})"
