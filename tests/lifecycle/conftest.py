import numpy as np
import pandas as pd
import pytest
import torch

from sourcewise.forms import Ragged
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

SMALL = {"width": 16, "layers": 1, "heads": 2, "passes": 2, "updates": 0, "batch": 16, "check": 3}


@pytest.fixture
def words() -> Sources:
    """Three sources of words, each with a letter of its own."""
    noise = Noise(0).of("words")
    y = torch.arange(90) % 3
    letters = noise.integers(5, 90, 6)
    texts = [
        "".join("abcde"[i] for i in row) + "xyz"[k] for row, k in zip(letters, y, strict=True)
    ]
    return Sources(Ragged.of_strings(texts), y, ("one", "two", "three"), name="words")


@pytest.fixture
def symbols() -> Sources:
    """Two sources of rows of five symbols."""
    y = torch.arange(120) % 2
    x = torch.minimum(Noise(1).integers(3, 120, 5), y[:, None] + 1)
    return Sources(x, y, ("a", "b"), name="symbols")


@pytest.fixture
def box() -> Sources:
    """Two sources of points in five dimensions, whose normalisers are simulated."""
    y = torch.arange(80) % 2
    return Sources(Noise(2).normal(80, 5) + y[:, None], y, ("a", "b"), name="box")


@pytest.fixture
def frame() -> pd.DataFrame:
    """Numbers, a category and gaps."""
    rng = np.random.default_rng(0)
    site = np.repeat(["north", "south"], 60)
    age = rng.integers(20, 90, 120).astype(float)
    age[::17] = np.nan
    kind = rng.choice(["mild", "severe", "none"], 120)
    return pd.DataFrame({"site": site, "dose": rng.normal(size=120), "age": age, "kind": kind})
