"""Keep freed memory: training asks for the same large pieces again at every update.

By default glibc returns pieces above 128 KiB to the system at once and has them zeroed, page by
page, when they are asked for again.
"""

import ctypes
import sys
from functools import cache

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt's parameters, from malloc.h
_MOST = 32 << 20  # the highest threshold that glibc takes for pieces


@cache
def keep_freed_memory() -> bool:
    """Raise malloc's thresholds as far as they go, where there is glibc; whether it worked."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return mallopt(_MMAP_THRESHOLD, _MOST) == 1 and mallopt(_TRIM_THRESHOLD, 1 << 30) == 1
