"""The main job: several strategies, one data set, one family, evidence per source, a verdict.

`compare` is the door; `prepare` checks everything first, `plan` plans the splits, `evaluate`
trains and scores one of them, `summary` makes intervals, `differences` tests and `verdict` words;
`document` puts the result together, with `strategy_document` and `data_document`; `warnings`,
`duplicates`, `sensitivity` and `cautions` say what a reader must know.
"""

from sourcewise.comparison.compare import ComparisonRun, compare
from sourcewise.comparison.prepare import CompareSettings, Prepared, prepare
from sourcewise.fitting.run import Comparison

__all__ = [
    "CompareSettings",
    "Comparison",
    "ComparisonRun",
    "Prepared",
    "compare",
    "prepare",
]
