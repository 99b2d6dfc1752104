"""The campaign of `benchmarks/faults.py`, reduced."""

import sys
import warnings
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # Notes go to the screen, where their lines count, and not to pytest.
    monkeypatch.setattr(warnings, "showwarning", lambda *told: print(told[0], file=sys.stderr))
    import faults  # pyright: ignore[reportMissingImports]

    yield faults
    for name in ("faults", "fuzzing"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_every_fault_is_refused_or_made_good(faults, capsys):
    wrong = faults.campaign([78, 24, 4])
    assert not wrong, capsys.readouterr().out
