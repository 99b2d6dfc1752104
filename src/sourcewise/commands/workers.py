"""`--workers N`: the same command by several processes on this machine, as `torchrun` would do it.

Each does the verb from the start, on the same data, with one thread; they meet in training (see
`training.processes`), and the first one alone writes and speaks.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import IO

from sourcewise.commands.screen import show
from sourcewise.errors import InputError

__all__ = ["spread"]

MOST = 1024
PAUSE = 0.05  # seconds between looks at the processes
SAYS = 2.0  # seconds in which the first one may say what is wrong, when another has failed
GRACE = 20.0  # seconds in which processes that are asked to end may keep what is under way


def spread(workers: int) -> int | None:
    """The exit code of this command by so many processes; None: this process is to do it.

    Raises:
        InputError: no such number of processes.
    """
    if not 1 <= workers <= MOST:
        raise InputError(f"--workers must be a whole number from 1 to {MOST}, got {workers}")
    if workers == 1 or "WORLD_SIZE" in os.environ:
        return None
    crew = _Crew()
    before = signal.signal(signal.SIGTERM, crew.end)
    try:
        crew.start(workers)
        return crew.code()
    finally:
        signal.signal(signal.SIGTERM, before)


class _Crew:
    """The processes; the first of them is this command's own."""

    def __init__(self):
        self.ended = False  # by us
        self.all: list[subprocess.Popen[bytes]] = []
        self.told: list[IO[bytes]] = []  # what others than the first say of what is wrong

    def start(self, workers: int) -> None:
        """Start all, unless this command has been asked to end."""
        port = _free_port()
        for rank in range(workers):
            if not self.ended:
                self.told.append(tempfile.TemporaryFile())  # noqa: SIM115
                self.all.append(_started(rank, workers, port, self.told[-1]))

    def end(self, *_: object) -> None:
        """Ask all to end that have not."""
        self.ended = True
        for process in self.all:
            if process.poll() is None:
                process.terminate()

    def code(self) -> int:
        """The first one's exit code, once all are over; a failure of another ends them all."""
        killed: list[int] = []
        try:
            while not self._over:
                time.sleep(PAUSE)
            if not self.ended:
                killed = [i for i, p in enumerate(self.all) if (p.poll() or 0) < 0]
            spoke = self.ended or self._first_is_over()
        except KeyboardInterrupt:  # all have heard it
            spoke = True
        self.end()
        self._wait()
        if not self.all:
            return 128 + signal.SIGTERM
        first, lost = self.all[0].returncode, [i for i, p in enumerate(self.all) if p.returncode]
        if killed or (lost and not (spoke and first)):  # what the first said is not the reason
            self._tell((killed or lost)[-1])
            return 1
        return first if first >= 0 else 128 - first

    def _first_is_over(self) -> bool:
        """Whether it ends by itself, when another has failed."""
        with suppress(subprocess.TimeoutExpired):
            self.all[0].wait(SAYS)
        return self.all[0].poll() is not None

    def _tell(self, rank: int) -> None:
        """What became of a process, with the last line that it said."""
        self.told[rank].seek(0)
        lines = self.told[rank].read().decode("utf-8", "replace").strip().splitlines()
        last = f" ({lines[-1]})" if lines else ""
        told = f"failed: process {rank + 1} of {len(self.all)} ended{last}"
        show(f"{told}; the same command goes on where this one stopped", file=sys.stderr)

    @property
    def _over(self) -> bool:
        codes = [process.poll() for process in self.all]
        return any(codes) or None not in codes

    def _wait(self) -> None:
        last = time.monotonic() + GRACE
        for process in self.all:
            try:
                process.wait(max(0.0, last - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _started(rank: int, workers: int, port: int, told: IO[bytes]) -> subprocess.Popen[bytes]:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": workers}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = os.environ | {name: str(value) for name, value in (place | meeting).items()}
    command = [sys.executable, "-m", "sourcewise.cli", *sys.argv[1:]]
    if rank == 0:
        return subprocess.Popen(command, env=environment)
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=told)
