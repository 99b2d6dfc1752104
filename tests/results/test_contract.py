"""Documents are written and read without loss; whatever is wrong in a file is one line."""

import copy
import json
import subprocess
import sys

import pytest

import sourcewise as sw
from sourcewise import cli
from sourcewise.documents import from_json
from sourcewise.errors import InputError
from sourcewise.files import read_json, write_json
from sourcewise.results.comparison import ComparisonResult, SourceResult
from sourcewise.results.contract import to_json
from sourcewise.results.evaluation import EvaluationResult
from sourcewise.results.read import read_comparison, read_result
from sourcewise.results.samples import SamplesResult
from sourcewise.results.training import TrainingResult


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A comparison in its folder."""
    path = tmp_path_factory.mktemp("runs") / "run"
    sw.compare(sw.read("wine"), seeds=1, out=path, model="gaussian")
    return path


@pytest.fixture(scope="module")
def document(run):
    return read_json(run / "result.json")


def test_every_document_is_read_back_as_it_was(run, document):
    trained = sw.train(sw.read("wine"), strategy="separate")
    for kind, found in (
        (ComparisonResult, document),
        (TrainingResult, trained.document),
        (EvaluationResult, sw.evaluate(run, sw.read("wine")).document),
        (SamplesResult, sw.sample(trained, n=1).document),
    ):
        written = json.loads(json.dumps(found, allow_nan=False))
        assert to_json(from_json(kind, written, "here")) == written == found


def test_keys_keep_their_order(document):
    assert list(to_json(from_json(ComparisonResult, document, "here"))) == list(document)
    strategy = document["strategies"]["pooled"]
    read = from_json(ComparisonResult, document, "here").strategies["pooled"]
    assert list(to_json(read)) == list(strategy)


def test_a_reason_stands_beside_null_and_nowhere_else():
    found = SourceResult(n_train=1.0, n_test=1.0, examples_seen=1.0, updates=0.0, metrics={})
    exact = {"n_train": 1.0, "n_test": 1.0, "examples_seen": 1.0, "updates": 0.0, "metrics": {}}
    assert to_json(found) == exact
    with_reason = exact | {"best": None, "best_reason": "the last"}
    assert to_json(from_json(SourceResult, with_reason, "here")) == with_reason
    assert to_json(from_json(SourceResult, exact | {"best": 3.0}, "here")) == exact | {"best": 3.0}


def test_keys_of_later_versions_do_no_harm(document):
    later = copy.deepcopy(document) | {"more": {"a": 1}}
    later["verdict"]["more"] = later["data"]["sources"][0]["more"] = [1]
    assert to_json(from_json(ComparisonResult, later, "here")) == document


def damaged(document, path, value):
    """The document with another value at a place."""
    found = copy.deepcopy(document)
    *way, last = path
    place = found
    for key in way:
        place = place[key]
    place[last] = value
    return found


def refusal(document) -> str:
    """What is said of a document that is no comparison; empty if it is one."""
    try:
        from_json(ComparisonResult, document, "here")
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("differences", 0, "low"), "a\nb", "differences.0.low: Input should be a valid number"),
        (("differences",), {}, "differences: Input should be a valid tuple"),
        (("strategies", "pooled"), 3, "strategies.pooled: "),
        (("strategies",), [1], "strategies: Input should be a valid dictionary"),
        (("metrics",), {}, "metrics lacks log_likelihood, the primary metric"),
        (("strategies", "pooled", "macro"), {}, "strategies.pooled lacks log_likelihood in macro"),
        (("primary_metric",), 3, "primary_metric: Input should be a valid string"),
        (("verdict",), None, "verdict: "),
        (("data", "sources", 1), {"name": "a"}, "it lacks data.sources.1.rows"),
        (("run",), "\x1b[2J", None),
    ],
)
def test_whatever_is_wrong_is_one_line(
    document, path, value, message, tmp_path, capsys, monkeypatch
):
    write_json(tmp_path / "result.json", damaged(document, path, value))
    monkeypatch.setattr(sys, "argv", ["sourcewise", "report", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    told = capsys.readouterr().err
    if message is None:
        assert not stop.value.code
        assert "\x1b" not in (tmp_path / "report.html").read_text()
        return
    assert stop.value.code == 2
    assert told.count("\n") == 1
    assert f"{tmp_path / 'result.json'} is damaged: " in told
    assert message in told


def test_any_key_may_hold_anything_and_still_there_is_one_line(document):
    """Every place in turn holds a value of another kind."""

    def places(value, path=()):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield (*path, key)
            if isinstance(item, dict | list) and "settings" not in path:
                yield from places(item, (*path, key))

    for path in places(document):
        for value in (None, "text", 3, [], {}, [None], {"a": None}):
            found = refusal(changed := damaged(document, path, value))
            assert found or str(sw.Comparison(from_json(ComparisonResult, changed, "here"), dict))
            assert "\n" not in found
            assert found.startswith("here is damaged: ") or not found


def test_other_runs_are_told_apart(tmp_path, run):
    trained = tmp_path / "trained"
    sw.train(sw.read("wine"), out=trained)
    assert isinstance(read_result(trained), TrainingResult)
    assert isinstance(read_comparison(run), ComparisonResult)
    with pytest.raises(InputError, match="is no comparison's result"):
        read_comparison(trained)
    with pytest.raises(InputError, match="no run folder"):
        read_result(tmp_path / "nowhere")


def test_a_report_from_files_needs_no_torch(run):
    code = (
        "import sys; from sourcewise.commands.report import report; from pathlib import Path; "
        f"report(Path({str(run)!r})); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").exists()


def test_a_recommendation_without_models_is_refused(document):
    changed = damaged(document, ("verdict", "recommended"), "poled")
    comparison = sw.Comparison(from_json(ComparisonResult, changed, "here"), dict)
    with pytest.raises(InputError, match="no strategy in this run 'poled': did you mean 'pooled'"):
        sw.sample(comparison)


def test_settings_that_models_need_are_checked_too(document):
    result = from_json(ComparisonResult, document | {"settings": {}}, "here")
    with pytest.raises(InputError, match="settings, is damaged: it lacks model"):
        _ = sw.Comparison(result, dict).settings
