"""What a model of mixed tables keeps: all that codes can hold."""

import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.randomness import Noise
from sourcewise.screening.mixed import screen
from sourcewise.screening.options import Rules


def frame(**columns) -> pd.DataFrame:
    a = Noise(0).normal(60).numpy()
    return pd.DataFrame({"source": ["u", "v"] * 30, "a": a, **columns})


def test_screening_keeps_what_codes_can_hold():
    values = Noise(1).normal(60)
    values[3] = torch.nan
    data = frame(
        word=["x", "y", "z"] * 20,
        code=["s", "t"] * 30,
        twice=2 * Noise(0).normal(60).numpy(),
        holes=values.numpy(),
        one=1.0,
        same="x",
        day=[f"2020-01-{1 + i % 28:02d}" for i in range(60)],
    )
    result = screen(sw.read(data, source="source"))
    left = {item.column: item.reason for item in result.left_out}
    assert left == {"day": "a date", "one": "constant", "same": "constant"}
    told = " ".join(result.warnings)
    assert "constant within a source: code ('u', 'v');" in told
    assert "1 missing cells (holes 1): a value of their own" in told
    assert "--group" in told
    assert len(result.table.names) == 5
    dropped = screen(sw.read(data, source="source"), Rules(missing="drop"))
    assert dropped.dropped == 1
    asked = screen(sw.read(data, source="source"), Rules(missing="impute"))
    assert asked.unscored_gaps
    assert (
        "1 missing cells (holes 1): rows are scored on their observed columns, and draws have "
        "no gaps" in " ".join(asked.warnings)
    )
    with pytest.raises(sw.InputError, match="no column of numbers 'word'"):
        screen(sw.read(data, source="source"), Rules(log=("word",)))


def test_one_value_beside_gaps_is_constant_only_where_the_gaps_are_not():
    gaps = [None, "x", "x", "x"]
    varied = screen(sw.read(frame(note=gaps * 15), source="source", types={"note": "category"}))
    assert "note" in varied.table.names
    assert "constant within a source: note ('v');" in " ".join(varied.warnings)
    unscored = screen(
        sw.read(frame(note=gaps * 15), source="source", types={"note": "category"}),
        Rules(missing="impute"),
    )
    assert [(item.column, item.reason) for item in unscored.left_out] == [("note", "constant")]
    both = screen(sw.read(frame(note=(gaps + gaps[::-1]) * 7 + gaps), source="source"))
    assert "constant" not in " ".join(both.warnings)
    number = screen(sw.read(frame(b=[1.0, None] * 30), source="source"))
    assert [item.reason for item in number.left_out] == ["one value only, beside gaps"]


def test_texts_that_all_differ_are_pointed_out_once():
    result = screen(sw.read(frame(smiles=[f"C{i}" for i in range(58)] + ["C0"] * 2)))
    assert [w for w in result.warnings if "smiles" in w] == [
        "nearly every value of 'smiles' is different: an identifier? --ignore smiles, or "
        "--text smiles to model it"
    ]


def test_one_line_for_all_columns_of_a_kind():
    ids = {f"id{j}": [f"{j}-{i}" for i in range(60)] for j in range(30)}
    keys = {f"key{j}": [100 * j + i for i in range(60)] for j in range(30)}
    codes = {f"code{j}": [f"c{i % 40}" for i in range(60)] for j in range(30)}
    result = screen(sw.read(frame(**ids, **keys, **codes)))
    told = [w for w in result.warnings if "--ignore" in w]
    assert len(told) == 3
    for warning, names in zip(sorted(told), (keys, codes, ids), strict=True):
        assert f"--ignore {','.join(names)}" in warning
    assert result.misfits == dict.fromkeys(ids, "hardly any value comes twice") | dict.fromkeys(
        codes, "40 categories in 60 rows"
    )
