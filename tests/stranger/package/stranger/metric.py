"""The energy score of draws: lower is better.

Row i of source k contributes the mean distance to m draws of its model, less half of their mean
distance to each other; the draws' own noise is an error that all rows of a source share.
"""

import torch

from sourcewise.forms import as_table
from sourcewise.metrics.base import Contributions, Metric

DRAWS = 128


def measure(trained, held_out, noise) -> Contributions:
    """See the module."""
    x = as_table(held_out.x).matrix()
    K = len(trained.model.names)
    rows, shared = torch.zeros(len(x), dtype=torch.float64), torch.zeros(K, 3).double()
    for k in held_out.batch.y.unique().tolist():
        y = torch.full((DRAWS,), k)
        with torch.no_grad():
            drawn = trained.model.sample(y, noise=noise.of(k))
        drawn = as_table(trained.encoder.decode(drawn)).matrix()
        mine = held_out.batch.y == k
        apart, among = torch.cdist(x[mine], drawn), torch.cdist(drawn, drawn)
        rows[mine] = apart.mean(1) - among.sum() / (DRAWS * (DRAWS - 1)) / 2
        # Each draw's part of the mean: its projection, to first order.
        of_draw = apart.mean(0) - among.sum(1) / (DRAWS - 1)
        shared[k, 0] = of_draw.std() / DRAWS**0.5
    return Contributions(rows, shared)


METRIC = Metric(
    name="energy-score",
    about="energy score of draws",
    needs="samples",
    higher_is_better=False,
    home="stranger.metric:measure",
    unit=lambda coding: "units of the data",
    region=lambda coding, baseline: 0.02 * abs(baseline),
)
