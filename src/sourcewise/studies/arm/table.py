"""An ARM table, as text too."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sourcewise.studies.arm.points import ArmPoint, distance
from sourcewise.studies.arm.settings import ArmStudySettings, Sweep
from sourcewise.studies.curves import Curves, Fit
from sourcewise.studies.tables import exponent, number, row

__all__ = ["ArmTable"]

NOT_STATED = (
    "the paper's truth, network sizes and training are not stated in what we hold; "
    "all of them are our choice"
)
_COLUMNS = (
    "sweep", "strategy", "measured", "+-", "paper", "ratio", "counts", "class", "saturated",
    "gain", "+-", "beta-hat", "paper's", "beta", "updates",
)  # fmt: skip
_EXPECTED = {"K": "+0.5 for separate", "n": "-0.5"}


@dataclass(frozen=True)
class ArmTable(Curves):
    """One of the tables, with the exponents of its curves and the similarity of the truth."""

    settings: ArmStudySettings
    points: tuple[ArmPoint, ...]
    fits: tuple[Fit, ...]
    similarity: float

    @property
    def sweep(self) -> Sweep:
        """What is varied."""
        return self.points[0].sweep

    @property
    def distance(self) -> float | None:
        """Root mean square of `log(measured / paper)` over the cells that the paper has."""
        return distance((point.measured, point.paper) for point in self.points)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "stated by the paper": False,
            "stated_by_the_paper_reason": NOT_STATED,
            "similarity": self.similarity,
            "distance": self.distance,
            "fits": [asdict(fit) for fit in self.fits],
            **super().to_json(),
        }

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(table: ArmTable) -> Iterator[str]:
    """Header, a line per point, distance and exponents."""
    yield from _header(table.settings, table.sweep)
    yield from ("", _row(_COLUMNS), *[_line(point) for point in table.points])
    if table.distance is not None:
        yield from ("", f"distance to the paper (rms of log ratios): {table.distance:.4f}")
    if table.fits:
        about = f"(least squares of logarithms; expected {_EXPECTED[table.sweep]}):"
        yield from ("", f"exponent of {table.sweep} {about}")
        yield from (f"  {exponent(fit, 18)}" for fit in table.fits)


def _choices(s: ArmStudySettings) -> list[str]:
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


def _header(s: ArmStudySettings, sweep: Sweep) -> list[str]:
    fixed = ", ".join(f"{k} = {getattr(s, k)}" for k in ("K", "n", "D") if k != sweep)
    return [
        f"Average TV of conditional ARMs against {sweep} ({fixed}), exact; not stated by the "
        "paper, so chosen by us:",
        *_choices(s),
        "+-: half of the 95 % t interval over seeds; counts: relative frequencies of the same "
        "rows; class, saturated: sqrt(p / (2 pi n))",
    ]


def _line(point: ArmPoint) -> str:
    ratio = None if point.paper is None else point.measured / point.paper
    values = (point.measured, point.half_width, point.paper, ratio, point.frequencies)
    gain, betas = (point.gain, point.gain_half_width), (point.beta_hat, point.paper_beta_hat)
    numbers = [number(v) for v in (*values, point.law, point.saturated, *gain, *betas, point.beta)]
    cell = f"{point.sweep} = {point.value}"
    return _row((cell, point.strategy, *numbers, str(point.updates)))


def _row(texts: Sequence[str]) -> str:
    return row(texts[0], 11, texts[1], texts[2:])
