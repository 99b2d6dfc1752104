"""What a reader must know before believing the numbers of a comparison: one line each."""

from collections.abc import Iterator, Mapping

from sourcewise.comparison.scopes import Plan
from sourcewise.comparison.summary import Summary
from sourcewise.errors import listing
from sourcewise.models.settings import TrainedSettings
from sourcewise.strategies import Strategy

__all__ = [
    "cautions",
    "estimand",
    "rough_normalisers",
    "simulated_normalisers",
    "unmixed_samplers",
]

DEAF = 0.02  # of what the label changes in separate models
UNMIXED = 1.1  # R-hat of a short trial run


def cautions(summary: Summary, strategy: str, baseline: str) -> list[str]:
    """All of them.

    Args:
        summary: the numbers.
        strategy: the main rival of the baseline.
        baseline: what differences are taken from.
    """
    return [
        *_one_seed(summary.plan),
        *_unfinished(summary),
        *_deaf(summary, baseline),
        *_dominated(summary, strategy, baseline),
    ]


def rough_normalisers(fitted: Mapping[str, Mapping[str, list[float]]], region: float) -> list[str]:
    """Strategies whose densities are not known well enough, or only by simulation.

    By quadrature, a tenth of what counts as a difference is allowed.

    Args:
        fitted: of every strategy, what fitting found beside parameters; "quadrature error" and
            "annealing error" in nats.
        region: half the width of practical equivalence.
    """
    return [
        *_rough_rules(fitted, region),
        *simulated_normalisers(fitted),
        *unmixed_samplers(fitted),
    ]


def _rough_rules(fitted: Mapping[str, Mapping[str, list[float]]], region: float) -> Iterator[str]:
    """Of quadrature."""
    worst = {name: max(found.get("quadrature error", [0.0])) for name, found in fitted.items()}
    yield from (
        f"the densities of the {name} models are normalised to {error:.2g} nats only, more than a "
        f"tenth of the region of equivalence ({region:g}): --set nodes=N, or no verdict on them"
        for name, error in worst.items()
        if error > region / 10
    )


def simulated_normalisers(fitted: Mapping[str, Mapping[str, list[float]]]) -> Iterator[str]:
    """Log-likelihoods that rest on a simulation are never used without a word."""
    found = {n: max(f["annealing error"]) for n, f in fitted.items() if "annealing error" in f}
    if not found:
        return
    told = ", ".join(f"{name} {error:.2g}" for name, error in found.items())
    yield (
        "these log-likelihoods are no exact ones: normalisers come from annealed importance "
        f"sampling, to within {told} nats (intervals are wider for it), which overstates "
        "log-likelihoods in expectation; --set temperatures=N, --set particles=N know them better"
    )


def unmixed_samplers(fitted: Mapping[str, Mapping[str, list[float]]]) -> Iterator[str]:
    """Chains that draw samples and disagree with each other."""
    worst = {name: max(found.get("r_hat", [1.0])) for name, found in fitted.items()}
    told = ", ".join(f"{name} {r:.2g}" for name, r in worst.items() if r > UNMIXED)
    if told:
        yield (
            f"the sampler's chains have not mixed (split R-hat: {told}; above {UNMIXED:g} is "
            "alarming): samples may not follow the models; scores do not depend on them"
        )


def estimand(plan: Plan) -> str:
    """What the intervals are about."""
    if plan.scope == "procedure":
        return (
            "the expected difference over new training samples of the size used in a fold "
            "(four fifths of the rows) and new test rows"
        )
    if not plan.job.family.trained:
        return "the difference between models fitted to these data, over new test rows"
    if plan.repetitions == 1:
        return (
            "the difference between the models that one training seed gives on these data, over "
            "new test rows; what another seed would give is not covered"
        )
    return (
        "the difference between models trained on these data, over new test rows and training "
        "seeds"
    )


def _one_seed(plan: Plan) -> Iterator[str]:
    """A spread over seeds cannot be seen in one."""
    if plan.scope != "procedure" and plan.job.family.trained and plan.repetitions == 1:
        yield "one training seed: intervals do not cover what another seed would give; --seeds 3"


def _unfinished(summary: Summary) -> Iterator[str]:
    """Strategies whose validation loss was lowest when the planned updates were over."""
    job = summary.plan.job
    for strategy in job.strategies:
        at_the_end = [k for k in job.tested if _improving(summary, strategy, k)]
        settings = job.settings_of(strategy)
        if not at_the_end or not isinstance(settings, TrainedSettings):
            continue
        updates = float(summary.average(strategy.name, "updates")[at_the_end].max())
        enough = settings.updates and updates <= settings.updates
        key = "updates" if enough else "passes"
        option = f"--set {key}={2 * getattr(settings, key):g}"
        of = "" if len(at_the_end) == len(job.tested) else _models_of(summary, at_the_end)
        yield (
            f"{strategy.name} was still improving when its updates were over ({of}the last "
            f"weights, of update {updates:.0f}, were the best): more {option}"
        )


def _models_of(summary: Summary, sources: list[int]) -> str:
    return f"of {listing((repr(summary.plan.job.names[k]) for k in sources), 3)}, "


def _improving(summary: Summary, strategy: Strategy, k: int) -> bool:
    """Whether the last weights were the best, in half of the repetitions or more."""
    cells = [summary.cell(strategy.name, r) for r in range(summary.plan.repetitions)]
    last = [bool(cell.updates[k] > 0 and cell.best[k] >= cell.updates[k]) for cell in cells]
    return 2 * sum(last) >= len(last)


def _deaf(summary: Summary, baseline: str) -> Iterator[str]:
    """Models of several sources to which the label is worth next to nothing."""
    job = summary.plan.job
    known = float(summary.average(baseline, "label")[1])
    for strategy in job.strategies:
        change = float(summary.average(strategy.name, "label")[1])
        if strategy.shuffled or strategy.name == baseline or not known > job.region:
            continue
        if change < DEAF * known:
            yield (
                f"the {strategy.name} model ignores its source label: another label changes its "
                f"log-likelihood by {change:.2g} {job.unit}, that of {baseline} models by "
                f"{known:.2g}; what it loses to them says little about the data"
            )


def _dominated(summary: Summary, strategy: str, baseline: str) -> Iterator[str]:
    """Where a few rows decide how wide an interval is: outliers, or a faulty instrument."""
    job = summary.plan.job
    groups = summary.dominated(strategy, baseline)
    # With very many sources some stand out by chance: the groups that most sources hang on.
    for group in sorted(groups, key=lambda g: -len(groups[g]))[:2]:
        sources = groups[group]
        row, how = summary.suspect(group, sources[0], strategy, baseline)
        told = listing((job.names[k] for k in sources), 5)
        yield (
            f"one tenth of the rows makes nearly all the uncertainty of {told}; {how} row "
            f"{row + 1} of those used, of {job.names[int(job.data.y[row])]!r}: an outlier, or a "
            "faulty measurement?"
        )
