import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sourcewise import splits
from sourcewise.errors import InputError
from sourcewise.forms import Column, Ragged, Table, as_table
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.splits import deal, identical, repeats_by_chance


def units(x, group=None):
    return Sources(x, torch.zeros(len(x)), "a", group).units


def table(n: int) -> Table:
    columns = {"a": torch.arange(n).double(), "b": torch.arange(n) % 2}
    return Table(columns, (Column("a"), Column("b", "category", ("no", "yes"))))


def test_table_takes_selects_and_drops():
    t = table(4)
    assert len(t) == 4
    assert t.take(torch.tensor([2, 0])).columns["a"].tolist() == [2, 0]
    assert t.select(["b"]).names == ("b",)
    assert t.drop(["b"]).names == ("a",)
    assert t.to("cpu").columns["a"].device.type == "cpu"
    with pytest.raises(InputError, match="no column 'c'"):
        t.select(["c"])
    with pytest.raises(InputError, match="duplicate column names: 'a'"):
        t.select(["a", "a"])


def test_missing_values_become_nan():
    t = Table(
        {"a": torch.tensor([1.0, torch.nan]), "b": torch.tensor([-1, 0])},
        (Column("a"), Column("b", "category", ("no",))),
    )
    assert t.missing("a").tolist() == [False, True]
    assert t.missing("b").tolist() == [True, False]
    assert t.matrix().isnan().tolist() == [[False, True], [True, False]]


def test_sources_counts_and_views():
    data = Sources(table(5), torch.tensor([1, 0, 1, 1, 0]), ["x", "y"], name="five")
    assert data.K == 2
    assert data.counts.tolist() == [2, 3]
    assert as_table(data.of("y").x).columns["a"].tolist() == [0, 2, 3]
    assert len(data.take(torch.tensor([0]))) == 1


@pytest.mark.parametrize(
    ("y", "names", "message"),
    [
        ([0, 1], ["a", "b"], "y has shape"),
        ([0, 1, 2], ["a", "b"], "y must lie in"),
        ([0, 1, 0], ["a", "a"], "same name"),
    ],
)
def test_bad_labels_are_refused(y, names, message):
    with pytest.raises(InputError, match=message):
        Sources(torch.zeros(3, 1), torch.tensor(y), names)


def test_fingerprint_sees_every_part():
    x, y = torch.arange(6.0, dtype=torch.float64).reshape(3, 2), torch.tensor([0, 1, 0])
    group = torch.tensor([0, 0, 1])
    samples = [
        Sources(x, y, "ab"),
        Sources(x + 1e-9, y, "ab"),
        Sources(x.float(), y, "ab"),
        Sources(x.T.reshape(3, 2), y, "ab"),
        Sources(x, 1 - y, "ab"),
        Sources(x, y, "ac"),
        Sources(x, y, "ab", group),
        Sources(as_table(x), y, "ab"),
    ]
    prints = {sample.fingerprint() for sample in samples}
    assert len(prints) == len(samples)
    assert Sources(x.clone(), y.clone(), "ab").fingerprint() == samples[0].fingerprint()


def test_rows_that_all_differ_are_units_as_they_are():
    data = Sources(torch.arange(4.0)[:, None], torch.tensor([0, 1, 0, 1]), "ab")
    assert data.units is data.same
    assert data.units.tolist() == [0, 1, 2, 3]


def test_identical_rows_are_found():
    x = torch.tensor([[1.0], [2.0], [1.0], [torch.nan], [torch.nan], [3.0]])
    assert identical(x).tolist() == [0, 1, 0, 2, 2, 3]


def test_copied_records_stay_together_and_chance_repeats_do_not():
    x = Noise(0).normal(300, 2)
    x[200:230] = x[:30]
    assert units(x)[200:230].tolist() == list(range(30))
    few = Noise(1).integers(4, 300, 1).double()  # every row repeats another one
    assert units(few).tolist() == list(range(300))
    coarse = Noise(2).integers(60, 300, 2).double()
    assert not repeats_by_chance(torch.cat([coarse, coarse]), identical(torch.cat([coarse] * 2)))
    assert repeats_by_chance(coarse, identical(coarse))


def test_groups_are_not_chained_by_chance():
    x = torch.tensor([[1.0], [2.0], [1.0], [5.0]])
    assert units(x, group=torch.tensor([7, 7, 3, 3])).tolist() == [0, 0, 1, 1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=12, max_size=200),
    st.integers(1, 60),
    st.sampled_from([5, 10]),
    st.integers(0, 10**6),
)
def test_folds_keep_units_whole_and_sources_level(labels, number_of_units, parts, seed):
    y = torch.tensor(labels)
    unit = Noise(seed).integers(number_of_units, len(y))
    part = deal(unit, y, parts, Noise(seed))
    assert part.min() >= 0
    assert part.max() < parts
    for u in unit.unique():
        assert len(part[unit == u].unique()) == 1
    largest = int(torch.bincount(unit).max())
    for k in y.unique():
        loads = np.bincount(part[y == k].numpy(), minlength=parts)
        alone = torch.bincount(unit)[unit[y == k]].max() == 1
        assert loads.max() - loads.min() <= (1 if alone else largest + len(y) // parts)


def test_single_rows_level_out_exactly():
    y = torch.arange(1000) % 7
    part = deal(torch.arange(1000), y, 5, Noise(0))
    for k in range(7):
        loads = np.bincount(part[y == k].numpy(), minlength=5)
        assert loads.max() - loads.min() <= 1
    other = deal(torch.arange(1000), y, 5, Noise(1))
    assert 0.1 < (part == other).double().mean() < 0.3  # as unalike as chance


def test_folds_of_data_are_reproducible():
    data = Sources(Noise(0).normal(60, 2), torch.arange(60) % 3, "abc")
    assert torch.equal(data.folds(5, Noise(1)), data.folds(5, Noise(1)))
    assert not torch.equal(data.folds(5, Noise(1)), data.folds(5, Noise(2)))


def test_sources_hold_text():
    words = ["no", "yes", "no", "", "maybe", "yes"]
    data = Sources(Ragged.of_strings(words), torch.tensor([0, 0, 1, 1, 0, 0]), "ab")
    assert data.counts.tolist() == [4, 2]
    taken = data.of("b").x
    assert isinstance(taken, Ragged)
    assert taken.strings() == ["no", ""]
    assert data.units.tolist() == [0, 1, 0, 2, 3, 1]  # the same word is one unit, across sources
    other = Sources(Ragged.of_strings(["n", "oyes", *words[2:]]), data.y, "ab")
    assert other.fingerprint() != data.fingerprint() == data.take(data.y >= 0).fingerprint()
    grouped = Sources(data.x, data.y, "ab", torch.tensor([4, 4, 4, 1, 1, 1]))
    assert grouped.units.tolist() == [0, 0, 0, 1, 1, 1]
    folds = Sources(Ragged.of_strings(words * 20), data.y.repeat(20), "ab").folds(4, Noise(0))
    assert len(folds[torch.arange(120) % 6 == 0].unique()) == 1


def test_sequences_of_one_length_are_rows_of_symbols():
    """All 16 strings of two letters of four come many times: no sign of copies."""
    rows = Noise(3).integers(4, 200, 2)
    text = Ragged.of_padded(rows + ord("A"))
    assert units(text).tolist() == units(rows.double()).tolist() == list(range(200))
    copied = Noise(3).integers(4, 60, 12)
    copied = torch.cat([copied, copied[:30]])
    text = Ragged.of_padded(copied + ord("A"))
    assert units(text).tolist() == units(copied.double()).tolist()
    assert units(text)[60:].tolist() == list(range(30))


@given(st.lists(st.text("ab", max_size=3), max_size=30))
def test_identical_strings_are_found(strings):
    order = {}
    for string in strings:
        order.setdefault(string, len(order))
    assert identical(Ragged.of_strings(strings)).tolist() == [order[s] for s in strings]
    with pytest.MonkeyPatch.context() as patch:  # hashes that many share
        patch.setattr(splits, "hash", len, raising=False)
        assert identical(Ragged.of_strings(strings)).tolist() == [order[s] for s in strings]


def test_entries_are_compared_not_their_codes():
    x = Ragged(torch.arange(3), torch.arange(3), torch.ones(3).long(), torch.tensor([7, 8, 7]))
    assert identical(x).tolist() == [0, 1, 0]
