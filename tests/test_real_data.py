"""Real data from end to end: verdicts, no NaN. Skipped where the data are missing."""

import json
import math

import pytest

import sourcewise as sw

AIR = ["PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "WSPM"]
SETS = {
    "sachs_cytometry_10conditions": ({"source": "condition"}, {"log": "all"}, "separate"),
    "hsb82_160schools": ({"source": "school", "columns": ["ses", "mAch"]}, {}, "pool"),
    "heart_disease_4sites": (
        {"source": "site", "ignore": ["ca", "thal", "slope"]},
        {"missing": "impute"},
        "separate",
    ),
    "wine_quality": ({"source": "color"}, {}, "separate"),
    "beijing_air_8stations": (
        {"source": "station", "columns": AIR, "group": ["year", "month", "day"]},
        {"missing": "drop"},
        "separate",
    ),
    "radon_85counties": ({"source": "county", "columns": ["log.radon", "basement"]}, {}, None),
}


def numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("name", list(SETS))
def test_every_data_set_ends_in_verdicts(shared_data, name):
    reading, settings, overall = SETS[name]
    data = sw.read(shared_data / "tabular" / f"{name}.csv.gz", **reading)
    document = sw.compare(data, seeds=1, model="gaussian", **settings).document
    assert all(math.isfinite(number) for number in numbers(document))
    json.dumps(document, allow_nan=False)
    verdict = document["verdict"]
    assert set(verdict["per_source"]) == set(data.names)
    # What three repetitions say (docs/compare.md) is what one says, where it is clear.
    assert overall in (None, verdict["overall"])


def test_identical_rows_of_real_data_stay_together(shared_data):
    path = shared_data / "tabular" / "wine_quality.csv.gz"
    document = sw.compare(sw.read(path, source="color"), seeds=1, model="gaussian").document
    # 1177 repeat a row of their own colour, 2 more a row of the other.
    assert document["data"]["duplicate_rows"] == 1179
