"""Several families made ready for one comparison: the same rows, columns, splits and scope."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sourcewise.comparison.beside.best import same_rows
from sourcewise.comparison.prepare import CompareSettings, Prepared, prepare
from sourcewise.errors import InputError, counted, listing, unknown
from sourcewise.families.family import Family
from sourcewise.families.registry import families, family, suiting
from sourcewise.files import plain
from sourcewise.fitting.job import Job
from sourcewise.forms import Table, as_table
from sourcewise.results.contract import Json
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources
from sourcewise.strategies import without

__all__ = ["PreparedFamilies", "named_families", "prepare_families"]


@dataclass(frozen=True)
class PreparedFamilies:
    """Families that are checked and ready to be compared beside each other.

    Args:
        members: each with its own job, on the same rows; the first one always runs.
        made_alike: what was done to have them compared alike, one line each.
        minutes: that all together may take; None: as long as they take.
        config: what identifies the comparison, whichever of them there is time for.
    """

    members: tuple[Prepared, ...]
    made_alike: tuple[str, ...]
    minutes: float | None
    config: Json

    @property
    def job(self) -> Job:
        """That of the first family."""
        return self.members[0].job

    @property
    def screened(self) -> Screened:
        """What happened to the table, for the first family."""
        return self.members[0].screened

    @property
    def by_name(self) -> dict[str, Prepared]:
        """The members by their families' names."""
        return {member.job.family.name: member for member in self.members}

    @property
    def notes(self) -> list[str]:
        """What is to be known before it runs, one line each."""
        late = self.late_notes(self.repetitions)
        return [*self.made_alike, *late, *self.screened.notes]

    def foreseen(self) -> Json:
        """What settings come to, and the seconds of each family."""
        resolved = {n: member.foreseen()["resolved"] for n, member in self.by_name.items()}
        seconds = {name: round(s, 2) for name, s in self.times.items()}
        return {
            "resolved": resolved,
            "seconds_of_one_repetition": seconds,
            "repetitions": self.repetitions,
            "seconds_reason": "as trainings stop early as a rule",
        }

    @cached_property
    def times(self) -> dict[str, float]:
        """Seconds of one repetition of each family; quicker ones first, after the first family."""
        seconds = {name: _once(member) for name, member in self.by_name.items()}
        first, *others = seconds
        return {name: seconds[name] for name in (first, *sorted(others, key=seconds.__getitem__))}

    @cached_property
    def repetitions(self) -> dict[str, int]:
        """How often each family is fitted: as often as asked, less often for want of time, or 0.

        Training seeds may be fewer; a cross-validation is whole or not made at all.
        """
        found, left = {}, math.inf if self.minutes is None else 60 * self.minutes
        for i, (name, seconds) in enumerate(self.times.items()):
            plan = self.by_name[name].plan
            fewest = plan.repetitions if i == 0 or plan.scope == "procedure" else 1
            most = math.floor(left / seconds) if left < math.inf else plan.repetitions
            found[name] = min(plan.repetitions, max(most, 0 if i else fewest))
            if found[name] < fewest:
                found[name] = 0
            left -= found[name] * seconds
        return {name: found[name] for name in self.by_name}

    def seconds(self) -> float:
        """That all will take."""
        return sum(times * self.times[name] for name, times in self.repetitions.items())

    def late_notes(self, repetitions: Mapping[str, int]) -> list[str]:
        """What a reader is told of families that there was no time, or little time, for."""
        notes = []
        for name, times in repetitions.items():
            asked = self.by_name[name].plan.repetitions
            if times < asked:
                minutes = f"--budget {max(1, math.ceil(2 * asked * self.times[name] / 60))}"
                much = f"about {math.ceil(asked * self.times[name] / 60)} min"
                what = f"no time for the family {name} ({much})"
                if times:
                    what = f"time for {counted(times, 'training seed')} of {name}, not {asked}"
                notes.append(f"{what}: {minutes} takes it, or --model {name}")
        return notes


def _once(member: Prepared) -> float:
    """Seconds of one repetition, as trainings stop early as a rule; never 0."""
    plan = member.plan
    return max(1e-3, member.job.family.early * member.seconds() / plan.repetitions)


def named_families(data: Sources, settings: CompareSettings) -> tuple[Family, ...]:
    """The families that `model` asks for: one, or several to be set beside each other.

    `auto` is the first that suits the data; `all` are all that suit; `A,B` are these.

    Raises:
        InputError: an unknown family, or one that is named twice.
    """
    names = [name.strip() for name in settings.model.split(",") if name.strip()]
    if names in (["auto"], ["all"]):
        return suiting(data)[: 1 if names == ["auto"] else None]
    if not names:
        raise unknown("family", settings.model, ("auto", "all", *families()))
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--model: {twice[0]!r} is named twice")
    return tuple(map(family, names))


def prepare_families(
    data: Sources, settings: CompareSettings, chosen: Sequence[Family]
) -> PreparedFamilies:
    """Make every family ready, on the columns that all of them can use.

    With `all` a family that cannot take the data is left out, with a note; the first is needed.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    if settings.trials and not any(item.trained for item in chosen):
        raise InputError("--trials: these families are fitted exactly, there is nothing to try")
    asked = _asked(settings, chosen)
    found, notes = _ready(data, asked, optional=settings.model == "all")
    if isinstance(data.x, Table):
        found, less = _on_common_columns(data, data.x, asked, found)
        notes += less
    _check_alike(found)
    members = _same_jackknife(found)
    minutes = settings.budget if settings.model == "all" else None
    config = _config(data, settings, members)
    return PreparedFamilies(members, tuple(notes), minutes, config)


def _asked(settings: CompareSettings, chosen: Sequence[Family]) -> dict[str, CompareSettings]:
    """Every family with its own part of the settings, and the strategies that it has.

    What not all of them have (partial pooling, fine-tuning) is asked of those that do, if any do.
    """
    sets, some = _settings_of(settings, chosen), {name for item in chosen for name in item.offers}
    return {
        item.name: settings.model_copy(
            update={
                "model": item.name,
                "set": sets[item.name],
                "strategies": without(settings.strategies, some - {*item.offers}),
                "trials": settings.trials if item.trained else 0,
            }
        )
        for item in chosen
    }


def _settings_of(
    settings: CompareSettings, chosen: Sequence[Family]
) -> dict[str, dict[str, object]]:
    """What `--set` says of each family: `FAMILY.KEY` of that one, `KEY` of all that have it.

    Raises:
        InputError: a key that no family has.
    """
    found: dict[str, dict[str, object]] = {item.name: {} for item in chosen}
    for key, value in settings.set.items():
        name, dot, own = key.partition(".")
        if dot and name not in found:
            raise unknown("family", name, found)
        takers = [
            item.name
            for item in chosen
            if (item.name == name if dot else key in item.settings_class.model_fields)
        ]
        if not takers:
            keys = (key for item in chosen for key in item.settings_class.model_fields)
            raise unknown("setting", key, dict.fromkeys(keys))
        for taker in takers:
            found[taker][own if dot else key] = value
    return found


def _ready(
    data: Sources, asked: Mapping[str, CompareSettings], optional: bool
) -> tuple[list[Prepared], list[str]]:
    """Every family prepared; all but the first may be left out if they are optional."""
    found: list[Prepared] = []
    notes: list[str] = []
    for name, settings in asked.items():
        try:
            found.append(prepare(data, settings))
        except InputError as error:
            if not (optional and found):
                told = str(error)
                own = optional or name in told
                raise type(error)(told if own else f"{name}: {told}") from None
            notes.append(f"the family {name} was left out: {error}")
    return found, notes


def _on_common_columns(
    data: Sources, table: Table, asked: Mapping[str, CompareSettings], found: list[Prepared]
) -> tuple[list[Prepared], list[str]]:
    """Those that use columns which others cannot use prepared again without them."""
    each = [as_table(member.job.data.x).names for member in found]
    common = [name for name in each[0] if all(name in names for names in each)]
    if not common:
        raise InputError(
            f"{data.name}: no column that all of {listing(asked)} can use: compare them one by one"
        )
    only = replace(data, x=table.select(common))
    out, notes = [], []
    for member, names in zip(found, each, strict=True):
        more = [name for name in names if name not in common]
        if more:
            family = member.job.family.name
            notes.append(
                f"{family} goes without {listing(map(repr, more), 6)}, which other families "
                f"cannot use: all are compared on the same columns (--model {family} uses them)"
            )
        out.append(prepare(only, asked[member.job.family.name]) if more else member)
    return out, notes


def _same_jackknife(found: Sequence[Prepared]) -> tuple[Prepared, ...]:
    """Where all families are cross-validated, they leave out the same groups of rows."""
    if any(member.plan.scope != "procedure" for member in found):
        return tuple(found)
    count = min(member.plan.group_count for member in found)
    plans = (replace(member.plan, jackknife=count, _kept={}) for member in found)
    return tuple(replace(m, plan=plan) for m, plan in zip(found, plans, strict=True))


def _check_alike(found: Sequence[Prepared]) -> None:
    """Raise unless scores of all families can be paired row by row."""
    first = found[0].job
    for member in found[1:]:
        job, pair = member.job, f"{first.family.name} and {member.job.family.name}"
        if (job.metric.key, job.unit) != (first.metric.key, first.unit):
            raise InputError(
                f"{pair} cannot be compared: {first.metric.key} in {first.unit}, and "
                f"{job.metric.key} in {job.unit} (name one by --metric that both offer)"
            )
        if not same_rows(found[0].plan, member.plan):
            raise InputError(
                f"{pair} cannot be compared: they use other rows of {first.data.name}"
            )


def _config(data: Sources, settings: CompareSettings, members: Sequence[Prepared]) -> Json:
    """What identifies the comparison: what was asked, and what each family makes of it."""
    asked = settings.model_dump(mode="json")
    each = {member.job.family.name: member.config["settings"] for member in members}
    return plain(
        {
            "settings": asked | {"families": each},
            "fingerprint": data.fingerprint(),
            "versions": members[0].config["versions"],
        }
    )
