import torch
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.encoders.places import MOST_CODES, code_of, place, within


@given(st.integers(0, MOST_CODES - 1), st.floats(0, 1))
def test_a_place_is_its_code_and_where_inside(code, u):
    z = place(torch.tensor([code]), torch.tensor([u], dtype=torch.float64))
    assert code_of(z).tolist() == [code]
    assert abs(float(within(z)) - u) <= 2.0**-48
    assert 0 < float(within(z)) < 1


def test_places_are_in_the_order_of_codes_and_of_u():
    code = torch.tensor([0, 0, 0, 1, 1, 2])
    u = torch.tensor([0.0, 0.5, 1.0, 0.0, 1e-12, 0.3], dtype=torch.float64)
    assert bool((place(code, u).diff() > 0).all())
    assert within(place(code)).round(decimals=9).tolist() == [0.5] * 6
