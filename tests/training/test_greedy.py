"""Parts trained in order: each by itself, frozen after, resumable between and within."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.base import ConditionalModel
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.networks.layers import Linear, reset
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.training.recipes.base import Member
from sourcewise.training.recipes.greedy import RECIPE

NAMES = ("a", "b")
FAST = {"passes": 20, "updates": 0, "batch": 25, "check": 5, "patience": 0.3}
OFTEN = Execution(checkpoint=0)


class Boosted(ConditionalModel):
    """p(x_2 | x_1) normal about a sum of small networks, each fitted to what is left."""

    recipe = "greedy"

    def __init__(self, settings: TrainedSettings, count: int = 3):
        super().__init__()
        self.settings = settings
        self.networks = nn.ModuleList(
            nn.Sequential(Linear(1, 6), nn.Tanh(), Linear(6, 1)) for _ in range(count)
        )

    @property
    def parts(self):
        return list(self.networks)

    @property
    def free_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def about(self, x, count: int):
        return torch.stack([network(x[:, :1]) for network in self.parts[:count]]).sum(0)[:, 0]

    def part_loss(self, number: int, batch: Batch, noise):
        left = batch.tensor[:, 1] - self.about(batch.tensor, number + 1)
        return 0.5 * (left.square() + math.log(2 * math.pi))

    def loss(self, batch: Batch, noise):
        return self.part_loss(len(self.parts) - 1, batch, noise)

    def sample(self, y, noise, c=None):
        return noise.each(y).normal(2)


def settings(**options) -> TrainedSettings:
    return TrainedSettings.parse(FAST | {"learning_rate": 0.03} | options)


def data() -> TrainingData:
    x = 4 * Noise(1).uniform(200, 1, dtype=torch.float32) - 2
    rows = Batch.of(torch.cat([x, (2 * x).sin()], 1), torch.arange(200) % 2)
    held = torch.arange(200) % 10 == 0
    return TrainingData(rows.take(~held), rows.take(held))


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(folder=None, progress=None, **options):
    model = Boosted(settings(**options))
    efforts = fit(model, data(), names=NAMES, execution=OFTEN, folder=folder, progress=progress)
    return model, efforts


def test_every_part_lowers_what_the_parts_before_it_left():
    model, (effort,) = trained()
    rows = data().train
    losses = [model.part_loss(i, rows, Noise(0)).mean().item() for i in range(3)]
    assert losses[0] > losses[1] > losses[2]
    assert effort.how == "greedy, 3 parts one after another"
    planned = 144  # 20 passes over 180 rows, 25 at a time
    sums = [trained_parts(count).updates for count in (1, 2, 3)]
    assert effort.updates == sums[2] == 3 * planned
    early = [trained_parts(n, learning_rate=0.3, patience=0.01).updates for n in (1, 2, 3)]
    lengths = [early[0], early[1] - early[0], early[2] - early[1]]
    assert min(lengths) < planned
    assert len(set(lengths)) > 1  # each stops by itself
    assert effort.examples_seen == 25 * effort.updates


def trained_parts(count: int, **options):
    model = Boosted(settings(**options), count)
    (effort,) = RECIPE.train([Member(NAMES, model, data())], model.settings, Noise(0))
    return effort


def test_parts_are_frozen_once_they_are_trained():
    whole, first = trained()[0], Boosted(settings(), 1)
    fit(first, data(), names=NAMES)
    assert torch.equal(flat(first), flat(whole.networks[0]))


class Unit(Boosted):
    """Every direction of a first layer has norm 1."""

    def constrain(self, parameters):
        for name, value in parameters.items():
            if name.endswith("0.weight"):
                value.div_(value.norm(dim=-1, keepdim=True))


def test_parts_are_held_as_the_whole_says():
    for kind, held in ((Unit, True), (Boosted, False)):
        model = kind(settings())
        fit(model, data(), names=NAMES)
        weights = [p for name, p in model.named_parameters() if name.endswith("0.weight")]
        norms = torch.cat([weight.norm(dim=-1) for weight in weights])
        assert bool(((norms - 1).abs() < 1e-6).all()) is held


class Killed(Exception):
    pass


@pytest.mark.parametrize("share", [0.15, 0.4, 0.8])  # within the first part, the second, the third
def test_a_killed_training_goes_on_to_the_same_bits(share, tmp_path: Path):
    expected, efforts = trained(patience=0)

    def kill(done: int, total: int) -> None:
        if done > share * total:
            raise Killed

    with pytest.raises(Killed):
        trained(tmp_path, kill, patience=0)
    assert list(tmp_path.rglob("checkpoint-*.json"))
    seen: list[float] = []
    resumed, again = trained(tmp_path, lambda done, total: seen.append(done / total), patience=0)
    assert seen[0] > share - 0.1  # it did not begin anew
    assert torch.equal(flat(expected), flat(resumed))
    assert efforts == again


def test_it_goes_on_between_parts_too(tmp_path: Path):
    expected, _ = trained()
    first = Boosted(settings(), 1)
    fit(first, data(), names=NAMES, execution=OFTEN, folder=tmp_path)
    whole = Boosted(settings())
    fit(whole, data(), names=NAMES, execution=OFTEN, folder=tmp_path)
    assert torch.equal(flat(expected), flat(whole))
    seen: list[int] = []
    fit(
        Boosted(settings()),
        data(),
        names=NAMES,
        folder=tmp_path,
        progress=lambda done, total: seen.append(done),
    )
    assert not seen  # all is read, nothing trained again


class Handed(Boosted):
    """The same, of rows that hold what is left: parts need no others."""

    stackable = True

    def __init__(self, settings: TrainedSettings, count: int = 3):
        super().__init__(settings, count)
        self.asked: list[tuple[int, int]] = []

    def start(self, number: int, noise: Noise) -> None:
        """The first is drawn, the others begin as copies."""
        if number == 0:
            reset(self.networks[0], noise)
        else:
            self.networks[number].load_state_dict(self.networks[number - 1].state_dict())

    def handed(self, number: int, rows: Batch, noise: Noise) -> Batch:
        self.asked.append((number, len(rows)))
        if number == 0:
            return rows
        x = rows.tensor.to(next(self.parameters()).dtype, copy=True)
        with torch.no_grad():
            x[:, 1] -= self.networks[number - 1](x[:, :1])[:, 0]
        return replace(rows, x=x)

    def part_loss(self, number: int, batch: Batch, noise):
        x = batch.tensor
        left = x[..., 1] - self.networks[number](x[..., :1])[..., 0]
        return 0.5 * (left.square() + math.log(2 * math.pi))


def test_parts_are_trained_on_rows_as_those_before_leave_them():
    model = Handed(settings(patience=0))
    (effort,) = fit(model, data(), names=NAMES)
    assert model.asked == [(n, 200) for n in range(4)]  # validation rows too, and after the last
    rows, whole = data().merged(), Boosted(settings())
    whole.load_state_dict(model.state_dict())
    for number in range(3):
        rows = model.handed(number, rows, Noise(0))
        found, expected = (
            one.part_loss(number, at, None)
            for one, at in ((model, rows), (whole, data().merged()))
        )
        torch.testing.assert_close(found, expected)
    assert effort.best is not None
    assert 2 * 144 < effort.best <= effort.updates


def test_a_part_begins_as_the_model_says():
    still = Handed(settings(learning_rate=1e-12))
    fit(still, data(), names=NAMES)
    first, *others = (flat(network) for network in still.networks)
    for other in others:
        torch.testing.assert_close(first, other, rtol=0, atol=1e-6)


def test_parts_of_several_models_train_at_the_same_time():
    found = []
    for stacked in (True, False):
        model = PartitionedModel(
            Partition.separate(2),
            lambda K: Handed(settings(patience=0, precision="float64")),
            NAMES,
        )
        efforts = fit(model, data(), names=NAMES, execution=Execution(stacked=stacked))
        told = "greedy, 3 parts one after another" + ("; 2 models at once" if stacked else "")
        assert [effort.how for effort in efforts] == [told] * 2
        found.append(flat(model))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-8)
    assert not torch.equal(flat(model.block(0)), flat(model.block(1)))
