"""Given columns c reach a model with their rows, whichever way they take."""

from typing import Any

import pytest
import torch
from torch import nn

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.base import ConditionalModel, Density
from sourcewise.families.family import Family
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import families
from sourcewise.families.settings import TrainedSettings
from sourcewise.metrics.log_likelihood import density
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.training import TrainingData, fit

SEEN: dict[str, set[int]] = {}


def order(values: torch.Tensor) -> torch.Tensor:
    """Of the first row with all, in each column."""
    return (values - values[..., :1, :]).sign().long()


class Settings(TrainedSettings):
    """None of its own."""


class Listening(ConditionalModel):
    """Symbols drawn independently; checks that c is in the order of the rows it comes with."""

    stackable = True

    def __init__(self, settings: Settings, *, K: int, M: int, D: int, C: int = 0):
        super().__init__()
        assert C in (0, D)
        self.settings, self.D = settings, D
        self.scores = nn.Parameter(torch.zeros(K, M))

    @property
    def free_parameters(self) -> int:
        return self.scores.numel()

    def reset(self, noise: Noise) -> None:
        self.scores.data = noise.normal(*self.scores.shape, dtype=torch.float32)

    def log_p(self, where: str, batch: Batch) -> torch.Tensor:
        assert batch.c is not None
        # Standardised, c keeps the order of the symbols that it was ten times of.
        assert torch.equal(order(batch.c), order(batch.tensor))
        assert batch.size.shape == batch.y.shape
        SEEN.setdefault(where, set()).add(batch.y.ndim)
        table = self.scores.log_softmax(-1)
        y = batch.y[..., None].expand(*batch.y.shape, table.shape[-1])
        return table.gather(-2, y).gather(-1, batch.tensor).sum(-1)

    def loss(self, batch: Batch, noise: Any) -> torch.Tensor:
        return -self.log_p("loss" if self.training else "validation", batch)

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        return Density(self.log_p("density", batch))

    def sample(self, y: torch.Tensor, noise: Any, c: torch.Tensor | None = None) -> torch.Tensor:
        SEEN.setdefault("sample", set()).add(1)
        assert c is None or bool((c[:, 0] == 100 * y).all())
        return torch.zeros(len(y), self.D, dtype=torch.int64) if c is None else c.long()


@pytest.fixture(autouse=True)
def listening(monkeypatch):
    SEEN.clear()
    home = f"{__name__}:Listening"
    settings = f"{__name__}:Settings"
    item = Family("listening", "", "", settings, home, "tokens", "gradient", takes_given=True)
    monkeypatch.setitem(families(), "listening", item)


def data(n: int = 120) -> Sources:
    x, y = Noise(0).integers(3, n, 4), torch.arange(n) % 3
    return Sources(x, y, "abc", name="listened", c=10.0 * x)


@pytest.mark.parametrize(
    ("scope", "options"),
    [
        ("procedure", {}),  # how rows are split has no part in how models are stacked
        ("these models", {}),
        ("these models", {"stacked": False}),
        ("these models", {"batch": "all"}),
    ],
)
def test_a_comparison_and_new_rows_bring_c_along(scope, options):
    execution, options = Execution.taken_from(options)
    quick = {"passes": 2, "updates": 6, "check": 2, "batch": 16} | options
    if execution.stacked:
        rows = data()
    else:  # where validation rows are few, a model and its copies are stacked
        rows, quick = data(480), quick | {"validation": 0.5}
    strategies = "pooled,separate,groups:a+c,shuffled"
    result = sw.compare(
        rows,
        model="listening",
        set=quick,
        strategies=strategies,
        seeds=1,
        scope=scope,
        stacked=execution.stacked,
    )
    several = {1, 2} if execution.stacked else {1}
    assert SEEN["loss"] == several  # separate models train at once, with an axis more
    assert SEEN["validation"] == SEEN["density"] == {1}
    SEEN.clear()
    sw.evaluate(result, rows)
    assert SEEN == {"density": {1}}


def test_what_is_drawn_is_drawn_given_the_same_rows():
    model = PartitionedModel(
        Partition(((0, 2), (1,))), lambda K: Listening(Settings(), K=K, M=3, D=2), ("a", "b", "c")
    )
    y = torch.tensor([2, 1, 0, 0, 1, 2])
    local = torch.tensor([1, 0, 0, 0, 0, 1])  # the numbers of the sources within their blocks
    c = torch.stack([100.0 * local, torch.arange(6.0)], 1)
    assert torch.equal(model.sample(y, Noise(0), c), c.long())


def test_chunks_and_parts_of_the_data_keep_rows_together():
    rows, names = data(5000), ("a", "b", "c")
    assert isinstance(rows.x, torch.Tensor)
    assert isinstance(rows.c, torch.Tensor)
    model = PartitionedModel(
        Partition.separate(3), lambda K: Listening(Settings(), K=K, M=3, D=4), names
    )
    plain = TrainingData.plain(rows.x, rows.y, c=rows.c)
    fit(model, plain, names=names, settings=Settings(passes=0.1, updates=2, validation=0))
    density(model, plain.train, Noise(0))  # more than one chunk
    part = rows.take(rows.y == 1)
    assert isinstance(part.c, torch.Tensor)
    assert torch.equal(part.c, 10.0 * torch.as_tensor(part.x))
    merged = TrainingData(plain.train.take(rows.y == 0), plain.train.take(rows.y == 2)).merged()
    assert merged.c is not None
    assert torch.equal(merged.c, 10.0 * merged.tensor)


def test_the_fingerprint_knows_c_and_is_what_it_was_without():
    rows, bare = data(), Sources(data().x, data().y, "abc", name="listened")
    assert isinstance(rows.c, torch.Tensor)
    assert rows.fingerprint() != bare.fingerprint()
    moved = Sources(rows.x, rows.y, "abc", c=rows.c.flip(0))
    assert len({rows.fingerprint(), bare.fingerprint(), moved.fingerprint()}) == 3
    with pytest.raises(sw.InputError, match="120 examples, but given columns of 3 rows"):
        Sources(rows.x, rows.y, "abc", c=rows.c[:3])
