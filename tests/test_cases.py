"""Files as users have them, from end to end: read, train, sample, evaluate, compare."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise.forms import Column, Kind, Table, as_table
from sourcewise.lifecycle.sample_files import write_samples

QUICK = {"strategy": "pooled", "model": "table", "set": {"updates": 3, "passes": 1}}


def rows(of: dict[str, list[str]], separator: str = ",") -> str:
    """Columns of cells as a CSV file."""
    lines = [of, *zip(*of.values(), strict=True)]
    return "".join(f"{separator.join(line)}\n" for line in lines)


def two_sites(n: int = 30) -> dict[str, list[str]]:
    """Two sources and a measurement."""
    rng = np.random.default_rng(1)
    return {"site": ["north", "south"] * n, "x": [f"{x:.2f}" for x in rng.normal(size=2 * n)]}


def pick(words: list[str], n: int = 60) -> list[str]:
    """A column of some words, each of which occurs."""
    return [*words, *np.random.default_rng(2).choice(words, n - len(words)).tolist()]


def drawn(data: sw.Sources, n: int = 40) -> pd.DataFrame:
    return sw.sample(sw.train(data, **QUICK), n=n).frame()


CODES = {
    "leading zeros": ["012", "12", "0012"],
    "exponents": ["11E6", "11D6", "2E10"],
    "19 digits": ["1582218195625938945", "1582218195625938947", "1582218195625938948"],
    "lots": ["2024-10-0848", "2024-10-0849"],
    "a header with a comma": ["007", "070"],
}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("words", list(CODES))
def test_codes_are_drawn_as_they_are_written(tmp_path, words, ending):
    name, path = "ward, old" if "header" in words else "ward", tmp_path / f"a{ending}"
    frame = pd.DataFrame({**two_sites(), name: pick(CODES[words])})
    frame.to_csv(path, index=False) if ending == ".csv" else frame.to_parquet(path)
    data = sw.read(path, source="site", types={name: "category"})
    assert set(drawn(data)[name]) == set(CODES[words])
    # No type named: the same, since no code is a number.
    assert set(drawn(sw.read(path, source="site"))[name]) == set(CODES[words])


@pytest.mark.parametrize(
    ("words", "types"),
    [(["True", "False"], {}), (["1", "2", "3"], {"code": "category"}), (["01", "10"], {})],
)
def test_a_model_of_data_with_gaps_takes_them_without(tmp_path, words, types):
    full = {**two_sites(), "code": pick(words)}
    gaps = {**full, "code": ["", "", *full["code"][2:]]}
    (tmp_path / "full.csv").write_text(rows(full))
    (tmp_path / "gaps.csv").write_text(rows(gaps))
    data = sw.read(tmp_path / "gaps.csv", source="site", types=types)
    run = sw.train(data, **QUICK, out=tmp_path / "run")
    found = sw.sample(run, n=40).frame()["code"].dropna()
    assert {str(code) for code in found} <= set(words)
    document = sw.evaluate(tmp_path / "run", tmp_path / "full.csv").document
    assert document["data"]["rows"] == 60


def test_categories_are_declared_in_parquet(tmp_path):
    """Half of these look like numbers: of bare text it would have to be guessed what they are."""
    frame = pd.DataFrame({**two_sites(), "code": pick(["7", 'q"'])})
    data = sw.read(frame, source="site", types={"code": "category"})
    draws = sw.sample(sw.train(data, **QUICK), n=40)
    write_samples(draws, tmp_path / "draws.parquet")
    again = sw.read(tmp_path / "draws.parquet", source="site")
    assert isinstance(again.x, Table)
    assert {column.name: column.kind for column in again.x.schema}["code"] == "category"
    assert set(again.x.cells("code")) <= {"7", 'q"'}


def test_declared_columns_taken_as_something_else_are_drawn(tmp_path):
    days = pd.to_datetime(pick(["2024-01-05", "2024-10-20"])).date
    frame = pd.DataFrame({
        **two_sites(),
        "whole": np.array([int(word) for word in pick(["1", "2"])]),
        "long": np.array([int(word) for word in pick(["9466335749155202862", "1"])], np.uint64),
        "flag": [word == "yes" for word in pick(["yes", "no"])],
        "day": days,
        "short": np.array([float(word) for word in pick(["0.7", "5.01"])], np.float32),
    })  # fmt: skip
    frame.to_parquet(tmp_path / "a.parquet")
    types: dict[str, Kind] = {
        "whole": "category",
        "flag": "number",
        "day": "category",
        "short": "category",
    }
    data = sw.read(tmp_path / "a.parquet", source="site", types=types)
    found = drawn(data)
    assert {str(cell) for cell in found["day"]} == {"2024-01-05", "2024-10-20"}
    assert set(found["whole"]) == {1, 2}
    assert set(found["long"]) == {1, 9466335749155202862}
    assert set(found["short"]) == {"0.7", "5.01"}
    assert set(found["flag"]) == {0, 1}
    assert sw.read(tmp_path / "a.parquet", source="short").names == ("0.7", "5.01")


def test_decimal_commas_give_the_verdict_of_points(tmp_path):
    rng = np.random.default_rng(0)
    height = rng.normal(170, 8, 200)
    weight = 0.9 * (height - 170) * np.repeat([1, -1], 100) + rng.normal(70, 4, 200)
    points = {
        "site": ["north"] * 100 + ["south"] * 100,
        "height": [f"{x:.1f}" for x in height],
        "weight": [f"{x:.1f}" for x in weight],
    }
    commas = {name: [c.replace(".", ",") for c in cells] for name, cells in points.items()}
    found = []
    for text in (rows(points), rows(commas, ";")):
        (tmp_path / "clinic.csv").write_text(text)
        found.append(
            sw.compare(
                sw.read(tmp_path / "clinic.csv", source="site"), seeds=1, model="gaussian"
            ).document
        )
    assert found[0]["verdict"] == found[1]["verdict"]
    assert found[0]["verdict"]["overall"] == "separate"
    assert found[0]["differences"] == found[1]["differences"]
    said = [[note for note in result["warnings"] if "decimal comma" in note] for result in found]
    assert said == [[], ["'height', 'weight': read as numbers (decimal comma)"]]


WORDS = ["a", " a", "A", "n.b.", "1e5", "007", "x,y", 'q"', "#", "é", "yes", "ü;", "sep=", "-"]
NAMES = ["x", "Weight, kg", " age ", "a=b", "#n", "ä"]
CELLS = {
    "whole": st.integers(-(10**9), 10**9),
    "flag": st.booleans(),
    "cents": st.integers(-(10**6), 10**6).map(lambda n: n / 100),
    "tenths": st.integers(-999, 999).map(lambda n: np.float32(n / 10)),
    "word": st.sampled_from(WORDS),
    "day": st.dates(date(1800, 1, 1), date(2200, 1, 1)),
}
ROWS = 24


@st.composite
def tables(draw):
    """A table of two sources whose columns have declared types."""
    columns = {"site": ["north", "south"] * (ROWS // 2), "z": np.arange(ROWS) / 4}
    names = draw(st.permutations(NAMES))
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), max_size=4))
    for name, kind in zip(names, kinds, strict=False):
        some = draw(st.lists(CELLS[kind], min_size=2, max_size=6, unique=True))
        columns[name] = pd.Series((some * ROWS)[:ROWS])
        if kind == "word":
            columns[name] = columns[name].astype("category")
    return pd.DataFrame(columns)


def decimals(values) -> int:
    """The most decimals that some numbers have."""
    texts = (repr(float(x)) for x in values if np.isfinite(x))
    return max((len(text.removesuffix(".0").partition(".")[2]) for text in texts), default=0)


def drawn_columns(data: sw.Sources) -> dict[str, Column]:
    """The columns that are drawn: all but dates."""
    return {c.name: c for c in as_table(data.x).schema if c.kind != "date"}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tables())
def test_any_table_survives_from_reading_to_reading_its_draws(tmp_path, ending, frame):
    frame.to_parquet(tmp_path / "in.parquet")
    data = sw.read(tmp_path / "in.parquet", source="site")
    samples = sw.sample(sw.train(data, **QUICK), n=12)
    write_samples(samples, tmp_path / f"out{ending}")
    before = drawn_columns(data)
    kinds: dict[str, Kind] = {name: column.kind for name, column in before.items()}
    # CSV declares nothing: a few words alone may look like numbers or dates.
    said = kinds if ending == ".csv" else {}
    again = sw.read(tmp_path / f"out{ending}", source="site", types=said)
    after = drawn_columns(again)
    assert {name: column.kind for name, column in after.items()} == kinds
    for name, column in before.items():
        assert set(after[name].categories) <= set(column.categories)
        if column.kind == "number":
            cells = [decimals(as_table(x.x).columns[name].tolist()) for x in (again, data)]
            assert cells[0] <= cells[1]


def test_draws_in_parquet_have_the_types_that_came_in(tmp_path):
    noise, n = np.random.default_rng(0), 60
    table = pa.table(
        {
            "site": ["a", "b"] * 30,
            "single": pa.array(noise.normal(size=n).round(2).astype(np.float32)),
            "half": pa.array(noise.normal(size=n).round(1).astype(np.float16)),
            "price": pa.array([Decimal(i * 7 % 13) / 4 for i in range(n)], pa.decimal128(9, 2)),
            "flag": noise.random(n) < 0.5,
            "whole": noise.integers(0, 9, n),
            "code": pa.array(pick(["7", "07", "x"])).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    data = sw.read(tmp_path / "in.parquet", source="site")
    write_samples(sw.sample(sw.train(data, **QUICK), n=40), tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet").schema
    for name in ("single", "half", "price", "flag", "whole"):
        assert found.field(name).type == table.schema.field(name).type
    assert pa.types.is_dictionary(found.field("code").type)
    again = sw.read(tmp_path / "out.parquet", source="site")
    assert isinstance(again.x, Table)
    for name, decimals in (("single", 2), ("half", 1), ("price", 2)):
        values = again.x.columns[name]
        assert (values - values.round(decimals=decimals)).abs().max() < 1e-12


def test_a_verdict_with_a_spike_in_a_column_hangs_on_it(tmp_path):
    cells = two_sites(100)
    cells["x"][1:40:4] = ["-999"] * 10  # of one source
    path = tmp_path / "a.csv"
    path.write_text(rows({**cells, "z": cells["x"][::-1]}))
    found = " ".join(
        str(sw.compare(sw.read(path, source="site"), seeds=1, model="gaussian")).split()
    )
    assert "verdict: separate, conditional" in found
    assert "'x' (-999 far from the rest)" in found
    assert "--na -999" in found
    mended = str(
        sw.compare(
            sw.read(path, source="site", na="-999"), missing="impute", seeds=1, model="gaussian"
        )
    )
    assert "-999" not in mended


def test_a_small_table_of_several_kinds_is_told_what_its_numbers_alone_may_say(tmp_path):
    rng, path = np.random.default_rng(3), tmp_path / "a.csv"
    n = 120
    z, e = rng.normal(size=(2, n))
    opposite = np.where(np.arange(n) % 2, 1, -1)
    frame = pd.DataFrame(
        {
            "site": ["north", "south"] * (n // 2),
            "patient": [f"P{i:03d}" for i in range(n)],
            "weight, kg": z.round(2),
            "crp": (opposite * z + 0.5 * e).round(2),
        }
    )
    frame.to_csv(path, index=False)
    data = sw.read(path, source="site")
    mixed = sw.compare(data, seeds=2, set={"updates": 20, "passes": 1})
    words = " ".join(str(mixed).split())  # lines break anywhere
    assert "'patient' (hardly any value comes twice) among the columns" in words
    told = next(note for note in mixed.result.warnings if "(gaussian)" in note)
    assert told.endswith("""--columns '"weight, kg",crp'""")
    alone = sw.compare(
        sw.read(path, source="site", columns=["weight, kg", "crp"]), model="gaussian"
    )
    assert alone.result.verdict.overall == "separate"
