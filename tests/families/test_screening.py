"""Data that a family cannot take are refused with the families that can, by their records."""

import pytest
import torch

from sourcewise.errors import InputError, Unsuited
from sourcewise.families.registry import families, family, screen
from sourcewise.forms import Column, Ragged, Table
from sourcewise.screening.options import CodingOptions, Rules
from sourcewise.sources import Sources

Y = torch.arange(40) % 2
WORDS = Table(
    {"a": torch.arange(40.0), "w": torch.arange(40) // 2 % 2},
    (Column("a"), Column("w", "category", ("x", "y"))),
)


@pytest.mark.parametrize(
    ("name", "x", "message"),
    [
        ("gaussian", WORDS, "^text columns 'w'.*--ignore w leaves them out; --model table takes"),
        ("energy", WORDS, "numbers only.*; --model table takes such data$"),
        ("arm", WORDS, "'w' is a category.*; --model table takes such data$"),
        ("transformer", WORDS, "name a column of text with --text COLUMN; --model table takes"),
        (
            "arm",
            Ragged.of_strings(["ab", "abc"] * 20),
            "row 2 holds 3 symbols, not 2: .*one length only; --model transformer takes such data",
        ),
        ("gaussian", Ragged.of_strings(["ab"] * 40), "no columns.*; --model transformer takes"),
    ],
)
def test_other_families_are_named(name, x, message):
    chosen = family(name)
    with pytest.raises(Unsuited, match=message):
        screen(chosen, Sources(x, Y, "ab"), chosen.parse({}), Rules())


def test_no_family_is_named_for_what_is_wrong_for_all():
    chosen = family("gaussian")
    with pytest.raises(InputError) as caught:
        screen(chosen, Sources(torch.zeros(40, 1), Y, "ab"), chosen.parse({}), Rules())
    assert "--model" not in str(caught.value)


def test_settings_of_every_family_say_how_examples_are_encoded():
    """By options that the coding takes, or by none."""
    from sourcewise.screening.registry import SCREENS

    for item in families().values():
        assert item.coding in {coding for coding, _ in SCREENS}
        options = item.parse({}).coding_options()
        assert options is None or isinstance(options, CodingOptions)
