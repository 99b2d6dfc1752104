"""What examples are made of, as `auto` sees them."""

import torch

from sourcewise.forms import Column, Ragged, Table
from sourcewise.screening.base import content
from sourcewise.sources import Sources

Y = torch.tensor([0, 0, 0, 1, 1, 1])


def of_codes(*codes: int) -> Sources:
    columns = {"n": torch.arange(6.0), "c": torch.tensor(codes)}
    return Sources(Table(columns, (Column("n"), Column("c", "category", ("x", "y")))), Y, "ab")


def test_categories_count_where_they_vary_within_a_source():
    assert content(of_codes(0, 0, 0, 1, 1, 1)) == "numbers"
    assert content(of_codes(0, -1, 0, 1, -1, -1)) == "numbers"
    assert content(of_codes(-1, -1, -1, -1, -1, -1)) == "numbers"
    assert content(of_codes(0, 0, 0, 1, 0, 1)) == "mixed"
    assert content(of_codes(-1, 0, 1, 1, 1, 1)) == "mixed"


def test_text_and_arrays():
    assert content(Sources(Ragged.of_strings("abcdef"), Y, "ab")) == "text"
    assert content(Sources(torch.zeros(6, 2, 2), Y, "ab")) == "numbers"
