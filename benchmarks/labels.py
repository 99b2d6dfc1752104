"""Suspect labels: ours beside cleanlab's, on data some of whose labels were permuted.

    python benchmarks/labels.py [DATA ...] [--repeats 3] [--data FOLDER] [--out FILE.json]
                                [--seeds 3] [--set KEY=VALUE ...]

Of each data set a tenth of the rows is drawn, and their sources are permuted among them: those
that come to another source are wrong, and known to be. Both tools see the same rows:

- ours: `sourcewise.labels` with its usual family and settings;
- cleanlab: `find_label_issues` with its usual settings, on probabilities of a logistic regression
  by stratified 5-fold cross-validation. Texts are counts of pieces of one to three characters;
  columns of few values are one-hot, gaps being a value of their own; other columns are
  standardised, gaps filled with the median and marked.

Printed, over the repeats: flags, their precision and recall, the precision that ours expected, and
the average precision of the whole ranking; and the precision of each tool at the number of flags
of the other. Exits with 1 if ours is worse at cleanlab's own number of flags, or in average
precision, by more than a standard error over the repeats.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import numpy as np
import torch
from cleanlab.filter import find_label_issues  # pyright: ignore[reportMissingImports]
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sourcewise as sw
from sourcewise.forms import Ragged, as_table
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

SHARE, FOLDS, FEW = 0.1, 5, 6  # of rows that are permuted; folds; values of a one-hot column


@dataclass(frozen=True)
class Case:
    """A data set and how it is read."""

    path: str
    reading: dict[str, Any]


CASES = {
    "names": Case("text/names", {}),
    "heart": Case("tabular/heart_disease_4sites.csv.gz", {"source": "site"}),
}


@dataclass(frozen=True)
class Ranking:
    """Rows, most suspect first, of which the first are flagged."""

    order: np.ndarray
    flagged: int

    def precision(self, wrong: np.ndarray, count: int) -> float:
        """Of the first rows."""
        return float(wrong[self.order[:count]].mean()) if count else math.nan

    def recall(self, wrong: np.ndarray, count: int) -> float:
        """Of the first rows."""
        return float(wrong[self.order[:count]].sum() / wrong.sum())

    def average(self, wrong: np.ndarray) -> float:
        """Mean over the wrong rows of the precision down to each."""
        found = wrong[self.order]
        return float((found.cumsum() / np.arange(1, len(found) + 1))[found].mean())


@dataclass(frozen=True)
class Outcome:
    """One repeat on one data set."""

    case: str
    repeat: int
    wrong: int
    flags: int
    precision: float
    recall: float
    expected: float  # precision of ours, as it says itself
    average: float
    cleanlab_flags: int
    cleanlab_precision: float
    cleanlab_recall: float
    cleanlab_average: float
    at_cleanlab: float  # precision of ours at cleanlab's number of flags
    cleanlab_at_ours: float
    seconds: float
    cleanlab_seconds: float


def permuted(data: Sources, seed: int) -> tuple[Sources, np.ndarray]:
    """A tenth of the labels permuted, and (n,) which are wrong now."""
    noise = Noise(seed).of("corrupt")
    rows = noise.of("rows").permutation(len(data))[: round(SHARE * len(data))]
    y = data.y.clone()
    y[rows] = data.y[rows[noise.of("order").permutation(len(rows))]]
    return replace(data, y=y), (y != data.y).numpy()


def ours(data: Sources, folder: Path, **settings: Any) -> tuple[Ranking, float]:
    """Our ranking, from `labels.csv`, and the precision that we expect."""
    found = sw.labels(data, out=folder, overwrite=True, **settings)
    import pandas as pd

    table = pd.read_csv(folder / "labels.csv")
    left = np.setdiff1d(np.arange(len(data)), table["row"] - 1)  # of sources nobody judges
    order = np.concatenate([table["row"].to_numpy() - 1, left])
    expected = found.result.expected_precision.value
    return Ranking(order, len(found.result.flags)), math.nan if expected is None else expected


def features(data: Sources) -> tuple[object, Pipeline | CountVectorizer | ColumnTransformer]:
    """What a logistic regression takes."""
    if isinstance(data.x, Ragged):
        return data.x.strings(), CountVectorizer(
            analyzer="char", ngram_range=(1, 3), lowercase=False
        )
    import pandas as pd

    table = as_table(data.x)
    frame = pd.DataFrame({name: table.cells(name) for name in table.names})
    short = [name for name in frame if frame[name].nunique() <= FEW]
    long = [name for name in frame if name not in short]
    known = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    frame[short] = frame[short].astype(object).where(frame[short].notna(), "gap").astype(str)
    one_hot = OneHotEncoder(handle_unknown="ignore")
    return frame, ColumnTransformer([("short", one_hot, short), ("long", known, long)])


def cleanlabs(data: Sources, seed: int) -> Ranking:
    """cleanlab's ranking by self-confidence."""
    x, encoder = features(data)
    model = make_pipeline(encoder, LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    y = data.y.numpy()
    probabilities = cross_val_predict(model, x, y, cv=folds, method="predict_proba")
    issues = find_label_issues(y, probabilities, n_jobs=1)
    rank = find_label_issues(
        y, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    own = probabilities[np.arange(len(y)), y]
    rest = np.flatnonzero(~issues)
    return Ranking(np.concatenate([rank, rest[np.argsort(own[rest], kind="stable")]]), len(rank))


def compared(case: str, data: Sources, repeat: int, folder: Path, **settings: Any) -> Outcome:
    """One repeat."""
    rows, wrong = permuted(data, repeat)
    start = time.process_time()
    mine, expected = ours(rows, folder / f"{case}-{repeat}", **settings)
    middle = time.process_time()
    theirs = cleanlabs(rows, repeat)
    end = time.process_time()
    return Outcome(
        case=case,
        repeat=repeat,
        wrong=int(wrong.sum()),
        flags=mine.flagged,
        precision=mine.precision(wrong, mine.flagged),
        recall=mine.recall(wrong, mine.flagged),
        expected=expected,
        average=mine.average(wrong),
        cleanlab_flags=theirs.flagged,
        cleanlab_precision=theirs.precision(wrong, theirs.flagged),
        cleanlab_recall=theirs.recall(wrong, theirs.flagged),
        cleanlab_average=theirs.average(wrong),
        at_cleanlab=mine.precision(wrong, theirs.flagged),
        cleanlab_at_ours=theirs.precision(wrong, mine.flagged),
        seconds=middle - start,
        cleanlab_seconds=end - middle,
    )


def told(outcome: Outcome) -> str:
    o = outcome
    return (
        f"| {o.case} {o.repeat} | {o.wrong} | {o.flags} | {o.precision:.3f} ({o.expected:.3f}) | "
        f"{o.recall:.3f} | {o.average:.3f} | {o.cleanlab_flags} | {o.cleanlab_precision:.3f} | "
        f"{o.cleanlab_recall:.3f} | {o.cleanlab_average:.3f} | {o.at_cleanlab:.3f} | "
        f"{o.cleanlab_at_ours:.3f} | {o.seconds:.0f} | {o.cleanlab_seconds:.0f} |"
    )


def holds(outcomes: list[Outcome]) -> bool:
    """Whether ours is no worse, to a standard error over the repeats."""
    pairs = (
        [o.at_cleanlab - o.cleanlab_precision for o in outcomes],
        [o.average - o.cleanlab_average for o in outcomes],
    )
    good = True
    for name, gaps in zip(
        ("precision at cleanlab's flags", "average precision"), pairs, strict=True
    ):
        error = statistics.stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
        mean = statistics.mean(gaps)
        print(f"{outcomes[0].case}: {name}, ours - cleanlab's: {mean:+.4f} ± {error:.4f}")
        good &= mean >= -error
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", metavar="DATA", help=f"of {', '.join(CASES)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first repeat")
    usual = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=usual, help="the folder of data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/labels"), help="of our runs")
    parser.add_argument("--out", type=Path, help="a JSON file")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--strategy", default="pooled")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    settings = {
        "model": asked.model,
        "strategy": asked.strategy,
        "seeds": asked.seeds,
        "set": dict(text.split("=", 1) for text in asked.set),
    }
    head = "wrong | flags | precision (expected) | recall | average precision"
    theirs = "cleanlab: flags | precision | recall | average precision"
    rest = "ours at its flags | it at ours | CPU s | its"
    print(f"| data, repeat | {head} | {theirs} | {rest} |\n|{'---|' * 14}")
    outcomes, good = [], True
    for case in asked.cases or list(CASES):
        path = asked.data / CASES[case].path
        data = sw.read(path, **CASES[case].reading)
        found = []
        for repeat in range(asked.first, asked.first + asked.repeats):
            found.append(compared(case, data, repeat, asked.runs, **settings))
            print(told(found[-1]), flush=True)
        outcomes += found
        good &= holds(found)
    if asked.out:
        asked.out.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
