import torch

from sourcewise.encoders.places import code_of, place, within
from sourcewise.families.table.layout import Layout, TableColumn
from sourcewise.randomness import Noise

COUNTS = (3, 9, 5, 1, 40)
LAYOUT = Layout([TableColumn(3), TableColumn(6, COUNTS, frozenset({1})), TableColumn(5, COUNTS)])


def at(column: int, code: torch.Tensor, u: torch.Tensor | float):
    return LAYOUT.placed(place(code, u)[:, None], column)


def test_slots_are_those_of_codes_that_are_no_density_and_one_for_the_scale():
    category, gappy, dense = LAYOUT.columns
    assert (category.scored, category.slots) == ([0, 1, 2], 3)
    assert (gappy.scored, gappy.slots) == ([1, 5], 3)
    assert (dense.scored, dense.slots) == ([], 1)
    assert at(1, torch.arange(6), 0.5).slot[:, 0].tolist() == [2, 0, 2, 2, 2, 1]
    assert LAYOUT.code[1].tolist() == [1, 5, -1, -1, -1, -1, -1]
    unscored = Layout([TableColumn(6, COUNTS, frozenset({1}), 5)])
    assert (unscored.columns[0].scored, unscored.columns[0].own) == ([1], [1, 5])


def test_the_scale_is_the_log_odds_of_the_rank():
    """Of the share of weight below: at both ends of a code, and linear in u between."""
    code, u = Noise(0).integers(5, 300), Noise(1).uniform(300)
    weights = torch.tensor(COUNTS).double()
    rank = (torch.cat([torch.zeros(1), weights.cumsum(0)])[code] + weights[code] * u) / 58
    found = at(2, code, u)
    assert torch.allclose(found.t[:, 0].sigmoid(), rank, atol=1e-10)
    ends = found.low[:, 0].sigmoid(), (found.low + found.width)[:, 0].sigmoid()
    assert torch.allclose((ends[1] - ends[0]), weights[code] / 58, atol=1e-10)
    step = 1e-6
    near = u.clamp(0.1, 0.9)
    rise = at(2, code, near + step).t - at(2, code, near - step).t
    slope = at(2, code, near).log_slope.exp()
    assert torch.allclose(rise / (2 * step), slope, rtol=1e-4)


def test_codes_that_are_alone_stand_in_their_middle_and_gaps_nowhere():
    for code in (1, 5):
        low, high = at(1, torch.tensor([code]), 0.01), at(1, torch.tensor([code]), 0.99)
        assert torch.equal(low.t, high.t)
        assert float(low.log_slope) == 0
    gap = at(1, torch.tensor([5]), 0.3)
    assert (float(gap.t), bool(gap.ordered), bool(gap.dense)) == (0, False, False)


def test_places_are_found_again_from_the_scale():
    code, u = Noise(0).integers(5, 300), Noise(1).uniform(300)
    again, inside = LAYOUT.at(at(2, code, u).t[:, 0], 2)
    assert torch.equal(again, code)
    assert torch.allclose(inside, u, atol=1e-9)
    far = torch.tensor([-60.0, 60.0], dtype=torch.float64)
    ends = place(*LAYOUT.at(far, 2))
    assert code_of(ends).tolist() == [0, 4]
    assert 0 < float(within(ends)[0]) < 1e-14
    assert 0 < 1 - float(within(ends)[1]) < 1e-14


def test_both_tails_are_exact():
    """Ranks of 2^-48 from either end, mirrored."""
    mirrored = Layout([TableColumn(2, (5, 5))])
    low = mirrored.placed(place(torch.tensor([[0]]), 0.0))
    high = mirrored.placed(place(torch.tensor([[1]]), 1.0))
    assert torch.equal(low.t, -high.t)
    assert torch.equal(low.log_slope, high.log_slope)
