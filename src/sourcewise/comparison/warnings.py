"""What is to be said of the data of a comparison before its numbers."""

from collections.abc import Mapping

from sourcewise.comparison.duplicates import near_duplicates, repeats
from sourcewise.comparison.plan import BASELINE
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.scores import CellScores
from sourcewise.comparison.sensitivity import prior_matters
from sourcewise.errors import counted, listing

__all__ = ["warnings_of"]

Results = Mapping[str, Mapping[str, CellScores]]


def warnings_of(prepared: Prepared, results: Results) -> list[str]:
    """One line each."""
    plan = prepared.plan
    warnings = [*prepared.screened.warnings, *_left_out(prepared)]
    if prepared.too_few:
        told = listing(prepared.too_few, 5)
        warnings.append(
            f"{counted(len(prepared.too_few), 'source')} with too few rows to be tested ({told}); "
            "their rows still train the shared models"
        )
    found = (
        repeats(plan.job.data),
        near_duplicates(plan.job.data),
        prior_matters(plan, results, BASELINE),
    )
    return [*warnings, *(text for text in found if text)]


def _left_out(prepared: Prepared) -> list[str]:
    """One line per reason; with many reasons, one per kind of reason, without the sources."""
    items = [(item.column, item.reason) for item in prepared.screened.left_out]
    if len({reason for _, reason in items}) > 3:
        items = [
            (column, f"{reason.split(' within ')[0]} within a source") for column, reason in items
        ]
    by_reason: dict[str, list[str]] = {}
    for column, reason in items:
        by_reason.setdefault(reason, []).append(column)
    return [
        f"{counted(len(names), 'column')} left out ({listing(names, 6)}): {reason}"
        for reason, names in by_reason.items()
    ]
