"""The ARM tables as text."""

from typing import TYPE_CHECKING

from sourcewise.studies.arm_settings import ArmStudySettings

if TYPE_CHECKING:
    from sourcewise.studies.arm_study import ArmTable, Cell
    from sourcewise.studies.curves import Fit

__all__ = ["choices", "number", "text"]

_COLUMNS = (
    "sweep", "strategy", "measured", "+-", "paper", "ratio", "counts", "class", "saturated",
    "gain", "+-", "beta-hat", "paper's", "beta", "updates",
)  # fmt: skip
_EXPECTED = {"K": "+0.5 for separate", "n": "-0.5"}


def text(table: "ArmTable") -> str:
    """Header, a line per cell, distance and exponents."""
    lines = [*_header(table), "", _join(_COLUMNS)]
    lines += [_line(cell) for cell in table.cells]
    if table.distance is not None:
        lines += ["", f"distance to the paper (rms of log ratios): {table.distance:.4f}"]
    if table.fits:
        lines += ["", _about_fits(table)]
        lines += [_fit(fit) for fit in table.fits]
    return "\n".join(lines)


def choices(s: ArmStudySettings) -> list[str]:
    """What was chosen, in two lines: the truth, and the model with its training."""
    if s.truth == "independent":
        truth = f"independent Dirichlet({s.concentration:g}) sources"
    elif s.truth == "shared":
        truth = f"softmax of shared plus {s.own:g} x own logits, spread {s.spread:g}"
    else:
        truth = f"a random ARM of the same sizes, spread {s.spread:g}"
    batch = "full batch" if s.batch == "all" else f"batches of {s.batch}"
    length = f"{s.updates} updates" if s.batch == "all" else f"{s.passes:g} passes"
    stop = f", early stopping on {s.validation:.0%} of the rows" if s.validation else ""
    return [
        f"truth: {truth}; M = {s.M}; {s.seeds} seeds",
        f"model: d_e {s.embedding}, width {s.width}, depth {s.depth}, encoder {s.encoder}; "
        f"{batch}, {length}, {s.optimizer}, rate {s.learning_rate:g} {s.schedule}{stop}",
    ]


def _header(table: "ArmTable") -> list[str]:
    s = table.settings
    fixed = ", ".join(f"{k} = {getattr(s, k)}" for k in ("K", "n", "D") if k != s.sweep)
    return [
        f"Average TV of conditional ARMs against {s.sweep} ({fixed}), exact; not stated by the "
        "paper, so chosen by us:",
        *choices(s),
        "+-: half of the 95 % t interval over seeds; counts: relative frequencies of the same "
        "rows; class, saturated: sqrt(p / (2 pi n))",
    ]


def _line(cell: "Cell") -> str:
    gain = None if cell.gain is None else cell.gain_high - cell.gain  # pyright: ignore
    ratio = None if cell.paper is None else cell.measured / cell.paper
    values = (cell.measured, cell.high - cell.measured, cell.paper, ratio, cell.frequencies)
    laws = (cell.law, cell.saturated, cell.gain, gain, cell.beta_hat, cell.paper_beta_hat)
    numbers = [number(v) for v in (*values, *laws, cell.beta)]
    place = f"{cell.sweep} = {cell.value}"
    return _join((place, cell.strategy, *numbers, str(cell.updates)))


def number(value: float | None) -> str:
    """Four decimals, `-` for none."""
    return "-" if value is None else f"{value:.4f}"


def _join(texts: tuple[str, ...]) -> str:
    first, second, *rest = texts
    return f"{first:<11}{second:<10}" + "".join(f"{t:>10}" for t in rest)


def _about_fits(table: "ArmTable") -> str:
    sweep = table.settings.sweep
    return f"exponent of {sweep} (least squares of logarithms; expected {_EXPECTED[sweep]}):"


def _fit(fit: "Fit") -> str:
    within = "" if fit.low is None else f"  [{fit.low:+.4f}, {fit.high:+.4f}]"
    return f"  {fit.strategy:<18}{fit.exponent:+.4f}{within}"
