"""What are no rows of symbols is refused."""

import pytest
import torch

import sourcewise as sw
from sourcewise.forms import Column, Ragged, Table
from sourcewise.screening.options import Rules
from sourcewise.screening.registry import screen
from sourcewise.sources import Sources

BAD = [
    (
        Ragged.of_strings(["ab", "abc"]),
        "row 2 holds 3 symbols, not 2: this family takes rows of one length only",
    ),
    (Ragged.of_strings(["", ""]), "row 1 holds no symbols"),
    (Ragged.of_strings([chr(i) for i in range(257)]), "257 different symbols, at most 256"),
    (Ragged.of_strings(["aa", "aa"]), "one symbol only: there is nothing to model"),
    (torch.tensor([[0, 1], [2, -1]]), "row 2 holds -1 at position 2: .* whole numbers from 0"),
    (torch.tensor([[0, 1.5]]), "row 1 holds 1.5 at position 2"),
    (torch.tensor([[0, torch.nan]]), "row 1 holds nan at position 2"),
    (torch.tensor([[0, 256]]), "257 different symbols, at most 256"),
    (torch.zeros(3, 2), "one symbol only"),
    (
        Table({"a": torch.tensor([0, 1])}, (Column("a", "category", ("x", "y")),)),
        "column 'a' is a category",
    ),
]


@pytest.mark.parametrize(("x", "message"), BAD)
def test_what_are_no_symbols_is_refused(x, message):
    with pytest.raises(sw.InputError, match=message):
        screen("tokens", Sources(x, torch.zeros(len(x)), "a"), Rules())
