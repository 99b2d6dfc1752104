"""Models that were trained on a device are drawn from and scored there, and come home.

No GPU is needed: numbers on the device "meta" have shapes and no values, and `Apart` raises for
an operation that takes some of them beside numbers from elsewhere, as a GPU does.
"""

import contextlib
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.families.arm.model import Arm
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.families.base import ConditionalModel
from sourcewise.families.denoisers.settings import DenoiserSettings
from sourcewise.families.diffusion.model import SAMPLERS, Diffusion
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.metrics import likelihood_bound
from sourcewise.partition import Partition
from sourcewise.randomness import Noise

META = torch.device("meta")
NAMES = ("a", "b", "c")
TABLE: dict[str, Any] = {"d": 3, "C": 2}
IMAGES: dict[str, Any] = {"shape": (1, 4, 4), "values": (-1.0, 1.0), "top": 3}


def diffusion(**sizes: Any) -> PartitionedModel:
    settings = DenoiserSettings.parse({"width": 8, "levels": [1], "bound_draws": 2})
    return PartitionedModel(
        Partition(((0, 2), (1,))), lambda K: Diffusion(settings, K=K, **sizes), NAMES
    )


class Apart(TorchDispatchMode):
    """Numbers of two devices meet in copies alone; those without an axis may, and indices."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name not in ("_to_copy", "copy_", "index"):
            tensors = [v for v in tree_leaves((args, kwargs)) if isinstance(v, torch.Tensor)]
            places = {str(v.device) for v in tensors if v.ndim}
            assert len(places) <= 1, f"{name} of {places}"
        return func(*args, **(kwargs or {}))


class AsItIs:
    """An encoder whose draws are those of the model."""

    def decode_draws(self, z: torch.Tensor, noise: object) -> torch.Tensor:
        return z


class Encoders:
    x = AsItIs()


def strategy(model: PartitionedModel) -> TrainedStrategy:
    encoders: Any = Encoders()
    return TrainedStrategy(model.eval(), encoders, ())


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where models are sent, none of which goes."""
    seen: list[str] = []
    monkeypatch.setattr(
        PartitionedModel, "to", lambda self, device: seen.append(torch.device(device).type)
    )
    return seen


def test_models_go_to_the_device_and_come_home(moves):
    item = strategy(diffusion(**TABLE))
    with item.on(META):
        assert moves == ["meta"]
    assert moves == ["meta", "cpu"]
    with pytest.raises(KeyError), item.on(META):
        raise KeyError
    assert moves == ["meta", "cpu"] * 2


def test_models_that_are_there_or_cannot_be_moved_stay(moves):
    chosen = ArmSettings(embedding=2, width=4)
    arm = PartitionedModel(Partition.pooled(3), lambda K: Arm(chosen, K=K, M=3, D=2), NAMES)
    for item, device in (
        (strategy(diffusion(**TABLE)), torch.device("cpu")),
        (strategy(arm), META),
    ):
        with item.on(device):
            pass
    assert moves == []


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers without a value count as 1 where a computation asks for one."""
    for name, value in (("__bool__", True), ("__float__", 1.0)):
        usual = getattr(torch.Tensor, name)

        def asked(self: torch.Tensor, usual: Any = usual, value: Any = value) -> Any:
            return value if self.is_meta else usual(self)

        monkeypatch.setattr(torch.Tensor, name, asked)


@pytest.mark.parametrize("sizes", [TABLE, IMAGES])
def test_bounds_are_computed_where_the_parameters_are(sizes, counts):
    model = diffusion(**sizes).eval().to(META)
    y, c = torch.tensor([0, 1, 0]), torch.zeros(3, 2) if sizes is TABLE else None
    batch = Batch.of(torch.zeros(3, 3 if sizes is TABLE else 16), y, c).to(META, torch.float32)
    block: Any = model.block(0)
    with Apart():
        assert block.bound(batch, Noise(0).each(y)).device == META


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("sizes", [TABLE, IMAGES])
def test_draws_are_made_where_the_parameters_are(sizes, sampler, counts):
    model = diffusion(**sizes).eval().to(META)
    y = torch.tensor([0, 1, 2, 0])
    c = torch.zeros(4, 2) if sizes is TABLE else None
    for guidance in (1.0, 2.0):
        options = {"steps": 3, "sampler": sampler, "guidance": guidance}
        with Apart():
            assert model.sample(y, Noise(0).each(y), c, **options).device == META


def test_numbers_of_two_devices_are_found_out():
    with pytest.raises(AssertionError, match="mm of"), Apart():
        torch.mm(torch.ones(2, 2), torch.ones(2, 2, device=META))


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Devices, and what is done on them; bounds and draws must be."""
    inside: list[bool] = [False]
    seen: list[Any] = []

    @contextlib.contextmanager
    def on(self: TrainedStrategy, device: torch.device):
        outside, inside[0] = inside[0], True
        seen.append(device)
        yield
        inside[0] = outside

    def watched(work: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            assert inside[0]
            seen.append(work.__name__)
            return work(*args, **options)

        return call

    monkeypatch.setattr(TrainedStrategy, "on", on)
    monkeypatch.setattr(likelihood_bound, "bound_terms", watched(likelihood_bound.bound_terms))
    monkeypatch.setattr(TrainedStrategy, "draw", watched(TrainedStrategy.draw))
    return seen


SMALL = {"updates": 3, "passes": 0.1, "width": 4, "bound_draws": 2}
DONE = {torch.device("cpu"), "bound_terms", "draw"}


def test_comparisons_score_and_draw_within(within, tmp_path):
    sw.compare(
        sw.read("wine"),
        model="diffusion",
        set=SMALL,
        strategies=["pooled", "separate"],
        seeds=1,
        device="cpu",
        out=tmp_path / "run",
    )
    assert set(within) >= DONE


def test_saved_models_score_and_draw_within(within):
    wine = sw.read("wine")
    run = sw.train(wine, model="diffusion", set=SMALL)
    within.clear()
    sw.evaluate(run, wine, device="cpu", draws=8, set={"steps": 2})
    assert set(within) == DONE
    within.clear()
    sw.sample(run, device="cpu", n=1, set={"steps": 2})
    assert set(within) == DONE - {"bound_terms"}
    with pytest.raises(sw.InputError, match="no device 'gpu'"):
        sw.sample(run, device="gpu")


def test_no_model_is_moved_unless_it_says_so():
    assert not ConditionalModel.movable
    assert Diffusion.movable
