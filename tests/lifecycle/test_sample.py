"""Samples of saved models: types, keys of the draws, files that can be read back."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.forms import Ragged, Table, X, as_table
from sourcewise.lifecycle.sample_files import write_samples
from sourcewise.randomness import Noise

from .conftest import SMALL

FAST = {"updates": 30, "passes": 1, "batch": 32}


@pytest.fixture
def texts(words):
    return sw.train(words, strategy="groups:one+two", set=SMALL)


def test_draws_do_not_depend_on_how_many_or_of_whom(texts):
    every = sw.sample(texts, n=5).plain()
    assert list(every) == ["one", "two", "three"]
    few = sw.sample(texts, sources=["three", "one"], n=3).plain()
    assert few == {name: every[name][:3] for name in ("three", "one")}
    assert sw.sample(texts, n=5, seed=1).plain() != every


def test_temperature_is_for_families_that_have_it(texts):
    def commonest(**options) -> float:
        text = "".join(sw.sample(texts, n=40, sources=["one"], **options).plain()["one"])
        return max(map(text.count, "abcdexyz")) / len(text)

    assert commonest(set={"temperature": 0.1}) > commonest() > commonest(set={"temperature": 5.0})
    assert commonest(set={"temperature": 1.0}) == commonest()
    with pytest.raises(InputError, match="'gaussian' has no options of drawing"):
        sw.sample(sw.train(sw.read("wine")), set={"temperature": 0.5})
    with pytest.raises(
        InputError, match="setting temperature: not 0.0 .allowed: a number above 0"
    ):
        sw.sample(texts, set={"temperature": 0.0})


def test_names_that_are_not_there(texts):
    with pytest.raises(InputError, match="no source 'tow': did you mean 'two'"):
        sw.sample(texts, sources=["tow"])
    with pytest.raises(InputError, match="no strategy in this run 'pooled' .there are: groups"):
        sw.sample(texts, strategy="pooled")
    with pytest.raises(InputError, match="0 draws per source"):
        sw.sample(texts, n=0)


def test_the_recommended_strategy_is_the_usual_one(tmp_path):
    result = sw.compare(sw.read("wine"), seeds=1, out=tmp_path / "run", model="gaussian")
    samples = sw.sample(tmp_path / "run")
    assert samples.document["strategy"] == result.verdict["recommended"] == "separate"
    assert len(samples) == 30


def test_a_source_without_a_model_of_its_own():
    wine = sw.read("wine")
    keep = torch.cat([torch.arange(100), torch.arange(130, 138)])
    thin = wine.take(keep)  # eight of class_2
    result = sw.compare(thin, seeds=1, set={"covariance": "diagonal"}, model="gaussian")
    with pytest.raises(InputError, match="separate has no model of 'class_2'"):
        sw.sample(result, strategy="separate", sources=["class_2"])
    assert set(sw.sample(result, strategy="separate").labels) == {"class_0", "class_1"}
    assert set(sw.sample(result, strategy="pooled").labels) == set(wine.names)


def test_tables_come_in_their_own_types(frame, tmp_path):
    trained = sw.train(sw.read(frame, source="site"), model="table", set=FAST)
    samples = sw.sample(trained, n=50)
    out = samples.frame()
    assert list(out.columns) == ["site", "dose", "age", "kind"]
    ages = out["age"].dropna()
    assert 0 < len(ages) < 100
    assert (ages == ages.round()).all()
    assert set(out["kind"]) <= set(frame["kind"])
    write_samples(samples, tmp_path / "s.csv")
    text = (tmp_path / "s.csv").read_text()
    assert ",," in text  # missing is empty
    again = sw.read(tmp_path / "s.csv", source="site")
    assert isinstance(again.x, Table)
    assert again.x.names == ("dose", "age", "kind")
    rows = [json.loads(line) for line in _written(samples, tmp_path / "s.jsonl").splitlines()]
    assert any(row["age"] is None for row in rows)
    with pytest.raises(InputError, match="have categories"):
        write_samples(samples, tmp_path / "s.npz")


def strings(x: X) -> list[str]:
    assert isinstance(x, Ragged)
    return x.strings()


def _written(samples, path) -> str:
    write_samples(samples, path)
    return path.read_text()


def test_texts_as_files(texts, words, tmp_path):
    samples = sw.sample(texts, n=4)
    assert isinstance(samples.x, Ragged)
    _written(samples, tmp_path / "s.jsonl")
    again = sw.read(tmp_path / "s.jsonl")
    assert set(again.names) == set(words.names)
    by_name = {name: strings(again.of(name).x) for name in again.names}
    assert by_name == samples.plain()
    with pytest.raises(InputError, match="one source, not 3: --source NAME"):
        write_samples(samples, tmp_path / "s.txt")
    one = sw.sample(texts, n=4, sources=["two"])
    if all(one.plain()["two"]):
        assert _written(one, tmp_path / "s.txt").splitlines() == one.plain()["two"]
    for name in ("s.npz", "s.xls", "absent/s.csv"):
        with pytest.raises(InputError):
            write_samples(samples, tmp_path / name)


def test_arrays_as_files(symbols, tmp_path):
    trained = sw.train(symbols, model="arm", set={"passes": 2})
    samples = sw.sample(trained, n=6, sources=["b"])
    write_samples(samples, tmp_path / "s.npz")
    again = sw.read(tmp_path / "s.npz")
    assert again.names == ("b",)
    assert as_table(again.x).matrix().equal(as_table(samples.x).matrix())
    assert again.y.tolist() == [0] * 6
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays["x"].dtype == np.int64


def test_what_is_printed_stays_on_its_line(words):
    broken = Ragged.of_strings([text + "\n\x1b[1m" for text in words.x.strings()])
    trained = sw.train(sw.Sources(broken, words.y, words.names), set=SMALL)
    shown = str(sw.sample(trained, n=20))
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 1 + 3 * 22
    assert isinstance(sw.sample(trained, n=1).frame(), pd.DataFrame)


ENERGY = {"updates": 20, "passes": 1, "width": 16, "temperatures": 10, "particles": 16}

ANNEALING = ("temperatures", "particles")


def far_and_coarse(D: int) -> pd.DataFrame:
    """D columns: a scale from 1 to 5, one to take logarithms of, a far one, any numbers."""
    rng = np.random.default_rng(D)
    columns = {
        "rating": rng.integers(1, 6, 80).astype(float),
        "dose": np.abs(2 * rng.normal(size=80)).round(1) + 0.1,
        "far": 1e9 + 3 * rng.normal(size=80),
        "free": rng.normal(size=80),
        "cents": rng.normal(size=80).round(2),
    }
    frame = pd.DataFrame(columns).iloc[:, 5 - D :] if D < 3 else pd.DataFrame(columns).iloc[:, :D]
    return frame.assign(source=np.repeat(["a", "b"], 40))


@pytest.mark.parametrize("D", [1, 2, 3, 4, 5])
def test_a_run_evaluates_its_own_samples(D, tmp_path):
    data = sw.read(far_and_coarse(D).rename(columns={"source": "site"}), source="site")
    log = ["dose"] if D >= 3 else []
    some = ENERGY if D > 3 else {k: v for k, v in ENERGY.items() if k not in ANNEALING}
    trained = sw.train(data, model="energy", log=log, set=some)
    samples = sw.sample(trained, n=200)
    for name in ("s.csv", "s.npz"):
        write_samples(samples, tmp_path / name)
        evaluated = sw.evaluate(trained, str(tmp_path / name))
        again = sw.read(tmp_path / name, source="y" if name == "s.npz" else "site")
        assert again.names == ("a", "b")
        assert torch.equal(as_table(again.x).matrix(), as_table(samples.x).matrix())
        assert evaluated.document["data"]["rows"] == 400


def test_images_come_as_the_array_that_they_were(tmp_path):
    x = Noise(5).integers(8, 40, 4, 4).double().numpy()
    np.savez(tmp_path / "x.npz", x=x, y=np.repeat(["cat", "dog"], 20))
    settings = ENERGY | {"network": "convolutional", "width": 4, "depth": 2}
    trained = sw.train(sw.read(tmp_path / "x.npz"), model="energy", set=settings)
    write_samples(sw.sample(trained, n=3), tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays["x"].shape == (6, 4, 4)
        assert arrays["y"].tolist() == ["cat"] * 3 + ["dog"] * 3
    again = sw.read(tmp_path / "s.npz")
    assert sw.evaluate(trained, again).document["data"]["rows"] == 6


def test_columns_are_shown_with_the_digits_of_their_spread():
    trained = sw.train(sw.read(far_and_coarse(5)), model="gaussian")
    lines = str(sw.sample(trained, n=5, sources=["a"])).splitlines()
    head, *rows = [line.split() for line in lines if line.startswith("  ") and ":" not in line][
        -6:
    ]
    far = [row[head.index("far")] for row in rows]
    assert all(len(cell.partition(".")[2]) == 3 for cell in far)
    assert len(set(far)) == 5
    assert all(len(row[head.index("cents")].partition(".")[2]) == 2 for row in rows)
