"""The family and the metric that labels are judged by."""

from sourcewise.errors import InputError, listing, unknown
from sourcewise.families.family import Family
from sourcewise.families.registry import families, family, suiting
from sourcewise.fitting.job import Job
from sourcewise.fitting.prepare import FitSettings, prepare_job
from sourcewise.forms import form
from sourcewise.metrics.registry import deciding, metric
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy

__all__ = ["chosen_job"]


def chosen_job(
    data: Sources, settings: FitSettings, strategy: Strategy, min_rows: int
) -> tuple[Job, Screened]:
    """What is fitted; `auto` is the first family that suits and takes the rows as they are.

    Where cells are missing that is one whose values they are: which cells are missing often tells
    the source.

    Raises:
        InputError: no family takes them; of `auto` what the first one says.
    """
    if settings.model != "auto":
        return _job(data, settings, strategy, family(settings.model), min_rows)
    first: InputError | None = None
    for chosen in suiting(data):
        named = settings.model_copy(update={"model": chosen.name})
        try:
            return _job(data, named, strategy, chosen, min_rows)
        except InputError as error:
            first = first or error
    assert first is not None
    raise first


def _job(
    data: Sources, settings: FitSettings, strategy: Strategy, chosen: Family, min_rows: int
) -> tuple[Job, Screened]:
    """Of one family, with the metric that rows are scored by: a density, or a bound of one."""
    own = chosen.parse(settings.set)
    names = [name for name in deciding(chosen, own, form(data.x)) if _of_rows(name)]
    if not names:
        able = [item.name for item in families().values() if any(map(_of_rows, item.metrics))]
        raise InputError(
            f"labels: {chosen.name} has no density of such data, nor a bound of one (those that "
            f"have: {listing(able, 12)})"
        )
    if settings.metric not in ("auto", *names):
        raise unknown("metric to score labels by", settings.metric, names)
    name = names[0] if settings.metric == "auto" else settings.metric
    settings = settings.model_copy(update={"metric": name})
    return prepare_job(data, settings, chosen, (strategy,), min_rows)


def _of_rows(name: str) -> bool:
    """Whether a metric says of each row how likely it is."""
    return metric(name).needs in ("density", "bound")
