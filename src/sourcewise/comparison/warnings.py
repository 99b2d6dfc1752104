"""What is to be said of the data of a comparison before its numbers."""

from sourcewise.comparison.copies import copies
from sourcewise.comparison.prepare import Prepared
from sourcewise.errors import counted, listing
from sourcewise.forms import Whole
from sourcewise.sources import Sources
from sourcewise.splits import repeats_by_chance

__all__ = ["repeats", "warnings_of"]


def warnings_of(prepared: Prepared) -> list[str]:
    """One line each."""
    plan = prepared.plan
    warnings = prepared.screened.notes
    if prepared.too_few:
        few = listing(prepared.too_few, 5)
        warnings.append(
            f"{counted(len(prepared.too_few), 'source')} with too few rows to be tested ({few}); "
            "their rows still train the shared models"
        )
    data = plan.job.data
    told = repeats(data)
    return [*warnings, *([told] if told else [])]


def repeats(data: Sources) -> str | None:
    """A warning that tells what was made of identical rows, or None if there are few."""
    x, same = data.rows, data.same
    if isinstance(x, Whole):
        return copies(data, x)
    repeated = len(same) - len(same.unique())
    if repeated == 0:
        return None
    if data.group is not None:
        units = len(data.units.unique())
        return f"{repeated} rows repeat another row; the {units} groups alone are kept together"
    if repeats_by_chance(x, same):
        return (
            f"{repeated} of {len(data)} rows repeat another row, no more than columns with so few "
            "values do by chance: they are not kept together"
        )
    if len(same.unique()) < len(same) / 2:
        return f"{repeated} of {len(data)} rows repeat another row and are kept together with it"
    return None
