"""What a reader must know before believing the numbers of a comparison: one line each."""

import math
from collections.abc import Collection, Iterable, Iterator

from sourcewise.comparison.plan import Plan
from sourcewise.comparison.summary import Summary
from sourcewise.errors import listing, rounded
from sourcewise.families.settings import TrainedSettings
from sourcewise.fitting.facts import longer
from sourcewise.strategies import Strategy

__all__ = ["against_whole", "cautions", "condition", "estimand"]

DEAF = 0.02  # of what the label changes in separate models
HALF = 0.5  # of what the label tells separate models: less is little


def cautions(summary: Summary, strategy: str, baseline: str) -> list[str]:
    """All of them."""
    plan = summary.plan
    one_seed = plan.scope != "procedure" and plan.job.family.trained and plan.repetitions == 1
    told = "one training seed: intervals do not cover what another seed would give; --seeds 3"
    return [
        *([told] if one_seed else []),
        *_unfinished(summary),
        *_deaf(summary, baseline),
        *_dominated(summary, strategy, baseline),
        *against_whole(summary, strategy, baseline),
    ]


def condition(unfinished: Collection[str], family: Iterable[str]) -> str:
    """What a verdict holds under, in words; empty where nothing is to be said.

    >>> condition(["pooled"], ["with simulated normalisers"])
    'for models trained this long, with simulated normalisers'
    """
    return ", ".join([*(["for models trained this long"] if unfinished else []), *family])


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


def _unfinished(summary: Summary) -> Iterator[str]:
    """Strategies with such models, and what makes all of them longer: the same in every line."""
    job = summary.plan.job
    late = {strategy: summary.unfinished(strategy.name) for strategy in job.strategies}
    late = {strategy: sources for strategy, sources in late.items() if sources}
    options = set().union(*(_longer(summary, strategy, late[strategy]) for strategy in late))
    for strategy, at_the_end in late.items():
        updates = float(summary.average(strategy.name, "updates")[at_the_end].max())
        names = listing((repr(job.names[k]) for k in at_the_end), 3)
        of = "" if len(at_the_end) == len(job.tested) else f"of {names}, "
        yield (
            f"{strategy.name} was still improving when its updates were over ({of}the last "
            f"weights, of update {updates:.0f}, were the best): train longer with "
            f"{' '.join(sorted(options))}"
        )


def _longer(summary: Summary, strategy: Strategy, sources: list[int]) -> set[str]:
    """Options that double the updates of these sources' models."""
    settings = summary.plan.job.settings_of(strategy)
    assert isinstance(settings, TrainedSettings)
    cells = [summary.cell(strategy.name, r) for r in range(summary.plan.repetitions)]
    late = [(c, k) for c in cells for k in sources if c.ended_at_best(k)]
    if strategy.parent:  # its updates count those before
        return longer(settings, (settings.planned(int(c.n_train[k])) for c, k in late))
    return longer(settings, (int(c.updates[k]) for c, k in late))


def _deaf(summary: Summary, baseline: str) -> Iterator[str]:
    """Models of several sources whose training has not found what the label is worth.

    It is worth something if it tells separate models something of held-out rows. An exact fit has
    found the maximum of its likelihood: what it makes of labels is its answer. The sources of a
    group may be alike though others differ: a model of some sources need only hear its label.
    """
    job = summary.plan.job
    _, known, told, error = summary.average(baseline, "label").tolist()
    if not job.family.trained or not (told > summary.region and told > 2 * error):
        return
    for strategy in job.strategies:
        if strategy.shuffled or strategy.name == baseline:
            continue
        _, change, heard, unsure = summary.average(strategy.name, "label").tolist()
        most = most_learnt((heard, unsure), (told, error))
        if change < DEAF * known:
            yield (
                f"the {strategy.name} model ignores its source label: another label changes its "
                f"log-likelihood by {rounded(change)} {job.unit}, that of {baseline} models by "
                f"{rounded(known)}; what it loses to them says little about the data"
            )
        elif len(strategy.partition) == 1 and most < HALF:
            yield (
                f"the {strategy.name} model learnt little of its source label: "
                f"{max(heard / told, 0):.0%} of what the label tells {baseline} models (at most "
                f"{most:.0%}); part of what it loses to them says nothing about the data"
            )


def most_learnt(learnt: tuple[float, float], of: tuple[float, float]) -> float:
    """The upper end of the 95 % interval of a share (Fieller, 1954), infinite if there is none.

    >>> round(most_learnt((0.07, 0.01), (1.0, 0.1)), 3)
    0.098
    >>> most_learnt((0.0, 0.01), (0.1, 0.1))
    inf

    Args:
        learnt: the part, and its standard error.
        of: the whole, likewise; their errors are taken to be independent.
    """
    (a, da), (b, db) = learnt, of
    whole = b**2 - (2 * db) ** 2
    if b <= 0 or whole <= 0:
        return math.inf
    return (a * b + math.sqrt(max((a * b) ** 2 - whole * (a**2 - (2 * da) ** 2), 0))) / whole


def against_whole(summary: Summary, strategy: str, baseline: str) -> Iterator[str]:
    """Where a term of the metric is surely for one strategy, and all together for the other.

    Not of the last term, which draws show least; of the others all together hold at 95 %.
    """
    terms = summary.plan.job.metric.terms
    if not terms:
        return
    whole = summary.difference(strategy, baseline, summary.macro)
    if whole.low <= 0 <= whole.high:
        return
    one, other = (strategy, baseline) if whole.value > 0 else (baseline, strategy)
    for number, name in enumerate(terms[:-1]):
        term = summary.term(number, strategy, baseline)
        if term.p * (len(terms) - 1) < 0.05 and (term.value > 0) != (whole.value > 0):
            yield (
                f"by {name.partition(':')[0]} alone {other} is better, by "
                f"{rounded(abs(term.value))}, though {one} is by all together: draws of {other} "
                "may look better; see them, and `evaluate --draws`"
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
            f"1 of {summary.plan.group_count} parts of the rows makes nearly all the uncertainty "
            f"of {told}; {how} "
            f"{job.data.places(row)}, of {job.names[int(job.data.y[row])]!r}: an outlier, or a "
            "faulty measurement?"
        )
