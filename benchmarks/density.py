"""Held-out densities of tables: our families, against what a user would take instead.

    python benchmarks/density.py [TABLE ...] [--families A,B] [--data FOLDER] [--out FILE.json]

All see the same training, validation and test rows, dequantised alike. Ours are all families that
take the table and have an exact density, pooled and separate, with their usual settings; the one
with the best validation rows is *ours*. Peers: mixtures and kernel densities of scikit-learn, one
for each source or one for all, their sizes chosen on validation rows; NSF and MAF of zuko with the
source as context, stopped early on validation rows. They get standardised columns, logarithms
where training rows ask for them. The best peer is the one with the best *test* rows.

Printed: log densities of test rows in original units, nats per row, averaged over sources with
equal weights; CPU seconds of one thread that fitting took (of ours also of all that were tried);
and the difference between ours and the best peer with its standard error over test rows.
Exits with 1 if on some table ours is worse than that by more than a standard error, or slower.
"""

import argparse
import copy
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import torch
import zuko
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from torch import Tensor

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.errors import InputError, TrainingFailed
from sourcewise.families.registry import families
from sourcewise.families.settings import TrainedSettings
from sourcewise.fitting.job import Job, Split, Work, prepared_rows
from sourcewise.fitting.prepare import FitSettings, prepare_job
from sourcewise.fitting.strategy import Encoded, encoded_batch, fit_strategy
from sourcewise.metrics.log_likelihood import density
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.strategies import parse_strategies

FOLDS = 5
NOISE = Noise(0)
AIR = ["PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "WSPM"]
COMPONENTS = (1, 2, 4, 8, 16, 32)
BANDWIDTHS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0)
RATE, BATCH, EPOCHS, PATIENCE = 1e-3, 256, 300, 20  # of zuko's flows


@dataclass(frozen=True)
class Table:
    """Where a table is, and how it is read."""

    file: str  # in the folder of data, or a built-in name
    reading: dict[str, object] = field(default_factory=dict)  # options of `sourcewise.read`
    settings: dict[str, object] = field(default_factory=dict)  # of fitting

    def path(self, folder: Path) -> Path | str | None:
        """What to read; None: the file is not there."""
        if not self.reading:
            return self.file
        path = folder / "tabular" / f"{self.file}.csv.gz"
        return path if path.exists() else None


TABLES = {
    "sachs": Table("sachs_cytometry_10conditions", {"source": "condition"}, {"log": "all"}),
    "wine": Table("wine_quality", {"source": "color"}),
    "air": Table(
        "beijing_air_8stations",
        {"source": "station", "columns": AIR, "sample_rows": 300},
        {"missing": "drop"},
    ),
    "weather": Table("us_weather_7stations", {"source": "station"}, {"missing": "drop"}),
    "heart": Table(
        "heart_disease_4sites",
        {"source": "site", "columns": ["age", "trestbps", "chol", "thalach", "oldpeak"]},
        {"missing": "drop"},
    ),
    "cancer": Table("breast-cancer"),
    "cultivars": Table("wine"),
}


@dataclass(frozen=True)
class Rows:
    """Training, validation and test rows of a table, screened."""

    data: Sources
    split: Split
    settings: FitSettings

    def job(self, family: str) -> Job:
        """Of a family; rows with gaps are gone by now."""
        settings = self.settings.model_copy(update={"model": family})
        strategies = parse_strategies("pooled,separate", tuple(self.data.names))
        return prepare_job(self.data, settings, families()[family], strategies)[0]

    def macro(self, values: Tensor, index: Tensor) -> float:
        """Of values (m,) of some rows: the mean over sources of their means."""
        y = self.data.y[index]
        return float(torch.stack([values[y == k].mean() for k in y.unique()]).mean())

    def error(self, values: Tensor, index: Tensor) -> float:
        """The standard error of `macro` over rows."""
        y = self.data.y[index]
        parts = [values[y == k] for k in y.unique()]
        squares = (float(part.var()) / len(part) if len(part) > 1 else 0.0 for part in parts)
        return math.sqrt(sum(squares)) / len(parts)


@dataclass(frozen=True)
class Fitted:
    """What a model makes of validation and test rows, nats per row in original units."""

    name: str
    valid: Tensor
    test: Tensor
    seconds: float


def read(name: str, folder: Path) -> Rows:
    """A table, with the columns that a density of real numbers can use, and its split."""
    table = TABLES[name]
    path = table.path(folder)
    if path is None:
        raise SystemExit(f"{name}: no {table.file}.csv.gz in {folder / 'tabular'}: see --data")
    data = sw.read(path, **table.reading)  # pyright: ignore[reportArgumentType]
    settings = FitSettings.changed(None, {"model": "gaussian", **table.settings})
    strategies = parse_strategies("pooled", tuple(data.names))
    job, screened = prepare_job(data, settings, families()["gaussian"], strategies)
    job = replace(job, settings=TrainedSettings())  # some rows tell when to stop
    fold = screened.data.folds(FOLDS, NOISE.of("folds"))
    parts = ((fold == 0) == test for test in (False, True))
    train, test = (part.nonzero().squeeze(1) for part in parts)
    split = Split.of(job, train, test, NOISE.of("validation"), fold)
    return Rows(screened.data, split, settings.model_copy(update={"missing": "refuse"}))


def ours(rows: Rows, name: str) -> Iterator[Fitted]:
    """A family, pooled and separate; nothing where it cannot take the table."""
    job, split = rows.job(name), rows.split
    exact = job.family.recipe == "exact"
    known = replace(split, valid=split.valid[:0]) if exact else split
    prepared = prepared_rows(job, NOISE)
    start = time.process_time()
    encoded = Encoded.of(job, prepared, known)
    encoding = time.process_time() - start
    for strategy in job.strategies:
        start = time.process_time()
        labels = job.data.y
        trained = fit_strategy(job, strategy, encoded, known, labels, Work(NOISE.of("training")))
        seconds = encoding + time.process_time() - start
        scores = []
        for index in (split.valid, split.test):
            batch, log_det = encoded_batch(job, encoded.encoders, prepared, index)
            found = density(trained.model, batch, NOISE.of("scores"))
            if found.kind != "exact":
                raise InputError(f"its density is an {found.kind}")
            scores.append(found.value + log_det)
        yield Fitted(f"{name}, {strategy.name}", scores[0], scores[1], seconds)


@dataclass(frozen=True)
class Encodings:
    """Standardised rows for peers, and the log determinants of validation and test rows."""

    train: Batch
    valid: Batch
    test: Batch
    log_det: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, rows: Rows) -> "Encodings":
        """As the Gaussian family has them."""
        job, split = rows.job("gaussian"), rows.split
        prepared = prepared_rows(job, NOISE)
        encoded = Encoded.of(job, prepared, replace(split, valid=split.valid[:0]))
        parts = [
            encoded_batch(job, encoded.encoders, prepared, i) for i in (split.valid, split.test)
        ]
        (valid, a), (test, b) = parts
        return cls(encoded.filled, valid, test, (a, b))


Density = Callable[[Tensor], Tensor]  # (n, d) rows to their log densities


def smoothed(
    rows: Rows, z: Encodings, name: str, tried: list[Callable[[Tensor], Density]]
) -> Fitted:
    """One density per source or one for all, of the size that validation rows choose."""
    start, y = time.process_time(), z.train.y
    K, own, every = len(rows.data.names), [], _best(tried, z.train.tensor, z.valid.tensor)
    for k in range(K):
        mine, known = z.valid.tensor[z.valid.y == k], z.train.tensor[y == k]
        own.append(_best(tried, known, mine))
    found = {}
    for kind, densities in (("each", own), ("all", [every] * K)):
        scores = [_scores(densities, batch) for batch in (z.valid, z.test)]
        found[kind] = [s + log_det for s, log_det in zip(scores, z.log_det, strict=True)]
    seconds = time.process_time() - start
    kind = max(found, key=lambda kind: rows.macro(found[kind][0], rows.split.valid))
    return Fitted(f"{name}, {kind}", found[kind][0], found[kind][1], seconds)


def _best(tried: list[Callable[[Tensor], Density]], train: Tensor, valid: Tensor) -> Density:
    """The density of training rows that makes validation rows likeliest."""
    fitted = []
    for fit in tried:
        try:
            fitted.append(fit(train))
        except ValueError:  # more components than rows
            continue
    worth = [float(density(valid).mean()) if len(valid) else 0.0 for density in fitted]
    return fitted[max(range(len(fitted)), key=worth.__getitem__)]


def _scores(densities: list[Density], batch: Batch) -> Tensor:
    out = torch.empty(len(batch), dtype=torch.float64)
    for k in batch.y.unique().tolist():
        out[batch.y == k] = densities[k](batch.tensor[batch.y == k])
    return out


def mixture(components: int) -> Callable[[Tensor], Density]:
    """scikit-learn's, with full covariances."""

    def fit(x: Tensor) -> Density:
        found = GaussianMixture(components, random_state=0).fit(x.numpy())
        return lambda rows: torch.from_numpy(found.score_samples(rows.numpy()))

    return fit


def kernels(bandwidth: float) -> Callable[[Tensor], Density]:
    """scikit-learn's, Gaussian."""

    def fit(x: Tensor) -> Density:
        found = KernelDensity(bandwidth=bandwidth).fit(x.numpy())
        return lambda rows: torch.from_numpy(found.score_samples(rows.numpy()))

    return fit


def flow(rows: Rows, z: Encodings, kind: str) -> Fitted:
    """zuko's NSF or MAF as its tutorial trains them, with early stopping."""
    torch.manual_seed(0)
    K, d = len(rows.data.names), z.train.tensor.shape[1]
    start = time.process_time()
    model = getattr(zuko.flows, kind)(d, K, transforms=3, hidden_features=(64, 64))
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    (x, c), (v, b), (t, e) = (
        (part.tensor.float(), torch.nn.functional.one_hot(part.y, K).float())
        for part in (z.train, z.valid, z.test)
    )
    lowest, best, since = math.inf, copy.deepcopy(model.state_dict()), 0
    for _ in range(EPOCHS):
        for i in torch.randperm(len(x)).split(BATCH):
            loss = -model(c[i]).log_prob(x[i]).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        with torch.no_grad():
            loss = float(-model(b).log_prob(v).mean())
        since += 1
        if loss < lowest:
            lowest, best, since = loss, copy.deepcopy(model.state_dict()), 0
        if since >= PATIENCE:
            break
    seconds = time.process_time() - start
    model.load_state_dict(best)
    with torch.no_grad():
        scores = [model(c).log_prob(x).double() for x, c in ((v, b), (t, e))]
    both = [s + log_det for s, log_det in zip(scores, z.log_det, strict=True)]
    return Fitted(f"zuko {kind}", both[0], both[1], seconds)


def peers(rows: Rows) -> Iterator[Fitted]:
    """All of them."""
    z = Encodings.of(rows)
    yield smoothed(rows, z, "scikit-learn mixture", [mixture(m) for m in COMPONENTS])
    yield smoothed(rows, z, "scikit-learn kernels", [kernels(h) for h in BANDWIDTHS])
    yield flow(rows, z, "NSF")
    yield flow(rows, z, "MAF")


@dataclass(frozen=True)
class Line:
    """What is printed of a model."""

    table: str
    model: str
    valid: float
    test: float
    seconds: float
    whose: str


@dataclass(frozen=True)
class Outcome:
    """Ours against the best peer on one table."""

    table: str
    ours: str
    peer: str
    difference: float
    error: float
    seconds: float
    all_seconds: float
    peer_seconds: float


def told(rows: Rows, table: str, found: Fitted, whose: str) -> Line:
    valid, test = (
        rows.macro(found.valid, rows.split.valid),
        rows.macro(found.test, rows.split.test),
    )
    print(f"| {found.name} | {valid:.3f} | {test:.3f} | {found.seconds:.1f} |", flush=True)
    return Line(table, found.name, valid, test, found.seconds, whose)


def compared(table: str, folder: Path, chosen: list[str]) -> tuple[list[Line], Outcome]:
    """Everything about one table, printed as it comes."""
    rows, lines, mine, others = read(table, folder), [], [], []
    sizes = (len(part) for part in (rows.split.train, rows.split.valid, rows.split.test))
    print(f"\n{table}: {len(rows.data.names)} sources; rows {'/'.join(map(str, sizes))}\n")
    print("| model | validation | test | CPU s |\n|---|---|---|---|")
    for name in chosen:
        try:
            for found in ours(rows, name):
                mine.append(found)
                lines.append(told(rows, table, found, "ours"))
        except (InputError, TrainingFailed) as error:
            print(f"| {name} | {str(error)[:60]} | | |", flush=True)
    for found in peers(rows):
        others.append(found)
        lines.append(told(rows, table, found, "peer"))
    own = max(mine, key=lambda found: rows.macro(found.valid, rows.split.valid))
    peer = max(others, key=lambda found: rows.macro(found.test, rows.split.test))
    gap = own.test - peer.test
    outcome = Outcome(
        table,
        own.name,
        peer.name,
        rows.macro(gap, rows.split.test),
        rows.error(gap, rows.split.test),
        own.seconds,
        sum(found.seconds for found in mine),
        peer.seconds,
    )
    return lines, outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "tables",
        nargs="*",
        metavar="TABLE",
        help=f"of {', '.join(TABLES)}; all that are there if none",
    )
    parser.add_argument("--families", default="", help="comma-separated; all of numbers if none")
    usual = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=usual, help="the folder of data sets")
    parser.add_argument("--out", type=Path, help="a JSON file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = asked.families.split(",") if asked.families else list(families())
    if wrong := set(asked.tables) - TABLES.keys():
        parser.error(f"no table {', '.join(wrong)} (there are: {', '.join(TABLES)})")
    there = [name for name, table in TABLES.items() if table.path(asked.data)]
    found = [compared(name, asked.data, chosen) for name in asked.tables or there]
    print("\n| table | ours | best peer | ours - peer | CPU s (all tried) | peer's |")
    print("|---|---|---|---|---|---|")
    good = True
    for _, o in found:
        gap = f"{o.difference:+.3f} ± {o.error:.3f}"
        spent = f"{o.seconds:.1f} ({o.all_seconds:.1f})"
        print(f"| {o.table} | {o.ours} | {o.peer} | {gap} | {spent} | {o.peer_seconds:.1f} |")
        good &= o.difference >= -o.error and o.seconds <= o.peer_seconds
    if asked.out:
        lines = [asdict(line) for lines, _ in found for line in lines]
        outcomes = [asdict(outcome) for _, outcome in found]
        asked.out.write_text(json.dumps({"models": lines, "outcomes": outcomes}, indent=1))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
