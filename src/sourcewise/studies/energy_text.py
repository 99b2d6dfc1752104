"""The study of energy-based models as text."""

from statistics import geometric_mean
from typing import TYPE_CHECKING

from sourcewise.studies.arm_text import number
from sourcewise.studies.energy_settings import STRATEGIES, SWEEPS, EnergyStudySettings

if TYPE_CHECKING:
    from sourcewise.studies.energy_study import Cell, EnergyStudy, Exponent

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


def text(study: "EnergyStudy") -> str:
    """Header, a table of errors and one of checks per sweep, exponents."""
    lines = _header(study.settings)
    for D in study.settings.dimensions:
        for sweep in SWEEPS:
            cells = [c for c in study.cells if (c.D, c.sweep) == (D, sweep)]
            if not cells:
                continue
            lines += ["", f"D = {D}, against {_NAMES[sweep]} ({_fixed(cells[0])}): errors"]
            lines += [_join(sweep, _ERRORS), *[_errors(cell) for cell in cells]]
            lines += ["", f"D = {D}, against {_NAMES[sweep]}: checks"]
            lines += [_join(sweep, _CHECKS), *[_checks(cell) for cell in cells]]
    lines += [
        "",
        "over all different places (smallest, geometric mean, largest):",
        *_ratios(study),
    ]
    if study.exponents:
        lines += ["", "exponents (least squares of logarithms; of n -1/2 is expected):"]
        lines += [_exponent(exponent) for exponent in study.exponents]
    return "\n".join(lines)


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


def _ratios(study: "EnergyStudy") -> list[str]:
    """What stands to what, and how many blocks stay below the truth, by strategy."""
    different = {(c.D, c.K, c.n, c.d_e, c.strategy): c for c in study.cells}
    lines = []
    for strategy in STRATEGIES:
        cells = [cell for cell in different.values() if cell.strategy == strategy]
        reached = [cell for cell in cells if not cell.below]
        rows = {
            "bound / measured": [c.bound / c.measured for c in cells],
            "class law / measured": [c.law / c.measured for c in cells],
            "measured / information's law": [c.measured / c.information for c in cells],
            "the same where no block is below": [c.measured / c.information for c in reached],
            "at truth / information's law": [c.near / c.information for c in cells],
            "2 log LR / rank, none below": [c.gained / c.rank for c in reached],
            "2 log LR at truth / rank": [c.near_gained / c.rank for c in cells],
            "p of the class / rank": [c.parameters / c.rank for c in cells],
        }
        lines += [f"  {strategy:<10}{name:<34}{_range(v)}" for name, v in rows.items() if v]
        below = f"{sum(c.below for c in cells)} of {sum(c.blocks for c in cells)}"
        starts = f"{sum(c.starts_below for c in cells)} of {sum(c.starts for c in cells)}"
        lines.append(
            f"  {strategy:<10}below the truth's likelihood: {below} blocks, {starts} starts"
        )
    return lines


def _range(values: list[float]) -> str:
    """Of positive or negative values; the mean only of positive ones."""
    middle = f"{geometric_mean(values):8.2f}" if min(values) > 0 else f"{'-':>8}"
    return f"{min(values):8.2f}{middle}{max(values):8.2f}"


def _fixed(cell: "Cell") -> str:
    """The sizes that are not varied."""
    sizes = {"n": cell.n, "K": cell.K, "d_e": cell.d_e}
    return ", ".join(f"{name} = {value}" for name, value in sizes.items() if name != cell.sweep)


def _errors(cell: "Cell") -> str:
    gain = None if cell.gain is None else cell.gain_high - cell.gain  # pyright: ignore
    laws = (cell.near, cell.information, cell.law, cell.bound)
    betas = (cell.beta_hat, cell.beta_information)
    values = (cell.measured, cell.high - cell.measured, *laws, cell.gain, gain, *betas)
    numbers = [number(v) for v in values]
    return _join(str(cell.value), (cell.strategy, *numbers))


def _checks(cell: "Cell") -> str:
    return _join(
        str(cell.value),
        (
            cell.strategy,
            *(f"{v:.1f}" for v in (cell.gained, cell.near_gained, cell.rank, cell.effective)),
            str(cell.parameters),
            f"{cell.below}/{cell.blocks}",
            f"{cell.starts_below}/{cell.starts}",
            f"{cell.normaliser:.0e}",
            f"{cell.quadrature:.0e}",
            f"{cell.apart:.3f}",
            f"{cell.beta:.4f}",
        ),
    )


def _join(first: str, texts: tuple[str, ...]) -> str:
    second, *rest = texts
    return f"{first:<7}{second:<10}" + "".join(f"{t:>10}" for t in rest)


def _exponent(e: "Exponent") -> str:
    within = "" if e.fit.low is None else f"  [{e.fit.low:+.4f}, {e.fit.high:+.4f}]"
    return f"  D = {e.D}, of {e.sweep}: {e.fit.strategy:<26}{e.fit.exponent:+.4f}{within}"
