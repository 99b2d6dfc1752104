"""SIGTERM at a good moment: what is under way is finished and kept before the program ends."""

import contextlib
import signal
from collections.abc import Iterator

__all__ = ["Terminated", "listen", "postponed"]


class Terminated(BaseException):
    """SIGTERM; like Ctrl-C no error that anything on the way may handle."""


class Postponed:
    """Whether SIGTERM came while it was put off."""

    asked: bool = False


_pending: list[Postponed] = []


def listen() -> None:
    """Turn SIGTERM into `Terminated`; in other threads than the first nothing changes."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, _ask)


def _ask(*_: object) -> None:
    if not _pending:
        raise Terminated
    for item in _pending:
        item.asked = True


@contextlib.contextmanager
def postponed() -> Iterator[Postponed]:
    """Put SIGTERM off to the end of the block, which should look whether it was asked to end.

    Raises:
        Terminated: at the end, if SIGTERM came.
    """
    item = Postponed()
    _pending.append(item)
    try:
        yield item
    finally:
        _pending.remove(item)
    if item.asked:
        raise Terminated
