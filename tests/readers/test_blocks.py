"""Columns that are read as numbers, block after block, are what the rule makes of their text."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.forms import Table
from sourcewise.readers import blocks
from sourcewise.readers.short import Streamed

PLAIN = st.from_regex(r"-?[0-9]{1,5}\.[0-9]{1,5}", fullmatch=True)
WORDS = """
7 012 11E6 1e5 1E+5 1.5e5 1e-07 .5 5. +1.5 -.5 nan NAN inf -inf 1e400 NA null 1.234 12.345.678
1,5 0x10 9007199254740993 2024-01-02 true no 1_0 5.0% e5 1e1.5 <0.6 --1
"""
ODD = st.sampled_from([*WORDS.split(), "", " ", " 1.5 "])


def written(folder: Path, cells: list[str]) -> Path:
    path = folder / "data.csv"
    rows = [f'{"ab"[i % 2]},"{cell}",{i}.5' for i, cell in enumerate(cells)]
    path.write_text("source,x,z\n" + "\n".join(rows) + "\n")
    return path


def told(path: Path, **options: Any) -> object:
    """All that is read of a file, or the refusal."""
    try:
        data = sw.read(path, **options)
    except InputError as error:
        return str(error)
    assert isinstance(data.x, Table)
    return data.fingerprint(), data.seen, data.notes, data.x.schema


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of some rows are read as those of many."""
    monkeypatch.setattr(blocks, "_MANY", 1)
    monkeypatch.setattr(blocks, "_SMALL", 64)


LOOSE = [HealthCheck.function_scoped_fixture]


@settings(max_examples=300, deadline=None, suppress_health_check=LOOSE)
@given(st.lists(PLAIN, min_size=4, max_size=12), st.lists(PLAIN | ODD, max_size=8))
def test_the_rule_holds_without_the_text(tmp_path, first, later):
    path = written(tmp_path, first + later)
    whole = told(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_MANY", 1)
        patch.setattr(blocks, "_SMALL", 64)
        assert told(path) == whole


def test_text_is_not_held(tmp_path, small, monkeypatch):
    seen: list[pa.DataType] = []
    done = blocks._Numbers.done

    def noted(self: blocks._Numbers) -> pa.ChunkedArray:
        found = done(self)
        seen.append(found.type)
        return found

    monkeypatch.setattr(blocks._Numbers, "done", noted)
    data = sw.read(written(tmp_path, ["0.25", "", "NA", "1e-05", "3"]))
    assert [type(kind) for kind in seen] == [Streamed, Streamed]
    assert isinstance(data.x, Table)
    assert data.x.columns["x"].nan_to_num(-1).tolist() == [0.25, -1, -1, 1e-05, 3]
    assert (data.seen[0].example, data.seen[0].gaps, data.seen[0].distinct) == ("0.25", 2, 3)


@pytest.mark.parametrize("option", [{"types": {"x": "category"}}, {"group": "x"}])
def test_text_that_is_needed_stays(tmp_path, small, option: dict[str, Any]):
    path = written(tmp_path, ["0.50", "0.5", "0.25", "0.250"])
    if "types" in option:
        table = sw.read(path, **option).x
        assert isinstance(table, Table)
        assert table.schema[0].categories == ("0.25", "0.250", "0.5", "0.50")
    else:
        group = sw.read(path, **option).group
        assert group is not None
        assert len(group.unique()) == 4


def test_another_cell_late_in_the_file(tmp_path, small):
    path = written(tmp_path, ["0.5", "0.25"] * 40 + ["n. b."])
    with pytest.raises(InputError, match="n. b."):
        sw.read(path)
    data = sw.read(path, na="n. b.")
    assert data.seen[0].gaps == 1
