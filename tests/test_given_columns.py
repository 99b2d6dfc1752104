"""Given columns from the command line to draws: what is conditioned on is never modelled."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise import cli
from sourcewise.encoders.numeric import NumericEncoder
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.randomness import Noise

N = 1500


@pytest.fixture
def main(monkeypatch):
    """The command line: its exit code."""

    def run(arguments):
        monkeypatch.setattr("sys.argv", ["sourcewise", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    return run


def planted(slopes, laws, n=N, seed=0):
    """Two sources: x is regressed on c, by slopes of their own and with laws of c of their own."""
    noise, y = Noise(seed).of("planted"), torch.arange(2 * n) % 2
    c = noise.of("c").normal(2 * n) + torch.tensor(laws).double()[y]
    sex = noise.of("sex").integers(2, 2 * n)
    x = torch.tensor(slopes).double()[y] * c + 0.5 * noise.of("x").normal(2 * n)
    return pd.DataFrame(
        {
            "site": np.array(["a", "b"])[y.numpy()],
            "x": x.numpy() + sex.numpy(),
            "age": c.numpy(),
            "sex": np.array(["f", "m"])[sex.numpy()],
        }
    )


def compared(frame, given=("age", "sex"), **options):
    options = {"model": "gaussian", **options}
    return sw.compare(sw.read(frame, source="site", given=given), seeds=1, **options)


def test_opposite_slopes_are_separate_and_laws_of_c_are_no_reason():
    assert compared(planted((1.0, -1.0), (0.0, 0.0))).verdict["overall"] == "separate"
    apart = compared(planted((1.0, 1.0), (-3.0, 3.0)))
    alike = compared(planted((1.0, 1.0), (0.0, 0.0)))
    assert apart.verdict["overall"] in ("pool", "equivalent")
    gaps = [r.document["differences"][-1]["difference"] for r in (apart, alike)]
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-9)  # a regression does not see the law of c
    assert apart.document["data"]["given"] == ["age", "sex"]
    assert "1 column given age, sex" in str(apart)


def test_a_network_pools_slopes_and_laws_of_c_are_no_reason_to_separate():
    """Its label is an input, so that one pooled model may have a slope for each source.

    The best there is are -0.726 nats per row; without c it would be below -1.5.
    """
    how = {"updates": 200, "passes": 1, "width": 32, "learning_rate": 0.01, "ema": 0.99}
    options = {"model": "table", "set": how, "scope": "these models"}
    # Of 200 rows a source nothing is decided.
    apart = compared(planted((1.0, 1.0), (-1.0, 1.0), 3200), **options)
    assert apart.verdict["overall"] in ("pool", "equivalent")
    opposite = compared(planted((1.0, -1.0), (0.0, 0.0), 200), **options)
    for strategy in opposite.document["strategies"].values():
        assert -1.35 < strategy["macro"]["log_likelihood"]["mean"] < -0.726


def test_scores_are_those_of_least_squares_by_block(tmp_path):
    frame = planted((1.0, 0.5), (0.0, 1.0), 60)
    run = sw.compare(
        sw.read(frame, source="site", given=("age", "sex")),
        seeds=1,
        set={"shrinkage": "none"},
        out=tmp_path / "run",
        model="gaussian",
    )
    new = planted((1.0, 0.5), (0.0, 1.0), 30, seed=1)
    new.to_csv(tmp_path / "new.csv", index=False)
    rows = sw.read(tmp_path / "new.csv", source="site", given=("age", "sex"))
    scores = sw.evaluate(run, rows).document["strategies"]
    separate, pooled = (
        {
            site: scores[name]["per_source"][site]["metrics"]["log_likelihood"]["mean"]
            for site in "ab"
        }
        for name in ("separate", "pooled")
    )

    def fitted(old, dummies):
        """Coefficients, variance and what makes a design, of least squares."""

        def design(f):
            return np.column_stack([*(f["site"] == d for d in dummies), f["age"], f["sex"] == "m"])

        beta, *_ = np.linalg.lstsq(design(old).astype(float), old["x"].to_numpy(), rcond=None)
        return beta, np.mean((old["x"] - design(old) @ beta) ** 2), design

    blocks = {name: fitted(frame[frame["site"] == name], name) for name in "ab"}
    for found, of in ((separate, blocks), (pooled, dict.fromkeys("ab", fitted(frame, "ab")))):
        for site, (beta, variance, design) in of.items():
            own = new[new["site"] == site]
            rest = own["x"] - design(own) @ beta
            exact = -0.5 * np.mean(rest**2) / variance - 0.5 * np.log(2 * np.pi * variance)
            assert found[site] == pytest.approx(exact, abs=1e-8)


def test_a_run_reads_and_draws_given_columns(main, tmp_path, capsys):
    planted((1.0, -1.0), (0.0, 2.0), 60).to_csv(tmp_path / "a.csv", index=False)
    data = [str(tmp_path / "a.csv"), "--source", "site", "--given", "age,sex"]
    run = tmp_path / "run"
    assert main(["train", *data, "--strategy", "separate", "--out", str(run)]) == 0
    draws = tmp_path / "draws.csv"
    assert main(["sample", str(run), "-n", "300", "--out", str(draws)]) == 0
    frame = pd.read_csv(draws)
    assert list(frame.columns) == ["site", "age", "sex", "x"]
    for site, slope in (("a", 1.0), ("b", -1.0)):
        own = frame[frame["site"] == site]
        assert np.polyfit(own["age"], own["x"], 1)[0] == pytest.approx(slope, abs=0.25)
    capsys.readouterr()
    assert main(["evaluate", str(run), str(draws), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["rows"] == 600


def test_draws_at_values(main, tmp_path, capsys):
    frame = planted((1.0, -1.0), (0.0, 0.0), 60)
    run = tmp_path / "run"
    sw.train(sw.read(frame, source="site", given=("age", "sex")), strategy="separate", out=run)
    here, there = (sw.sample(run, n=400, given={"age": age, "sex": "m"}).frame() for age in (0, 2))
    assert set(there["age"].round(9)) == {2.0}
    assert set(there["sex"]) == {"m"}
    for site, slope in (("a", 1.0), ("b", -1.0)):
        means = [f[f["site"] == site]["x"].mean() for f in (here, there)]
        assert means[1] - means[0] == pytest.approx(2 * slope, abs=0.25)
    for given, told in (
        ("age=1", "lacks one"),
        ("age=1,sex=m,z=1", "no given column 'z'"),
        ("age=1,sex=q", "the models do not know 'q'"),
    ):
        assert main(["sample", str(run), "--given", given]) == 2
        assert told in capsys.readouterr().err


def rows_of_a_file(path, **columns):
    frame = pd.DataFrame({"sex": ["m", "f", "m"], "age": [0.5, 2.0, -1.25]}).assign(**columns)
    frame.to_csv(path, index=False)
    return str(path)


def test_draws_at_the_rows_of_a_file(main, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "out.csv"
    data = sw.read(planted((1.0, -1.0), (0.0, 0.0), 60), source="site", given=("age", "sex"))
    sw.train(data, strategy="separate", out=run)
    own = rows_of_a_file(tmp_path / "own.csv", site=["b", "a", "b"], x=7)
    assert main(["sample", str(run), "--given", own, "--out", str(out)]) == 0
    found = pd.read_csv(out)
    assert found[["site", "sex", "age"]].to_numpy().tolist() == [
        ["b", "m", 0.5],
        ["a", "f", 2.0],
        ["b", "m", -1.25],
    ]
    every = rows_of_a_file(tmp_path / "every.csv")
    assert main(["sample", str(run), "--given", every, "-n", "2", "--out", str(out)]) == 0
    twice = pd.read_csv(out)
    assert twice["site"].tolist() == ["a"] * 6 + ["b"] * 6
    assert twice["age"].tolist() == [0.5, 0.5, 2.0, 2.0, -1.25, -1.25] * 2
    # A draw depends on its source and its row alone.
    assert twice["x"][[6, 2, 10]].tolist() == found["x"].tolist()
    part = sw.sample(run, sources=["b"], given=pd.DataFrame({"age": [0.5], "sex": ["m"]}))
    assert part.frame()["x"].tolist() == found["x"][:1].tolist()
    assert part.document["given_rows"] == part.document["n"] == 1
    assert "at 1 row of given columns" in str(part)
    capsys.readouterr()
    scores = sw.evaluate(run, sw.Sources(part.x, part.y, part.names))  # c is among the columns
    assert scores.document["data"]["rows"] == 1
    for name, columns, options, told in (
        ("a", {"sex": ["m", "q", "m"]}, [], "'sex': the models do not know 'q' (known: f, m)"),
        ("b", {"age": [1.0, 2.0, None]}, [], "'age' has no value in "),
        ("c", {"age": "old"}, [], "column 'age' holds text"),
        ("d", {"site": ["a", "a", "c"]}, [], "d.csv, line 4: no source 'c' (there are: a, b)"),
        ("e", {"site": "a"}, ["--source", "a"], "leave out --source"),
        ("f", {}, ["-n", "0"], "0 draws per row"),
    ):
        path = rows_of_a_file(tmp_path / f"{name}.csv", **columns)
        assert main(["sample", str(run), "--given", path, *options]) == 2
        said = capsys.readouterr().err.strip()
        assert told in said
        assert len(said.splitlines()) == 1
    (tmp_path / "g.csv").write_text("age,sex\n")
    (tmp_path / "h.csv").write_text("age\n1\n")
    (tmp_path / "i.csv").write_text("")
    for name, told in (
        ("g.csv", "holds no rows"),
        ("h.csv", "h.csv: no column 'sex' (there are: age)"),
        ("i.csv", "is empty"),
        ("no.csv", "no file"),
        ("age", "values are written A=VALUE"),
    ):
        assert main(["sample", str(run), "--given", str(tmp_path / name)]) == 2
        assert told in capsys.readouterr().err


def test_one_given_column_may_be_a_file_of_its_own(main, tmp_path):
    frame = planted((1.0, -1.0), (0.0, 0.0), 60)
    data = sw.read(frame, source="site", given="age", ignore=["sex"])
    sw.train(data, strategy="separate", out=tmp_path / "run")
    (tmp_path / "age.csv").write_text("age\n1.5\n-2\n0\n")
    out = tmp_path / "out.csv"
    args = ["--given", str(tmp_path / "age.csv"), "--source", "b", "--out", str(out)]
    assert main(["sample", str(tmp_path / "run"), *args]) == 0
    assert pd.read_csv(out)["age"].tolist() == [1.5, -2.0, 0.0]


def test_new_rows_with_strange_or_missing_given_values(main, tmp_path, capsys):
    run, new = tmp_path / "run", tmp_path / "new.csv"
    frame = planted((1.0, -1.0), (0.0, 0.0), 60)
    data = sw.read(frame, source="site", given=("age", "sex"))
    sw.train(data, strategy="separate", out=run)
    frame.assign(sex=["q"] * 3 + frame["sex"][3:].tolist()).to_csv(new, index=False)
    assert main(["evaluate", str(run), str(new)]) == 2
    assert "a category of 'sex' that training never saw (known: f, m)" in capsys.readouterr().err
    assert main(["evaluate", str(run), str(new), "--unknown", "skip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"]["rows"] == 3
    frame.assign(age=[None] * 2 + frame["age"][2:].tolist()).to_csv(new, index=False)
    assert main(["evaluate", str(run), str(new)]) == 2
    assert "'age' has no value in " in capsys.readouterr().err
    assert main(["evaluate", str(run), str(new), "--missing", "drop", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data"]["rows"] == 118
    assert "2 rows dropped for missing values of given columns" in found["warnings"]
    with pytest.raises(sw.InputError, match="read without given columns"):
        sw.evaluate(run, sw.read(frame, source="site", columns=("x",)))


def test_texts_are_drawn_and_written_with_what_is_given(main, tmp_path, capsys):
    rng = np.random.default_rng(0)
    stars = rng.integers(1, 6, 200)
    ends = rng.choice(list("!?.,"), (200, 5))  # hardly any text comes twice
    words = [
        ("good" if s > 3 else "bad") + "".join(end) for s, end in zip(stars, ends, strict=True)
    ]
    frame = pd.DataFrame({"shop": ["a", "b"] * 100, "stars": stars, "text": words})
    run, out = tmp_path / "run", tmp_path / "out.jsonl"
    data = sw.read(frame, source="shop", given=("stars",), types={"stars": "number"})
    how = {"updates": 150, "passes": 1, "batch": 50, "width": 16, "ema": 0.0}
    sw.train(data, strategy="pooled", out=run, set={**how, "learning_rate": 0.01})
    assert main(["sample", str(run), "-n", "50", "--out", str(out)]) == 0
    draws = [json.loads(line) for line in out.read_text().splitlines()]
    assert list(draws[0]) == ["shop", "stars", "text"]
    right = [row["text"].startswith("good") == (row["stars"] > 3) for row in draws]
    assert sum(right) > 90
    found = sw.sample(run, sources=["a"], n=20, given={"stars": 5})
    assert sum(row["text"].startswith("good") for row in found.plain()["a"]) > 17
    assert "stars" in str(found)
    capsys.readouterr()
    assert main(["evaluate", str(run), str(out), "--json"]) == 2  # JSON lines have texts alone
    found.frame().to_csv(tmp_path / "new.csv", index=False)
    capsys.readouterr()
    assert main(["evaluate", str(run), str(tmp_path / "new.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["rows"] == 20


def test_gaps_are_filled_in_by_given_columns():
    """Independent of c, fillings would draw slopes towards 0."""
    frame = planted((1.0, 1.0), (0.0, 0.0))
    noise = np.random.default_rng(0)
    frame["y"] = noise.normal(size=len(frame))
    frame.loc[noise.random(len(frame)) < 0.5, "x"] = np.nan
    data = sw.read(frame, source="site", given=("age", "sex"))
    trained = sw.train(data, strategy="pooled", missing="impute", set={"shrinkage": "none"})
    fitted = trained.models["pooled"]
    model, encoder, given = fitted.model.block(0), fitted.encoder, fitted.given
    assert isinstance(model, Gaussian)
    assert isinstance(encoder, NumericEncoder)
    assert model.slopes is not None
    assert given is not None
    slope = float(model.slopes[0, 0, 0] * encoder.scale[0]) / given.columns[0].scale
    assert slope == pytest.approx(1.0, abs=0.08)


def test_the_energy_distance_is_of_rows_with_what_is_given():
    frame = planted((1.0, -1.0), (0.0, 0.0), 100).drop(columns="sex")
    found = compared(frame, ("age",), metric="energy-distance")
    assert found.verdict["overall"] == "separate"


def test_energies_refuse_too_many_normalisers_before_they_train(monkeypatch):
    """They need none to be judged by draws."""
    monkeypatch.setattr("sourcewise.families.energy.normaliser.MOST_CONDITIONS", 64)
    frame = planted((1.0, -1.0), (0.0, 0.0), 70).assign(z=np.arange(140) % 7)
    quick = {"updates": 4, "passes": 1, "temperatures": 4, "particles": 16}
    options = {"model": "energy", "set": quick, "scope": "these models"}
    with pytest.raises(sw.InputError, match="different values of source and given columns"):
        compared(frame, **options)
    data = sw.read(frame, source="site", given=("age", "sex"))
    options = {"model": "energy", "set": quick, "metric": "energy-distance"}
    sw.train(data, **options, strategy="pooled")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--given", "agee"], "no column 'agee'"),
        (["--given", "site"], "it is the source, so it cannot be given"),
        (["--given", "age", "--columns", "age,x"], "it is in columns"),
        (["--given", "age", "--ignore", "age"], "it is left out by ignore"),
        (["--given", "age", "--model", "arm"], "arm takes no given columns (those that do: "),
        (["--given", "age,age"], "duplicate column names"),
        (["--given", "age,sex,x"], "no column left beside the source"),
        (["--given", ""], "--given '' names no column: write --given A,B or leave it out"),
        (["--given", "age", "--log", "age"], "--log age: it is a given column, which has no"),
        (
            ["--given", "age,sex", "--log", "age", "--model", "table"],
            "--log age: it is a given column, which has no density",
        ),
    ],
)
def test_what_cannot_be_given_is_one_line(main, tmp_path, capsys, options, told):
    planted((1.0, 1.0), (0.0, 0.0), 20).to_csv(tmp_path / "a.csv", index=False)
    args = ["compare", str(tmp_path / "a.csv"), "--source", "site", *options]
    assert main([*args, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip()
    assert told in said
    assert len(said.splitlines()) == 1


def test_given_dates_are_drawn_as_dates_that_are_read_again(main, tmp_path, capsys):
    rng, days = np.random.default_rng(0), pd.date_range("2015-01-01", periods=200).astype(str)
    frame = pd.DataFrame({"site": ["a", "b"] * 100, "t": rng.normal(size=200), "day": days})
    data, run = tmp_path / "data.csv", tmp_path / "run"
    frame.to_csv(data, index=False)
    sw.train(sw.read(data, source="site", given="day"), strategy="pooled", out=run)
    assert main(["sample", str(run), "--given", "day=2015-03-15", "-n", "2"]) == 0
    assert "2015-03-15" in capsys.readouterr().out
    assert main(["sample", str(run), "-n", "30", "--out", str(tmp_path / "draws.csv")]) == 0
    assert set(pd.read_csv(tmp_path / "draws.csv")["day"]) <= set(days)
    assert main(["evaluate", str(run), str(tmp_path / "draws.csv")]) == 0
    capsys.readouterr()
    for wrong, told in {
        "": "--given '' says nothing",
        "day=tomorrow": "--given day=tomorrow: that is no date such as 2024-05-31",
        "day=2015-01-01,day=2015-01-02": "--given: two values of 'day'",
    }.items():
        assert main(["sample", str(run), "--given", wrong]) == 2
        assert told in capsys.readouterr().err
    with pytest.raises(sw.InputError, match="given takes names of columns, not 1"):
        sw.read(frame, source="site", given=[1])  # pyright: ignore[reportArgumentType]
