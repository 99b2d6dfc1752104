"""A comparison whose normalisers are simulated: from training to intervals and warnings."""

import numpy as np
import pandas as pd

import sourcewise as sw
from sourcewise.comparison import summary
from sourcewise.errors import rounded

SMALL = {"width": 5, "embedding": 1, "depth": 2, "updates": 4, "passes": 0.1, "check": 4}
ROUGH = {"temperatures": 4, "particles": 16, "components": 1, "negatives": 2, "sampler": "mala"}


def test_errors_of_annealing_reach_intervals_and_warnings_of_the_procedure(monkeypatch):
    """Intervals are as rows alone give them, and wider by what the normalisers are wrong by."""
    for name in ("WARM_UP", "RUN"):
        monkeypatch.setattr(f"sourcewise.families.energy.sampling_chains.{name}", 16)
    widen, seen = summary.with_shared_errors, {}

    def note(interval, weights, errors):
        out = widen(interval, weights, errors)
        seen[out.low, out.high] = interval, errors
        return out

    monkeypatch.setattr(summary, "with_shared_errors", note)
    random, y = np.random.default_rng(0), np.repeat([0, 1], 30)
    x = random.normal(size=(60, 4)) + y[:, None] + random.normal(size=(60, 1))
    frame = pd.DataFrame(x, columns=list("abcd")).assign(source=np.where(y, "s", "r"))
    data, options = sw.read(frame, source="source"), SMALL | ROUGH
    told = sw.compare(data, model="energy", scope="procedure", seeds=1, set=options).document
    assert told["scope"] == "procedure"
    assert {row["source"] for row in told["differences"]} == {"r", "s", "macro"}
    for row in told["differences"]:
        plain, errors = seen[row["low"], row["high"]]
        for _, error in errors:  # of both arms, each source: shared, overstated, either way
            assert error.shape == (2, 3)
            assert (error[:, 0] > 0).all()
        assert row["low"] < plain.low < plain.high < row["high"]
        assert row["difference"] == plain.value
        assert row["high"] - row["low"] > 1.1 * (plain.high - plain.low)
    (line,) = [text for text in told["warnings"] if "annealed importance sampling" in text]
    assert "overstates log-likelihoods in expectation" in line
    for name in ("pooled", "separate"):
        (error,) = {max(told["strategies"][name]["fitted"]["annealing error"])}
        assert f"{rounded(error)} nats ({name})" in line
    assert "with simulated normalisers" in told["verdict"]["condition"]
