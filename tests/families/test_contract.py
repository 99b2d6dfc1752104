"""What every family promises, ours and a stranger's; a new one joins by its registry line."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.families.base import Caution, ConditionalModel, Occasion
from sourcewise.families.family import Family
from sourcewise.families.offers import HasDensity
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import families
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Images, Ragged, form
from sourcewise.metrics.base import HeldOut, Metric
from sourcewise.metrics.registry import metric, metrics_of
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training.recipes.registry import recipe
from sourcewise.training.stack import StepNoise

STRANGER = "generator"
OF_IMAGES = (
    "gaussian of images",
    "energy of images",
    "diffusion of images",
    "flow of images",
    "purified-flow of images",
    "rectified-flow of images",
)
QUICK = {"updates": 12, "passes": 1, "batch": 32}
OF_IMAGES_QUICK = {  # as quick, of images
    "energy": {
        "width": 4,
        "components": 2,
        "sampler": "mala",  # chains of one step where the default takes several
        "temperatures": 2,
        "particles": 16,
    },
    "diffusion": {"width": 4, "levels": "1,2", "bound_draws": 2},
    "flow": {"width": 4, "levels": "1,2", "bound_draws": 2},
    "purified-flow": {"width": 4, "levels": "1,2", "bound_draws": 2},
    "rectified-flow": {"width": 4, "levels": "1,2", "pairs": 2, "pair_steps": 2},
}
N = 120  # rows per source


def numbers() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    site = np.repeat(["north", "south"], N)
    x = rng.normal(size=(2 * N, 2)) + (site == "south")[:, None]
    return pd.DataFrame({"site": site, "a": x[:, 0], "b": 10 * x[:, 1]})


def symbols() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {name: rng.integers(3, size=2 * N) for name in "ab"}
    return pd.DataFrame({"site": np.repeat(["north", "south"], N), **columns})


def texts() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abc"), m)) for m in rng.integers(1, 7, 2 * N)]
    return pd.DataFrame({"site": np.repeat(["north", "south"], N), "text": words})


def images() -> sw.Sources:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(256, size=(2 * N, 1, 4, 4)))
    pixels[N:] //= 2
    y = torch.arange(2 * N) // N
    return sw.Sources(Images.of(pixels.to(torch.uint8)), y, ("north", "south"))


# By coding: rows that it takes.
ROWS: dict[str, Callable[[], pd.DataFrame]] = {
    "numeric": numbers,
    "normal-scores": numbers,
    "smooth": numbers,
    "mixed": numbers,
    "box": numbers,
    "tokens": symbols,
    "text": texts,
}


@pytest.fixture(params=[*families(), STRANGER, *OF_IMAGES])
def case(request) -> str:
    if request.param == STRANGER:
        request.getfixturevalue("stranger")
    return request.param


@pytest.fixture
def family(case) -> Family:
    return families()[case.removesuffix(" of images")]


@pytest.fixture
def data(case, family) -> sw.Sources:
    if case in OF_IMAGES:
        return images()
    return sw.read(ROWS[family.coding](), source="site")


@pytest.fixture(scope="module")
def kept() -> dict[str, tuple[TrainedStrategy, Path]]:
    """What was trained for an earlier test, and the run folder."""
    return {}


@pytest.fixture
def once(case, family, data, kept, tmp_path_factory) -> tuple[TrainedStrategy, Path]:
    if case not in kept:
        run = tmp_path_factory.mktemp("trained") / "run"
        kept[case] = train(family, data, out=run).models["separate"], run
    return kept[case]


@pytest.fixture
def trained(once) -> TrainedStrategy:
    """Its own copy: some tests draw parameters anew."""
    return copy.deepcopy(once[0])


def quick(family: Family, data: sw.Sources) -> dict[str, object]:
    """Settings under which it trains in no time."""
    if not family.trained:
        return {}
    return {**QUICK, **(OF_IMAGES_QUICK[family.name] if isinstance(data.x, Images) else {})}


def usual_metric(family: Family, data: sw.Sources) -> Metric:
    """What decides for these data."""
    kind = form(data.x)
    settings = family.parse(quick(family, data)).suited(kind)
    return metrics_of(family, "auto", settings, kind)[0]


def train(family: Family, data: sw.Sources, **more):
    options = quick(family, data)
    return sw.train(data, model=family.name, strategy="separate", set=options, **more)


def held_out(strategy: TrainedStrategy, data: sw.Sources) -> HeldOut:
    """All rows, as metrics take them."""
    coding = strategy.encoder.coding
    rows = coding.prepare(data.x, Noise(1).each(data.y))
    return strategy.held_out(data, rows, coding.sizes(data.x))


def as_trained(strategy: TrainedStrategy, data: sw.Sources) -> Batch:
    """The rows of the first source as its model's loss takes them."""
    x = strategy.encoder.coding.prepare(data.x, Noise(1).each(data.y))
    batch = held_out(strategy, data).batch
    batch = replace(batch, x=strategy.encoder.fill(batch.x, x, batch.y))
    return batch.at((batch.y == 0).nonzero().squeeze(1)[:16])


def rows_of(drawn) -> list[list[float]]:
    """Samples one by one, whatever their form; padding is left out."""
    if isinstance(drawn, Ragged):
        drawn = drawn.padded()
    return [[v for v in row.flatten().tolist() if v != -1] for row in drawn]


def test_settings_tell_what_they_are(family):
    for name, field in family.settings_class.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name
    with pytest.raises(sw.InputError, match="no_such_setting"):
        family.parse({"no_such_setting": 1})


def test_it_is_where_its_record_says(family):
    assert family.model_class.recipe == family.recipe
    for name in family.metrics:
        if metric(name).needs == "density":
            assert callable(getattr(family.model_class, "log_density", None))
    assert metric(family.metrics[0]).decides


def test_a_sample_does_not_depend_on_the_batch_it_is_drawn_in(trained):
    y = torch.tensor([0, 1, 1, 0, 1])
    some = torch.tensor([4, 0, 2])
    noise = Noise(5).each(y)
    with torch.no_grad():
        everything = rows_of(trained.model.sample(y, noise))
        part = rows_of(trained.model.sample(y[some], noise.take(some)))
    for i, row in zip(some.tolist(), part, strict=True):
        assert row == pytest.approx(everything[i], rel=1e-5, abs=1e-6)


def test_a_score_does_not_depend_on_the_batch_it_is_taken_in(family, trained, data):
    own, kind = family.parse(quick(family, data)), form(data.x)
    offered = [metric(name) for name in own.suited(kind).judged_by(family.metrics, kind)]
    if not any(item.needs == "density" for item in offered):
        pytest.skip("no density")
    assert isinstance(trained.model.block(0), HasDensity)
    batch = held_out(trained, data).batch
    some = torch.tensor([N, 3, N + 7])
    with torch.no_grad():
        found, part = (trained.model.log_density(b, Noise(2)) for b in (batch, batch.take(some)))
    assert found.value.shape == (len(batch),)
    assert found.kind in ("exact", "estimate", "lower bound")
    torch.testing.assert_close(found.value[some], part.value, rtol=1e-5, atol=1e-5)


def test_saved_and_loaded_it_is_the_same(family, data, trained, once):
    loaded = sw.load(once[1]).models["separate"]
    measured = [
        usual_metric(family, data).measure(item, held_out(item, data), Noise(3))
        for item in (trained, loaded)
    ]
    assert torch.equal(measured[0].rows, measured[1].rows)
    assert torch.equal(measured[0].shared.nan_to_num(), measured[1].shared.nan_to_num())
    assert measured[0].rows.shape == (2 * N,)


def test_a_loss_per_row_that_reaches_every_parameter(family, trained, data):
    if family.recipe == "exact":
        pytest.skip("nothing is lowered")
    model, batch = trained.model.block(0), as_trained(trained, data)
    batch = batch.to("cpu", next(model.parameters()).dtype)
    how = recipe(family.recipe)
    model.reset(Noise(4))
    noise = StepNoise([Noise(6)], [len(batch)])
    carried = how.begin(model, batch, Noise(7))
    loss = how.loss(model, batch, carried, noise)
    assert loss.shape == (len(batch),)
    loss.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


def test_parameters_are_drawn_from_the_noise_alone(family, trained):
    model = trained.model.block(0)
    if family.recipe == "exact":
        pytest.skip("nothing is drawn")
    states = []
    for seed in (1, 2, 1):
        model.reset(Noise(seed))
        states.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(states[0], states[2])
    assert not torch.equal(states[0], states[1])


def test_what_it_says_of_itself_can_be_told(family, trained):
    assert trained.model.free_parameters > 0
    for item in trained.model.diagnostics():
        assert item.words
        json.dumps({k: v for k, v in vars(item).items() if k != "shown"})
    strategies = {"separate": trained.diagnosed, "pooled": trained.diagnosed}
    for purpose in ("compare", "train", "evaluate", "sample"):
        occasion = Occasion(purpose, region=0.01, coordinates=2)
        for caution in family.model_class.cautions(strategies, occasion):
            assert isinstance(caution, Caution)
            assert caution.text or caution.condition


def test_one_source_of_several_begins_alone_where_it_was(family, trained, data):
    """What a model has for each source can be told from what all of them share."""
    if not family.trained:
        pytest.skip("it is solved, and begins nowhere")
    own, names = trained.model.block(0), trained.model.names
    sizes = trained.encoders.sizes(family)

    def build(K: int) -> ConditionalModel:
        return family.build(family.parse(quick(family, data)), K=K, **sizes)

    whole = PartitionedModel(Partition.pooled(2), build, names)
    whole.reset(Noise(4))
    alone = PartitionedModel(Partition.separate(2), build, names)
    alone.start_from(whole)
    assert alone.free_parameters == 2 * own.free_parameters
    batch, how = as_trained(trained, data), recipe(family.recipe)
    batch = batch.to("cpu", next(whole.parameters()).dtype)
    one = how.begin(alone.block(0), batch, Noise(7))
    for k in range(2):
        found, expected = (
            how.loss(
                model.eval(), replace(batch, y=batch.y * 0 + y), one, StepNoise([Noise(6)], [16])
            )
            for model, y in ((alone.block(k), 0), (whole.block(0), k))
        )
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_it_can_be_fine_tuned(family, data, tmp_path):
    """Each model goes on from the pooled weights, ends no worse, and is kept as others are."""
    if not family.trained:
        pytest.skip("it is solved, and begins nowhere")
    options = quick(family, data) | {"check": 4}
    pooled, tuned = (
        sw.train(data, model=family.name, strategy=name, set=options, out=tmp_path / name)
        for name in ("pooled", "fine-tuned")
    )
    (before,) = pooled.models["pooled"].efforts
    parts = len(getattr(tuned.models["fine-tuned"].model.block(0), "parts", [0]))
    for effort in tuned.models["fine-tuned"].efforts:
        assert effort.updates == before.updates + parts * QUICK["updates"]
        assert (effort.validation is None) == (before.validation is None)  # no such rows
        assert before.validation is None or (effort.best or 0) >= before.updates
    deciding = usual_metric(family, data)
    found = deciding.measure(
        tuned.models["fine-tuned"], held_out(tuned.models["fine-tuned"], data), Noise(3)
    )
    assert bool(found.rows.isfinite().all())
    loaded = sw.load(tmp_path / "fine-tuned").models["fine-tuned"]
    again = deciding.measure(loaded, held_out(loaded, data), Noise(3))
    assert torch.equal(found.rows, again.rows)


LOADED_FIRST = """
import os
import sys
from pathlib import Path
import torch
from sourcewise.fitting.saved import load_models

def check(run):
    (model,) = load_models(Path(run)).values()
    held = [
        (module.__name__, name)
        for module in list(sys.modules.values())
        if module.__name__.startswith("sourcewise")
        for name, value in vars(module).items()
        if isinstance(value, torch.Tensor) and value.device.type == "meta"
    ]
    assert not held, held

for line in sys.stdin:
    if not (child := os.fork()):  # in which no family's module was imported before
        check(line.rstrip())
        sys.stderr.flush()
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def loading() -> Iterator[Callable[[Path], bool]]:
    """Whether a new process can load the models of a run. It is a copy of one that has torch."""
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", LOADED_FIRST], **how) as process:
        asked, told = process.stdin, process.stdout
        assert asked is not None
        assert told is not None

        def load(run: Path) -> bool:
            print(run, file=asked, flush=True)
            return told.readline() == "0\n"

        yield load
        asked.close()


def test_a_process_that_only_loads_has_numbers_in_its_tensors(case, request):
    """A model's modules are imported before its outline, of tensors without numbers, is drawn."""
    if case == STRANGER:
        pytest.skip("it is not installed for other processes")
    _, run = request.getfixturevalue("once")
    assert request.getfixturevalue("loading")(run)
