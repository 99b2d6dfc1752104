"""How columns were recorded: steps and decimals."""

import torch

from sourcewise.screening.recorded import NumericColumn, resolution


def test_resolution_is_the_smallest_gap_of_tied_columns():
    rounded = torch.tensor([0.1 + 0.2, 0.3, 0.3, 0.5, 0.5, 0.5], dtype=torch.float64)
    assert resolution(rounded) == 0.2
    assert resolution(torch.tensor([1.0, 2.0, 3.0])) is None
    assert resolution(torch.tensor([2.0, 2.0])) is None
    assert resolution(torch.tensor([1.0, torch.nan, 1.0, 3.0])) == 2.0


def test_reach_takes_in_the_cells_of_ties_and_steps_end_with_them():
    values = torch.tensor([1.0, 1.5, 1.0, 4.0], dtype=torch.float64)
    column = NumericColumn("a", resolution=0.5, origin=1.0)
    assert column.reach(values) == (1.0, 4.5)
    assert column.steps(values) == 7
    logged = NumericColumn("a", log=True, resolution=0.5, origin=1.0)
    assert logged.reach(values) == (0.0, torch.tensor(4.5).double().log().item())
    assert logged.steps(values) is None
    assert NumericColumn("a").reach(values) == (1.0, 4.0)
