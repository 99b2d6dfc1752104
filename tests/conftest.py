"""What all tests share: one thread, the data folder, and no lasting change of global state."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from sourcewise.families.registry import families
from sourcewise.metrics.registry import metrics

# Nothing is timed here: other work on the machine must not fail a test.
settings.register_profile("sourcewise", deadline=None)
settings.load_profile("sourcewise")

STRANGER = Path(__file__).parent / "stranger" / "package"
DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def global_state() -> Iterator[None]:
    """Fail whoever draws from a global generator or leaves global settings changed."""
    torch.set_num_threads(1)
    before = _state()
    yield
    after = _state()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"global state changed: {changed}"


def _state() -> dict[str, object]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch generator": torch.get_rng_state().numpy().tobytes(),
        # The bytes of the keys: printing their 624 numbers takes milliseconds, for each test.
        "numpy generator": (name, np.asarray(keys).tobytes(), *rest),
        "default dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "folder": os.getcwd(),
    }


NOBODY = 65534


@pytest.fixture
def unprivileged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A working folder, and what makes this process a user whom permissions bind, also as root.

    Names of files are relative to the folder: its parents may be closed to others.
    """
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)
    is_root = os.geteuid() == 0

    def give_up() -> None:
        if is_root:
            os.seteuid(NOBODY)

    yield give_up
    if is_root:
        os.seteuid(0)


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets; tests that need one skip where it is missing."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}")
    return DATA


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another package's family and metric, as `pip install` would leave them on the path."""
    monkeypatch.syspath_prepend(str(STRANGER))
    for registry in (families, metrics):
        registry.cache_clear()
    yield STRANGER
    for registry in (families, metrics):
        registry.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "stranger"]:
        del sys.modules[name]
