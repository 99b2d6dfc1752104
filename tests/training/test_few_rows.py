"""Where validation rows are few, further splits of the rows help to tell when to stop."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.splits import held_in_turn
from sourcewise.training import TrainingData, fit
from sourcewise.training.grouping import groups
from sourcewise.training.processes import Processes
from sourcewise.training.recipes.base import Member

NAMES, N = ("a", "b", "c"), 50
QUICK = {"width": 8, "embedding": 2, "nodes": 16, "updates": 60, "passes": 1, "check": 5}
SETTINGS = EnergySettings.parse(QUICK)
PARTITIONS = pytest.mark.parametrize("partition", [Partition.pooled(3), Partition.separate(3)])


def rows(n: int, seed: int = 0, K: int = 3) -> Batch:
    """n rows of each of K sources, in a box of one column."""
    y = torch.arange(K).repeat_interleave(n)
    x = (0.3 + 0.2 * y[:, None] + 0.1 * Noise(seed).normal(K * n, 1)).clamp(0, 1)
    return Batch.of(x, y)


def data(n: int = N) -> TrainingData:
    """A tenth are validation rows."""
    every = rows(n)
    turn = held_in_turn(torch.arange(len(every)), every.y, 0.1, Noise(0))
    held = turn == 0
    return TrainingData(every.take(~held), every.take(held), turn[~held])


def trained(
    partition: Partition,
    found: TrainingData | None = None,
    settings: EnergySettings = SETTINGS,
    folder: Path | None = None,
    progress=None,
    D: int = 1,
    **where,
):
    model = PartitionedModel(partition, lambda K: Energy(settings, K=K, D=D), NAMES)
    efforts = fit(
        model,
        found or data(),
        names=NAMES,
        settings=settings,
        execution=Execution(**where),
        folder=folder,
        progress=progress,
    )
    return model, efforts


def same(a: PartitionedModel, b: PartitionedModel) -> bool:
    return all(torch.equal(v, b.state_dict()[name]) for name, v in a.state_dict().items())


def test_a_handful_of_lucky_rows_does_not_train_a_model_too_long():
    """The validation rows repeat outliers that are trained on: alone they say stop too late."""

    def normal(n: int, seed: int) -> Batch:
        x = (0.5 + 0.1 * Noise(seed).normal(n, 2)).clamp(0, 1)
        return Batch.of(x, torch.zeros(n, dtype=torch.int64))

    some, new = normal(30, 0), normal(2000, 1)
    outliers = (some.tensor - 0.5).norm(dim=1).argsort()[-3:]
    lucky = TrainingData(some, some.take(outliers), 1 + torch.arange(30) % 9)
    options = {"width": 64, "nodes": 24, "updates": 600, "check": 20, "weight_decay": 0}
    settings = EnergySettings.parse(QUICK | options)

    def loss(found: TrainingData):
        model, (effort,) = trained(Partition.pooled(1), found, settings, D=2)
        with torch.no_grad():
            return effort, -float(model.log_density(new, Noise(0)).value.mean())

    (alone, bad), (effort, good) = loss(replace(lucky, turn=None)), loss(lucky)
    assert effort.how == "gradient, stopped by 3 splits"
    assert alone.best is not None
    assert effort.best is not None
    assert alone.best >= 2 * effort.best
    assert bad > good + 0.2


@pytest.mark.parametrize(("n", "held"), [(20, 14), (50, 30), (120, 36), (400, 40)])
def test_splits_hold_out_enough_rows_and_each_a_third_at_most(n, held):
    one = data(n).of(torch.tensor([0, -1, -1]))
    splits = one.further()
    assert len(splits) == (0 if n == 400 else 1 if n == 120 else 2)
    assert all(len(split.train) + len(split.valid) == n for split in splits)
    assert all(len(split.valid) <= n / 3 for split in splits)
    assert not any(split.further() for split in splits)
    seen = torch.cat([part.valid.tensor for part in (one, *splits)])
    assert len(seen) == len(seen.unique()) == held


def test_turns_keep_units_whole_and_leave_something_of_every_source():
    y = torch.tensor([0] * 40 + [1] * 3 + [2] + [3] * 12)
    unit = torch.cat([torch.arange(44), 44 + torch.arange(12) // 4])  # the last in three units
    for seed in range(20):
        turn = held_in_turn(unit, y, 0.1, Noise(seed))
        for u in unit.unique():
            assert len(turn[unit == u].unique()) == 1
        assert turn[y == 2].tolist() == [-1]
        for k in (0, 1, 3):
            assert (turn[y == k] == 0).any()
            assert (turn[y == k] > 0).any()
        assert sorted(turn[y == 0].unique().tolist()) in ([*range(10)], [-1, *range(10)])


def test_a_model_with_copies_is_not_sharded_and_says_so():
    where, two = Execution(shard=True), Processes(0, 2)

    def how(found: TrainingData) -> str:
        member = Member(("a",), Energy(SETTINGS, K=1, D=1), found.of(torch.tensor([0, -1, -1])))
        ((_, text),) = groups([member], [0], where, two)
        return text

    assert how(data(400)) == "gradient, sharded over 2 processes"
    assert how(data()) == "gradient, not sharded: it has copies"


@PARTITIONS
def test_rows_that_are_enough_are_judged_as_they_were(partition):
    many = data(400)
    model, efforts = trained(partition, many)
    plain, how = trained(partition, replace(many, turn=None))
    assert same(model, plain)
    assert efforts == how


def test_models_do_not_depend_on_how_they_are_stacked():
    settings = EnergySettings.parse(QUICK | {"precision": "float64"})
    together, how = trained(Partition.separate(3), settings=settings)
    apart, how_apart = trained(Partition.separate(3), settings=settings, stacked=False)
    alone, _ = trained(Partition(((1,),)), settings=settings, stacked=False)
    own = apart.state_dict()
    for name, found in together.state_dict().items():
        assert torch.allclose(found, own[name], rtol=1e-5), name
    assert [(e.updates, e.best) for e in how] == [(e.updates, e.best) for e in how_apart]
    assert {e.how for e in how} == {"gradient, 3 models at once, stopped by 3 splits"}
    parameters = dict(alone.block(0).named_parameters())
    assert all(torch.equal(p, parameters[name]) for name, p in apart.block(1).named_parameters())


@PARTITIONS
def test_a_killed_training_goes_on_to_the_same_bits(partition, tmp_path: Path):
    settings = EnergySettings.parse(QUICK | {"patience": 0.2, "updates": 150})
    expected, efforts = trained(partition, settings=settings)
    if len(partition) > 1:  # they leave the stack one by one
        assert len({effort.updates for effort in efforts}) > 1

    class Killed(Exception):
        pass

    for share in (0.2, 0.6, 0.9):
        folder = tmp_path / str(share)

        def kill(done: int, total: int, share: float = share) -> None:
            if done > share * total:
                raise Killed

        options = {"settings": settings, "folder": folder, "checkpoint": 0}
        with pytest.raises(Killed):
            trained(partition, progress=kill, **options)
        resumed, again = trained(partition, **options)
        assert same(expected, resumed)
        assert again == efforts
        assert not any("split" in path.read_text() for path in folder.rglob("log.csv"))
