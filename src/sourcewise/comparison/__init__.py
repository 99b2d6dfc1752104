"""The main job: several strategies, one data set, one family, evidence per source, a verdict.

`compare` is the door; `evaluation` trains and scores one split, `scopes` plans the splits,
`summary` makes intervals, `document` the JSON, `store` the files, `result` what users get.
"""

from sourcewise.comparison.compare import (
    CompareSettings,
    Prepared,
    compare,
    estimate_seconds,
    execute,
    prepare,
)
from sourcewise.comparison.result import Comparison, load

__all__ = [
    "CompareSettings",
    "Comparison",
    "Prepared",
    "compare",
    "estimate_seconds",
    "execute",
    "load",
    "prepare",
]
