"""Memory that is free again goes back to the system, where large things have just been let go."""

import ctypes
from contextlib import suppress

__all__ = ["give_back"]


def give_back() -> None:
    """Hand free memory back: blocks of some megabytes would stay with the process in fragments.

    A C library other than GNU's has its own ways; there this does nothing.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
