"""What fits no box, or makes one that is nearly empty or slow."""

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.forms import Column, Table
from sourcewise.randomness import Noise
from sourcewise.screening.box import grid_cells, screen
from sourcewise.screening.options import BoxOptions, Rules
from sourcewise.screening.recorded import recorded_columns
from sourcewise.sources import Sources

N = 60
Y = torch.arange(N) % 2


def sample(**columns: torch.Tensor) -> Sources:
    return Sources(Table(columns, tuple(Column(n) for n in columns)), Y, ("a", "b"), name="made")


def numbers() -> dict[str, torch.Tensor]:
    tied = 2 + 0.5 * Noise(0).integers(12, N).double()
    return {"tied": tied, "free": Noise(1).normal(N).exp()}


@pytest.mark.parametrize(
    ("columns", "nodes", "message"),
    [
        ({"a": Noise(3).normal(N)}, "auto", "'a' is on no lattice .*: nodes=N cuts it"),
        (
            {"a": torch.arange(N).double() % 9},
            5,
            "'a' has 9 steps of 1 from its lowest to its highest value, 5 cells are too few",
        ),
    ],
)
def test_grids_that_do_not_fit_are_refused(columns, nodes, message):
    data = sample(**columns)
    with pytest.raises(InputError, match=message):
        screen(data, Rules(), BoxOptions(nodes=nodes))


def test_a_large_grid_is_pointed_out():
    """Cells are steps from the lowest to the highest value, however few values there are."""
    fine = 0.01 * Noise(5).integers(20, N).double()
    coarse = Noise(6).integers(3, N).double()
    for far, slow in ((1.0, False), (10.0, True)):
        data = sample(fine=far * (fine > 0.1) + fine, coarse=coarse)
        screened = screen(data, Rules(), BoxOptions(nodes="auto"))
        told = [w for w in screened.warnings if w.startswith("the grid has ")]
        cells = grid_cells(screened.table, recorded_columns(screened.table, ()), "auto")
        assert bool(told) == slow
        if slow:
            assert f"has {cells}^2 cells, for the range / step of 'fine', and" in told[0]


def test_gaps_are_refused():
    """Whatever is asked: only what this family can do about them is offered."""
    gap = numbers()
    gap["free"][3] = torch.nan
    for missing in ("impute", "refuse"):
        with pytest.raises(InputError, match="--missing drop .*takes no gaps") as caught:
            screen(sample(**gap), Rules(missing=missing))
        assert ("--missing impute is not for it" in str(caught.value)) == (missing == "impute")
        assert "fills them in" not in str(caught.value)
    dropped = screen(sample(**gap), Rules(missing="drop"))
    assert len(dropped.data.y) == N - 1


def test_a_value_that_settles_the_box_alone_is_named():
    values = 1e9 + 3 * Noise(3).normal(N)
    values[17] = 1e15
    told = screen(sample(a=values, b=Noise(4).normal(N))).warnings
    found = [w for w in told if "row 18, of 'b', holds 1e+15" in w]
    assert len(found) == 1
    assert found[0].startswith("column 'a'")
    assert "--log" not in found[0]  # it would not help
    heavy = (3 * Noise(3).normal(N)).exp()
    heavy[5] = 1e6
    told = screen(sample(a=heavy, b=Noise(4).normal(N))).warnings
    assert any("row 6, of" in w and "--log a, or leave such rows out" in w for w in told)
    calm = screen(sample(**numbers())).warnings
    assert not any("middle 99 %" in w for w in calm)
