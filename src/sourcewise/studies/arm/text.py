"""The ARM tables as text."""

from collections.abc import Sequence

from sourcewise.studies.arm.cells import Cell, distance
from sourcewise.studies.arm.settings import ArmStudySettings
from sourcewise.studies.curves import Fit
from sourcewise.studies.tables import exponent, number, row

__all__ = ["choices", "text"]

_COLUMNS = (
    "sweep", "strategy", "measured", "+-", "paper", "ratio", "counts", "class", "saturated",
    "gain", "+-", "beta-hat", "paper's", "beta", "updates",
)  # fmt: skip
_EXPECTED = {"K": "+0.5 for separate", "n": "-0.5"}


def text(settings: ArmStudySettings, cells: Sequence[Cell], fits: Sequence[Fit]) -> str:
    """Header, a line per cell, distance and exponents."""
    lines = [*_header(settings), "", _row(_COLUMNS), *[_line(cell) for cell in cells]]
    far = distance((cell.measured, cell.paper) for cell in cells)
    if far is not None:
        lines += ["", f"distance to the paper (rms of log ratios): {far:.4f}"]
    if fits:
        expected = _EXPECTED[settings.sweep]
        about = f"(least squares of logarithms; expected {expected}):"
        lines += ["", f"exponent of {settings.sweep} {about}"]
        lines += [f"  {exponent(fit, 18)}" for fit in fits]
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


def _header(s: ArmStudySettings) -> list[str]:
    fixed = ", ".join(f"{k} = {getattr(s, k)}" for k in ("K", "n", "D") if k != s.sweep)
    return [
        f"Average TV of conditional ARMs against {s.sweep} ({fixed}), exact; not stated by the "
        "paper, so chosen by us:",
        *choices(s),
        "+-: half of the 95 % t interval over seeds; counts: relative frequencies of the same "
        "rows; class, saturated: sqrt(p / (2 pi n))",
    ]


def _line(cell: Cell) -> str:
    ratio = None if cell.paper is None else cell.measured / cell.paper
    values = (cell.measured, cell.half_width, cell.paper, ratio, cell.frequencies)
    gain, betas = (cell.gain, cell.gain_half_width), (cell.beta_hat, cell.paper_beta_hat)
    numbers = [number(v) for v in (*values, cell.law, cell.saturated, *gain, *betas, cell.beta)]
    place = f"{cell.sweep} = {cell.value}"
    return _row((place, cell.strategy, *numbers, str(cell.updates)))


def _row(texts: Sequence[str]) -> str:
    return row(texts[0], 11, texts[1], texts[2:])
