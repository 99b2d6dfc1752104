"""One generative model for all your data sources, or one each?

The public names below are imported when first used, so that `import sourcewise` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Comparison": "sourcewise.fitting.run",
    "InputError": "sourcewise.errors",
    "Noise": "sourcewise.randomness",
    "Partition": "sourcewise.partition",
    "Sources": "sourcewise.sources",
    "compare": "sourcewise.comparison.compare",
    "evaluate": "sourcewise.lifecycle.evaluate",
    "labels": "sourcewise.suspects.run",
    "load": "sourcewise.fitting.run",
    "read": "sourcewise.readers.read",
    "report": "sourcewise.report",
    "sample": "sourcewise.lifecycle.sample",
    "train": "sourcewise.lifecycle.train",
}

__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from sourcewise.comparison.compare import compare as compare
    from sourcewise.errors import InputError as InputError
    from sourcewise.fitting.run import Comparison as Comparison
    from sourcewise.fitting.run import load as load
    from sourcewise.lifecycle.evaluate import evaluate as evaluate
    from sourcewise.lifecycle.sample import sample as sample
    from sourcewise.lifecycle.train import train as train
    from sourcewise.partition import Partition as Partition
    from sourcewise.randomness import Noise as Noise
    from sourcewise.readers.read import read as read
    from sourcewise.report import report as report
    from sourcewise.sources import Sources as Sources
    from sourcewise.suspects.run import labels as labels


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sourcewise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
