"""What a reader must know of energies before believing their numbers: one line each."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sourcewise.errors import rounded
from sourcewise.families.base import Caution, Diagnosed, Occasion
from sourcewise.families.energy.divergence import GENTLE
from sourcewise.families.energy.plan import MOST_NODES

__all__ = ["cautions", "error_words"]

Fitted = Mapping[str, Mapping[str, list[float]]]  # of every strategy, what fitting found
Resolved = Mapping[str, Mapping[str, Any]]  # of every strategy, what its settings came to

UNMIXED = 1.1  # R-hat of a short trial run
POOR = 0.1  # nats per column
FAILED = 5.0  # nats that annealing may be wrong by, and effective weights that it needs
ROUGH = 0.1  # of the region of equivalence, that a quadrature may be wrong by


def cautions(strategies: Mapping[str, Diagnosed], occasion: Occasion) -> Iterator[Caution]:
    """All of them, in the order in which they are read; see `ConditionalModel.cautions`.

    Chains that draw samples are no condition of a verdict on densities, nor are normalisers of one
    on samples.
    """
    fitted = {name: item.fitted for name, item in strategies.items()}
    resolved = {name: item.resolved for name, item in strategies.items()}
    purpose, D, region = occasion.purpose, occasion.coordinates, occasion.region
    whole, density = purpose in ("compare", "train"), occasion.scored_by == "density"
    told = density and purpose != "sample"
    texts = [
        *(rough_rules(fitted, resolved, region, D) if whole and density else ()),
        *(simulated(fitted, resolved, purpose != "train") if told else ()),
        *(poor_fits(fitted, resolved, D) if whole and density else ()),
        *(unmixed(fitted, resolved, density) if purpose != "evaluate" or not density else ()),
        *(unresolved(strategies, resolved, D) if whole else ()),
    ]
    yield from map(Caution, texts)
    holds = conditions(fitted, region, D) if density else conditions_of_draws(fitted)
    for condition in holds if purpose == "compare" else ():
        yield Caution(condition=condition)


def error_words(value: float) -> str:
    """An error in nats; below what float32 resolves, 0 would say too much.

    >>> error_words(0.0), error_words(2.5e-4), error_words(110.0)
    ('below 1e-6', '0.00025', '110')
    """
    return rounded(value) if value >= 1e-6 else "below 1e-6"


def conditions(fitted: Fitted, region: float, D: int) -> Iterator[str]:
    """What a verdict on these models holds under."""
    gains = [found.get("gain over one normal", []) for found in fitted.values()]
    if any(2 * len(_poor(each, D)) > len(each) for each in gains):
        yield "with poorly fitted models"
    if any("annealing error" in found for found in fitted.values()):
        yield "with simulated normalisers"
    if any(_errors(fitted, "quadrature error", above=ROUGH * region)):
        yield "with rough normalisers"


def conditions_of_draws(fitted: Fitted) -> Iterator[str]:
    """Likewise, where scores are of samples."""
    if _errors(fitted, "r_hat", above=UNMIXED):
        yield "with chains that have not mixed"


def rough_rules(fitted: Fitted, resolved: Resolved, region: float, D: int) -> Iterator[str]:
    """Densities known less well than to a tenth of what counts as a difference.

    Strategies that the same would help are told of together.
    """
    found = _errors(fitted, "quadrature error", above=ROUGH * region)
    helps = {name: _more_nodes(resolved[name], D) for name in found}
    for advice in dict.fromkeys(helps.values()):
        names = [name for name in found if helps[name] == advice]
        yield (
            f"the densities of the {' and '.join(names)} models are normalised to "
            f"{' and '.join(rounded(found[name]) for name in names)} nats only, more than a tenth "
            f"of the region of equivalence ({region:g}): {advice}, or no verdict on them"
        )


def _more_nodes(now: Mapping[str, Any], D: int) -> str:
    """What helps a quadrature of N nodes per axis: twice as many, if `(4 N)^D` allows.

    >>> _more_nodes({"nodes": 16}, 3), _more_nodes({"nodes": 24}, 3)
    ('--set nodes=32 (now 16 per axis)', '--set nodes=40 (now 24 per axis)')
    """
    most, nodes = int(MOST_NODES ** (1 / D) + 1e-9) // 4, now["nodes"]
    if nodes < most:
        return f"--set nodes={min(2 * nodes, most)} (now {nodes} per axis)"
    return f"{nodes} nodes per axis are the most there can be; smoother energies, {_smoother(now)}"


def _smoother(now: Mapping[str, Any]) -> str:
    """A bound of singular values, tighter than the one in force.

    >>> _smoother({}), _smoother({"spectral": 3.0})
    ('--set spectral=3', '--set spectral=1.5')
    """
    bound = now.get("spectral")
    return f"--set spectral={min(GENTLE, bound / 2) if bound else GENTLE:g}"


def simulated(fitted: Fitted, resolved: Resolved, scored: bool = True) -> Iterator[str]:
    """Log-likelihoods that rest on a simulation are never used without a word.

    Args:
        fitted: "annealing error" in nats.
        resolved: "temperatures" and "particles" of annealing.
        scored: whether there are intervals, which take errors in.
    """
    found = _errors(fitted, "annealing error")
    if not found:
        return
    of = ", ".join(f"{rounded(error)} nats ({name})" for name, error in found.items())
    yield (
        "normalisers come from annealed importance sampling, which overstates log-likelihoods in "
        f"expectation, by at most about {of} (annealing error: from the estimate of log Z to "
        f"the upper end of its 95 % interval){'; intervals allow for it' if scored else ''}; "
        f"{_better_annealing(fitted, found, resolved[next(iter(found))])}"
    )


def _better_annealing(fitted: Fitted, found: Mapping[str, float], now: Mapping[str, Any]) -> str:
    """What helps, by how wrong annealing is.

    Args:
        fitted: likewise.
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
        f"a simpler model ({_smoother(now)}, fewer columns), another objective, or training with "
        f"many times the temperatures (--set temperatures={10 * temperatures})"
    )


def poor_fits(fitted: Fitted, resolved: Resolved, D: int) -> Iterator[str]:
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


def _poor(gains: Iterable[float], D: int) -> list[float]:
    """Of models, the gains over one normal distribution that are losses."""
    return [gain for gain in gains if gain < -POOR * D]


def unmixed(fitted: Fitted, resolved: Resolved, density: bool = True) -> Iterator[str]:
    """Chains that draw samples and disagree with each other, and what helps."""
    found = _errors(fitted, "r_hat", above=UNMIXED)
    if found:
        of = ", ".join(f"{name} {r:.2f}" for name, r in found.items())
        depend = "scores do not depend on them" if density else "scores are of what chains draw"
        yield (
            f"the sampler's chains have not mixed (split R-hat: {of}; above {UNMIXED:g} is "
            f"alarming): samples may not follow the models; {depend}; "
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
    return f"train a smoother energy ({_smoother(now)}, fewer updates), or on fewer columns"


def unresolved(strategies: Mapping[str, Diagnosed], resolved: Resolved, D: int) -> Iterator[str]:
    """Models whose training ended where the quadrature no longer followed their energies."""
    efforts = {name: item.efforts for name, item in strategies.items()}
    refused = {name: sum(e.refused > 0 for e in each) for name, each in efforts.items()}
    held = {name: count for name, count in refused.items() if count}
    if held:
        of = ", ".join(f"{count} of {len(efforts[name])} {name}" for name, count in held.items())
        yield (
            f"the energies of {of} models became too steep for the quadrature, and weights that "
            "did better on validation rows were not kept for it: likelihoods may rise with "
            f"{_more_nodes(resolved[next(iter(held))], D)}"
        )


def _errors(fitted: Fitted, name: str, above: float = -1.0) -> dict[str, float]:
    """The largest of every strategy that has it, where it is above a number."""
    found = {n: max(f[name]) for n, f in fitted.items() if name in f}
    return {n: error for n, error in found.items() if error > above}
