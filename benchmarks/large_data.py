"""Time and memory of large inputs: rows, sources, columns, text, each in its own process.

    python benchmarks/large_data.py

CPU seconds and peak memory of whole commands on made-up files; reading beside pandas; and cells of
an exact fit from sums beside the same from rows. Exits with 1 if a goal is missed.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import torch

from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import Cell
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

GIB = 2**30
TOLD = """
import atexit, re, sys, time
start = 0
peak = lambda: re.search(r"VmHWM:\\s*([0-9]+)", open("/proc/self/status").read())[1]
atexit.register(lambda: print(time.process_time() - start, peak(), file=sys.stderr))
""".strip().replace("\n", "; ")
COMPARE = "import sys; from sourcewise.cli import main; sys.argv[1:] = {}; main()"
# The time of reading is without that of imports; its memory is that of the whole process.
READ = """
import sourcewise as sw, sourcewise.readers.tables; sw.read
start = time.process_time(); sw.read({!r}, source="source")
""".strip().replace("\n", "; ")
PANDAS = "import pandas as pd; start = time.process_time(); pd.read_csv({!r})"


def spent(code: str) -> tuple[float, float]:
    """CPU seconds and GiB of a process of its own, which tells them itself as it ends."""
    run = subprocess.run(
        [sys.executable, "-c", f"{TOLD}; {code}"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    seconds, memory = run.stderr.split()[-2:]
    return float(seconds), float(memory) * 1024 / GIB


def rows(path: Path, n: int) -> None:
    """A table of n rows: a source, seven measurements, counts and a category."""
    noise = np.random.default_rng(0)
    frame = pd.DataFrame(noise.normal(size=(n, 7)).round(4)).add_prefix("x")
    frame.insert(0, "source", noise.integers(0, 8, n))
    frame["count"] = noise.integers(0, 1000, n)
    frame["colour"] = np.array(["red", "green", "blue"])[noise.integers(0, 3, n)]
    frame.to_csv(path, index=False)


def distinct(path: Path, n: int) -> None:
    """A table of n rows: a source, and ten numbers of 17 digits, no two alike."""
    noise = np.random.default_rng(0)
    frame = pd.DataFrame(noise.normal(size=(n, 10))).add_prefix("x")
    frame.insert(0, "source", noise.integers(0, 8, n))
    frame.to_csv(path, index=False)


def sources(path: Path, K: int) -> None:
    """K sources of 12 rows of three columns."""
    noise = np.random.default_rng(0)
    y = np.repeat(np.arange(K), 12)
    frame = pd.DataFrame(noise.normal(size=(K, 3))[y] + noise.normal(size=(12 * K, 3)))
    frame = frame.round(3).add_prefix("x")
    frame.insert(0, "source", [f"s{k}" for k in y])
    frame.to_csv(path, index=False)


def wide(path: Path, d: int) -> None:
    """22 rows of d columns."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(22, d)).round(4)).add_prefix("x")
    frame.insert(0, "source", ["a", "b"] * 11)
    frame.to_csv(path, index=False)


def texts(path: Path, size: int) -> None:
    """A folder of ten sources, in all of so many bytes: lines of 20 to 120 characters."""
    noise, path = np.random.default_rng(0), path.with_suffix("")
    path.mkdir()
    words = ["source", "pool", "model", "Köln", "naïve", "日本語", "😀", *map(str, range(100))]
    for k in range(10):
        with (path / f"s{k}.txt").open("w", encoding="utf-8") as file:
            while file.tell() < size / 10:
                drawn = " ".join(np.array(words)[noise.integers(0, len(words), 200_000)])
                ends = noise.integers(20, 121, 5000).cumsum()
                ends = ends[ends < len(drawn)]
                lines = (drawn[a:b].strip() for a, b in pairwise(ends.tolist()))
                file.writelines(line + "\n" for line in lines if line)


def cell_ratio(n: int = 200_000) -> float:
    """How many times longer a deletion takes from rows than from sums, these included."""
    x, y = Noise(0).normal(n, 8), torch.arange(n) % 8
    settings = CompareSettings.changed(None, {"model": "gaussian", "seeds": 1})
    plan = prepare(Sources(x, y, "abcdefgh"), settings).plan
    start = process_time()
    shared = plan._shared(0)
    for group in range(10):
        evaluate_cell(plan, Cell(0, group), shared)
    by_sums = process_time() - start
    start = process_time()
    evaluate_cell(plan, Cell(0, 0), replace(shared, sums=None))
    return 10 * (process_time() - start) / by_sums


@dataclass(frozen=True)
class Task:
    """A process to measure, and the seconds and GiB that it may take."""

    words: str
    code: str
    seconds: float
    memory: float

    def reached(self) -> bool:
        """Run it, print what it took, and tell whether it met its goal."""
        seconds, memory = spent(self.code)
        met = seconds <= self.seconds and memory <= self.memory
        goal = "" if met else f"  MISSED: at most {self.seconds:.1f} s, {self.memory:.2f} GiB"
        print(f"{self.words:40}{seconds:8.1f} s{memory:8.2f} GiB{goal}", flush=True)
        return met


def beside_pandas(words: str, path: Path) -> Task:
    """Reading a table, which may take what pandas takes."""
    seconds, memory = spent(PANDAS.format(str(path)))
    print(f"{f'pandas.read_csv, {path.stem}':40}{seconds:8.1f} s{memory:8.2f} GiB")
    return Task(words, READ.format(str(path)), seconds, memory)


def compared(path: Path, *more: str) -> str:
    """The code of an exact comparison of a table."""
    words = ["compare", str(path), "--source", "source", "--model", "gaussian", "--seeds", "1"]
    return COMPARE.format([*words, "--out", str(path.with_suffix(".run")), *more])


def made_up(place: Path) -> None:
    """All files."""
    rows(place / "rows.csv", 2_000_000)
    distinct(place / "distinct.csv", 2_000_000)
    sources(place / "sources.csv", 2000)
    wide(place / "wide.csv", 20_000)
    texts(place / "texts", 100_000_000)


def tasks(place: Path) -> Iterator[Task]:
    """What is measured on them."""
    yield beside_pandas("read, 2 million rows", place / "rows.csv")
    yield beside_pandas("read, 2 million rows, all different", place / "distinct.csv")
    code = compared(place / "rows.csv", "--ignore", "colour")
    yield Task("compare, 2 million rows", code, 60, 1.5)
    yield Task("compare, 2000 sources x 12", compared(place / "sources.csv"), 30, 1.0)
    # More columns than the family takes; .3 GiB is the program.
    yield Task("refuse, 22 rows x 20 000", compared(place / "wide.csv", "--dry-run"), 20, 0.35)
    words = ["compare", str(place / "texts"), "--model", "transformer", "--dry-run"]
    yield Task("dry run, 100 MB of text", COMPARE.format(words), 20, 0.56)  # 600 MB


def main() -> int:
    met = (ratio := cell_ratio()) >= 3
    print(f"deletions from rows take {ratio:.1f} times as long as from sums (goal: 3)")
    with tempfile.TemporaryDirectory() as folder:
        made_up(Path(folder))
        for task in tasks(Path(folder)):
            met &= task.reached()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
