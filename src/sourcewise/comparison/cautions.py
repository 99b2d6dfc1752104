"""What a reader must know before believing the numbers of a comparison: one line each."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sourcewise.comparison.plan import Plan
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.verdict import rounded
from sourcewise.errors import listing
from sourcewise.families.energy.choices import MOST_NODES
from sourcewise.families.settings import TrainedSettings
from sourcewise.strategies import Strategy
from sourcewise.training import Effort

__all__ = [
    "cautions",
    "condition",
    "estimand",
    "longer",
    "rough_normalisers",
    "simulated_normalisers",
    "unfinished",
    "unmixed_samplers",
    "unresolved",
]

Fitted = Mapping[str, Mapping[str, list[float]]]
Resolved = Mapping[str, Mapping[str, Any]]

DEAF = 0.02  # of what the label changes in separate models
UNMIXED = 1.1  # R-hat of a short trial run
POOR = 0.1  # nats per column
FAILED = 5.0  # nats that annealing may be wrong by, and effective weights that it needs
ROUGH = 0.1  # of the region of equivalence, that a quadrature may be wrong by


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


def condition(unfinished: Collection[str], fitted: Fitted, region: float, D: int) -> str:
    """What a verdict holds under, in words; empty where nothing is to be said.

    Chains that draw samples are no part of it: scores do not depend on them.

    >>> condition(["pooled"], {"pooled": {"annealing error": [0.1], "r_hat": [1.5]}}, 0.05, 5)
    'for models trained this long, with simulated normalisers'

    Args:
        unfinished: strategies that were still improving.
        fitted: see `rough_normalisers`.
        region: half the width of practical equivalence.
        D: columns.
    """
    parts = ["for models trained this long"] if unfinished else []
    gains = [found.get("gain over one normal", []) for found in fitted.values()]
    if any(2 * len(_poor(each, D)) > len(each) for each in gains):
        parts.append("with poorly fitted models")
    if any("annealing error" in found for found in fitted.values()):
        parts.append("with simulated normalisers")
    if any(_errors(fitted, "quadrature error", above=ROUGH * region)):
        parts.append("with rough normalisers")
    return ", ".join(parts)


def rough_normalisers(
    fitted: Fitted, resolved: Resolved, region: float, D: int, scored: bool = True
) -> list[str]:
    """Strategies whose densities are not known well enough, or only by simulation.

    By quadrature, a tenth of what counts as a difference is allowed.

    Args:
        fitted: of every strategy, what fitting found beside parameters; "quadrature error" and
            "annealing error" in nats.
        resolved: of every strategy, what its settings came to; "nodes" of a quadrature.
        region: half the width of practical equivalence.
        D: columns.
        scored: whether there are intervals, which take errors in.
    """
    return [
        *_rough_rules(fitted, resolved, region, D),
        *simulated_normalisers(fitted, resolved, scored),
        *_poor_fits(fitted, resolved, D),
        *unmixed_samplers(fitted, resolved),
    ]


def unresolved(
    efforts: Mapping[str, Sequence[Effort]], resolved: Resolved, D: int
) -> Iterator[str]:
    """Models whose training ended where the quadrature no longer followed their energies.

    Args:
        efforts: of every strategy's models.
        resolved: see `rough_normalisers`.
        D: columns.
    """
    refused = {name: sum(e.refused > 0 for e in each) for name, each in efforts.items()}
    held = {name: count for name, count in refused.items() if count}
    if held:
        told = ", ".join(f"{count} of {len(efforts[name])} {name}" for name, count in held.items())
        yield (
            f"the energies of {told} models became too steep for the quadrature, and weights that "
            "did better on validation rows were not kept for it: likelihoods may rise with "
            f"{_more_nodes(resolved[next(iter(held))]['nodes'], D)}"
        )


def _poor(gains: Iterable[float], D: int) -> list[float]:
    """Of models, the gains over one normal distribution that are losses."""
    return [gain for gain in gains if gain < -POOR * D]


def _poor_fits(fitted: Fitted, resolved: Resolved, D: int) -> Iterator[str]:
    """Models that a plain normal distribution beats on the rows that they were trained on."""
    for name, found in fitted.items():
        gains = found.get("gain over one normal", [])
        poor = _poor(gains, D)
        if poor:
            objective = resolved[name]["objective"]
            instead = "" if objective in ("likelihood", "nce") else ", or another objective"
            yield (
                f"{len(poor)} of {len(gains)} {name} models fit their own training rows worse "
                f"than one normal distribution with independent columns does (the worst by "
                f"{rounded(-min(poor))} nats per row): differences are about training (objective="
                f"{objective}) as much as about sources; train longer{instead}, or --model "
                "gaussian"
            )


def _errors(fitted: Fitted, name: str, above: float = -1.0) -> dict[str, float]:
    """The largest of every strategy that has it, where it is above a number."""
    found = {n: max(f[name]) for n, f in fitted.items() if name in f}
    return {n: error for n, error in found.items() if error > above}


def _rough_rules(fitted: Fitted, resolved: Resolved, region: float, D: int) -> Iterator[str]:
    """Of quadrature; strategies that the same would help are told of together."""
    found = _errors(fitted, "quadrature error", above=ROUGH * region)
    helps = {name: _more_nodes(resolved[name]["nodes"], D) for name in found}
    for advice in dict.fromkeys(helps.values()):
        names = [name for name in found if helps[name] == advice]
        yield (
            f"the densities of the {' and '.join(names)} models are normalised to "
            f"{' and '.join(rounded(found[name]) for name in names)} nats only, more than a tenth "
            f"of the region of equivalence ({region:g}): {advice}, or no verdict on them"
        )


def _more_nodes(nodes: int, D: int) -> str:
    """What helps a quadrature of N nodes per axis: twice as many, if `(4 N)^D` allows.

    >>> _more_nodes(16, 3), _more_nodes(24, 3)
    ('--set nodes=32 (now 16 per axis)', '--set nodes=40 (now 24 per axis)')
    """
    most = int(MOST_NODES ** (1 / D) + 1e-9) // 4
    if nodes < most:
        return f"--set nodes={min(2 * nodes, most)} (now {nodes} per axis)"
    return f"{nodes} nodes per axis are the most there can be; smoother energies, --set spectral=3"


def simulated_normalisers(
    fitted: Fitted, resolved: Resolved, scored: bool = True
) -> Iterator[str]:
    """Log-likelihoods that rest on a simulation are never used without a word.

    Args:
        fitted: see `rough_normalisers`.
        resolved: likewise; "temperatures" and "particles" of annealing.
        scored: likewise.
    """
    found = _errors(fitted, "annealing error")
    if not found:
        return
    told = ", ".join(f"{rounded(error)} nats ({name})" for name, error in found.items())
    yield (
        "normalisers come from annealed importance sampling, which overstates log-likelihoods in "
        f"expectation, by at most about {told} (annealing error: from the estimate of log Z to "
        f"the upper end of its 95 % interval){'; intervals allow for it' if scored else ''}; "
        f"{_better_annealing(fitted, found, resolved[next(iter(found))])}"
    )


def _better_annealing(fitted: Fitted, found: Mapping[str, float], now: Mapping[str, Any]) -> str:
    """What helps, by how wrong annealing is.

    Args:
        fitted: see `rough_normalisers`.
        found: the largest annealing error of every strategy.
        now: what the settings came to.
    """
    temperatures, particles = now["temperatures"], now["particles"]
    few = {name: min(fitted[name].get("effective weights", [FAILED])) for name in found}
    lost = [name for name in found if found[name] > FAILED or few[name] < FAILED]
    if not lost:
        return (
            f"training with --set temperatures={2 * temperatures}, --set particles="
            f"{2 * particles} would know them better"
        )
    fewest = min(few[name] for name in lost)
    return (
        f"annealing failed to find the normaliser of {' and '.join(lost)} models (as few as "
        f"{fewest:.2g} effective weights of {particles}) and doubling temperatures will not do: "
        "a simpler model (--set spectral=3, fewer columns), another objective, or training with "
        f"many times the temperatures (--set temperatures={10 * temperatures})"
    )


def unmixed_samplers(fitted: Fitted, resolved: Resolved) -> Iterator[str]:
    """Chains that draw samples and disagree with each other, and what helps."""
    found = _errors(fitted, "r_hat", above=UNMIXED)
    if found:
        told = ", ".join(f"{name} {r:.2f}" for name, r in found.items())
        yield (
            f"the sampler's chains have not mixed (split R-hat: {told}; above {UNMIXED:g} is "
            "alarming): samples may not follow the models; scores do not depend on them; "
            f"{_better_chains(resolved[next(iter(found))])}"
        )


def _better_chains(now: Mapping[str, Any]) -> str:
    """Another sampler, where there is one; else models that chains find their way in.

    >>> _better_chains({"normaliser": "gauss-legendre quadrature", "sampler": "hmc"})
    'train with --set sampler=grid'
    """
    if not now["normaliser"].startswith("annealed"):
        return "train with --set sampler=grid"
    if now["sampler"] == "mala":
        return "train with --set sampler=hmc"
    return "train a smoother energy (--set spectral=3, fewer updates), or on fewer columns"


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


def unfinished(summary: Summary, strategy: Strategy) -> list[int]:
    """The tested sources whose model's validation loss was lowest when its updates were over."""
    return [k for k in summary.plan.job.tested if _improving(summary, strategy, k)]


def _unfinished(summary: Summary) -> Iterator[str]:
    """Strategies with such models, and what makes all of them longer: the same in every line."""
    job = summary.plan.job
    late = {strategy: unfinished(summary, strategy) for strategy in job.strategies}
    late = {strategy: sources for strategy, sources in late.items() if sources}
    options = set().union(*(_longer(summary, strategy, late[strategy]) for strategy in late))
    for strategy, at_the_end in late.items():
        updates = float(summary.average(strategy.name, "updates")[at_the_end].max())
        of = "" if len(at_the_end) == len(job.tested) else _models_of(summary, at_the_end)
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
    made = (int(c.updates[k]) for c in cells for k in sources if c.best[k] >= c.updates[k] > 0)
    return longer(settings, made)


def longer(settings: TrainedSettings, made: Iterable[int]) -> set[str]:
    """Options that double trainings that ended after so many updates.

    A model makes `updates` of them, or `passes` over its rows if that is more: whichever it was
    that ended its training has to grow.

    >>> sorted(longer(TrainedSettings(updates=100, passes=5), [100, 250]))
    ['--set passes=10', '--set updates=200']
    """
    keys = {"updates" if n <= settings.updates else "passes" for n in made}
    return {f"--set {key}={2 * getattr(settings, key):g}" for key in keys}


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
        if strategy.shuffled or strategy.name == baseline or not known > summary.region:
            continue
        if change < DEAF * known:
            yield (
                f"the {strategy.name} model ignores its source label: another label changes its "
                f"log-likelihood by {rounded(change)} {job.unit}, that of {baseline} models by "
                f"{rounded(known)}; what it loses to them says little about the data"
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
