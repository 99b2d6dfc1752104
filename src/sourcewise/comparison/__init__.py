"""The main job: several strategies, one data set, one family, evidence per source, a verdict.

`compare` is the door; `preparation` checks everything first, `scopes` plans the splits,
`evaluation` trains and scores one split, `summary` makes intervals, `document` the JSON, `store`
the files, `result` what users get; `duplicates` and `sensitivity` raise warnings.
"""

from sourcewise.comparison.compare import compare, estimate_seconds, execute
from sourcewise.comparison.preparation import CompareSettings, Prepared, prepare
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
