"""Fine-tuned models: one pooled training, shared; who has them; what they cost."""

import pytest
import torch

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.errors import InputError
from sourcewise.fitting import strategy as module
from sourcewise.fitting.job import Work
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy, parse_strategies

QUICK = {"embedding": 4, "width": 8, "depth": 2, "batch": 20, "passes": 3, "check": 3}
ALL = "pooled,separate,fine-tuned"


def symbols(n: int = 90) -> Sources:
    y = torch.arange(3 * n) % 3
    x = torch.minimum(Noise(1).integers(3, 3 * n, 4), y[:, None].clamp(max=1) + 1)
    return Sources(x, y, ("a", "b", "c"), name="symbols")


def compare(strategies: str = ALL, **more):
    more = {"set": QUICK, "seeds": 1} | more
    return sw.compare(symbols(), model="arm", strategies=strategies, **more)


def bits(model: torch.nn.Module) -> bytes:
    return b"".join(v.detach().numpy().tobytes() for v in model.state_dict().values())


@pytest.fixture
def trainings(monkeypatch) -> list[int]:
    """The number of blocks of each training, in order."""
    found, fit = [], module.fit

    def counted(model, *args, **options):
        found.append(len(model.partition))
        return fit(model, *args, **options)

    monkeypatch.setattr(module, "fit", counted)
    return found


def test_it_begins_from_pooled_one_model_per_source():
    (found,) = parse_strategies("fine-tuned", ("a", "b"))
    pooled, separate = parse_strategies("pooled,separate", ("a", "b"))
    assert (found.partition, found.parent) == (Partition.separate(2), pooled)
    assert not found.trained_like(separate)
    assert found.trained_like(Strategy("again", Partition.separate(2), parent=pooled))


@pytest.mark.parametrize("strategies", [ALL, "fine-tuned,separate,pooled"])
def test_the_pooled_training_is_shared_and_the_same_as_without(trainings, strategies):
    alone = compare("pooled,separate")
    assert trainings == [1, 3]
    both = compare(strategies)
    assert sorted(trainings[2:]) == [1, 3, 3]
    for name in ("pooled", "separate"):
        assert bits(both.models[name].model) == bits(alone.models[name].model)
    assert set(both.models) == set(strategies.split(","))


def test_without_pooled_it_is_trained_all_the_same(trainings):
    alone, both = compare("separate,fine-tuned"), compare()
    assert sorted(trainings[:3]) == [1, 3, 3]
    assert bits(alone.models["fine-tuned"].model) == bits(both.models["fine-tuned"].model)


def test_what_it_took_counts_the_pooled_training():
    found = compare().models
    (before,) = found["pooled"].efforts
    for effort in found["fine-tuned"].efforts:
        own = effort.updates - before.updates
        assert own > 0
        assert effort.examples_seen == before.examples_seen + 20 * own
        assert effort.best is not None
        assert before.updates <= effort.best <= effort.updates
        assert effort.how.endswith(f"from weights after {before.updates} updates")
        assert "splits" not in effort.how
    sizes = [found[name].model.free_parameters for name in ("separate", "fine-tuned")]
    assert sizes[0] == sizes[1]


def test_without_a_step_it_scores_as_pooled_does():
    result = compare(set=QUICK | {"tuning_rate": 0, "precision": "float64"}, seeds=2).result
    for k in "abc":
        pooled, tuned = (
            result.strategies[name].per_source[k].metrics["log_likelihood"].mean
            for name in ("pooled", "fine-tuned")
        )
        assert tuned == pytest.approx(pooled, abs=1e-9)


def test_trials_are_as_many_and_settings_its_own(trainings):
    """What it begins from is trained with its settings, and shared if they are the same."""
    document = compare(trials=2).document
    assert {name: len(tried) for name, tried in document["search"].items()} == dict.fromkeys(
        ALL.split(","), 2
    )
    settings = [document["strategies"][name]["settings"] for name in ("pooled", "fine-tuned")]
    shared = settings[0] == settings[1]
    assert trainings[:8] == [1, 1, 3, 3, 1, 3, 1, 3]
    assert sorted(trainings[8:]) == ([1, 3, 3] if shared else [1, 1, 3, 3])


def test_families_that_are_fitted_exactly_refuse_it():
    with pytest.raises(
        InputError, match=r"gaussian is fitted exactly.* has partial instead"
    ) as told:
        sw.compare(sw.read("wine"), model="gaussian", strategies="separate,fine-tuned")
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match=r"strategy partial: arm .*allowed are .*fine-tuned"):
        compare("separate,partial")


@pytest.mark.parametrize("name", ["pull", "tuning_rate"])
def test_its_settings_are_refused_where_nothing_uses_them(name):
    with pytest.raises(InputError, match=f"--set {name}: only the strategy fine-tuned uses it"):
        compare("pooled,separate", set=QUICK | {name: 0.5})


def test_a_time_estimate_counts_it_and_what_it_begins_from():
    def blocks(strategies: str) -> list[tuple[str, int, int]]:
        settings = CompareSettings(model="arm", set=QUICK, strategies=strategies)
        found = prepare(symbols(), settings).rehearsal()._blocks()
        return [(block.strategy, len(block.names), block.copies) for block in found]

    tuned = [("fine-tuned", 1, 0)] * 3
    assert blocks(ALL) == [*blocks("pooled,separate"), *tuned]
    alone = blocks("separate,fine-tuned")
    assert alone == [("pooled", 3, alone[0][2]), *blocks("separate,pooled")[:3], *tuned]


def test_it_is_never_worse_than_pooled_on_validation_rows():
    data = symbols()
    plan = prepare(
        data, CompareSettings(model="arm", set=QUICK | {"tuning_rate": 1}, strategies=ALL)
    ).plan
    shared, split = plan.shared(0), next(plan.splits(plan.cells[0], plan.shared(0).fold))
    encoded = module.Encoded.of(plan.job, shared.rows, split)
    noise = plan.training_noise(plan.cells[0], 0)
    found = {
        strategy.name: trained.model
        for strategy, trained in module.fit_strategies(
            plan.job, encoded, split, shared.shuffled, Work(noise)
        )
    }
    valid = encoded.valid

    def loss(name: str, rows: Batch) -> float:
        with torch.no_grad():
            return float(found[name].loss(rows, Noise(0)).double().mean())

    for k in range(3):
        rows = valid.take((valid.y == k).nonzero().squeeze(1))
        assert loss("fine-tuned", rows) <= loss("pooled", rows) + 1e-6
