"""Given columns as tensors, and back."""

import pytest
import torch

from sourcewise.encoders.given import GivenEncoder, GivenRows
from sourcewise.errors import InputError
from sourcewise.forms import Column, Table
from sourcewise.randomness import Noise

SCHEMA = (Column("age"), Column("sex", "category", ("f", "m", "x")), Column("day", "date"))


def table(ages, sexes, days=(0.0, 86400.0, 172800.0)):
    columns = {"age": torch.tensor(ages).double(), "sex": torch.tensor(sexes)}
    columns["day"] = torch.tensor(days[: len(ages)]).double()
    return Table(columns, SCHEMA)


FITTED = GivenEncoder.fit(table([30.0, 40.0, 50.0], [0, 1, 2]))


def test_numbers_are_standardised_and_categories_have_one_column_less():
    found = FITTED.encode(table([40.0, 50.0, 30.0], [2, 0, 1]))
    z = 10 / (200 / 3) ** 0.5
    assert FITTED.width == 4
    assert found[:, 0].tolist() == pytest.approx([0.0, z, -z])
    assert found[:, 1:3].tolist() == [[0, 1], [0, 0], [1, 0]]


def test_decoding_gives_them_back():
    given = table([31.5, 44.0, 50.0], [2, 0, 1])
    found = FITTED.decode(FITTED.encode(given))
    assert found.schema == SCHEMA
    assert found.columns["sex"].tolist() == [2, 0, 1]
    for name in ("age", "day"):
        assert torch.allclose(found.columns[name], given.columns[name])


def test_documents_give_them_back():
    assert GivenEncoder.from_json(FITTED.to_json()) == FITTED


def test_levels_are_matched_by_name():
    other = Table(
        {**table([30.0], [0]).columns, "sex": torch.tensor([0])},
        (SCHEMA[0], Column("sex", "category", ("m",)), SCHEMA[2]),
    )
    assert FITTED.encode(other)[0, 1:3].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sex": (torch.tensor([0]), ("other",))}, "the models do not know 'other'"),
        ({"age": (torch.tensor([float("nan")]).double(), ())}, "has no value in row 1"),
        ({"age": (torch.tensor([0]), ("30",))}, "'age' is read as category, but the models"),
    ],
)
def test_what_cannot_be_given(change, told):
    columns, schema = dict(table([30.0], [0]).columns), list(SCHEMA)
    for name, (values, levels) in change.items():
        columns[name] = values
        j = [column.name for column in SCHEMA].index(name)
        schema[j] = Column(name, "category" if levels else "number", levels)
    with pytest.raises(InputError, match=told):
        FITTED.encode(Table(columns, tuple(schema)))


def test_rows_are_drawn_from_their_own_source_and_keyed():
    y = torch.tensor([0, 1, 0, 1, 1])
    rows = GivenRows(y, torch.arange(5.0)[:, None])
    wanted = torch.tensor([1, 0, 0, 1] * 50)
    found = rows.draw(wanted, Noise(0).each(wanted))
    assert set(found[wanted == 0].flatten().tolist()) == {0.0, 2.0}
    assert set(found[wanted == 1].flatten().tolist()) == {1.0, 3.0, 4.0}
    part = rows.draw(wanted[:7], Noise(0).each(wanted[:7]))
    assert torch.equal(part, found[:7])
