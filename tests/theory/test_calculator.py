"""The document, table and curves of `sourcewise bound`, and the verb itself."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from sourcewise import cli
from sourcewise.errors import InputError
from sourcewise.report.bounds_plot import draw_docs_figures
from sourcewise.theory import arm, energy
from sourcewise.theory.calculator import LABELS, curves, document, table
from sourcewise.theory.cases import FAMILIES, build
from sourcewise.theory.gaussian.case import allocate
from sourcewise.theory.gaussian.localized import localized_for_counts
from sourcewise.theory.gaussian.partitions import asymptotic_tv, expected_tv
from sourcewise.theory.general import paper, refined

SIZES = {
    "gaussian": {"dim": 10, "specific": 5, "mean_bound": 5},
    "arm": {
        "vocabulary": 2,
        "length": 10,
        "embedding": 8,
        "width": 64,
        "depth": 3,
        "weight_bound": 1,
    },
    "energy": {"dim": 2, "embedding": 8, "width": 64, "depth": 3, "weight_bound": 1},
    "general": {"shared": 8, "specific": 2, "constant": 100},
}


def options(family: str, **more) -> dict:
    return {"sources": 5, "samples": 5000, **SIZES[family], **more}


@pytest.mark.parametrize("family", FAMILIES)
def test_documents_keep_the_contract(family):
    found = document(build(family, options(family, groups=5)), target=0.2)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["settings"]["family"] == family
    for name in ("pooled", "grouped", "separate"):
        values = found[name]
        assert values["refined"] <= values["simple"] <= values["paper"]
        assert values["asymptotic"] > 0
        assert ("localized" in values) == ("localized" not in found["reasons"])
        for form, detail in found["details"][name].items():
            assert detail["value"] == values[form]
            assert detail["vacuous"] == (values[form] >= 1)
    order = [found[name]["parameters"] for name in ("pooled", "grouped", "separate")]
    assert order == sorted(order)
    assert found["ratio"] == pytest.approx((order[0] / order[2]) ** 0.5, abs=1e-12)
    assert found["ratio_grouped"] == pytest.approx((order[1] / order[2]) ** 0.5, abs=1e-12)
    assert found["changes"][0]["name"] == "as it is"
    assert found["changes"][0]["pooled"] == found["pooled"]["refined"]
    # what the target needs by the law is far below what a bound needs
    sizes = found["sample_size"]["pooled"]
    assert sizes["asymptotic"] < sizes["refined"] <= sizes["simple"] <= sizes["paper"]


@pytest.mark.parametrize("K", [1, 5])
@pytest.mark.parametrize("S", [None, 500])
def test_networks_are_those_of_their_own_files(K, S):
    n = 10**7
    sizes = arm.Sizes(M=2, D=10, d_e=8, W=64, L=3, B=1, S=S)
    found = document(build("arm", options("arm", sources=K, samples=n, nonzeros=S)))
    assert found["pooled"]["paper"] == paper(arm.bracketing(sizes, K), n).value
    assert found["separate"]["refined"] == refined(arm.bracketing(sizes, K, K), n).value
    assert found["pooled"]["parameters"] == arm.m_pooled(sizes, K)
    assert found["beta"] == pytest.approx(sizes.beta, abs=1e-15)
    sizes = energy.Sizes(D=2, d_e=8, W=64, L=3, B=1, S=S)
    found = document(build("energy", options("energy", sources=K, samples=n, nonzeros=S)))
    assert found["separate"]["paper"] == paper(energy.bracketing(sizes, K, K), n).value
    assert found["pooled"]["refined"] == refined(energy.bracketing(sizes, K), n).value


def test_the_general_family_takes_the_number_as_given():
    found = document(build("general", options("general")))
    a = (18 * np.log(100 * 5000) + np.log(20)) / 5000  # log N(1/n) = m log(c n), m = 8 + 5 * 2
    assert found["pooled"]["paper"] == pytest.approx(3 * np.sqrt(a), abs=1e-12)


def test_unequal_shares():
    p = [0.1, 0.2, 0.7]
    found = document(build("gaussian", options("gaussian", sources=3, shares="0.1,0.2,0.7")))
    pooled, separate = found["pooled"], found["separate"]
    counts, apart = [500, 1000, 3500], [[0], [1], [2]]
    assert pooled["exact"] == expected_tv(p, 5000, 10, 5)
    assert separate["law"] == asymptotic_tv(p, 5000, 10, 5, apart)
    assert pooled["localized"] == localized_for_counts(counts, 10, 5, 5.0, p=p).value
    alone = localized_for_counts(counts, 10, 5, 5.0, p=p, blocks=apart).value
    assert separate["localized"] == alone
    places, lines = curves(build("gaussian", options("gaussian", sources=3, shares=p)), "n")
    at = places.index(5000)
    assert lines["separate"]["localized"][at] == alone


def test_groups_of_unequal_sizes_and_shares():
    p, blocks = [0.1, 0.2, 0.3, 0.1, 0.3], [[0, 1, 2], [3, 4]]
    case = build("gaussian", options("gaussian", groups="3,2", shares=p))
    found = document(case, target=0.2)
    grouped = found["grouped"]
    assert found["settings"]["groups"] == [3, 2]
    assert (grouped["blocks"], grouped["parameters"]) == (2, 35)
    assert grouped["exact"] == expected_tv(p, 5000, 10, 5, blocks)
    assert grouped["law"] == asymptotic_tv(p, 5000, 10, 5, blocks)
    counts = np.multiply(p, 5000)
    assert grouped["localized"] == localized_for_counts(counts, 10, 5, 5.0, 0.05, p, blocks).value
    for form in ("localized", "exact", "law", "parameters"):
        assert found["pooled"][form] < grouped[form] < found["separate"][form]
    for name, J in (("pooled", 1), ("grouped", 2), ("separate", 5)):
        n = found["sample_size"][name]["localized"]
        assert case.localized is not None
        assert case.localized(5, n, J).value <= 0.2 < case.localized(5, n - 1, J).value
    places, lines = curves(case, "n")
    assert lines["grouped"]["localized"][places.index(5000)] == grouped["localized"]
    assert "groups 3,2" in table(found, "")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_number_of_groups_is_as_even_as_it_can_be(family):
    found = document(build(family, options(family, groups="2")))
    assert found["settings"]["groups"] == [3, 2]
    assert found == document(build(family, options(family, groups="3,2")))
    # only the number of groups enters these
    other = document(build(family, options(family, groups=[1, 4])))["grouped"]
    for form in ("paper", "simple", "refined", "asymptotic", "parameters"):
        assert found["grouped"][form] == other[form]


@pytest.mark.parametrize("groups", ["5", "1,1,1,1,1", "1", [5]])
@pytest.mark.parametrize("shares", [None, [0.1, 0.2, 0.3, 0.1, 0.3]])
def test_the_extreme_groupings_are_pooled_and_separate(groups, shares):
    found = document(build("gaussian", options("gaussian", groups=groups, shares=shares)))
    same = "pooled" if len(found["settings"]["groups"]) == 1 else "separate"
    for form, value in found[same].items():
        assert found["grouped"][form] == pytest.approx(value, rel=1e-12)


def test_sources_without_an_example_are_spoken_of():
    found = document(build("gaussian", options("gaussian", samples=8)))
    share = 100 * 0.8**8  # each of five misses eight draws
    assert f"{share:.3g} % of them draw none" in found["reasons"]["exact"]
    assert found["reasons"]["exact"] in table(found, "")
    assert "exact" not in document(build("gaussian", options("gaussian")))["reasons"]


def test_a_share_too_small_for_an_example_has_no_localized_bound():
    case = build("gaussian", options("gaussian", shares=RARE, samples=20, groups="2,3"))
    found = document(case, target=0.5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for name in ("pooled", "grouped", "separate"):
        assert found[name]["localized"] is None
        assert found["sample_size"][name]["localized"] > 100
        assert 0 < found[name]["exact"] < 1
    assert "of share 0.01: --samples 100 or more" in found["reasons"]["localized"]
    assert found["reasons"]["localized"] in table(found, "")


def test_a_level_beyond_the_theorem_has_no_paper_form():
    found = document(build("gaussian", options("gaussian", delta=0.7)))
    assert found["pooled"]["paper"] is None
    assert "0.5" in found["reasons"]["paper"]
    assert found["pooled"]["refined"] < 1
    assert "paper      Theorem 3.2 is stated for delta up to 0.5" in table(found, "")


@pytest.mark.parametrize("over", ["n", "K"])
@pytest.mark.parametrize("family", FAMILIES)
def test_curves_pass_through_the_document(family, over):
    case = build(family, options(family, samples=10**6))
    found = document(case)
    places, lines = curves(case, over)
    at = places.index(10**6 if over == "n" else 5)
    for name, forms in lines.items():
        for form, values in forms.items():
            assert len(values) == len(places)
            assert values[at] == pytest.approx(found[name][form], rel=1e-12)


def test_the_table_marks_what_says_nothing():
    case = build("gaussian", options("gaussian", samples=500, groups=5))
    text = table(document(case, target=0.1), case.words)
    for part in ("3.0280 *", "2.3501 *", "0.9128", "0.1262", "0.7746", "5 groups", "478"):
        assert part in text
    assert "* says nothing" in text
    clear = build("gaussian", options("gaussian", samples=10**6))
    assert "*" not in table(document(clear), clear.words)


RARE = [0.01, 0.24, 0.25, 0.25, 0.25]
BAD = [
    ("--samples must be a whole number from 1 to 1e+15, got 0", "gaussian", {"samples": "0"}),
    ("--samples must be a whole number from 1 to 1e+15, got inf", "gaussian", {"samples": "inf"}),
    ("--sources must be a whole number from 1 to 1e+15, got 2.5", "gaussian", {"sources": "2.5"}),
    (
        "--sources must be a whole number from 1 to 1e+15, got x",
        "gaussian",
        {"sources": "x"},
    ),
    ("--specific must be at most --dim, 10, got 11", "gaussian", {"specific": "11"}),
    ("--delta must be above 0 and below 1, got 1", "gaussian", {"delta": "1"}),
    ("--delta must be above 0 and below 1, got nan", "gaussian", {"delta": "nan"}),
    ("--mean-bound must be above 0 and at most 1e+15, got 0", "gaussian", {"mean_bound": 0}),
    ("--groups must be at most --sources, 5, got 6", "gaussian", {"groups": 6}),
    ("--groups 3,3 must sum to --sources, 5, got 6", "gaussian", {"groups": "3,3"}),
    ("--groups 3,3 must sum to --sources, 5, got 6", "arm", {"groups": [3, 3]}),
    ("or the size of each group, A,B,C, got 3,,2", "gaussian", {"groups": "3,,2"}),
    ("--groups must be a whole number from 1 to 10000, or", "gaussian", {"groups": "2.5"}),
    ("--groups must be a whole number from 1 to 10000, or", "energy", {"groups": 0}),
    ("A,B,C, got []", "gaussian", {"groups": []}),
    ("A,B,C, got nan,5", "gaussian", {"groups": "nan,5"}),
    ("--shares must have one entry per source, 5, got 2", "gaussian", {"shares": ".5,.5"}),
    ("--shares must be positive numbers", "gaussian", {"shares": ".5,.6"}),
    ("--vocabulary is no option of bound gaussian", "gaussian", {"vocabulary": 3}),
    ("bound arm needs --length", "arm", {"length": None}),
    ("--vocabulary must be a whole number from 2", "arm", {"vocabulary": 1}),
    ("--width must be at least --length, 10, got 9", "arm", {"width": 9}),
    ("--nonzeros must be at most the network's entries, 4994", "arm", {"nonzeros": 4995}),
    ("--encoder must be one of per-position, shared, got Shared", "arm", {"encoder": "Shared"}),
    ("got .99999999999999999, which rounds to 1", "gaussian", {"delta": ".99999999999999999"}),
    ("got 1e-400, which rounds to 0", "gaussian", {"mean_bound": "1e-400"}),
    ("--width must be at least --dim", "energy", {"width": 9}),
    ("--weight-bound must be at least 1", "energy", {"weight_bound": 0.5}),
    ("--shared and --specific must not both be 0", "general", {"shared": 0, "specific": 0}),
]


@pytest.mark.parametrize(("message", "family", "change"), BAD)
def test_bad_options_are_named_with_their_range(message, family, change):
    with pytest.raises(InputError) as stop:
        build(family, options(family) | change)
    assert message in str(stop.value)
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("form", ["asymptotic", "refined"])
def test_a_sample_size_that_does_not_exist_has_a_reason(form):
    case = build("gaussian", options("gaussian"))
    found = document(case, target=1e-300)
    assert found["sample_size"]["pooled"][form] is None
    assert found["reasons"]["sample_size"] == "null stands for more than 1e+15 examples"
    assert "over 1e15" in table(found, "")
    assert "sample_size" not in document(case, target=0.1)["reasons"]


@pytest.mark.parametrize("bound", ["1e-307", "1e-320"])
def test_a_tiny_mean_bound_is_one_cell(bound):
    found = document(build("gaussian", options("gaussian", mean_bound=bound)))
    one_cell = document(build("gaussian", options("gaussian", mean_bound=1e-100)))
    assert found["pooled"] == one_cell["pooled"]


def run(monkeypatch, capsys, *arguments) -> tuple[int, str, str]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["sourcewise", "bound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def flags(family: str, **more) -> list[str]:
    pairs = options(family, **more).items()
    return [part for key, value in pairs for part in (f"--{key.replace('_', '-')}", str(value))]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_verb_prints_the_document_or_the_table(monkeypatch, capsys, family):
    case = build(family, options(family))
    code, out, err = run(monkeypatch, capsys, family, *flags(family), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == document(case)
    code, out, _ = run(monkeypatch, capsys, family, *flags(family))
    assert (code, out) == (0, table(document(case), case.words))


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
    ],
)
def test_the_verb_refuses_nonsense_in_one_line(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("over", ["n", "K"])
def test_the_verb_draws(monkeypatch, capsys, tmp_path, over):
    pages = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for page in pages:
        line = ["gaussian", *flags("gaussian"), "--plot", page, "--over", over]
        assert run(monkeypatch, capsys, *line)[0] == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert pages[0].read_text().count("<path") > 10


def test_the_docs_figures_draw(tmp_path):
    for page in draw_docs_figures(tmp_path):
        assert b"</svg>" in page.read_bytes()


def test_curves_hold_the_law_and_the_exact_expectation_for_any_number_of_sources():
    places, lines = curves(build("gaussian", options("gaussian")), "K")
    for K, J, name in ((8, 1, "pooled"), (8, 8, "separate")):
        for form, compute in (("law", asymptotic_tv), ("exact", expected_tv)):
            expected = compute([1 / K] * K, 5000, 10, 5 if J == 1 else 10)
            assert lines[name][form][places.index(K)] == pytest.approx(expected, rel=1e-9)


def test_the_plot_names_its_case_and_all_its_lines(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    seen = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: seen.append(figure))
    draw_docs_figures(tmp_path)
    axes, legend = seen[-1].axes[0], seen[-1].legends[0]
    assert axes.get_title(loc="left") == "gaussian: 5 sources, 5,000 examples, delta = 0.05"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("examples $n$", "average TV")
    _, lines = curves(build("gaussian", options("gaussian")), "n")
    named = {text.get_text() for text in legend.get_texts()}
    forms = {form.removeprefix("localized_") for form in lines["pooled"]}
    assert named == {*lines, *forms, "bounds", "to expect"}


def test_settings_are_resolved():
    assert build("arm", options("arm")).settings["encoder"] == "per position"
    assert build("arm", options("arm")).settings["nonzeros"] == 4994
    assert build("energy", options("energy", nonzeros=7)).settings["nonzeros"] == 7
    for family in FAMILIES:  # resolved settings are options, of the same case
        settings = build(family, options(family)).settings
        again = {name: value for name, value in settings.items() if name != "family"}
        assert build(family, again).settings == settings


def test_columns_never_touch():
    case = build("gaussian", options("gaussian", sources=10**15, samples=10**14))
    lines = table(document(case, target=1e-3), case.words).splitlines()
    named = (*LABELS, "parameters", "as it is", "2 x")
    rows = [
        line for line in lines if line.startswith(named) and re.search(r"\d{3}|e\+", line[44:])
    ]
    assert len(rows) > 10
    assert {line[at] for line in rows for at in (44, 57)} == {" "}


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


def test_the_verb_is_light():
    line = ["bound", "gaussian", *flags("gaussian"), "--json"]
    code = (
        f"import sys; sys.argv = ['sourcewise', *{line!r}]\n"
        "from sourcewise import cli\n"
        "try: cli.main()\n"
        "finally: print({'torch', 'pandas', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("n", [1, 5, 10, 97, 1000])
def test_allocated_counts_sum_to_the_sample_and_are_nearest(n):
    counts = allocate(RARE, n)
    assert counts.sum() == n
    assert np.abs(counts - np.multiply(RARE, n)).max() < 1
