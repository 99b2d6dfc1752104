"""What the gradient recipe offers beside: constraints, averages that are kept, layers of torch."""

from pathlib import Path
from typing import Any, cast

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

NAMES = ("a", "b", "c")


class Settings(TrainedSettings):
    """Averages as a family that combines several would have them."""

    decays: tuple[float, ...] = ()

    @property
    def kept_averages(self) -> tuple[float, ...]:
        return self.decays


class Directions(ConditionalModel):
    """Squares of what unit vectors see of the rows: a loss whose weights must keep their norm."""

    stackable = True

    def __init__(self, settings: Settings, held: bool = True):
        super().__init__()
        self.settings, self.held = settings, held
        self.first, self.second = Linear(4, 3, bias=False), Linear(3, 1)

    @property
    def free_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def constrain(self, parameters) -> None:
        for name, value in parameters.items():
            if name == "first.weight" and self.held:
                assert value.ndim == 3  # (S, 3, 4)
                value.div_(value.norm(dim=-1, keepdim=True))

    def loss(self, batch: Batch, noise: Any) -> torch.Tensor:
        return (self.second(self.first(batch.tensor)).squeeze(-1) - 1).square()

    def sample(self, y, noise, c=None):
        return noise.each(y).normal(4)


class Free(Directions):
    """The same without the hook."""

    constrain = ConditionalModel.constrain


def settings(**options) -> Settings:
    plain = {"batch": 16, "passes": 4, "check": 4, "learning_rate": 0.02}
    return Settings.parse(plain | options)


def data() -> TrainingData:
    y = torch.arange(150) % 3
    x = Noise(1).normal(150, 4, dtype=torch.float32) + y[:, None]
    return TrainingData(Batch.of(x[15:], y[15:]), Batch.of(x[:15], y[:15]))


OFTEN = Execution(checkpoint=0)


def trained(
    chosen: Settings, parts: int = 3, kind: Any = Directions, execution=OFTEN, **how
) -> PartitionedModel:
    partition = Partition.pooled(3) if parts == 1 else Partition.separate(3)
    model = PartitionedModel(partition, lambda K: kind(chosen), NAMES)
    fit(model, data(), names=NAMES, settings=chosen, execution=execution, **how)
    return model


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_parameters_are_brought_back_after_every_update_stacked_or_alone(ema):
    together, apart = (
        trained(settings(ema=ema, precision="float64"), execution=Execution(stacked=stacked))
        for stacked in (True, False)
    )
    assert torch.allclose(flat(together), flat(apart), rtol=1e-6, atol=1e-9)
    norms = torch.stack([cast(Any, block).first.weight.norm(dim=-1) for block in together.blocks])
    if not ema:  # an average of unit vectors is shorter
        assert torch.allclose(norms, torch.ones_like(norms))
    assert bool((norms <= 1 + 1e-9).all())
    free = trained(settings(ema=ema, precision="float64"), kind=Free)
    assert (cast(Any, free.blocks[0]).first.weight.norm(dim=-1) - 1).abs().max() > 0.1


@pytest.mark.parametrize("parts", [1, 3])
def test_several_averages_are_kept_each_by_its_own_decay(parts):
    """One alone is what `ema` gives at the end; they change nothing else."""
    end = {"validation": 0, "patience": 0, "precision": "float64"}
    rows = data()
    bare = TrainingData(rows.train, rows.valid.take(torch.arange(0)))

    def run(**options):
        chosen = settings(**(end | options))
        partition = Partition.pooled(3) if parts == 1 else Partition.separate(3)
        model = PartitionedModel(partition, lambda K: Directions(chosen), NAMES)
        fit(model, bare, names=NAMES, settings=chosen)
        return model

    several, plain = run(decays=(0.5, 0.97)), run()
    assert torch.equal(flat(several), flat(plain))
    assert not plain.block(0).averages
    for i, decay in enumerate((0.5, 0.97)):
        ema = run(ema=decay)
        for j, block in enumerate(several.blocks):
            kept = cast(Directions, block).averages[i]
            for name, value in ema.blocks[j].named_parameters():
                assert torch.allclose(kept[name], value, rtol=1e-12), (i, name)


class Killed(Exception):
    pass


def test_averages_are_in_the_checkpoint_and_saved_with_the_model(tmp_path: Path):
    chosen = settings(decays=(0.5, 0.97), ema=0.9, passes=8)
    expected = trained(chosen, folder=tmp_path / "whole")

    def kill(done: int, total: int) -> None:
        if done > total / 2:
            raise Killed

    with pytest.raises(Killed):
        trained(chosen, folder=tmp_path / "cut", progress=kill)
    for again in (trained(chosen, folder=tmp_path / "cut") for _ in range(2)):
        for one, two in zip(expected.blocks, again.blocks, strict=True):
            kept, other = cast(Directions, one).averages, cast(Directions, two).averages
            assert len(kept) == len(other) == 2
            for a, b in zip(kept, other, strict=True):
                assert all(torch.equal(a[name], b[name]) for name in a)
    from sourcewise.fitting.saved import _by_number, _numbered

    kept = cast(Directions, expected.blocks[0]).averages
    back = _by_number(_numbered(kept), 2)
    assert [list(found) for found in back] == [list(found) for found in kept]
    assert all(torch.equal(back[i][n], kept[i][n]) for i in range(2) for n in kept[i])


class Stock(ConditionalModel):
    """Layers of torch, as most published networks have them."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.settings = settings
        self.labels = nn.Embedding(3, 4)
        self.network = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten()
        )
        self.norm, self.out = nn.LayerNorm(20), nn.Linear(20, 1)

    @property
    def free_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def loss(self, batch: Batch, noise: Any) -> torch.Tensor:
        h = self.network(batch.tensor.view(-1, 1, 2, 2))
        h = self.norm(torch.cat([h, self.labels(batch.y)], -1))
        return (self.out(h).squeeze(-1) - 1).square()

    def sample(self, y, noise, c=None):
        return noise.each(y).normal(4)


def built(seed: int) -> Stock:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Stock(settings())


def test_layers_of_torch_start_from_the_noise_alone_and_leave_the_generator_as_it_was():
    one, two, other = built(1), built(2), built(3)
    assert not torch.equal(flat(one), flat(two))  # as torch made them
    before = torch.get_rng_state()
    for model, seed in ((one, 0), (two, 0), (other, 1)):
        model.reset(Noise(seed))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(flat(one), flat(two))
    assert not torch.equal(flat(one), flat(other))
    weight = one.out.weight.detach()
    assert weight.abs().max() <= 20**-0.5
    assert weight.std() > 0.3 * 20**-0.5
    assert torch.equal(one.norm.weight, torch.ones(20))


def test_a_layer_draws_by_its_name_and_not_by_its_place():
    """What stands before it does not matter."""
    some, more = nn.ModuleDict(), nn.ModuleDict()
    with torch.random.fork_rng(devices=()):
        some["b"] = nn.Linear(2, 2)
        more["a"], more["b"] = nn.Linear(5, 5), nn.Linear(2, 2)
    for module in (some, more):
        reset(module, Noise(4))
    assert torch.equal(cast(nn.Linear, some["b"]).weight, cast(nn.Linear, more["b"]).weight)


def test_layers_of_torch_train_one_after_another_to_the_same_bits():
    model, again = (trained(settings(), kind=lambda _, s=seed: built(s)) for seed in (1, 2))
    assert torch.equal(flat(model), flat(again))
