"""How far a job is, on stderr: a bar on a terminal, otherwise a line every half minute."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sourcewise.commands.screen import show

__all__ = ["INTERVAL", "Progress", "late"]

INTERVAL = 30.0  # seconds between lines


class Progress:
    """Use as a context manager; it gives a function to be called with (done, in all).

    Args:
        title: what the job is called.
    """

    def __init__(self, title: str):
        self.title = title
        self.bar: Any = None
        self.start = self.told = time.monotonic()
        self.first: int | None = None  # what an earlier run had done already

    def __enter__(self) -> Callable[[int, int], None] | None:
        if os.environ.get("RANK", "0") != "0":  # of several processes the first alone speaks
            return None
        if not sys.stderr.isatty():
            return self._line
        from rich.console import Console
        from rich.progress import Progress as Bar

        self.bar = Bar(console=Console(stderr=True), transient=True)
        self.bar.start()
        task = self.bar.add_task(self.title)
        return lambda done, total: self.bar.update(task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def _line(self, done: int, total: int) -> None:
        """A line if the last one is long ago."""
        now = time.monotonic()
        self.first = done if self.first is None else self.first
        if now - self.told < INTERVAL or done >= total:
            return
        self.told, made = now, done - self.first
        left = f", {_span((now - self.start) / made * (total - done))} left" if made > 0 else ""
        show(f"{self.title}: {100 * done / total:.0f} %{left}", file=sys.stderr)


@contextmanager
def late(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function to be called with (done, in all), which shows nothing until it is."""
    with ExitStack() as stack:
        shown: list[Callable[[int, int], None] | None] = []

        def tell(done: int, total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(Progress(title)))
            if shown[0] is not None:
                shown[0](done, total)

        yield tell


def _span(seconds: float) -> str:
    """A time in words, roughly.

    >>> _span(50), _span(130), _span(9000)
    ('less than a minute', 'about 2 minutes', 'about 2.5 hours')
    """
    if seconds < 60:
        return "less than a minute"
    if seconds < 90 * 60:
        minutes = max(2, round(seconds / 60))
        return f"about {minutes} minutes"
    return f"about {seconds / 3600:.1f} hours"
