import numpy as np
import pytest

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.randomness import Noise


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Ten sources around one mean, of few rows each."""
    y = np.repeat(np.arange(10), 12)
    means = 0.4 * Noise(0).of("means").normal(10, 2).numpy()
    x = means[y] + Noise(0).of("x").normal(120, 2).numpy()
    data = sw.read((x, y))
    return sw.compare(
        data,
        model="gaussian",
        strategies="pooled,separate,partial",
        seeds=1,
        out=tmp_path_factory.mktemp("run") / "few",
    )


def test_partial_means_lie_between_the_separate_ones_and_the_common_mean(compared):
    facts = compared.result.shrinkage
    assert [f.quantity for f in facts] == ["mean"] * 2 + ["standard deviation"] * 2
    for item in facts[:2]:
        separate, partial = (np.array(item.estimates[n]) for n in ("separate", "partial"))
        spread = partial.std() / separate.std()
        assert 0 <= spread < 1
    for item in facts[2:]:
        pooled, partial, separate = (
            np.array(item.estimates[n]) for n in ("pooled", "partial", "separate")
        )
        assert np.ptp(pooled) < 1e-12
        assert np.ptp(partial) < np.ptp(separate)


def test_partial_pooling_beats_both_where_sources_are_a_sample_of_few_rows(compared):
    macro = {d.strategy: d.difference for d in compared.result.differences if d.average}
    assert macro["partial"] > max(0.0, macro["pooled"])


def test_pooled_and_partial_are_different_models_of_one_block(compared):
    partial = compared.result.strategies["partial"]
    pooled = compared.result.strategies["pooled"]
    assert partial.blocks == pooled.blocks
    shares = {d.name: d.values for d in partial.diagnostics if not d.setting}
    assert len(shares["pooled share of means"]) == 10
    assert all(0 <= v <= 1 for values in shares.values() for v in values)


def test_saved_models_score_as_those_in_memory(compared):
    run = sw.load(compared.result.run)
    model = run.models["partial"].model
    y = np.arange(10)
    assert model.block(0).partial
    assert model.block(0).mean.shape == (len(y), 2)


def test_a_family_without_it_says_who_has_it():
    y = np.repeat(np.arange(2), 60)
    data = sw.read((Noise(1).normal(120, 2).numpy(), y))
    with pytest.raises(InputError, match="strategy partial: table has no partial pooling .*gauss"):
        sw.compare(data, model="table", strategies="separate,partial")
