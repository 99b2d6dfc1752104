"""What every family promises that takes given columns; a new one joins by its record."""

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.offers import HasBound
from sourcewise.families.registry import families
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Ragged
from sourcewise.metrics.base import HeldOut
from sourcewise.metrics.log_likelihood import density
from sourcewise.randomness import Noise
from sourcewise.training.recipes.registry import recipe
from sourcewise.training.stack import StepNoise

TAKERS = [name for name, item in families().items() if item.takes_given]
QUICK = {"updates": 12, "passes": 1, "batch": 32}
N = 150  # rows per source
SIZES = {"text": {"vocabulary": 3}, "mixed": {"codes": (3, 2)}, "numeric": {"d": 2}}
SIZES |= {"box": {"D": 1}, "normal-scores": {"d": 2}, "smooth": {"d": 2}}


def planted(coding: str) -> pd.DataFrame:
    """What is given says all of x, in both sources alike, and the source nothing."""
    rng = np.random.default_rng(0)
    c = rng.normal(size=2 * N)
    frame = pd.DataFrame({"site": np.tile(["north", "south"], N), "age": c})
    frame["sex"] = np.where(rng.random(2 * N) < 0.5, "f", "m")
    if coding == "text":
        return frame.assign(text=np.where(c > 0, "aa", "b"))
    return frame.assign(x=c + 0.3 * rng.normal(size=2 * N))


def read(coding: str, given=("age", "sex")) -> sw.Sources:
    ignore = [] if given else ["age", "sex"]
    text = "text" if coding == "text" else None
    return sw.read(planted(coding), source="site", given=given, ignore=ignore, text=text)


def held_out(strategy: TrainedStrategy, data: sw.Sources) -> HeldOut:
    """All rows, as metrics take them."""
    coding = strategy.encoder.coding
    rows = coding.prepare(data.x, Noise(1).each(data.y))
    return strategy.held_out(data, rows, coding.sizes(data.x))


def scored(strategy: TrainedStrategy, batch: Batch, index: torch.Tensor | None = None):
    """What rows are judged by, of a density or its bound; which rows they are of a whole."""
    if isinstance(strategy.model.block(0), HasBound):
        batch = batch.to("cpu", torch.float32)
        return strategy.model.bound(batch, Noise(2).each(batch.y, index)).sum(1)
    return density(strategy.model, batch, Noise(2)).value


def rows_of(drawn) -> list[list[float]]:
    """Samples one by one, whatever their form; padding is left out."""
    drawn = drawn.padded() if isinstance(drawn, Ragged) else drawn
    return [[v for v in row.flatten().tolist() if v != -1] for row in drawn]


def train(name: str, data: sw.Sources, **more):
    options = QUICK if families()[name].trained else {}
    return sw.train(data, model=name, strategy="pooled", set=options, **more)


@pytest.fixture(params=TAKERS)
def family(request):
    return families()[request.param]


@pytest.fixture
def data(family):
    return read(family.coding)


def test_scores_and_draws_depend_on_c_and_not_on_their_batch(family, data):
    trained = train(family.name, data).models["pooled"]
    batch = held_out(trained, data).batch
    some, c = torch.tensor([7, 3, 100]), batch.c
    assert c is not None
    whole, part = scored(trained, batch), scored(trained, batch.take(some), some)
    torch.testing.assert_close(whole[some], part, rtol=1e-5, atol=1e-5)
    other = c.roll(1, 0)
    moved = scored(trained, Batch(batch.x, batch.y, other, batch.size))
    assert not torch.allclose(moved, whole, atol=1e-3)
    noise, y = Noise(5).each(batch.y), batch.y
    with torch.no_grad():
        drawn = rows_of(trained.model.sample(y, noise, c))
        few = rows_of(trained.model.sample(y[some], noise.take(some), c[some]))
        elsewhere = rows_of(trained.model.sample(y, noise, other))
    for i, row in zip(some.tolist(), few, strict=True):
        assert row == pytest.approx(drawn[i], rel=1e-5, abs=1e-6)
    assert drawn != elsewhere


def test_what_is_planted_is_learned(family):
    """The models that are given c know x much better than those that are not."""
    more = {"updates": 300, "passes": 1, "batch": 100, "ema": 0.0} if family.trained else {}
    values = []
    for given in (("age", "sex"), ()):
        data = read(family.coding, given)
        found = sw.train(data, model=family.name, strategy="pooled", set=more).models["pooled"]
        rows = held_out(found, data)
        values.append(float(scored(found, rows.batch).mean()))
    assert values[0] > values[1] + 0.5


def test_saved_and_loaded_it_is_the_same(family, data, tmp_path):
    trained = train(family.name, data, out=tmp_path / "run").models["pooled"]
    loaded = sw.load(tmp_path / "run").models["pooled"]
    found = [scored(m, held_out(m, data).batch) for m in (trained, loaded)]
    assert torch.equal(*found)
    draws = [sw.sample(tmp_path / "run", n=4).plain() for _ in range(2)]
    assert draws[0] == draws[1]


def test_every_parameter_receives_a_gradient(family, data):
    if not family.trained:
        pytest.skip("nothing is lowered")
    trained = train(family.name, data).models["pooled"]
    model, batch = trained.model.block(0), held_out(trained, data).batch
    batch = batch.at(torch.arange(40)).to("cpu", next(model.parameters()).dtype)
    how = recipe(family.recipe)
    model.reset(Noise(4))
    carried = how.begin(model, batch, Noise(7))
    loss = how.loss(model, batch, carried, StepNoise([Noise(6)], [len(batch)]))
    loss.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


def test_without_given_columns_nothing_is_there_for_them(family):
    settings, sizes = family.parse({}), SIZES[family.coding]
    plain, given = (family.build(settings, K=2, **sizes, **more) for more in ({}, {"C": 3}))
    assert (
        family.build(settings, K=2, **sizes, C=0).state_dict().keys() == plain.state_dict().keys()
    )
    assert given.free_parameters > plain.free_parameters


def test_a_model_that_is_given_columns_does_not_do_without(family, data):
    trained = train(family.name, data).models["pooled"]
    with pytest.raises(InputError, match="given none"):
        trained.model.sample(torch.tensor([0, 1]), Noise(0))
