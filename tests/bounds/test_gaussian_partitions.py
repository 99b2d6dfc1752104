"""Counts near given shares."""

import numpy as np
import pytest

from sourcewise.bounds.gaussian_partitions import allocate


@pytest.mark.parametrize("n", [1, 5, 10, 97, 1000])
def test_allocated_counts_sum_to_the_sample_and_are_nearest(n):
    counts = allocate([0.01, 0.24, 0.25, 0.25, 0.25], n)
    assert counts.sum() == n
    assert np.abs(counts - np.multiply([0.01, 0.24, 0.25, 0.25, 0.25], n)).max() < 1
