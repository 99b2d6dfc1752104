"""What the result of a comparison says of its data and splits."""

from sourcewise.comparison.plan import FOLDS, GROUPS, Plan
from sourcewise.comparison.prepare import Prepared
from sourcewise.fitting.facts import data_facts, source_facts
from sourcewise.results.comparison import Splits
from sourcewise.results.data import ComparedSource, DataFacts
from sourcewise.splits import identical

__all__ = ["compared_data", "splits"]


def compared_data(prepared: Prepared) -> DataFacts[ComparedSource]:
    """The data of a comparison, and which of its sources are tested."""
    job, config = prepared.plan.job, prepared.config
    sources = [
        ComparedSource(
            **vars(source_facts(job, k)),
            tested=k in job.tested,
            reason=prepared.too_few.get(name),
        )
        for k, name in enumerate(job.names)
    ]
    same = identical(job.data.rows)
    return data_facts(
        job,
        prepared.screened,
        config["fingerprint"],
        config["settings"]["missing"],
        sources,
        units=int(job.data.units.max()) + 1,
        duplicate_rows=len(same) - (int(same.max()) + 1),
    )


def splits(plan: Plan) -> Splits:
    """How rows were split, and how often models were trained."""
    if plan.scope == "procedure":
        return Splits(
            folds=FOLDS,
            repetitions=plan.repetitions,
            jackknife_groups=GROUPS,
            seed=plan.seed,
            stratified_by="source",
        )
    trained = plan.job.family.trained
    return Splits(
        test_share=1 / FOLDS,
        training_seeds=plan.repetitions,
        seed=plan.seed,
        stratified_by="source",
        validation_share=plan.job.validation if trained else None,
        models_kept="those of the first training seed, as tested" if trained else None,
    )
