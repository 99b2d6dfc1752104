"""From per-example contributions to words: intervals, tests, verdicts.

The difference of two strategies on a source is positive when it favours the strategy over the
baseline. Two kinds of interval say what it would do elsewhere:

- `jackknife`: over new training samples and new test rows. The whole cross-validated estimate is
  computed again with each of G groups of rows left out;
  `SE^2 = (G - 1)/G sum_g (theta_(g) - mean theta)^2`, t with G - 1 degrees of freedom.
- `rows_and_seeds`: over new test rows and training seeds, for these training data.

`Familywise` makes intervals of the best of many hold, whichever that is.
"""

from sourcewise.statistics.deciding import would_decide
from sourcewise.statistics.interval import Interval, SeedSpread
from sourcewise.statistics.jackknife import DOMINATED, curvature, dominance, jackknife
from sourcewise.statistics.rows import SEEDS, Units, row_moments, rows_and_seeds, with_seeds
from sourcewise.statistics.selection import Familywise, Ranked, ranked
from sourcewise.statistics.shared_errors import SHARED, averaged_errors, with_shared_errors
from sourcewise.statistics.sharing import beta_from_gain
from sourcewise.statistics.verdicts import (
    ALPHA,
    Overall,
    Verdict,
    holm,
    judge,
    judge_overall,
)

__all__ = [
    "ALPHA",
    "DOMINATED",
    "SEEDS",
    "SHARED",
    "Familywise",
    "Interval",
    "Overall",
    "Ranked",
    "SeedSpread",
    "Units",
    "Verdict",
    "averaged_errors",
    "beta_from_gain",
    "curvature",
    "dominance",
    "holm",
    "jackknife",
    "judge",
    "judge_overall",
    "ranked",
    "row_moments",
    "rows_and_seeds",
    "with_seeds",
    "with_shared_errors",
    "would_decide",
]
