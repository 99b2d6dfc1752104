"""Columns that are looked at side by side: what is found of one does not hang on the others."""

import numpy as np
import torch

from sourcewise.forms import Column, Table
from sourcewise.forms import table as forms
from sourcewise.screening.numeric import screen
from sourcewise.screening.options import Rules
from sourcewise.screening.recorded import recorded_columns
from sourcewise.sources import Sources


def wide():
    noise = np.random.default_rng(0)
    n, y = 40, torch.arange(40) % 2
    columns: dict[str, np.ndarray] = {
        f"x{j}": noise.normal(size=n).round(j % 5) for j in range(20)
    }
    columns["constant"] = np.ones(n)
    columns["of one source"] = np.where(y == 1, columns["x4"], 7.0)
    columns["nearly"] = np.where(np.arange(n) == 3, columns["x4"], 0.001)
    columns["key"] = np.arange(n) + 100.0
    columns["skewed"] = np.exp(3 * noise.normal(size=n))
    columns["spiked"] = np.where(np.arange(n) % 9 == 0, -999.0, columns["x4"])
    columns["gaps"] = np.where(np.arange(n) % 7 == 0, np.nan, columns["x3"])
    tensors = {name: torch.from_numpy(values) for name, values in columns.items()}
    return Sources(Table(tensors, tuple(map(Column, tensors))), y, "ab")


def test_screening_does_not_hang_on_the_size_of_blocks(monkeypatch):
    rules, found = Rules(missing="impute"), []
    for block in (1, 100, 1 << 20):
        monkeypatch.setattr(forms, "BLOCK", block)
        screened = screen(wide(), rules)
        columns = recorded_columns(screened.table, screened.log)
        found.append((screened.notes, screened.left_out, screened.spikes, columns))
    assert found[0] == found[1] == found[2]
    assert {item.column for item in found[0][1]} == {"constant", "of one source", "nearly"}
    assert found[0][2] == {"spiked": [-999.0]}
    assert [column.decimals for column in found[0][3][:5]] == [0, 1, 2, 3, 4]


def test_a_sample_whose_sources_are_all_small_is_not_looked_at_by_source():
    x = torch.cat([torch.ones(6, 1), torch.arange(6.0)[:, None]], 1)
    screened = screen(Sources(x, torch.arange(6) % 2, "ab"), Rules(min_rows=10))
    assert screened.table.names == ("x1", "x2")


def test_many_columns_are_left_out_at_once():
    y = torch.arange(40) % 2
    x = torch.cat([torch.ones(40, 5000), torch.linspace(0, 1, 40)[:, None] ** 2], 1)
    screened = screen(Sources(x, y, "ab"))
    assert screened.table.names == ("x5001",)
    assert len(screened.left_out) == 5000
