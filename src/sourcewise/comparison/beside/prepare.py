"""Several families made ready for one comparison: the same rows, columns, splits and scope."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

from sourcewise.comparison.beside.best import same_rows
from sourcewise.comparison.beside.budget import FAILURES, in_order
from sourcewise.comparison.plan import BASELINE
from sourcewise.comparison.prepare import CompareSettings, Prepared, prepare
from sourcewise.errors import InputError, listing, unknown
from sourcewise.families.family import Family
from sourcewise.families.registry import families, family, suiting
from sourcewise.families.settings import FamilySettings
from sourcewise.files import plain
from sourcewise.fitting.job import Job
from sourcewise.forms import Table, as_table, form
from sourcewise.metrics.registry import deciding
from sourcewise.results.contract import Json
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources
from sourcewise.strategies import without

__all__ = ["OPEN", "PreparedFamilies", "named_families", "prepare_families"]

OPEN = ("auto", "all")  # what leaves families open
USUAL_MINUTES = 2.0
ROWS = 100_000  # of which several families can be begun in a minute
EARLIEST = 0.1  # of its planned work, that a training does at least as a rule


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
        return [*self.made_alike, *self.screened.notes]

    @property
    def alone(self) -> Prepared:
        """The only family, with what became of the others."""
        only = self.members[0]
        screened = copy(only.screened)  # whose notes are of the data already
        screened.warnings = [*only.screened.warnings, *self.made_alike]
        return replace(only, config=self.config, screened=screened)

    @property
    def planned(self) -> dict[str, float]:
        """Seconds of one repetition of each family, if no training stops early."""
        return self._planned

    @cached_property
    def _planned(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, member in self.by_name.items():
            try:
                found[name] = member.seconds() / _rounds(member)
            except FAILURES:
                if self.minutes is None or not found:
                    raise
                found[name] = 0.0  # its turn tells what is wrong
        return found

    def early(self, name: str) -> float:
        """The share of its plan that is the least that a repetition of a family takes."""
        return EARLIEST if self.by_name[name].job.family.trained else 1.0

    def rounds(self, name: str) -> int:
        """How often a family is fitted one time after another; a cross-validation is one."""
        return _rounds(self.by_name[name])

    def foreseen(self) -> Json:
        """What settings come to, and the seconds of each family."""
        resolved = {n: member.foreseen()["resolved"] for n, member in self.by_name.items()}
        seconds = {name: round(self.planned[name], 2) for name in in_order(self.planned)}
        reason = "if no training stops early"
        if self.minutes is not None:
            reason += f"; at most {2 * self.minutes:g} min, for what --budget leaves room for"
        return {
            "resolved": resolved,
            "seconds_of_one_repetition": seconds,
            "seconds_reason": reason,
        }

    def seconds(self) -> float:
        """That all will take, if no training stops early."""
        every = sum(self.rounds(name) * s for name, s in self.planned.items())
        return every if self.minutes is None else min(every, 120 * self.minutes)


def minutes_of(settings: CompareSettings) -> float | None:
    """The budget; None where families are named, and take what they take."""
    usual = USUAL_MINUTES if settings.budget is None else settings.budget
    return usual if settings.model == "auto" else None


def _rounds(member: Prepared) -> int:
    return 1 if member.plan.scope == "procedure" else member.plan.repetitions


def named_families(data: Sources, settings: CompareSettings) -> tuple[Family, ...]:
    """The families that `model` asks for: one, or several to be set beside each other.

    `auto` are those that suit the data, `all` these and those that are able; `A,B` are A and B.

    Raises:
        InputError: an unknown family, or one that is named twice.
    """
    if settings.model in OPEN:
        suited = suiting(data)
        if settings.model == "auto":
            return suited
        return (*suited, *(f for f in families().values() if f not in suited and f.able(data)))
    names = [name.strip() for name in settings.model.split(",") if name.strip()]
    if not names:
        raise unknown("family", settings.model, (*OPEN, *families()))
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--model: {twice[0]!r} is named twice")
    return tuple(map(family, names))


def prepare_families(
    data: Sources, settings: CompareSettings, chosen: Sequence[Family]
) -> PreparedFamilies:
    """Make every family ready, on the columns that all of them can use.

    With `auto` and `all` a family that cannot take the data is left out, with a note; the first is
    needed. With `auto` it stays alone where rows are too many to look at the others in time.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    if settings.trials and not any(item.trained for item in chosen):
        raise InputError("--trials: these families are fitted exactly, there is nothing to try")
    minutes, open_ = minutes_of(settings), settings.model in OPEN
    asked, late = _with_rivals(settings, _asked(data, settings, chosen), open_)
    if minutes is not None and len(data) > ROWS * minutes:
        (first, *others), most = asked, int(ROWS * minutes)
        asked = {first: asked[first]}
        late.append(
            f"no time for other families ({listing(others)}): {len(data)} rows, and --budget "
            f"{minutes:g} looks at them for {most} rows at most: --model all"
        )
    found, notes = _ready(data, asked, optional=open_)
    if isinstance(data.x, Table):
        found, less = _on_common_columns(data, data.x, asked, found)
        notes += less
    _check_alike(found)
    members = _same_jackknife(found)
    config = _config(data, settings, members)
    return PreparedFamilies(members, (*late, *notes), minutes, config)


def _asked(
    data: Sources, settings: CompareSettings, chosen: Sequence[Family]
) -> dict[str, CompareSettings]:
    """Every family with its own part of the settings, and the strategies that it has.

    What not all of them have (partial pooling, fine-tuning) is asked of those that do, if any do.
    """
    sets, some = _settings_of(settings, chosen), {name for item in chosen for name in item.offers}
    common = _common_metric(data, settings, chosen, sets)
    return {
        item.name: settings.model_copy(
            update={
                "model": item.name,
                "set": sets[item.name],
                "strategies": without(settings.strategies, some - {*item.offers}),
                "trials": settings.trials if item.trained else 0,
                "metric": common,
            }
        )
        for item in chosen
    }


def _common_metric(
    data: Sources,
    settings: CompareSettings,
    chosen: Sequence[Family],
    sets: Mapping[str, Mapping[str, object]],
) -> str:
    """What decides: the first that all families offer, of what the first of them prefers."""
    if settings.metric != "auto" or len(chosen) == 1:
        return settings.metric
    kind = form(data.x)
    each = [deciding(f, _parsed(f.name, sets[f.name]).suited(kind), kind) for f in chosen]
    common = [name for name in each[0] if all(name in names for names in each)]
    return common[0] if common else "auto"


def _with_rivals(
    settings: CompareSettings, asked: dict[str, CompareSettings], optional: bool
) -> tuple[dict[str, CompareSettings], list[str]]:
    """Families that have more of the strategies asked for than the baseline, and who has not.

    Raises:
        InputError: a family that was named has not.
    """
    alone = {BASELINE, "shuffled"}
    lone = [
        name
        for name, own in asked.items()
        if own.strategies != settings.strategies
        and {spec.strip() for spec in own.strategies.split(",")} <= alone
    ]
    if not lone or len(lone) == len(asked):
        return asked, []
    told = f"of {settings.strategies} it has {BASELINE} alone"
    if not optional:
        raise InputError(f"{lone[0]}: {told}: add pooled, or name families that have the others")
    notes = [f"the family {name} was left out: {told}" for name in lone]
    return {name: own for name, own in asked.items() if name not in lone}, notes


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
        _parsed(name, settings.set)
        try:
            found.append(prepare(data, settings))
        except FAILURES as error:
            if not (optional and found):
                if not isinstance(error, InputError):
                    raise
                told = str(error)
                own = optional or name in told
                raise type(error)(told if own else f"{name}: {told}") from None
            notes.append(f"the family {name} was left out: {error}")
    return found, notes


def _parsed(name: str, values: Mapping[str, object]) -> FamilySettings:
    """The settings of a family; raise for a value that it never takes, whatever the data."""
    try:
        return family(name).parse(values)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


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
