"""What a result says of its data: columns, sizes, sources, gaps, duplicates, splits."""

from typing import Any

from sourcewise.comparison.plan import FOLDS, GROUPS, Plan
from sourcewise.encoders.base import Coding
from sourcewise.fitting.job import Job
from sourcewise.forms.table import Table
from sourcewise.forms.x import X
from sourcewise.screening.base import Screened
from sourcewise.splits import identical

__all__ = ["common_facts", "data_facts", "duplicate_rows", "source_facts", "splits"]


def data_facts(
    plan: Plan, screened: Screened, too_few: dict[str, str], config: dict[str, Any]
) -> dict[str, Any]:
    """The data of a comparison.

    Args:
        plan: what is compared.
        screened: what happened to the table.
        too_few: names of the sources that are not tested, and why.
        config: resolved settings, fingerprint.
    """
    data = plan.job.data
    return {
        **common_facts(plan.job, screened, config),
        "sources": [
            source_facts(plan.job, k)
            | {"tested": k in plan.job.tested, "reason": too_few.get(name)}
            for k, name in enumerate(data.names)
        ],
        "units": int(data.units.max()) + 1,
        "duplicate_rows": duplicate_rows(plan),
    }


def common_facts(job: Job, screened: Screened, config: dict[str, Any]) -> dict[str, Any]:
    """What holds of the data whatever is done with it."""
    data = job.data
    return {
        "name": data.name,
        "fingerprint": config["fingerprint"],
        "rows": len(data),
        **_shape(job.coding),
        "left_out": [vars(item) for item in screened.left_out],
        "group": list(data.group_by) or None,
        "dropped_rows": screened.dropped,
        "imputed_cells": screened.imputed,
        "missing": config["settings"]["missing"],
        "missing_cells": _missing_cells(data.x),
    }


def source_facts(job: Job, k: int) -> dict[str, Any]:
    """Name, rows and size of a source."""
    size = float(job.sizes[job.data.y == k].sum())
    return {"name": job.names[k], "rows": int(job.data.counts[k]), "size": size}


def _shape(coding: Coding) -> dict[str, Any]:
    """What one example is made of, as far as its coding knows."""
    return {
        "columns": [column.to_json() for column in coding.coded_columns],
        "variables": coding.variables,
        "symbols": coding.alphabet_size,
        "scored_per": coding.unit,
    }


def _missing_cells(x: X) -> int:
    """Cells of a table without a value; nothing else has gaps."""
    return sum(int(x.missing(name).sum()) for name in x.names) if isinstance(x, Table) else 0


def duplicate_rows(plan: Plan) -> int:
    """Rows that are identical to an earlier row."""
    same = identical(plan.job.data.rows)
    return len(same) - (int(same.max()) + 1)


def splits(plan: Plan) -> dict[str, Any]:
    """How rows were split, and how often models were trained."""
    if plan.scope == "procedure":
        return {
            "folds": FOLDS,
            "repetitions": plan.repetitions,
            "jackknife_groups": GROUPS,
            "seed": plan.seed,
            "stratified_by": "source",
        }
    exact = {
        "test_share": 1 / FOLDS,
        "training_seeds": plan.repetitions,
        "seed": plan.seed,
        "stratified_by": "source",
    }
    kept = "those of the first training seed, as tested"
    trained = {"validation_share": plan.job.validation, "models_kept": kept}
    return exact | (trained if plan.job.family.trained else {})
