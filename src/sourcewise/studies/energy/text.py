"""The study of energy-based models as text."""

from collections.abc import Iterator, Sequence
from statistics import geometric_mean

from sourcewise.studies.curves import STRATEGIES, select
from sourcewise.studies.energy.cells import Cell, Exponent
from sourcewise.studies.energy.settings import SWEEPS, EnergyStudySettings
from sourcewise.studies.tables import exponent, number, row

__all__ = ["text"]

_ERRORS = (
    "strategy", "measured", "+-", "at truth", "informat.", "law", "bound", "gain", "+-",
    "beta-hat", "by law",
)  # fmt: skip
_CHECKS = (
    "strategy", "2 log LR", "at truth", "rank", "2 pi n R2", "p", "below", "starts", "log Z",
    "TV", "apart", "beta",
)  # fmt: skip
_NAMES = {"n": "examples n", "K": "sources K", "d_e": "numbers per embedding d_e"}


def text(
    settings: EnergyStudySettings, cells: Sequence[Cell], exponents: Sequence[Exponent]
) -> str:
    """Header, a table of errors and one of checks per sweep, ratios, exponents."""
    lines = _header(settings)
    for D in settings.dimensions:
        for sweep in SWEEPS:
            if of_sweep := select(cells, D=D, sweep=sweep):
                lines += _tables(of_sweep)
    lines += ["", "over all different places (smallest, geometric mean, largest):"]
    lines += _ratios(cells)
    if exponents:
        lines += ["", "exponents (least squares of logarithms; of n -1/2 is expected):"]
        lines += [f"  D = {e.D}, of {e.sweep}: {exponent(e.fit, 26)}" for e in exponents]
    return "\n".join(lines)


def _tables(cells: Sequence[Cell]) -> list[str]:
    """Of one sweep: errors, then checks."""
    first = cells[0]
    title = f"D = {first.D}, against {_NAMES[first.sweep]}"
    errors = [_row(first.sweep, _ERRORS), *[_errors(cell) for cell in cells]]
    checks = [_row(first.sweep, _CHECKS), *[_checks(cell) for cell in cells]]
    return ["", f"{title} ({_fixed(first)}): errors", *errors, "", f"{title}: checks", *checks]


def _header(s: EnergyStudySettings) -> list[str]:
    batch = "full batch" if s.batch == "all" else f"batches of {s.batch} (all rows if fewer)"
    return [
        "Average TV of conditional energy-based models, by quadrature; truth: a random member of "
        "the class",
        f"class: ReLU network of width {s.width} and depth {s.depth}, parameters within "
        f"{s.bound:g}; truth: spread {s.spread:g}, embeddings within {s.own * s.bound:g}; "
        f"{s.seeds} seeds",
        f"training: {batch}, {s.updates} updates, {s.optimizer}, rate {s.learning_rate:g} "
        f"{s.schedule}, the likeliest of {s.starts} starts; quadrature with "
        f"{s.nodes[0]} (D = 1) and {s.nodes[1]} (D = 2) nodes per axis",
        "measured: mean over seeds; +-: half of its 95 % t interval; at truth: of fits that start "
        "at the truth, with a tenth of the rate;",
        "informat.: the law of the information matrix; law: sqrt(p / (2 pi n)), p of the class; "
        "by law: beta-hat of the two informat.;",
        f"bound: refined, at {1 - s.delta:.0%}; 2 log LR: of fits over truth; below: blocks less "
        "likely than the truth, of all; starts: likewise; log Z, TV: largest error",
    ]


def _ratios(cells: Sequence[Cell]) -> Iterator[str]:
    """What stands to what, and how many blocks stay below the truth, by strategy."""
    different = {(c.D, c.K, c.n, c.d_e, c.strategy): c for c in cells}
    for strategy in STRATEGIES:
        some = select(different.values(), strategy=strategy)
        for name, values in _compared(some).items():
            if values:
                yield f"  {strategy:<10}{name:<34}{_range(values)}"
        below = f"{sum(c.below for c in some)} of {sum(c.blocks for c in some)} blocks"
        starts = f"{sum(c.starts_below for c in some)} of {sum(c.starts for c in some)} starts"
        yield f"  {strategy:<10}below the truth's likelihood: {below}, {starts}"


def _compared(cells: Sequence[Cell]) -> dict[str, list[float]]:
    """Ratios by name, one per cell."""
    reached = select(cells, below=0)
    return {
        "bound / measured": [c.bound / c.measured for c in cells],
        "class law / measured": [c.law / c.measured for c in cells],
        "measured / information's law": [c.measured / c.information for c in cells],
        "the same where no block is below": [c.measured / c.information for c in reached],
        "at truth / information's law": [c.near / c.information for c in cells],
        "2 log LR / rank, none below": [c.gained / c.rank for c in reached],
        "2 log LR at truth / rank": [c.near_gained / c.rank for c in cells],
        "p of the class / rank": [c.parameters / c.rank for c in cells],
    }


def _range(values: list[float]) -> str:
    """Of positive or negative values; the mean only of positive ones."""
    middle = f"{geometric_mean(values):8.2f}" if min(values) > 0 else f"{'-':>8}"
    return f"{min(values):8.2f}{middle}{max(values):8.2f}"


def _fixed(cell: Cell) -> str:
    """The sizes that are not varied."""
    sizes = {"n": cell.n, "K": cell.K, "d_e": cell.d_e}
    return ", ".join(f"{name} = {value}" for name, value in sizes.items() if name != cell.sweep)


def _errors(cell: Cell) -> str:
    laws = (cell.near, cell.information, cell.law, cell.bound)
    gain, betas = (cell.gain, cell.gain_half_width), (cell.beta_hat, cell.beta_information)
    values = (cell.measured, cell.half_width, *laws, *gain, *betas)
    return _row(str(cell.value), (cell.strategy, *(number(v) for v in values)))


def _checks(cell: Cell) -> str:
    counts = (cell.gained, cell.near_gained, cell.rank, cell.effective)
    texts = (
        cell.strategy,
        *(f"{count:.1f}" for count in counts),
        str(cell.parameters),
        f"{cell.below}/{cell.blocks}",
        f"{cell.starts_below}/{cell.starts}",
        f"{cell.normaliser:.0e}",
        f"{cell.quadrature:.0e}",
        f"{cell.apart:.3f}",
        f"{cell.beta:.4f}",
    )
    return _row(str(cell.value), texts)


def _row(first: str, texts: Sequence[str]) -> str:
    return row(first, 7, texts[0], texts[1:])
