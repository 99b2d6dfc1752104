"""The main job: several strategies, one data set, one family, evidence per source, a verdict.

`compare` is the door; `prepare` checks everything first, `plan` plans the splits, `evaluate`
trains and scores one of them, `summary` makes intervals, `verdict` words, `document` the JSON,
`result` what users get; `warnings`, `duplicates`, `sensitivity` and `cautions` say what a reader
must know.
"""

from sourcewise.comparison.compare import ComparisonRun, compare
from sourcewise.comparison.prepare import CompareSettings, Prepared, prepare
from sourcewise.comparison.result import Comparison, load

__all__ = [
    "CompareSettings",
    "Comparison",
    "ComparisonRun",
    "Prepared",
    "compare",
    "load",
    "prepare",
]
