"""Damaged data, damaged run folders, kills: each is refused, made good, or without effect.

    python benchmarks/faults.py [INPUTS [DAMAGES [KILLS]]]        (by default 1500 300 100)

- Inputs: small valid files of every kind that is read are damaged (bits, bytes, lines, delimiters,
  numbers, encodings) and given to `compare --dry-run` with options by chance. Right: exit code 0,
  or 2 with at most three lines, within 20 CPU seconds.
- Damages: a file of a finished or interrupted run is changed, cut, emptied, removed or replaced by
  a link; then the run is resumed, sampled, evaluated or reported. Right: what comes out is what
  comes out of the whole run, to the byte; or a refusal as above. Anything else is a silent use.
- Kills: SIGKILL and SIGTERM, half of them at any moment, half at a write; then the same command
  again. Right: the run folder is that of a run that was never stopped, but for times.

All of it takes at most 1 GiB of memory. Case `i` of a kind depends on nothing else, so that a
fault which is shown can be had again. Exits with 1 if there is one.
"""

import contextlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import fuzzing
import numpy as np
import pandas as pd
import torch

from sourcewise import cli

LIMIT, LINES = 20, 3  # CPU seconds, and lines of a refusal
MEMORY = 1 << 20  # KiB, of the whole campaign
TABLE = "--model table --set width=4 --set layers=1 --set batch=20 --set passes=2 --checkpoint 0"
RUNS = {
    "exact": ["compare", "numbers.csv", "--model", "gaussian", "--seeds", "2", "--out", "run"],
    "trained": f"compare mixed.csv {TABLE} --seeds 2 --out run".split(),
    "one model": f"train mixed.csv {TABLE} --out run".split(),
}
USES = {  # of a finished run
    "sample": ["sample", "run", "-n", "5", "--out", "draws.csv"],
    "evaluate": ["evaluate", "run", "new.csv", "--json"],
    "report": ["report", "run", "--out", "page.html"],
}
DAMAGES = ("header", "data", "digit", "key", "truncated", "emptied", "removed", "link")
SIGNALS = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGTERM: (143, -signal.SIGTERM)}
STOPPED = (130, 143)
COLUMNS = ("number", "exit 0", "exit 2", "other", "tracebacks", "silent uses", "differences")


class Late(BaseException):
    """A command takes more than its time; like SIGTERM no error that anything may handle."""


@dataclass(frozen=True)
class Outcome:
    """What a command ended with."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Found:
    """What came of a case."""

    case: str
    outcome: Outcome
    silent: bool = False
    different: bool = False
    wrong: str = ""  # with the process that was stopped

    @property
    def column(self) -> str:
        """How it ended."""
        refused = self.outcome.code == 2 and len(self.outcome.err.splitlines()) <= LINES
        ended = "exit 0" if self.outcome.code == 0 else "exit 2" if refused else "other"
        return "other" if self.wrong else ended

    @property
    def faults(self) -> list[str]:
        """The columns of what is wrong."""
        traced = "Traceback" in self.outcome.out + self.outcome.err
        flags = (self.column == "other", traced, self.silent, self.different)
        return [name for name, is_so in zip(COLUMNS[3:], flags, strict=True) if is_so]


def call(arguments: Sequence[str]) -> Outcome:
    """The command line, in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    signal.signal(signal.SIGPROF, _late)
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        sys.argv = ["sourcewise", *arguments]
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        except Late:
            code = 124
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def _late(*_: object) -> None:
    raise Late


@contextlib.contextmanager
def place(like: Path | None = None) -> Iterator[Path]:
    """A folder to work in, empty or a copy, that goes again."""
    with tempfile.TemporaryDirectory() as name:
        if like is not None:
            shutil.copytree(like, name, dirs_exist_ok=True)
        with contextlib.chdir(name):
            yield Path(name)


def inputs(count: int) -> Iterator[Found]:
    """Damaged data."""
    every = fuzzing.valid()
    for i in range(count):
        rng = random.Random(f"input {i}")
        data = fuzzing.damaged(every[i % len(every)], rng)
        arguments = ["compare", data.name, *fuzzing.options(data, rng), "--dry-run"]
        with place() as folder:
            data.write(folder)
            outcome = call(arguments)
        yield Found(f"input {i}: {arguments}", outcome)


@dataclass(frozen=True)
class Run:
    """A run of its own folder, whole or stopped, and what its commands give."""

    command: Sequence[str]
    whole: Path
    stopped: Path
    expected: dict[str, object]  # by use, `again` among them
    seconds: float
    writes: int

    @classmethod
    def of(cls, command: Sequence[str], home: Path) -> "Run":
        whole, stopped = home / "whole", home / "stopped"
        for folder in (whole, stopped):
            tables(folder)
        with contextlib.chdir(whole):
            assert call(command).code == 0
        with contextlib.chdir(stopped):
            start = time.monotonic()
            _wait(spawn(command))
            seconds, writes = time.monotonic() - start, int(Path("writes").read_text())
            shutil.rmtree("run")
            _wait(spawn(command, signal.SIGKILL, writes // 2))
        expected: dict[str, object] = {}
        for use in ("again", *USES):
            with place(whole) as copy:
                outcome = call(command if use == "again" else USES[use])
                if outcome.code == 0:
                    expected[use] = left(copy, use, outcome)
        return cls(command, whole, stopped, expected, seconds, writes)


def tables(folder: Path) -> None:
    """The data of the runs."""
    folder.mkdir(parents=True)
    rng, n = np.random.default_rng(0), 60
    frame = pd.DataFrame({"source": ["a", "b"] * (n // 2), "x": rng.normal(size=n).round(2)})
    numbers = frame.assign(z=rng.normal(size=n).round(2))
    mixed = frame.assign(k=rng.choice(["u", "v"], n))
    for name, table in (("numbers", numbers), ("mixed", mixed)):
        table.to_csv(folder / f"{name}.csv", index=False)
    mixed.assign(z=numbers.z).head(12).to_csv(folder / "new.csv", index=False)


def left(folder: Path, use: str, outcome: Outcome) -> object:
    """What a command gave, but for times."""
    if use != "again":
        files = {path.name: path.read_bytes() for path in folder.glob("*.*")}
        return files, outcome.out
    run, found = folder / "run", {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_file() and path.name not in ("log.csv", "manifest.json"):
            found[name] = (
                _timeless(path.read_text()) if name == "result.json" else path.read_bytes()
            )
    return found


def _timeless(text: str) -> str:
    text = re.sub(r'"seconds": [\d.e-]+', "", text)
    return re.sub(r'"digest": "\w+"', "", text)


def spawn(command: Sequence[str], number: int = 0, write: int = 0) -> int:
    """The command in a process of its own, which a signal stops at its n-th write.

    A fork has everything imported. It leaves how many files it wrote, in `writes`.
    """
    pid = os.fork()
    if pid:
        return pid
    code, count, replace = 1, 0, os.replace

    def counted(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == write:
            os.kill(os.getpid(), number)
        replace(*arguments)  # type: ignore[arg-type]

    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as of a new process
        os.replace = counted
        code = call(command).code
        Path("writes").write_text(str(count))
    finally:
        os._exit(code)


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def damages(count: int, runs: Sequence[Run]) -> Iterator[Found]:
    """Damaged run folders."""
    for i in range(count):
        rng, damage = random.Random(f"damage {i}"), DAMAGES[i % len(DAMAGES)]
        run = rng.choice(runs)
        stopped = rng.random() < 0.4
        use = "again" if stopped else rng.choice(sorted(run.expected))
        with place(run.stopped if stopped else run.whole) as folder:
            path = _some_file(folder / "run", rng)
            spoil(path, damage, rng, folder.with_suffix(".elsewhere"))
            outcome = call(run.command if use == "again" else USES[use])
            silent = outcome.code == 0 and left(folder, use, outcome) != run.expected[use]
            folder.with_suffix(".elsewhere").unlink(missing_ok=True)
            state = "stopped" if stopped else "finished"
            where = path.relative_to(folder)
        yield Found(
            f"damage {i}: {damage} {where} of a {state} run ({run.whole.parent.name}), {use}",
            outcome,
            silent,
        )


def _some_file(run: Path, rng: random.Random) -> Path:
    """Each kind of file as often as any other."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        kinds.setdefault(re.sub(r"[\d-]+", "", path.name), []).append(path)
    return rng.choice(kinds[rng.choice(sorted(kinds))])


def spoil(path: Path, damage: str, rng: random.Random, elsewhere: Path) -> None:
    """Damage a file; its bytes are never as they were, but behind a link."""
    raw = path.read_bytes()
    if damage == "removed":
        path.unlink()
    elif damage == "link":
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
    elif damage in ("truncated", "emptied"):
        path.write_bytes(raw[: rng.randrange(len(raw)) if damage == "truncated" else 0])
    else:
        path.write_bytes(_changed(raw, damage, rng))


def _changed(raw: bytes, damage: str, rng: random.Random) -> bytes:
    pattern = {"digit": rb"[0-9]", "key": rb'[a-z](?="?: ?)'}.get(damage)
    found = [match.start() for match in re.finditer(pattern, raw)] if pattern else []
    if not found:
        start, end = (0, 16) if damage == "header" else (min(16, len(raw) - 1), None)
        return fuzzing.flip(raw, rng, start, end)
    at = rng.choice(found)
    others = b"0123456789" if damage == "digit" else b"abcdefghijklmnopqrstuvwxyz"
    other = rng.choice([byte for byte in others if byte != raw[at]])
    return raw[:at] + bytes([other]) + raw[at + 1 :]


def kills(count: int, runs: Sequence[Run]) -> Iterator[Found]:
    """Runs that are stopped, and taken up again."""
    for i in range(count):
        rng = random.Random(f"kill {i}")
        run, number = rng.choice(runs), rng.choice(list(SIGNALS))
        write = rng.randint(1, run.writes) if i % 2 else 0
        with place(run.whole) as folder:
            code = 0
            while code == 0:  # it may have ended before
                shutil.rmtree("run", ignore_errors=True)
                pid = spawn(run.command, number, write)
                if not write:
                    time.sleep(rng.uniform(0, run.seconds))
                    os.kill(pid, number)
                code = _wait(pid)
            outcome = call(run.command)
            different = left(folder, "again", outcome) != run.expected["again"]
        wrong = "" if code in SIGNALS[number] else f"exit {code} on signal {number}"
        at = f"write {write}" if write else "some moment"
        case = f"kill {i}: {run.whole.parent.name}, {signal.Signals(number).name} at {at}"
        yield Found(case, outcome, different=different, wrong=wrong)


def rows(counts: Sequence[int], home: Path) -> Iterator[tuple[str, list[Found]]]:
    """What was found of every kind; faults are shown as they come."""
    runs = [Run.of(RUNS[name], home / name) for name in RUNS]
    some = (inputs(counts[0]), damages(counts[1], runs), kills(counts[2], runs))
    for kind, cases in zip(("inputs", "damages", "kills"), some, strict=True):
        every = []
        for found in cases:
            every.append(found)
            if found.outcome.code in STOPPED:
                sys.exit(found.outcome.code)  # it was the campaign that was to stop
            if found.faults:
                words = json.dumps(found.outcome.err[-500:])
                told = f"{found.case}: {found.faults} {found.wrong}"
                print(told, found.outcome.code, words, flush=True)
        yield kind, every


def campaign(counts: Sequence[int]) -> int:
    """Run all and print the table; 1 if there is a fault."""
    lines, faults = [], 0
    with tempfile.TemporaryDirectory() as home:
        for kind, every in rows(counts, Path(home)):
            names = [name for found in every for name in {found.column, *found.faults}]
            numbers = [len(every), *(names.count(name) for name in COLUMNS[1:])]
            lines.append(f"{kind:8}" + "".join(f"{n:>13}" for n in numbers))
            faults += sum(numbers[3:])
    print(f"{'kind':8}" + "".join(f"{name:>13}" for name in COLUMNS), *lines, sep="\n")
    return int(faults > 0)


def main() -> int:
    torch.set_num_threads(1)
    given = [int(word) for word in sys.argv[1:4]]
    wrong = campaign([*given, *(1500, 300, 100)[len(given) :]])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak >> 10} MiB (at most {MEMORY >> 10})")
    return int(wrong or peak > MEMORY)


if __name__ == "__main__":
    sys.exit(main())
