"""Which families there is time for, by a clock that the tests turn."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

import sourcewise as sw
from sourcewise.comparison.beside import budget as module
from sourcewise.comparison.beside.budget import Budget
from sourcewise.comparison.beside.prepare import (
    PreparedFamilies,
    named_families,
    prepare_families,
)
from sourcewise.comparison.compare import CompareSettings
from sourcewise.errors import TrainingFailed

PLANNED = {"gaussian": 5.0, "mixture": 10.0, "table": 300.0}  # seconds


class Clock:
    """What the budget reads instead of the real one."""

    now: float = 0.0

    def process_time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


@pytest.fixture(scope="module")
def families() -> PreparedFamilies:
    """Three families, the Gaussian cross-validated, the others once for each of three seeds."""
    small = {"table.width": 4, "table.layers": 0, "table.bins": 2, "mixture.components": 1}
    asked = CompareSettings(model="gaussian,mixture,table", set=small, seeds=3)
    data = sw.read("wine", columns=["alcohol", "hue"])
    prepared = prepare_families(data, asked, named_families(data, asked))
    prepared.__dict__["_planned"] = PLANNED
    return prepared


def budget(
    families: PreparedFamilies,
    seconds: float,
    path: Path | None = None,
    planned: dict[str, float] = PLANNED,
) -> Budget:
    prepared = replace(families, minutes=seconds / 60)
    prepared.__dict__["_planned"] = planned
    return Budget(prepared, path)


def spend(found: Budget, clock: Clock, took: dict[str, float]) -> list[tuple[str, int]]:
    """The turns that were over in time, each of which takes so many seconds."""
    over = []
    for name, r in found.turns():
        with found.turn(name, r, None) as told:
            if told is not None:
                clock.now += took[name] / 2
                told(1, 2)
                clock.now += took[name] / 2
                told(2, 2)
            over.append((name, r))
    return over


def test_seeds_of_trained_families_are_rounds_and_a_cross_validation_is_one(families):
    assert [families.rounds(name) for name in families.planned] == [1, 1, 3]


def test_all_that_fits_is_done_one_seed_of_each_first(families, clock):
    took = {"gaussian": 5.0, "mixture": 10.0, "table": 30.0}
    found = budget(families, 120)
    everything = [("gaussian", 0), ("mixture", 0), ("table", 0), ("table", 1), ("table", 2)]
    assert spend(found, clock, took) == everything
    assert found.notes() == []


def test_what_cannot_fit_is_not_begun_but_the_first_always_is(families, clock):
    found = budget(families, 20)
    assert spend(found, clock, {"gaussian": 50.0}) == [("gaussian", 0)]
    one, two = found.notes()
    # 50 + 10 seconds fit into a minute
    assert one.startswith("no time for the family mixture (10 s): --budget 1 takes it")
    # 50 + 300 seconds are planned: 6 minutes hold them
    assert two.startswith("no time for the family table (30 s to 5 min): --budget 6 takes it")


def test_further_seeds_are_made_while_they_fit(families, clock):
    took = {"gaussian": 5.0, "mixture": 10.0, "table": 40.0}
    found = budget(families, 100)
    assert spend(found, clock, took)[2:] == [("table", 0), ("table", 1)]
    assert found.notes() == ["time for 2 training seeds of table, not 3: --budget 3 takes all"]


def test_what_takes_twice_the_budget_is_stopped(families, clock):
    took = {"gaussian": 5.0, "mixture": 10.0, "table": 300.0}
    found = budget(families, 60)
    assert spend(found, clock, took) == [("gaussian", 0), ("mixture", 0)]
    assert clock.now == 165.0  # at the first word after 120 seconds
    assert found.notes()[0].startswith("the family table was left out: not done after 2 min")


def test_the_first_family_is_never_stopped(families, clock):
    assert spend(budget(families, 10), clock, {"gaussian": 1000.0}) == [("gaussian", 0)]


class Killed(Exception):
    """The process ends here."""


def killed_at(found: Budget, clock: Clock, took: dict[str, float], turn: int) -> None:
    """Turns, the last of which is killed half way."""
    for i, (name, r) in enumerate(found.turns()):
        with found.turn(name, r, None) as told:
            clock.now += took[name] / 2
            assert told is not None
            told(1, 2)
            if i == turn:
                raise Killed
            clock.now += took[name] / 2


def failing(found: Budget, at: tuple[str, int]) -> list[tuple[str, int]]:
    """The turns that were over, but for one that fails."""
    over = []
    for name, r in found.turns():
        with found.turn(name, r, None):
            if (name, r) == at:
                raise TrainingFailed("the loss is not finite")
            over.append((name, r))
    return over


def test_an_interrupted_run_goes_on_with_the_same_families_and_the_time_spent(
    families, clock, tmp_path
):
    took = {"gaussian": 5.0, "mixture": 10.0, "table": 40.0}
    whole = spend(budget(families, 100), clock, took)
    assert whole[-1] == ("table", 1)  # a third seed would end after 135 seconds
    path = tmp_path / "families" / module.TIME
    with pytest.raises(Killed):
        killed_at(budget(families, 100, path), clock, took, 3)
    clock.now = -math.pi  # another process, whose clock reads anything, on a slower machine
    slower = {name: 9 * seconds for name, seconds in PLANNED.items()}
    rest = {**took, "table": 20.0}  # half of the last one had been done
    again = budget(families, 100, path, slower)
    assert spend(again, clock, rest) == whole
    assert sum(each.seconds for each in again.spent) == 95
    assert spend(budget(families, 100, path, slower), clock, {}) == whole  # all is known now


@pytest.mark.parametrize("seed", [0, 1])
def test_a_family_whose_training_fails_is_left_out(families, clock, seed):
    found = budget(families, 1000)
    expected = [("gaussian", 0), ("mixture", 0), *[("table", r) for r in range(seed)]]
    assert failing(found, ("table", seed)) == expected
    (note,) = found.notes()
    told = ("the family table was left out: the loss", "1 training seed of table, not 3: the loss")
    assert note.startswith(told[seed])
    with pytest.raises(TrainingFailed):
        failing(budget(families, 1000), ("gaussian", 0))
