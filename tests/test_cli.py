import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sourcewise import cli
from sourcewise.files import read_json

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# Where neither family nor scope matters: one split is a twentieth of the work of all deletions.
QUICK = ("--model", "gaussian", "--scope", "these models")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder: whatever a command leaves behind shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def run(capsys, monkeypatch, *arguments) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sourcewise", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


@pytest.fixture
def command(capsys, monkeypatch, here):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


def table(path: Path, n: int = 60, **columns) -> Path:
    rng = np.random.default_rng(0)
    values = {"source": np.arange(n) % 2, "a": rng.normal(size=n), "b": rng.normal(size=n)}
    pd.DataFrame({**values, **columns}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("verb", ["compare", "train", "labels"])
def test_help_lists_what_is_built_in_and_all_families(command, verb):
    from sourcewise.families.registry import families
    from sourcewise.readers.registry import BUILT_IN

    _, out, _ = command(verb, "-h")
    words = re.findall(r"[a-z-]+", out)
    assert {*BUILT_IN, *families(), "auto"} <= set(words)


def test_bound_says_all_that_it_needs_at_once(command):
    code, _, err = command("bound", "energy", "--sources", 3)
    assert code == 2
    assert "needs --samples, --dim, --embedding, --width, --depth, --weight-bound (-h" in err


def test_a_dry_run_tells_what_the_data_warn_of(command, here):
    i = np.arange(60)
    table(here / "slow.csv", a=(0.01 * (i % 20) + 2 * (i % 3 == 0)).round(2), b=i % 9)
    options = ("--model", "energy", "--set", "rule=grid", "--source", "source", "--dry-run")
    code, out, _ = command("compare", "slow.csv", *options, "--json")
    assert code == 0
    assert any(w.startswith("the grid has 220^2 cells") for w in json.loads(out)["warnings"])


def test_sampled_rows_are_drawn_by_the_seed_and_told(command):
    plan = ("compare", "wine", "--sample-rows", 20, "--dry-run", "--json", "--model", "gaussian")
    prints = []
    for seed in (0, 0, 3):
        code, out, _ = command(*plan, "--seed", seed)
        assert code == 0
        document = json.loads(out)
        more = {"sample_seed": seed} if seed else {}
        assert document["settings"]["data"] == {"name": "wine", "sample_rows": 20, **more}
        prints.append(document["fingerprint"])
    assert prints[0] == prints[1] != prints[2]


def test_options_of_images_apply_to_no_table(command, here):
    table(here / "a.csv")
    for data, told in (("a.csv", "do not apply to a.csv: --size"), ("wine", "holds no images")):
        code, _, err = command("compare", data, "--size", 8)
        assert (code, err.count("\n")) == (2, 1)
        assert told in err


def test_every_header_can_be_named(command, here):
    rng = np.random.default_rng(0)
    names = ["Weight, kg", "BP (mmHg)", "x=y", " age "]
    columns = {name: rng.normal(size=60).round(2) for name in names}
    pd.DataFrame({"site": ["a", "b"] * 30, **columns}).to_csv(here / "a.csv", index=False)
    plain = ("compare", "a.csv", "--source", "site", "--dry-run", "--json", "--model", "gaussian")
    for options in (
        ("--columns", '"Weight, kg",BP (mmHg), x=y," age "'),
        [word for name in names for word in ("--columns", f'"{name}"')],
    ):
        code, out, err = command(*plain, *options)
        assert code == 0, err
        assert [column["name"] for column in json.loads(out)["columns"]] == names
    types = ("--types", '"Weight, kg"=category,x=y=category')
    _, out, _ = command(*plain, *types, "--model", "table")
    kinds = {column["name"]: column["kind"] for column in json.loads(out)["columns"]}
    assert kinds == dict(zip(names, ["category", "number"] * 2, strict=True))


def test_a_dry_run_shows_how_columns_were_read(command, here):
    rows = [f"{'ab'[i % 2]};{70 + i * i % 37},{i % 7};0{i % 3}" for i in range(80)]
    (here / "a.csv").write_text("\n".join(["site;w;code", *rows]))
    code, out, _ = command(
        "compare",
        "a.csv",
        "--source",
        "site",
        "--dry-run",
        "--ignore",
        "code",
        "--model",
        "gaussian",
    )
    assert code == 0
    assert re.search(r"w +0 +\d+  number +70,0 +numbers \(decimal comma\)", out)
    assert "'w': read as numbers (decimal comma)" in out.replace("''", "'")


def test_a_messy_export_ends_in_the_verdict_of_the_clean_one(command, here):
    """Semicolons, decimal commas, cp1252, detection limits, codes with zeros, comma in a name."""
    rng = np.random.default_rng(0)
    n = 120
    site = np.repeat(["Köln", "Bonn"], n // 2)
    x = rng.normal(size=(n, 2)).round(1) + 3 * (site == "Bonn")[:, None] + [70, 9]
    lines = ["Klinik;Gewicht, kg;CRP;PLZ"]
    for i in range(n):
        crp = "<0,6" if i % 20 == 0 else f"{x[i, 1]:.1f}".replace(".", ",")
        lines.append(f"{site[i]};{x[i, 0]:.1f};{crp};0{i % 7}123".replace(".", ","))
    (here / "messy.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    plain = (
        "compare",
        "messy.csv",
        "--source",
        "Klinik",
        "--seeds",
        1,
        "--json",
        *QUICK,
    )
    code, _, err = command(*plain)
    assert code == 2
    assert "say --encoding cp1252" in err
    code, _, err = command(*plain, "--encoding", "cp1252")
    assert code == 2
    assert "half the limit" in err
    assert """or --ignore CRP; --na '"<0,6"' takes them as missing""" in err
    assert "leaves out the smallest values and so biases results" in err
    more = ("--encoding", "cp1252", "--na", '"<0,6"', "--ignore", "PLZ")
    code, _, err = command(*plain, *more)
    assert code == 2
    assert "--missing" in err
    code, out, err = command(*plain, *more, "--missing", "drop")
    assert code == 0, err
    clean = pd.DataFrame({"site": site, "w": x[:, 0], "crp": x[:, 1]})[np.arange(n) % 20 != 0]
    clean.to_csv(here / "clean.csv", index=False)
    _, again, _ = command(
        "compare", "clean.csv", "--source", "site", "--seeds", 1, "--json", *QUICK
    )
    messy, plain_one = (json.loads(found) for found in (out, again))
    assert messy["verdict"]["overall"] == plain_one["verdict"]["overall"]
    gaps = [[row["difference"] for row in d["differences"]] for d in (messy, plain_one)]
    assert gaps[0] == pytest.approx(gaps[1])
    told = "are taken as missing in 6 of 120 rows (--na '\"<0,6\"'; columns 'CRP'; 3 of 60 rows of"
    (note,) = (note for note in json.loads(out)["warnings"] if told in note)
    assert "the smallest values are left out, which biases results" in note


def test_help_loads_nothing_heavy():
    """What --help takes is what it loads: the parser of options, what it draws with, and YAML."""
    code = (
        "import sys; sys.argv = ['sourcewise', '--help']; before = set(sys.modules)\n"
        "from sourcewise import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(loaded - sys.stdlib_module_names), sep=',')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.lstrip("_") for name in done.stdout.splitlines()[-1].split(",")}
    parser = {"typer", "click", "shellingham", "annotated_doc", "typing_extensions"}
    drawing = {"rich", "markdown_it", "mdurl", "pygments"}
    assert "sourcewise" in loaded
    more = {name for name in loaded if not name.startswith("cython_")}  # what YAML is built with
    assert more <= {"sourcewise", "yaml", *parser, *drawing}


@pytest.mark.parametrize(
    "verb", ["compare", "train", "sample", "evaluate", "labels", "reproduce", "report", "bound"]
)
def test_every_verb_explains_itself(command, verb):
    code, out, _ = command(verb, "-h")
    assert code == 0
    assert "--json" in out


def test_version(command):
    assert command("--version")[:2] == (0, "sourcewise 0.1.0\n")


def test_compare_by_default_answers_on_real_data(command, here):
    code, out, _ = command("compare", "--seeds", 1, "--budget", 0.1)
    assert code == 0
    assert "wine: 178 rows, 3 sources, 13 columns" in out
    assert "verdict: " in out
    assert "families on the same test rows" in out
    report = Path(out.splitlines()[-1].removeprefix("report: "))
    assert report.parent.parent == Path("runs")
    assert report.read_text().startswith("<!doctype html>")


def test_json_is_one_document_and_nothing_else(command):
    arguments = ("compare", "wine", "--seeds", 1, "--json", "--out", "run", *QUICK)
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["run"] == "run"
    code, again, _ = command(*arguments)
    assert (code, again) == (0, out)
    code, out, _ = command("report", "run", "--out", "again.html", "--json")
    assert json.loads(out) == {"run": "run", "report": "again.html"}
    assert Path("again.html").read_bytes() == Path("run/report.html").read_bytes()


def test_a_dry_run_writes_nothing(command, here):
    code, out, _ = command("compare", "wine", "--dry-run", "--json", "--model", "gaussian")
    planned = json.loads(out)
    assert code == 0
    assert planned["settings"]["model"] == "gaussian"
    assert planned["settings"]["set"]["shrinkage"] == "auto"
    assert planned["resolved"] == {"shrinkage": "predictive"}
    assert planned["seconds"] > 0
    assert list(here.iterdir()) == []
    code, out, _ = command("reproduce", "fig1", "--dry-run")
    assert code == 0
    assert "settings" in out
    assert list(here.iterdir()) == []


def test_all_options_reach_the_comparison(command, here):
    n = 60
    data = table(
        here / "data.csv",
        n,
        positive=np.exp(np.random.default_rng(1).normal(size=n)),
        word=["x", "y", "z"] * (n // 3),
        day=np.arange(n) // 3,
    )
    code, out, _ = command(
        "compare", data, "--source", "source", "--columns", "a,b,positive,word",
        "--ignore", "word", "--log", "positive", "--group", "day",
        "--set", "covariance=diagonal", "--set", "shrinkage=none",
        "--strategies", "pooled,separate,shuffled", "--seeds", 1, "--seed", 7,
        "--min-rows", 12, "--types", "a=number", "--json", *QUICK,
    )  # fmt: skip
    document = json.loads(out)
    assert code == 0
    assert [c["name"] for c in document["data"]["columns"]] == ["a", "b", "positive"]
    assert document["data"]["columns"][2]["log"]
    assert document["data"]["group"] == ["day"]
    settings = document["settings"]
    assert settings["set"]["covariance"] == "diagonal"
    assert (settings["seed"], settings["seeds"], settings["min_rows"]) == (7, 1, 12)
    assert (settings["model"], settings["scope"]) == ("gaussian", "these models")


def test_reproduce_without_a_name_lists_the_studies(command, here):
    from sourcewise.studies.registry import STUDIES

    code, out, _ = command("reproduce")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(STUDIES)
    code, out, _ = command("reproduce", "--json")
    assert [study["name"] for study in json.loads(out)["studies"]] == list(STUDIES)
    _, out, _ = command("reproduce", "-h")
    assert set(STUDIES) <= set(re.findall(r"[\w-]+", out))
    assert list(here.iterdir()) == []


def test_reproduce_keeps_its_result(command, here):
    arguments = ("reproduce", "fig1", "--seeds", 5, "--set", "spread_runs=50", "--out", "fig1")
    code, out, _ = command(*arguments)
    assert code == 0
    assert "0.0962" in out
    assert {"fig1.png", "fig1.svg", "result.json", "table.txt"} <= set(os.listdir("fig1"))
    code, out, _ = command(*arguments, "--json")
    document = json.loads(out)
    assert (document["name"], document["run"], len(document["cells"])) == ("fig1", "fig1", 30)


def test_reproduce_paper_estimator_uses_five_seeds(command, here):
    _, out, _ = command(
        "reproduce", "fig1", "--paper-estimator", "--set", "spread_runs=50", "--json"
    )
    assert json.loads(out)["settings"]["seeds"] == 5


BAD = [
    (["compare", "absent.csv"], "no file absent.csv"),
    (["compare", "wien"], "did you mean 'wine'"),
    (["compare", "absent.csv", "--device", "nope"], "no device 'nope' .allowed: auto, cpu"),
    (["compare", "data.csv", "--dry-run", "--device", "meta"], "no device 'meta'"),
    (["train", "data.csv", "--model", "gaussian", "--device", "cuda:99"], "device 'cuda:99'"),
    (["compare", "empty.csv"], "is empty"),
    (["compare", "data.csv", "--source", "sourse"], "did you mean 'source'"),
    (["compare", "data.csv", "--columns", "a,c"], "no column 'c' .there are: source, a, b"),
    (["compare", "data.csv", "--ignore", "a,b"], "no column left"),
    (["compare", "one.csv"], "one source only"),
    (["compare", "data.csv", "--min-rows", "100"], "fewer than two sources can be tested"),
    (["compare", "infinite.csv"], "holds 1 infinite value"),
    (["compare", "missing.csv"], "missing values .a 1; 60 rows.: --missing drop"),
    (["compare", "text.csv", "--model", "gaussian"], "text columns 'w'.*--ignore w"),
    (["compare", "mixed.csv"], "holds text among its numbers"),
    (["compare", "twice.csv"], "duplicate column names"),
    (["compare", "bad.parquet"], "damaged"),
    (["compare", "bad.npz"], "damaged"),
    (["compare", "constant.csv"], "no usable column left"),
    (["compare", "data.csv", "--log", "a"], "not above 0"),
    (["compare", "data.csv", "--model", "gausian"], "did you mean 'gaussian'"),
    (["compare", "data.csv", "--set", "shrink=1"], "did you mean 'shrinkage'"),
    (["compare", "data.csv", "--set", "shrinkage"], "write KEY=VALUE"),
    (["compare", "data.csv", "--strategies", "poled,separate"], "did you mean 'pooled'"),
    (["compare", "data.csv", "--strategies", "separate,groups:0+3"], "no source '3'"),
    (
        ["compare", "data.csv", "--seeds", "0"],
        "setting seeds: not 0 .allowed: a whole number in ",
    ),
    (
        ["compare", "data.csv", "--model", "table", "--set", "batch=0"],
        "allowed: a whole number in .1, 10000000., or all",
    ),
    (["compare", "empty.txt"], "empty.txt is empty"),
    (["compare", "data.csv", "--out", "data.csv/run"], "cannot write the run folder"),
    (["compare", "data.csv", "--out", "occupied"], "not empty and holds no run"),
    (["report", "nowhere"], "no run folder nowhere"),
    (["train", "data.csv", "--strategy", "pooled,separate"], "train takes one of pooled"),
    (["train", "data.csv", "--strategy", "poled"], "did you mean 'pooled'"),
    (["train", "data.csv", "--set", "shrink=1"], "did you mean 'shrinkage'"),
    (["train", "data.csv", "--out", "occupied"], "not empty and holds no run"),
    (["train", "data.csv", "--out", "data.csv/run"], "cannot write the run folder"),
    (["train", "data.csv", "--model", "arm"], "this family takes whole numbers"),
    (["sample", "nowhere"], "no run folder nowhere"),
    (["sample", "occupied"], "occupied holds no run"),
    (["evaluate", "occupied", "data.csv"], "occupied holds no run"),
    (["evaluate", "nowhere", "data.csv", "--missing", "guess"], "allowed are refuse, drop"),
    (["compare", "huge.csv"], "values that are above 1e"),
    (["compare", "data.csv", "--set", "specific=5"], "at most the 2 columns"),
    (["reproduce", "fig2"], "did you mean 'fig1'"),
    (["reproduce", "fig1", "data.csv", "--source", "source"], "takes no DATA"),
    (["reproduce", "crossing"], "needs DATA"),
    (["reproduce", "fig1", "--set", "sedes=3"], "did you mean 'seeds'"),
]


@pytest.fixture
def bad_files(here):
    table(here / "data.csv")
    (here / "empty.csv").write_text("")
    (here / "empty.txt").write_text("\n")
    table(here / "huge.csv", a=[1e200, *range(59)])
    table(here / "one.csv", source=["only"] * 60)
    table(here / "infinite.csv", a=[np.inf] + [1.0] * 59)
    table(here / "missing.csv", a=[np.nan, *range(59)])
    table(here / "text.csv", w=["x", "y", "z"] * 20)
    table(here / "mixed.csv", a=["oops", *map(str, range(59))])
    (here / "twice.csv").write_text("source,a,a\n0,1,2\n")
    (here / "bad.parquet").write_bytes(b"PAR1")
    (here / "bad.npz").write_bytes(b"PK\x03\x04")
    table(here / "constant.csv", a=[1.0] * 60, b=[0.0, 1.0] * 30)
    (here / "occupied").mkdir()
    (here / "occupied" / "thesis.tex").write_text("years of work")
    return sorted(str(path) for path in here.rglob("*"))


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_line_and_writes_nothing(command, here, bad_files, arguments, message):
    code, out, err = command(*arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert re.search(message, err)
    assert sorted(str(path) for path in here.rglob("*")) == bad_files


USAGE = [
    (["compare", "wine", "--seedz", 3], "--seedz"),
    (["compare", "wine", "--seeds", "abc"], "--seeds"),
    (["compare", "wine", "extra"], "extra"),
    (["compar", "wine"], "compar"),
    (["reproduce", "fig1", "--source", "x"], "need DATA"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=str)
def test_bad_usage_is_one_line(command, here, arguments, message):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err
    assert list(here.iterdir()) == []


def test_too_many_columns_for_a_family_are_refused_before_anything_is_fitted(
    command, here, monkeypatch
):
    monkeypatch.setattr("sourcewise.comparison.prepare.evaluate_cell", None)
    frame = pd.DataFrame({f"c{j}": np.arange(60) * j % 2003 for j in range(1, 2002)})
    frame.assign(source=["a", "b"] * 30).to_csv("wide.csv", index=False)
    code, _, err = command("compare", "wide.csv")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "wide: 2001 columns to model, and this family takes at most 2000" in err


def test_an_identifier_as_source_is_refused_quickly(command, here):
    n = 500_000
    pd.DataFrame({"id": np.arange(n), "x": np.zeros(n)}).to_csv("ids.csv", index=False)
    start = time.process_time()
    code, _, err = command("compare", "ids.csv", "--source", "id", "--model", "gaussian")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "500000 different values in 500000 rows" in err
    assert time.process_time() - start < 7.5


def test_another_run_in_the_folder_is_kept_unless_overwritten(command, here):
    arguments = ("compare", "wine", "--seeds", 1, "--out", "run", *QUICK)
    assert command(*arguments)[0] == 0
    before = Path("run/results.csv").read_bytes()
    code, _, err = command(*arguments, "--seed", 1)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "holds another run (settings.seed differ)" in err
    assert Path("run/results.csv").read_bytes() == before
    code, _, _ = command(*arguments, "--seed", 1, "--overwrite")
    assert code == 0
    assert Path("run/results.csv").read_bytes() != before


def test_a_model_is_trained_sampled_and_evaluated(command, here):
    data = table(here / "data.csv", group=["x", "y", "z"] * 20)
    options = ("--source", "source", "--ignore", "group", "--set", "shrinkage=none")
    energy = ("--source", "source", "--ignore", "group", "--model", "energy")
    code, planned, _ = command("train", data, *energy, "--dry-run", "--json")
    assert json.loads(planned)["resolved"]["objective"] == "likelihood"
    code, planned, _ = command("train", data, *options, "--dry-run", "--json")
    assert (code, json.loads(planned)["settings"]["strategy"]) == (0, {"pooled": [["0", "1"]]})
    assert json.loads(planned)["seconds"] >= 0
    assert sorted(os.listdir()) == ["data.csv"]
    code, out, err = command("train", data, *options, "--strategy", "separate", "--out", "run")
    assert (code, err) == (0, "")
    assert "gaussian, separate: 2 models" in out
    assert out.splitlines()[-1] == "run: run"
    code, again, _ = command(
        "train", data, *options, "--strategy", "separate", "--out", "run", "--json"
    )
    assert json.loads(again) == read_json(Path("run/result.json"))
    code, out, err = command("sample", "run", "-n", 2, "--source", "1", "--json")
    document = json.loads(out)
    assert (code, err, list(document["samples"])) == (0, "", ["1"])
    assert [sorted(row) for row in document["samples"]["1"]] == [["a", "b"]] * 2
    code, out, _ = command("sample", "run", "-n", 30, "--out", "new.csv")
    assert (code, out) == (0, "60 samples: new.csv\n")
    code, out, _ = command("evaluate", "run", "new.csv", "--json", "--out", "scores.json")
    document = json.loads(out)
    assert document == json.loads(Path("scores.json").read_text())
    assert document["strategies"]["separate"]["per_source"]["0"]["n_test"] == 30
    code, out, _ = command("evaluate", "run", "new.csv")
    assert "scope: these models on these rows" in out
    more = Path("new.csv").read_text() + "2,0.5,0.5\n"
    Path("more.csv").write_text(more)
    code, out, err = command("evaluate", "run", "more.csv")
    assert (code, out) == (2, "")
    assert "'2' (more.csv, line 62); --unknown skip leaves these rows out" in err
    code, out, _ = command("evaluate", "run", "more.csv", "--unknown", "skip", "--json")
    assert json.loads(out)["skipped"]["rows"] == 1
    assert json.loads(out)["strategies"] == document["strategies"]
    code, out, _ = command("evaluate", "run", "new.csv", "--dry-run", "--json")
    assert json.loads(out)["reading"]["columns"] == ["a", "b"]
    code, out, _ = command("sample", "run", "--dry-run")
    assert "strategy: separate" in out
    for arguments, message in (
        (("sample", "run", "--source", "2"), "no source '2'"),
        (("sample", "run", "--strategy", "pooled"), "no strategy in this run 'pooled'"),
        (("sample", "run", "--out", "new.doc"), "samples go to .csv"),
        (("sample", "run", "--set", "temperature=2"), "has no options of drawing"),
        (("evaluate", "run", "absent.csv"), "no file absent.csv"),
        (("evaluate", "run", "new.csv", "--unknown", "drop"), "allowed are refuse, skip"),
    ):
        code, out, err = command(*arguments)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert message in err


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys, monkeypatch):
    from sourcewise.commands import progress

    now = iter([0.0, 10.0, 29.0, 31.0, 40.0, 200.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with progress.Progress("training") as told:
        assert told is not None
        for done in (10, 20, 31, 40, 100):
            told(done, 100)
    assert capsys.readouterr().err == "training: 31 %, about 2 minutes left\n"


def test_a_failure_is_one_line_with_exit_code_1(command, monkeypatch):
    from sourcewise.families.gaussian.closed_form import Solution

    def broken(self, batch, noise):
        return batch.tensor[:, 0] * float("nan")

    monkeypatch.setattr(Solution, "log_density", broken)
    code, _, err = command("compare", "wine")
    assert code == 1
    assert err.startswith("failed: FloatingPointError: pooled")
    assert len(err.splitlines()) == 1


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "sourcewise.cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )


def test_killed_and_run_again_gives_the_same_bytes(here):
    """SIGKILL at three random moments of one comparison, of 42 cells."""
    arguments = ("compare", "wine", "--model", "gaussian", "--seeds", 2)
    arguments += ("--strategies", "pooled,separate,shuffled")
    whole = start(*arguments, "--out", "whole")
    assert whole.wait() == 0
    killed = 0
    rng = np.random.default_rng()
    for wanted in sorted(rng.integers(1, 22, size=3).tolist()):
        process = start(*arguments, "--out", "killed")
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((here / "killed" / "cells").glob("[0-9]*"))) >= wanted:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        killed += process.wait() == -signal.SIGKILL
        if process.stderr:
            process.stderr.close()
    assert killed == 3
    last = start(*arguments, "--out", "killed")
    assert last.wait() == 0
    for process in (whole, last):
        if process.stderr:
            process.stderr.close()
    for name in ("results.csv", "scores.safetensors"):
        assert (here / "killed" / name).read_bytes() == (here / "whole" / name).read_bytes()
    documents = [read_json(here / n / "result.json") for n in ("killed", "whole")]
    assert documents[0] | {"run": ""} == documents[1] | {"run": ""}
    assert not list((here / "killed").rglob(".*"))  # nothing half-written is left


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_that_it_goes_on(tmp_path, sign):
    command = [sys.executable, "-m", "sourcewise.cli", "compare", "breast-cancer", "--seeds", "50"]
    command += ["--model", "gaussian"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "config.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sign)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + sign
    assert told.strip() == "interrupted; the same command goes on where this one stopped"


def test_sigterm_leaves_a_checkpoint(tmp_path):
    """Of a training whose own checkpoints are an hour apart; the next run goes on from it."""
    table(tmp_path / "a.csv", n=200)
    options = ["--model", "table", "--set", "updates=100000", "--set", "patience=0"]
    command = [sys.executable, "-m", "sourcewise.cli", "train", str(tmp_path / "a.csv"), *options]
    run = tmp_path / "run"
    process = subprocess.Popen(
        [*command, "--checkpoint", "3600", "--out", str(run)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(run.rglob("log.csv")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert list(run.rglob("checkpoint-*.safetensors"))


def test_what_may_not_be_read_is_one_line_and_exit_2(unprivileged, capsys, monkeypatch):
    """Data, and what a run folder holds, for a user whom permissions bind."""
    arguments = ("compare", "--seeds", 1, "--out", "run", *QUICK)
    assert run(capsys, monkeypatch, *arguments)[0] == 0
    Path("a.csv").write_text("source,x\n")
    closed = [Path("a.csv"), Path("run/config.yaml"), Path("run/result.json")]
    weights = next(Path("run/models").glob("*/model.safetensors"))
    Path("run").chmod(0o777)
    unprivileged()
    for path, words in (
        (closed[0], ["compare", "a.csv"]),
        (closed[1], arguments),
        (closed[2], ["report", "run"]),
        (weights, ["evaluate", "run", "wine"]),
        (weights.parent, ["sample", "run", "-n", "1"]),
        (Path("run"), ["report", "run"]),
    ):
        mode = path.stat().st_mode
        _as_root(path.chmod, 0)
        code, out, err = run(capsys, monkeypatch, *words)
        _as_root(path.chmod, mode)
        assert (code, out, err.count("\n")) == (2, "", 1), (path, err)
        assert "Permission denied" in err, (path, err)


def _as_root(act, *arguments):
    """Do something as the user whom this process is, not as the one that it plays."""
    playing, real = os.geteuid(), os.getuid()
    os.seteuid(real)
    act(*arguments)
    os.seteuid(playing)


READS_AHEAD = """
import time
import pyarrow.csv
from sourcewise import cli

class Slow:
    closed, reads = False, 0

    def read(self, size=-1):
        self.reads += 1
        time.sleep(self.reads > 1)
        return b"a,b\\n" * 1000

def main():
    global reader
    options = pyarrow.csv.ReadOptions(use_threads=False, block_size=1000)
    reader = pyarrow.csv.open_csv(Slow(), options)
    reader.read_next_batch()
    print("said")
    raise SystemExit(2)

cli.main = main
cli.run()
"""


def test_a_library_that_reads_ahead_does_not_abort_the_end():
    """Arrow's thread asks for Python when there is none any more, unless the end is ours."""
    ended = subprocess.run([sys.executable, "-c", READS_AHEAD], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "said\n", "")
