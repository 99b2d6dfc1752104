"""`--sample-rows N`: the same rows of every source, whatever reads them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sourcewise.randomness import Noise
from sourcewise.readers.registry import ReadOptions

__all__ = ["rows_of_sample"]


def rows_of_sample(y: Tensor, names: Sequence[str], options: ReadOptions) -> Tensor:
    """At most `sample_rows` rows of each source, drawn without replacement, in their order.

    The draw depends on the seed, a source's name and its number of rows, and on nothing else: not
    on other sources, nor on the kind of file.

    >>> y = torch.tensor([0, 0, 1, 0])
    >>> rows_of_sample(y, "ab", ReadOptions(sample_rows=3)).tolist()
    [0, 1, 2, 3]

    Args:
        y: (n,) source of each row.
        names: the sources' names.
        options: `sample_rows` (None: all) and `sample_seed`.
    """
    if options.sample_rows is None:
        return torch.arange(len(y))
    noise = Noise(options.sample_seed).of("sample rows")
    order = torch.argsort(y, stable=True)
    counts = torch.bincount(y, minlength=len(names)).tolist()
    parts = [
        rows[noise.of(name).permutation(len(rows))[: options.sample_rows]]
        for name, rows in zip(names, order.split(counts), strict=True)
    ]
    return torch.cat(parts).sort().values
