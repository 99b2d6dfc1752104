"""Text is kept whole; what a model may trip over is pointed out."""

import pytest
import torch

import sourcewise as sw
from sourcewise.encoders.registry import plan
from sourcewise.encoders.text import TextCoding
from sourcewise.forms import Ragged
from sourcewise.screening.options import Rules, TextOptions
from sourcewise.screening.registry import screen
from sourcewise.sources import Sources


def sources(strings, y=None, K=1, **more):
    y = torch.zeros(len(strings)) if y is None else torch.tensor(y)
    return Sources(Ragged.of_strings(strings), y, [f"s{k}" for k in range(K)], **more)


def test_screening_points_out_and_keeps_everything():
    data = sources(["", "a ", "b", "b", "b", "\u3000c", "d", "e"], [0, 0, 0, 0, 0, 0, 1, 1], K=2)
    warnings = screen("text", data, Rules(2)).warnings
    assert warnings == [
        "1 of 8 texts are empty",
        "2 of 8 texts begin or end with white space, which is modelled like any other character",
        "2 of 8 texts repeat another one (most often 'b', 3 times); identical texts are kept "
        "together",
    ]
    assert screen("text", data, Rules(5)).warnings[-1] == "fewer than 5 different texts in 's0'"
    assert (
        screen("text", sources(["", ""]), Rules(2)).warnings[-1] == "no characters at all in 's0'"
    )
    assert screen("text", sources(["a", "b", "c"]), Rules(2)).warnings == []
    grouped = sources(["a", "a", "b"], group=torch.tensor([0, 1, 1]))
    assert "the 2 groups alone are kept together" in screen("text", grouped, Rules(1)).warnings[0]
    chunks = sources(["a ", "b"], group=torch.tensor([0, 0]), group_by=("document",))
    assert not screen("text", chunks, Rules(1)).warnings
    screened = screen("text", data, Rules(2))
    assert screened.data is data
    assert plan("text", screened) == TextCoding()


@pytest.mark.parametrize("options", [{"missing": "drop"}, {"log": ("all",)}])
def test_options_of_tables_are_refused(options):
    for coding in ("text", "tokens"):
        with pytest.raises(sw.InputError, match=r"options that do not apply to .*: --"):
            screen(coding, sources(["ab", "cd"]), Rules(**options))


def test_options_say_what_a_symbol_is_and_how_many_there_may_be():
    data = sources(["é" * 11, "ab"])
    options = TextOptions("bytes", 22)
    assert plan("text", screen("text", data, Rules(), options), options) == TextCoding("bytes", 22)
    with pytest.raises(sw.InputError, match=r"^row 1 holds 22 bytes, at most 21 .*--set lon"):
        screen("text", data, Rules(), TextOptions("bytes", 21))
