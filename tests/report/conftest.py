"""Result documents to report on: the usual one, and one with 160 sources of unkind names."""

from typing import Any

import pytest

from sourcewise.documents import from_json
from sourcewise.results.comparison import ComparisonResult

METRIC = "log_likelihood"
UNIT = "nats per row"


def _metric(mean: float, width: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - width, "high": mean + width}


def _strategy(names: list[str], k: int) -> dict[str, Any]:
    train = {"mean": -13.9 - k, "low": None, "high": None}
    return {
        "parameters": 130 * (k + 1),
        "blocks": [names] if k == 0 else [[name] for name in names],
        "per_source": {
            name: {
                "n_train": 47.2,
                "n_test": 59,
                "examples_seen": 142.4 if k == 0 else 47.2,
                "updates": 0,
                "metrics": {
                    METRIC: _metric(-15.1 - 0.3 * k - 0.01 * i, 0.9),
                    "train_log_likelihood": train,
                },
            }
            for i, name in enumerate(names)
        },
        "macro": {METRIC: _metric(-15.5 - 0.3 * k, 0.5)},
        "worst": {METRIC: {"source": names[-1], "mean": -16.4 - k}},
        "fitted": {},
        "resolved": {},
        "diagnostics": [],
    }


def difference(source: str, strategy: str, x: float, width: float) -> dict[str, Any]:
    """One difference; its verdict follows from its interval."""
    low, high = x - width, x + width
    inside = max(-low, high) <= 0.13
    verdict = "pool" if low > 0 else "separate" if high < 0 else "undecided"
    verdict = "equivalent" if inside else verdict
    decide = "about 3.1 times the rows" if verdict == "undecided" else None
    return {
        "source": source,
        "strategy": strategy,
        "baseline": "separate",
        "metric": METRIC,
        "unit": UNIT,
        "difference": x,
        "low": low,
        "high": high,
        "standard_error": width / 2.26,
        "df": 9.0,
        "p": 0.01 if verdict != "undecided" else 0.31,
        "p_holm": 0.03 if verdict != "undecided" else 0.62,
        "p_outside": 0.9,
        "verdict": verdict,
        "would_decide": decide,
    }


def document(names: list[str], differences: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole result document."""
    strategies = list(dict.fromkeys(d["strategy"] for d in differences))
    per = {d["source"]: d["verdict"] for d in differences if d["strategy"] == strategies[0]}
    per.pop("macro", None)
    return {
        "schema_version": 1,
        "data": {
            "name": "wine",
            "fingerprint": "ab12cd34ef56",
            "rows": 59 * len(names),
            "columns": [
                {"name": "alcohol", "log": False, "resolution": 0.01},
                {"name": "proline", "log": True, "resolution": None},
                {"name": "hue", "log": False, "resolution": None},
            ],
            "left_out": [{"column": "code", "reason": f"constant in source '{names[0]}'"}],
            "sources": [
                {"name": name, "rows": 59, "size": 59.0, "tested": True, "reason": None}
                for name in names
            ],
            "group": ["year", "month"],
            "units": 31,
            "duplicate_rows": 12,
            "missing": "refuse",
            "missing_cells": 0,
            "dropped_rows": 0,
            "imputed_cells": 0,
            "variables": 3,
            "symbols": None,
            "scored_per": "row",
        },
        "scope": "procedure",
        "estimand": "The expected difference over new training samples of this size.",
        "primary_metric": METRIC,
        "metrics": {METRIC: {"unit": UNIT, "higher_is_better": True, "region": 0.13}},
        "warnings": [
            "column 'year' looks like a date: rows near in time may be alike, see --group"
        ],
        "run": "runs/wine-1a2b3c4d",
        "strategies": {
            name: _strategy(names, k) for k, name in enumerate([*strategies, "separate"])
        },
        "differences": differences,
        "beta_hat": {"value": 0.4, "low": 0.1, "high": 0.7},
        "verdict": {
            "overall": "pool",
            "strategy": "pooled",
            "baseline": "separate",
            "recommended": "pooled",
            "lead": {
                "strategy": "pooled",
                "over": "separate",
                "difference": 0.4,
                "low": 0.1,
                "high": 0.7,
                "sure": 0.996,
            },
            "reason": "On average over the sources the pooled model is better by 0.80 nats per "
            "row, and no source is surely worse for it.",
            "per_source": per,
            "condition": None,
        },
        "search": {},
        "settings": {
            "family": {"name": "gaussian", "covariance": "full", "shrinkage": "ledoit-wolf"},
            "ignore": [],
            "out": None,
            "min_rows": 10,
        },
        "splits": {"folds": 5, "repetitions": 3, "jackknife_groups": 10, "seed": 0},
        "versions": {"sourcewise": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
    }


def typed(document: dict[str, Any]) -> ComparisonResult:
    """As it is read from a file."""
    return from_json(ComparisonResult, document, "the document")


@pytest.fixture
def result() -> dict[str, Any]:
    """Three sources, pooled against separate."""
    return wine()


def wine() -> dict[str, Any]:
    """Three sources, pooled against separate."""
    cells = [("macro", 0.8, 0.7), ("class_0", 1.1, 0.6), ("class_1", 0.02, 0.08)]
    cells.append(("class_2", 0.4, 0.9))
    return document(
        ["class_0", "class_1", "class_2"], [difference(s, "pooled", x, w) for s, x, w in cells]
    )


HARD_NAMES = [
    "<script>document.title='ran'</script>",
    "<img src=x onerror=alert(1)>",
    "cost $x_1$ & $\\frac{1}{2}$",
    "日本語のデータ源",
    "بيانات المستشفى الشمالي",
    "a very long name of a source, as long as eighty characters, to see how it is cut",
    "quote \" and ' and `",
    "nul\x00 and\nnewline",
]


@pytest.fixture
def many() -> dict[str, Any]:
    """160 sources, two strategies against separate, unkind names, one far outlier."""
    return schools()


def schools() -> dict[str, Any]:
    """160 sources, two strategies against separate, unkind names, one far outlier."""
    names = [*HARD_NAMES, *(f"school {1000 + 37 * i}" for i in range(152))]
    rows = [difference("macro", s, 0.3 - 0.2 * k, 0.1) for k, s in enumerate(STRATEGIES)]
    for i, name in enumerate(names):
        for k, strategy in enumerate(STRATEGIES):
            x = 1.2 * ((i * 61) % 160 / 160 - 0.4) - 0.2 * k
            rows.append(difference(name, strategy, x, 0.1 + 0.004 * (i % 97)))
    rows[-1] = difference(names[-1], STRATEGIES[-1], 9.0, 30.0)
    return document(names, rows)


STRATEGIES = ("pooled", "groups:north+south|east")
