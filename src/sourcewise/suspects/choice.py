"""The family and the metric that labels are judged by."""

from sourcewise.errors import InputError, NotTaken, listing, unknown
from sourcewise.families.family import Family
from sourcewise.families.registry import families, family, suiting
from sourcewise.families.settings import FamilySettings
from sourcewise.fitting.job import Job
from sourcewise.fitting.prepare import FitSettings, prepare_job
from sourcewise.forms import form
from sourcewise.metrics.registry import deciding, metric
from sourcewise.screening.base import Screened
from sourcewise.screening.registry import SCREENS
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy

__all__ = ["chosen_job"]


def chosen_job(
    data: Sources, settings: FitSettings, strategy: Strategy, min_rows: int
) -> tuple[Job, Screened]:
    """What is fitted; `auto` is the first family that suits and takes the rows as they are.

    Where cells are missing that is one whose values they are: which cells are missing often tells
    the source. The result says so. Settings are those of the first family that suits: where it
    does not take the rows, and the next one has no such settings, that is for the user to settle.

    Raises:
        InputError: no family takes them; of `auto` what the first one says.
    """
    if settings.model != "auto":
        return _job(data, settings, strategy, family(settings.model), min_rows)
    kind, suit, refusal = form(data.x), suiting(data), None
    able = [item for item in suit if _scores(item, kind)] or suit
    for chosen in able:
        named = settings.model_copy(update={"model": chosen.name})
        try:
            job, screened = _job(data, named, strategy, chosen, min_rows)
        except NotTaken as error:
            refusal = refusal or error
        except InputError:
            if refusal is None:
                raise
        else:
            if refusal is not None:
                told = f"the family is {chosen.name}, as {able[0].name} refuses these data"
                screened.warnings.append(f"{told}: {refusal}")
            return job, screened
    assert refusal is not None
    raise refusal


def _job(
    data: Sources, settings: FitSettings, strategy: Strategy, chosen: Family, min_rows: int
) -> tuple[Job, Screened]:
    """Of one family, with the metric that rows are scored by: a density, or a bound of one."""
    kind = form(data.x)
    names = _measures(chosen, chosen.parse(settings.set), kind)
    if not names:
        able = [f.name for f in families().values() if f is not chosen and _scores(f, kind)]
        raise InputError(
            f"labels: {chosen.name} has no density of such data, nor a bound of one (those that "
            f"have: {listing(able, 12)})"
        )
    if settings.metric not in ("auto", *names):
        raise unknown("metric to score labels by", settings.metric, names)
    name = names[0] if settings.metric == "auto" else settings.metric
    settings = settings.model_copy(update={"metric": name})
    return prepare_job(data, settings, chosen, (strategy,), min_rows)


def _scores(chosen: Family, kind: str) -> bool:
    """Whether a family takes data of a form, and says of each row how likely it is."""
    return (chosen.coding, kind) in SCREENS and bool(_measures(chosen, chosen.parse({}), kind))


def _measures(chosen: Family, own: FamilySettings, kind: str) -> list[str]:
    """Names of the metrics that say of each row how likely it is: a density, or a bound."""
    names = deciding(chosen, own.suited(kind), kind)
    return [name for name in names if metric(name).needs in ("density", "bound")]
