"""`labels` whole: what is found, told, kept and refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise import cli
from sourcewise.errors import InputError
from sourcewise.files import read_json, read_tensors, write_tensors
from sourcewise.forms import Images, Ragged
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.suspects.prepare import LabelsSettings, prepare

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
GAUSSIAN = {"model": "gaussian", "seeds": 2}


@pytest.fixture
def sites(tmp_path) -> pd.DataFrame:
    """Three sites of 60 rows, and five labels of which are wrong: rows 5, 25, ... from 1."""
    rng = np.random.default_rng(0)
    k = np.arange(180) % 3
    frame = pd.DataFrame(
        {
            "site": np.array(["north", "south", "west"])[k],
            "dose": (rng.normal(size=180) + 6 * (k == 1)).round(3),
            "age": (rng.normal(size=180) + 6 * (k == 2)).round(3),
            "noise": rng.normal(size=180).round(3),
        }
    )
    for row in WRONG:
        frame.loc[row - 1, "site"] = {"north": "south", "south": "west", "west": "north"}[
            frame.site[row - 1]
        ]
    frame.to_csv(tmp_path / "sites.csv", index=False)
    return frame


WRONG = (5, 25, 60, 101, 180)


def test_wrong_labels_are_found_with_rows_of_the_file(sites, tmp_path):
    data = sw.read(tmp_path / "sites.csv", source="site")
    found = sw.labels(data, out=tmp_path / "run", **GAUSSIAN)
    flags = found.document["flags"]
    assert sorted(flag["row"] for flag in flags) == list(WRONG)
    truth = np.array(["north", "south", "west"])[np.arange(180) % 3]
    for flag in flags:
        assert flag["source"] == sites.site[flag["row"] - 1]
        assert flag["suggested"] == truth[flag["row"] - 1]
        assert flag["place"].endswith(f"sites.csv, line {flag['row'] + 1}")
        assert flag["low"] < flag["score"] < flag["high"]
        assert flag["probability"] >= 0.5
        tells = [item["column"] for item in flag["columns"]]
        assert "noise" not in tells[:1]
    scores = [flag["score"] for flag in flags]
    assert scores == sorted(scores, reverse=True)
    assert found.document == read_json(tmp_path / "run" / "result.json")
    expected = found.document["expected_precision"]
    assert 0.9 < expected["value"] <= 1
    assert expected["low"] <= expected["value"] <= expected["high"]
    assert found.document["expected_wrong"] == pytest.approx(5, abs=1)


def test_the_table_holds_every_label_most_suspect_first(sites, tmp_path):
    data = sw.read(tmp_path / "sites.csv", source="site")
    found = sw.labels(data, out=tmp_path / "run", **GAUSSIAN)
    table = pd.read_csv(tmp_path / "run" / "labels.csv")
    assert list(table) == [
        "row", "source", "suggested", "score", "low", "high", "probability", "flagged", "place",
    ]  # fmt: skip
    assert sorted(table.row) == list(range(1, 181))
    assert table.score.is_monotonic_decreasing
    flags = found.document["flags"]
    flagged = table[table.flagged == "yes"]
    assert flagged.row.tolist() == [flag["row"] for flag in flags]
    assert flagged.score.tolist() == [flag["score"] for flag in flags]
    scores = read_tensors(tmp_path / "run" / "scores.safetensors")["scores"]
    assert scores.shape == (2, 180, 3)


def test_the_same_seed_gives_the_same_result_in_memory_and_in_a_folder(sites, tmp_path):
    data = sw.read(tmp_path / "sites.csv", source="site")
    kept = sw.labels(data, out=tmp_path / "run", **GAUSSIAN).document
    assert sw.labels(data, **GAUSSIAN).document | {"run": kept["run"]} == kept
    assert sw.labels(data, seed=1, **GAUSSIAN).document["flags"] != kept["flags"]


def test_a_stopped_run_goes_on_where_it_was(sites, tmp_path, monkeypatch):
    from sourcewise.suspects import run

    data = sw.read(tmp_path / "sites.csv", source="site")
    whole = sw.labels(data, out=tmp_path / "whole", **GAUSSIAN)
    usual, calls = run.fold_scores, []

    def stops(*arguments):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(1)
        return usual(*arguments)

    monkeypatch.setattr(run, "fold_scores", stops)
    with pytest.raises(KeyboardInterrupt):
        sw.labels(data, out=tmp_path / "run", **GAUSSIAN)
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 4
    calls.clear()
    monkeypatch.setattr(run, "fold_scores", lambda *a: (calls.append(1), usual(*a))[1])
    again = sw.labels(data, out=tmp_path / "run", **GAUSSIAN)
    assert len(calls) == 6
    assert again.document | {"run": ""} == whole.document | {"run": ""}
    for name in ("labels.csv", "scores.safetensors"):
        kept, other = (tmp_path / place / name for place in ("run", "whole"))
        assert kept.read_bytes() == other.read_bytes()
    assert not (tmp_path / "run" / "cells").exists()


def test_other_flags_train_nothing(sites, tmp_path, monkeypatch):
    """And are those of a run that had them from the first."""
    from sourcewise.suspects import run

    data, kept = sw.read(tmp_path / "sites.csv", source="site"), tmp_path / "run"
    first = sw.labels(data, out=kept, **GAUSSIAN)
    expected = sw.labels(data, out=tmp_path / "few", probability=0.9, most=2, **GAUSSIAN)
    usual, calls = run.fold_scores, []
    monkeypatch.setattr(run, "fold_scores", lambda *a: (calls.append(1), usual(*a))[1])
    few = sw.labels(data, out=kept, probability=0.9, most=2, **GAUSSIAN)
    assert few.document | {"run": ""} == expected.document | {"run": ""}
    assert (len(few.document["flags"]), few.document["settings"]["most"]) == (2, 2)
    assert (kept / "labels.csv").read_bytes() == (tmp_path / "few" / "labels.csv").read_bytes()
    (kept / "labels.csv").unlink()  # as if it was killed while it wrote other flags
    with pytest.warns(UserWarning, match="labels.csv is not as it was written: made again"):
        assert sw.labels(data, out=kept, **GAUSSIAN).document == first.document
    assert not calls
    scores = read_tensors(kept / "scores.safetensors")["scores"]
    write_tensors(kept / "scores.safetensors", {"scores": scores + 1})
    with pytest.warns(UserWarning, match="scores.safetensors is not as it was written"):
        again = sw.labels(data, out=kept, most=2, **GAUSSIAN)
    assert len(calls) == 10
    assert again.document["flags"] == first.document["flags"][:2]


def test_the_command_prints_one_document(sites, tmp_path):
    arguments = ["labels", "sites.csv", "--source", "site", "--model", "gaussian", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "sourcewise.cli", *arguments, "--seeds", "2", "--out", "run"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert sorted(flag["row"] for flag in document["flags"]) == list(WRONG)
    assert {"row", "source", "suggested", "score"} <= document["flags"][0].keys()
    page = (tmp_path / "run" / "report.html").read_text()
    for flag in document["flags"]:
        assert f"sites.csv, line {flag['row'] + 1}" in page
    assert "dose" in page


def test_the_command_tells_plans_and_reports_again(sites, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["labels", "sites.csv", "--source", "site", "--model", "gaussian", "--seeds", "2"]

    def command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["sourcewise", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        return capsys.readouterr().out

    told = command(*options, "--out", "run")
    assert "5 of 180 labels suspect: wrong with probability 0.5 or more" in told
    assert "expected precision: " in told
    assert "line 6" not in told  # rows are numbers here; places stand in the table of all
    assert len(command(*options, "--out", "run", "--quiet").splitlines()) == 3
    assert json.loads(command(*options, "--dry-run", "--json"))["seconds"] > 0
    few = json.loads(command(*options, "--json", "--out", "few", "--most", "2"))
    assert few["flags"] == read_json(tmp_path / "run" / "result.json")["flags"][:2]
    command("report", "run", "--out", "again.html")
    assert Path("again.html").read_bytes() == Path("run/report.html").read_bytes()


def test_texts_are_shown_and_their_copies_vote(tmp_path):
    """Words of two alphabets; one word stands eight times, once with the wrong label."""
    noise, words, y = Noise(0), [], []
    for i in range(160):
        letters = "abcde" if i % 2 else "vwxyz"
        words.append("".join(letters[j] for j in noise.of(i).integers(5, 6).tolist()))
        y.append(i % 2)
    words += ["caddab"] * 8
    y += [1] * 7 + [0]
    y[3] = 0
    data = Sources(Ragged.of_strings(words), torch.tensor(y), ("late", "early"), name="words")
    small = {"width": 16, "layers": 1, "heads": 2, "passes": 8, "updates": 60, "batch": 32}
    found = sw.labels(data, seeds=1, set=small, out=tmp_path / "run")
    shown = {flag.row: flag.text for flag in found.result.flags}
    assert shown[4] == words[3]
    assert shown[168] == "caddab"
    assert found.result.model.copies is not None
    assert "caddab" in str(found)
    page = sw.report(found, tmp_path / "page.html").read_text()
    assert words[3] in page
    assert found.document["flags"][0]["low"] is None  # one division


@pytest.mark.slow
def test_images_are_judged_by_bounds_and_shown(tmp_path):
    """Bright and dark images of 4 x 4 pixels, by a small diffusion; one has the wrong label."""
    noise, n = Noise(0), 48
    y = torch.arange(n) % 2
    level = 60 + 130 * y[:, None, None, None]
    pixels = (level + 20 * noise.normal(n, 1, 4, 4)).clamp(0, 255).to(torch.uint8)
    y[10] = 1
    data = Sources(Images.of(pixels), y, ("dark", "bright"), name="lights")
    small = {"width": 8, "updates": 30, "passes": 1, "batch": 16}
    found = sw.labels(data, seeds=1, folds=2, set=small, out=tmp_path / "run")
    assert found.result.metric == "likelihood-bound"
    assert found.result.flags[0].row == 11
    page = sw.report(found, tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == len(found.result.flags)


def test_sources_of_few_rows_train_and_are_not_judged(sites, tmp_path):
    more = pd.concat([sites, sites.iloc[:4].assign(site="east")])
    more.iloc[-4:, 1:] += 0.001
    found = sw.labels(sw.read(more, source="site"), **GAUSSIAN).result
    east = next(source for source in found.sources if source.name == "east")
    assert (east.rows, east.expected_wrong) == (4, None)
    assert east.reason == "too few rows (4 rows; --min-rows 10)"
    assert found.data.judged == 180
    assert any("neither judged nor suggested" in note for note in found.warnings)
    assert all("east" not in (flag.source, flag.suggested) for flag in found.flags)


def test_nothing_suspect_says_so(tmp_path):
    y = torch.arange(100) % 2
    data = Sources(Noise(0).normal(100, 2) + 20 * y[:, None], y, "ab", name="clear")
    found = sw.labels(data, out=tmp_path / "run", **GAUSSIAN)
    assert found.result.flags == ()
    assert "0 of 100 labels suspect" in str(found)
    assert found.document["expected_precision"] == {
        "value": None, "low": None, "high": None, "reason": "nothing is flagged",
    }  # fmt: skip
    page = sw.report(found, tmp_path / "page.html").read_text()
    assert "None of 100 labels is suspect." in page


def two(n: int = 40, **more) -> Sources:
    y = torch.arange(n) % 2
    return Sources(Noise(0).normal(n, 2) + y[:, None], y, "ab", name="two", **more)


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (Sources(Noise(0).normal(20, 2), torch.zeros(20), "a"), {}, "has one source only .'a'"),
        (two(14), {}, "fewer than two sources can be judged .a: too few rows .7 rows; --min-rows"),
        (two(), {"strategy": "pooled,separate"}, "labels takes one of pooled, separate"),
        (two(), {"metric": "energy-distance"}, "no metric to score labels by 'energy-distance'"),
        (two(), {"folds": 1}, "setting folds"),
        (two(), {"probability": 1.0}, "setting probability"),
        (two(), {"model": "transformer"}, "the examples are no text"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(data, settings, message):
    with pytest.raises(InputError, match=message):
        sw.labels(data, **{"model": "gaussian", **settings})


def test_a_family_that_only_draws_cannot_judge(stranger):
    with pytest.raises(InputError, match="generator has no density of such data.*gaussian"):
        sw.labels(two(), model="generator")


def test_those_are_named_that_take_the_form_of_the_data(stranger):
    """Not the one that was refused, no families of texts for a table, nor of tables for texts."""
    with pytest.raises(InputError) as refused:
        sw.labels(two(), model="generator")
    told = str(refused.value).split("have: ")[1].rstrip(")").split(", ")
    assert {"gaussian", "table", "jko", "arm"} <= set(told)
    assert not {"generator", "transformer"} & set(told)
    texts = Sources(Ragged.of_strings(["ab", "cd"] * 20), torch.arange(40) % 2, "ab")
    with pytest.raises(InputError, match="those that have: transformer.$"):
        sw.labels(texts, model="generator")


def test_auto_leaves_no_setting_unread(sites):
    """Settings are of the first family that suits; only the data are a reason for another."""
    data = sw.read(sites, source="site")
    with pytest.raises(InputError, match="bins"):
        prepare(data, LabelsSettings(set={"bins": 8}))
    with pytest.raises(InputError, match="gaussian is fitted exactly"):
        prepare(data, LabelsSettings(strategy="fine-tuned"))


def test_auto_says_which_family_takes_gaps(sites):
    gaps = sites.copy()
    gaps.loc[[4, 24, 33], "noise"] = np.nan
    data = sw.read(gaps, source="site")
    ready = prepare(data, LabelsSettings())
    assert ready.job.family.name == "table"
    told = [note for note in ready.notes if note.startswith("the family is table, as gaussian")]
    assert len(told) == 1
    assert "missing values (noise 3; 180 rows)" in told[0]
    with pytest.raises(InputError, match="missing values"):  # no other has this setting
        prepare(data, LabelsSettings(set={"shrinkage": "none"}))
    assert prepare(sw.read(sites, source="site"), LabelsSettings()).job.family.name == "gaussian"


def test_of_trained_families_a_warning_says_that_intervals_are_too_wide(sites):
    """Not of exact ones, nor where scores have none."""
    data, told = sw.read(sites, source="site"), []
    small = {"updates": 2, "passes": 1, "width": 4, "layers": 1}
    told.append(sw.labels(data, model="table", set=small, folds=2, seeds=2).result.warnings)
    told.append(sw.labels(data, model="table", set=small, folds=2, seeds=1).result.warnings)
    told.append(sw.labels(data, **GAUSSIAN).result.warnings)
    found = [any("intervals of scores are wider" in note for note in notes) for notes in told]
    assert found == [True, False, False]


def test_a_warning_says_that_most_labels_look_drawn_anew():
    """Two sources 4 standard deviations apart, of whose labels two in five are wrong, or none."""
    noise, y = Noise(0), torch.arange(2000) % 2
    x = noise.of("x").normal(2000, 2) + torch.tensor([4.0, 0.0]) * y[:, None]
    wrong = noise.of("wrong").uniform(2000) < 0.4
    many = sw.labels(Sources(x, torch.where(wrong, 1 - y, y), "ab"), **GAUSSIAN).result
    none = sw.labels(Sources(x, y, "ab"), **GAUSSIAN).result
    assert any("were drawn anew, of 1 at most" in note for note in many.warnings)
    assert not any("drawn anew" in note for note in none.warnings)
    assert many.expected_wrong == pytest.approx(int(wrong.sum()), rel=0.1)


def test_a_run_of_labels_has_no_models(sites, tmp_path):
    sw.labels(sw.read(tmp_path / "sites.csv", source="site"), out=tmp_path / "run", **GAUSSIAN)
    with pytest.raises(InputError, match="holds a run without models .of 'labels'."):
        sw.load(tmp_path / "run")


def test_given_columns_stand_beside_the_rows(sites):
    data = sw.read(sites, source="site", given=["noise"])
    found = sw.labels(data, **GAUSSIAN)
    assert sorted(flag.row for flag in found.result.flags) == list(WRONG)


def test_gaps_are_filled_by_the_label_that_is_tried(sites):
    """A row with gaps is judged by what it has."""
    gaps = sites.copy()
    gaps.loc[[4, 24, 33], "noise"] = np.nan
    found = sw.labels(sw.read(gaps, source="site"), missing="impute", **GAUSSIAN)
    assert sorted(flag.row for flag in found.result.flags) == list(WRONG)
