"""The verb itself."""

import json
import re
import subprocess
import sys

import pytest

from sourcewise import cli
from sourcewise.bounds.registry import CLASSES, bound_class, build, options_of

from .conftest import flags, options


def run(monkeypatch, capsys, *arguments) -> tuple[int, str, str]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["sourcewise", "bound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


@pytest.mark.parametrize("family", CLASSES)
def test_help_says_which_class_takes_an_option(monkeypatch, capsys, family):
    monkeypatch.setenv("COLUMNS", "300")
    _, out, _ = run(monkeypatch, capsys, "-h")
    lines = {line.split()[1]: line for line in out.splitlines() if line.startswith("│ --")}
    for option in options_of(family):
        said = rf"\b{family}[a-z, ]*: {re.escape(option.help)}[;.]"
        assert re.search(said, lines[option.written])


@pytest.mark.parametrize("family", CLASSES)
def test_the_verb_prints_the_document_or_the_table(monkeypatch, capsys, family):
    case, kind = build(family, options(family)), bound_class(family).kind
    found = kind.answer(case, None)
    code, out, err = run(monkeypatch, capsys, family, *flags(family), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == found.to_json()
    code, out, _ = run(monkeypatch, capsys, family, *flags(family))
    assert (code, out) == (0, kind.text(found))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gausian"], "did you mean 'gaussian'"),
        (["gaussian", *flags("gaussian", samples=-5)], "--samples must be a whole number"),
        (["gaussian", *flags("gaussian"), "--target", "1"], "--target must be above 0"),
        (["gaussian", *flags("gaussian"), "--over", "K"], "give --plot FILE too"),
        (["gaussian", *flags("gaussian"), "--plot", "x.gif"], "must end in .svg, .png or .pdf"),
        (["gaussian", *flags("gaussian"), "--plot", "no/x.svg"], "there is no folder no"),
        (["gaussian", *flags("gaussian"), "--out", "no/x.json"], "there is no folder no"),
        (["gaussian", *flags("gaussian"), "--plot", "x.svg", "--over", "d"], "--over must be n"),
        (["sampling", *flags("sampling"), "--plot", "x.svg", "--over", "n"], "--over must be T"),
        (["sampling", *flags("sampling", steps=1)], "--steps must be a whole number from 2"),
        (["sampling", *flags("sampling"), "--target", "0"], "--target must be above 0"),
        (["jko", *flags("jko"), "--plot", "x.svg", "--over", "T"], "--over must be N"),
        (["jko", *flags("jko", lam=0)], "--lam must be above 0"),
        (["reflow", *flags("reflow", eps=-1)], "--eps must be at least 0"),
        (["reflow", *flags("reflow", gamma2=0, eps=0), "--plot", "x.svg"], "nothing to plot"),
        (["sampling", *flags("sampling"), "--sources", "2"], "--sources is no option of bound"),
    ],
)
def test_the_verb_refuses_nonsense_in_one_line(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("family", "over"),
    [("gaussian", "n"), ("gaussian", "K"), ("sampling", "T"), ("jko", "N"), ("reflow", "T")],
)
def test_the_verb_draws(monkeypatch, capsys, tmp_path, family, over):
    pages = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for page in pages:
        line = [family, *flags(family), "--plot", page, "--over", over]
        assert run(monkeypatch, capsys, *line)[0] == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert pages[0].read_text().count("<path") > 10


def test_dry_run_writes_nothing_and_out_writes_the_document(tmp_path, monkeypatch, capsys):
    def run(*more):
        line = ["gaussian", *flags("gaussian"), "--json", "--out", str(tmp_path / "b.json")]
        monkeypatch.setattr(sys, "argv", ["sourcewise", "bound", *line, *more])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        return json.loads(capsys.readouterr().out)

    planned = run("--dry-run")
    assert not list(tmp_path.iterdir())
    found = run()
    assert planned["settings"] == found["settings"]
    assert (planned["out"], planned["plot"]) == (str(tmp_path / "b.json"), None)
    assert [json.loads(file.read_text()) for file in tmp_path.iterdir()] == [found]


@pytest.mark.parametrize("family", ["gaussian", "sampling", "jko", "reflow"])
def test_the_verb_is_light(family):
    line = ["bound", family, *flags(family), "--json"]
    code = (
        f"import sys; sys.argv = ['sourcewise', *{line!r}]\n"
        "from sourcewise import cli\n"
        "try: cli.main()\n"
        "finally: print({'torch', 'pandas', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
