"""Training that judges labels: when, what is kept of it, and that it can be interrupted."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.flow.model import Flow
from sourcewise.families.flow.settings import FlowSettings
from sourcewise.families.offers import LabelFlags
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.purified_flow.model import PurifiedFlow
from sourcewise.families.purified_flow.settings import PurifiedFlowSettings
from sourcewise.files import file_digest, read_json, read_tensors, write_json, write_tensors
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.training.recipes.purified import Purified
from sourcewise.training.recipes.registry import recipe

NAMES, COUNTS = tuple("abcd"), (100, 60, 100, 60)
POOLED, PAIRS = Partition.pooled(4), Partition(((0, 1), (2, 3)))
PLAIN = {"width": 8, "batch": 32, "passes": 6, "updates": 40, "check": 5, "probe_draws": 2}
PLAIN |= {"purify_after": 0.25, "patience": 0.3, "probe_memory": 0.5}


def settings(**options) -> PurifiedFlowSettings:
    return PurifiedFlowSettings.parse(PLAIN | options)


def data(held_out: bool = True) -> TrainingData:
    """Normals that lie apart, a fifth of whose labels is wrong; a tenth are validation rows."""
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(COUNTS)])
    x = 0.3 * Noise(5).normal(len(y), 2) + torch.tensor([[-1, -1], [1, 1], [-1, 1], [1, -1]])[y]
    y = torch.where(Noise(6).uniform(len(y)) < 0.2, (y + 1) % 4, y)
    held = (torch.arange(len(y)) % 10 == 0) & held_out
    return TrainingData(Batch.of(x[~held], y[~held]), Batch.of(x[held], y[held]))


def trained(chosen, partition=POOLED, rows=None, folder=None, progress=None, stacked=True):
    kind = PurifiedFlow if isinstance(chosen, PurifiedFlowSettings) else Flow
    model = PartitionedModel(partition, lambda K: kind(chosen, K=K, d=2), NAMES)
    efforts = fit(
        model,
        data() if rows is None else rows,
        names=NAMES,
        settings=chosen,
        execution=Execution(checkpoint=0, stacked=stacked),
        folder=folder,
        progress=progress,
    )
    return model, efforts


def flags_of(model: PartitionedModel) -> list[torch.Tensor]:
    found = []
    for block in model.blocks:
        assert isinstance(block, PurifiedFlow)
        assert isinstance(block.flags, LabelFlags)
        flags = block.flags
        found.append(torch.stack([flags.looks, flags.flagged, flags.excess]))
    return found


def parameters(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_family_is_trained_by_the_recipe():
    assert isinstance(recipe(PurifiedFlow.recipe), Purified)


def test_until_labels_are_judged_it_is_the_training_of_a_flow():
    rows = data(held_out=False)
    shared = {k: v for k, v in PLAIN.items() if k in FlowSettings.model_fields}
    flow = parameters(trained(FlowSettings.parse(shared), rows=rows)[0])
    never, now = (trained(settings(purify_after=at), rows=rows)[0] for at in (1.0, 0.25))
    assert torch.equal(parameters(never), flow)
    assert not flags_of(never)[0].any()
    assert not torch.equal(parameters(now), flow)


@pytest.mark.parametrize("partition", [POOLED, PAIRS])
def test_every_look_after_the_warm_up_is_counted(partition):
    rows = data(held_out=False)
    model, efforts = trained(settings(patience=0), partition, rows)
    for record, effort, block in zip(flags_of(model), efforts, partition, strict=True):
        n = int(torch.isin(rows.train.y, torch.tensor(block)).sum())
        first = -(-settings().planned(n) // 4)
        assert effort.updates == settings().planned(n)
        assert int(record[0].sum()) == 32 * (effort.updates - first)
        assert (
            float(record[0].max() - record[0].min()) <= 2
        )  # each row once per pass, but for the ends
        assert 0 < int(record[1].sum()) < int(record[0].sum())
        assert bool((record[1] <= record[0]).all())


@pytest.mark.parametrize("memory", [0.0, 0.75])
def test_a_label_is_judged_by_looks_of_before_as_well(memory, monkeypatch):
    """By hand, with excesses that change sign from update to update."""
    rows, seen = data(held_out=False), []

    def excess(self, batch, noise):
        seen.append((batch.tensor, 1.0 if len(seen) % 3 else -1.5))
        return torch.full((len(batch),), seen[-1][1])

    monkeypatch.setattr(PurifiedFlow, "label_excess", excess)
    model, _ = trained(settings(probe_memory=memory, patience=0), rows=rows)
    looks, flagged, total = torch.zeros(3, len(rows.train.y), dtype=torch.float64)
    last = torch.zeros_like(looks)
    for x, e in seen:
        for row in x:
            at = (rows.train.tensor.float() == row.float()).all(1)
            last[at] = torch.where(looks[at] > 0, memory * last[at] + (1 - memory) * e, e)
            looks[at], total[at] = looks[at] + 1, total[at] + last[at]
            flagged[at] += last[at] > 0
    assert int(looks.max()) > 3
    record = flags_of(model)[0]
    torch.testing.assert_close(record, torch.stack([looks, flagged, total]))


def test_a_model_of_one_source_judges_nothing():
    shared = {k: v for k, v in PLAIN.items() if k in FlowSettings.model_fields}
    found, flow = (
        trained(chosen, Partition.separate(4))[0]
        for chosen in (settings(), FlowSettings.parse(shared))
    )
    assert torch.equal(parameters(found), parameters(flow))
    assert not any(record.any() for record in flags_of(found))


def test_stacked_equals_one_after_another():
    pairs = [
        trained(settings(precision="float64"), PAIRS, stacked=stacked) for stacked in (True, False)
    ]
    assert [pair[1][0].how for pair in pairs] == ["gradient, 2 models at once", "gradient"]
    a, b = (parameters(pair[0]) for pair in pairs)
    assert ((a - b).abs() <= 1e-5 * b.abs().clamp(min=1e-3)).all()
    for one, other in zip(*(flags_of(pair[0]) for pair in pairs), strict=True):
        assert torch.equal(one[:2], other[:2])
        torch.testing.assert_close(one[2], other[2], rtol=1e-6, atol=1e-9)


def test_a_batch_in_parts_is_judged_as_a_whole():
    whole, parts = (
        flags_of(trained(settings(precision="float64", microbatch=most))[0])[0] for most in (0, 7)
    )
    assert torch.equal(whole[:2], parts[:2])
    torch.testing.assert_close(whole[2], parts[2], rtol=1e-6, atol=1e-9)


class Killed(Exception):
    pass


@pytest.mark.parametrize("partition", [POOLED, PAIRS])
def test_a_killed_training_goes_on_to_the_same_bits(partition, tmp_path: Path):
    expected, efforts = trained(settings(), partition, folder=tmp_path / "whole")

    def kill(done: int, total: int) -> None:
        if done > 0.6 * total:
            raise Killed

    with pytest.raises(Killed):
        trained(settings(), partition, folder=tmp_path / "cut", progress=kill)
    (place,) = (tmp_path / "cut").iterdir()
    last = max(place.glob("checkpoint-*.json"))
    assert read_json(last)["values"]["active"]
    assert bool(read_tensors(last.with_suffix(".safetensors"))["flags/0"].any())
    for _ in range(2):  # from where it was, and from its end alone
        resumed, again = trained(settings(), partition, folder=tmp_path / "cut")
        assert efforts == again
        assert torch.equal(parameters(resumed), parameters(expected))
        for one, other in zip(flags_of(resumed), flags_of(expected), strict=True):
            assert torch.equal(one, other)


def test_a_checkpoint_with_records_of_other_rows_is_refused(tmp_path: Path):
    """Training then begins anew, and comes to the same bits."""
    expected, efforts = trained(settings(), folder=tmp_path)
    (place,) = tmp_path.iterdir()
    notes = list(place.glob("checkpoint-*.json"))
    assert notes
    for note in notes:
        path, document = note.with_suffix(".safetensors"), read_json(note)
        tensors = read_tensors(path)
        assert tensors["flags/0"].shape == (4, 288)
        write_tensors(path, tensors | {"flags/0": torch.ones(4, 287).double()})
        write_json(note, document | {"tensors": file_digest(path)})
    shares: list[float] = []
    with pytest.warns(UserWarning, match="flags/0.*training begins"):
        again, efforts_again = trained(
            settings(), folder=tmp_path, progress=lambda done, total: shares.append(done / total)
        )
    assert shares[0] < 0.1
    assert efforts_again == efforts
    assert torch.equal(parameters(again), parameters(expected))
    assert torch.equal(flags_of(again)[0], flags_of(expected)[0])


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 150)
    x = np.array([-4.0, 4.0])[y][:, None] + rng.normal(size=(300, 2))
    wrong = np.arange(300) % 5 == 0
    site = np.where(wrong, 1 - y, y)
    return pd.DataFrame({"site": np.array(["north", "south"])[site], "a": x[:, 0], "b": x[:, 1]})


def test_flags_are_told_row_by_row(tmp_path: Path):
    """In the file beside the models, where wrong labels are those that are flagged."""
    table().to_csv(tmp_path / "sites.csv", index=False)
    rows = sw.read(str(tmp_path / "sites.csv"), source="site")
    options = {"width": 32, "passes": 1, "validation": 0.2}
    for strategy, updates in (("pooled", 300), ("separate", 10)):
        own, out = options | {"updates": updates}, tmp_path / strategy
        sw.train(rows, model="purified-flow", strategy=strategy, set=own, out=out)
    assert not (tmp_path / "separate" / "models" / "separate" / "flags.csv").exists()
    with (tmp_path / "pooled" / "models" / "pooled" / "flags.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 240  # the others tell when to stop
    numbers = [int(line["row"].rsplit(" ", 1)[1]) - 2 for line in lines]  # the first is line 2
    assert numbers == sorted(numbers)
    assert [line["source"] for line in lines] == table().site.iloc[numbers].tolist()
    wrong = np.array(numbers) % 5 == 0
    flagged = np.array([float(line["flagged"]) for line in lines]) > 0.5
    assert (flagged & wrong).sum() > 0.9 * wrong.sum()
    assert (flagged & wrong).sum() > 0.9 * flagged.sum()
    excess = np.array([float(line["excess"]) for line in lines])
    assert excess[wrong].mean() > 0 > excess[~wrong].mean()
    trained = sw.load(tmp_path / "pooled")
    (share,) = (d for d in trained.document["diagnostics"] if d["name"] == "flagged")
    assert share["values"] == [pytest.approx(flagged.mean())]
