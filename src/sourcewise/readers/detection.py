"""Values beyond a limit of detection (`<0,6`) that the user takes as missing: what that does.

They are not missing at random: those below a limit are the smallest of all. Where sources differ
in how many there are, what is left of them differs too.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.errors import counted, phrases, shortened
from sourcewise.readers.declared import is_text
from sourcewise.readers.distinct import encoded
from sourcewise.readers.kinds import beyond

__all__ = ["limits_left_out"]


def limits_left_out(
    table: pa.Table, columns: Sequence[str], na: Sequence[str], y: Tensor, names: Sequence[str]
) -> tuple[str, ...]:
    """A note of the values beyond a limit that `na` takes as missing, by source.

    Args:
        table: (n rows) as it was read.
        columns: those in use.
        na: texts that are missing.
        y: (n,) sources.
        names: the K sources' names.
    """
    limits = [text for text in na if beyond(text)]
    out = np.zeros(len(table), bool)
    where = []
    for name in columns if limits else ():
        if is_text(table.column(name).type):
            values, codes = encoded(table.column(name))
            gone = [i for i, text in enumerate(values.to_pylist()) if text.strip() in limits]
            rows = np.isin(codes, gone)
            where += [name] if rows.any() else []
            out |= rows
    if not where:
        return ()
    of, rows = (np.bincount(y.numpy()[kept], minlength=len(names)) for kept in (slice(None), out))
    order = [k for k in np.argsort(-rows / of.clip(1), kind="stable").tolist() if rows[k]]
    each = [f"{rows[k]} of {counted(int(of[k]), 'row')} of {names[k]!r}" for k in order]
    sides = " and ".join(sorted(set(map(beyond, limits)), reverse=True))
    return (
        f"values beyond a limit of detection are taken as missing in {int(out.sum())} of "
        f"{counted(len(out), 'row')} ({as_option('--na', *limits)}; columns "
        f"{phrases([shortened(repr(name)) for name in where], 3)}; {phrases(each, 3)}): the "
        f"{sides} values are left out, which biases results; better write numbers in their place",
    )
