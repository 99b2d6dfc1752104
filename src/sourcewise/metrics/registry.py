"""The metrics by name: ours, and those of other packages.

Another package adds a metric by an entry point of the group `sourcewise.metrics`, whose object is
a `Metric`.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from sourcewise.errors import InputError, unknown
from sourcewise.families.family import Family
from sourcewise.families.settings import FamilySettings
from sourcewise.metrics.base import Metric

__all__ = ["deciding", "metric", "metrics", "metrics_of"]

GROUP = "sourcewise.metrics"
OURS = (
    "sourcewise.metrics.log_likelihood",
    "sourcewise.metrics.likelihood_bound",
    "sourcewise.metrics.energy_distance",
    "sourcewise.metrics.kernel_distance",
)


@cache
def metrics() -> dict[str, Metric]:
    """All of them by name."""
    ours = [import_module(module).METRIC for module in OURS]
    theirs = [point.load() for point in entry_points(group=GROUP)]
    found: dict[str, Metric] = {}
    for item in (*ours, *theirs):
        if item.name in found:
            raise InputError(f"two metrics are called {item.name!r}: rename one of them")
        found[item.name] = item
    return found


def metric(name: str) -> Metric:
    """The metric called `name`; an unknown name is an `InputError`."""
    if name not in metrics():
        raise unknown("metric", name, metrics())
    return metrics()[name]


def metrics_of(
    family: Family,
    wanted: str = "auto",
    settings: FamilySettings | None = None,
    form: str = "table",
) -> tuple[Metric, tuple[Metric, ...]]:
    """The metric that decides, and those that are shown beside it.

    `auto` is the first that decides of those that fit the settings and the form of the data.

    Raises:
        InputError: the family does not offer it, or not with these settings and data, or it
            decides nothing.
    """
    offered = _fitting(family, settings, form)
    able = {item.name: item for item in offered if item.decides}
    if not able:
        raise InputError(f"{family.name} offers no metric that decides: it cannot be compared")
    name = next(iter(able)) if wanted == "auto" else wanted
    if name not in able:
        raise unknown(f"metric that decides for {family.name}", name, able)
    return able[name], tuple(item for item in offered if not item.decides)


def deciding(family: Family, settings: FamilySettings, form: str) -> tuple[str, ...]:
    """Names of those that decide, the first one unless users say otherwise."""
    return tuple(item.name for item in _fitting(family, settings, form) if item.decides)


def _fitting(family: Family, settings: FamilySettings | None, form: str) -> list[Metric]:
    names = family.metrics if settings is None else settings.judged_by(family.metrics, form)
    return [metric(name) for name in names]
