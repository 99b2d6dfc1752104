import copy
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

import sourcewise
from sourcewise.errors import InputError
from sourcewise.report import html, report
from sourcewise.report.html import write_report

from .conftest import UNIT, typed, wine

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Tags, attributes and visible text of a page; checks that tags are balanced."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def render(document: dict[str, Any]) -> str:
    """The page of a document as it is read from a file."""
    return html.render(typed(document))


def headings(html: str) -> list[str]:
    return re.findall(r'<h2 id="(\w+)">', html)


def test_the_parts_stand_in_order(result):
    page = render(result)
    assert headings(page) == [
        *("warnings", "macro", "forest", "differences", "levels", "data"),
        *("budgets", "seeds", "beta", "details", "reading"),
    ]
    assert page.startswith("<!doctype html>")
    assert "similarity" not in page.lower()


def test_the_answer_is_told_in_words(result):
    text = Page(render(result)).text
    for words in (
        "Train one model for all sources.",
        result["verdict"]["reason"],
        "3 sources with 177 rows in all. Source by source: 1 pool, 1 equivalent, 1 undecided.",
        "+0.80 nats per row (95 % interval 0.10 to 1.50)",
        "would decide: about 3.1 times the rows",
        "← favours separate",
        "favours pooled →",
        "β̂ = 0.40",
        "constant in source 'class_0'",
        "ab12cd34ef56",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("overall", "recommended", "headline"),
    [
        ("pool", "groups", "Use groups."),
        ("separate", "groups", "Use groups."),
        ("undecided", "pooled", "These data do not decide it; they lean to pooled (100 % sure)."),
        ("separate", "separate", "Train one model per source."),
        ("equivalent", "pooled", "Either will do"),
        ("mixed", "separate", "It depends on the source."),
        ("a later word", "pooled", "What was found."),
    ],
)
def test_each_verdict_has_its_headline(result, overall, recommended, headline):
    result["verdict"] |= {"overall": overall, "recommended": recommended}
    assert f"<h1>{headline}" in render(result)


def test_rows_far_out_are_told_beside_what_the_others_say(result):
    average = next(d for d in result["differences"] if d["source"] == "macro")
    result["far_out"] = {
        "rows": 3,
        "per_source": {"class_0": 3},
        "verdict": "separate",
        "differences": [average],
    }
    result["verdict"]["condition"] = "with 3 rows far out, " + 90 * "x"
    page = render(result)
    assert "they may be far too narrow" in page
    assert "Without them" in page
    assert '<h1 class="long">With 3 rows far out' in page
    del result["far_out"]["verdict"], result["far_out"]["differences"]
    result["far_out"]["verdict_reason"] = "trained models are not trained again without them"
    assert "Trained models are not trained again" in render(result)


def test_undecided_says_what_would_decide(result):
    result["verdict"]["overall"] = "undecided"
    result["differences"][0]["would_decide"] = "about 9 times the rows"
    assert "What would decide about 9 times the rows" in Page(render(result)).text


def test_undecided_without_a_number_promises_none(result):
    result["verdict"]["overall"] = "mixed"
    for d in result["differences"]:
        d["would_decide"] = None
    assert "What would decide" not in Page(render(result)).text


def test_text_from_data_is_shown_not_run(many):
    hostile = "<script>alert(1)</script>"
    many["warnings"] = [hostile]
    many["run"] = many["estimand"] = many["verdict"]["reason"] = hostile
    many["data"]["name"] = many["data"]["missing"] = "</title><style>"
    many["metrics"]["log_likelihood"]["unit"] = hostile
    many["data"]["columns"][0]["name"] = '"><img src=x onerror=alert(1)>'
    many["settings"][hostile] = {hostile: [hostile]}
    many["versions"][hostile] = hostile
    page = Page(render(many))
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "img", "iframe", "object", "foreignobject"} & set(tags)
    assert tags.count("style") == 1
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert page.texts.count(hostile) >= 5
    assert "<script>document.title='ran'</script>" in page.texts


def test_nothing_is_fetched(many):
    text = render(many)
    page = Page(text)
    assert not re.search(r"https?:|@import|\burl\((?!#)", text)
    for _, attributes in page.tags:
        assert "src" not in attributes
        for key in ("href", "xlink:href"):
            assert (attributes.get(key) or "#").startswith(("#", "data:,"))


def test_160_sources_and_3_strategies_stay_small(many):
    assert len(many["strategies"]) == 3
    assert len(render(many).encode()) < 1_000_000


def test_the_same_result_gives_the_same_bytes(many, tmp_path):
    write_report(typed(many), tmp_path / "a.html")
    write_report(typed(json.loads(json.dumps(many))), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def paths(value, path=()):
    """Every place in a nested document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items if isinstance(value, dict | list) else ():
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from paths(item, (*path, key))


def at(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


def refusal(document) -> str:
    """What is said of a document that is no comparison; empty if it is one."""
    try:
        typed(document)
    except InputError as error:
        return str(error)
    return ""


def test_a_missing_key_is_named_or_not_needed(result, monkeypatch):
    """Each key is left out in turn: the page is whole, or one line says which key there is not."""
    # The plot of such documents is drawn in test_forest.py.
    monkeypatch.setattr("sourcewise.report.html.save", lambda *_, **__: b"<svg/>")
    needed = set()
    for path in paths(result):
        if isinstance(path[-1], str):
            document = copy.deepcopy(result)
            del at(document, path)[path[-1]]
            if message := refusal(document):
                needed.add(path[-1])
                assert str(path[-1]) in message
                assert "\n" not in message
            else:
                Page(render(document))
    assert {"verdict", "differences", "low", "macro"} <= needed
    assert not needed & {"condition", "region", "still_improving", "seed", "log"}


def test_absent_parts_have_no_heading(result):
    for key, heading in (("warnings", "warnings"), ("differences", "forest")):
        document = copy.deepcopy(result) | {key: []}
        assert heading not in headings(render(document))
    assert "seeds" not in headings(render(result | {"splits": {}}))
    result["later"] = {"unknown": [1]}
    result["strategies"]["pooled"]["later"] = 1  # keys added later do no harm
    assert render(result)


NULLABLE = {"difference", "low", "high", "standard_error", "df", "p", "p_holm", "mean", "value"}


def nulled(value):
    """The document with every number null that may be, with a reason where there is room."""
    if isinstance(value, dict):
        kept = {key: None if key in NULLABLE else nulled(item) for key, item in value.items()}
        return kept | ({"reason": "no value here"} if "value" in value else {})
    return [nulled(item) for item in value] if isinstance(value, list) else value


def test_null_is_never_shown(result):
    text = Page(render(nulled(result))).text
    assert not re.search(r"\b(None|null|nan|NaN|inf|True|False)\b", text)
    assert "β̂ not available: no value here" in text
    assert "class_0 pool – – –" in text


def test_not_a_number_is_never_shown(result):
    result["differences"][1]["low"] = float("nan")
    result["beta_hat"]["value"] = float("inf")
    assert not re.search(r"\b(nan|inf)\b", Page(render(result)).text)


def test_beta_hat_is_never_clipped(result):
    result["beta_hat"] = {"value": -0.31, "low": -0.9, "high": 1.42}
    text = Page(render(result)).text
    assert "β̂ = −0.31" in text
    assert "−0.90 to 1.42" in text
    assert "as here" in text


def test_harm_is_read_from_beta_hat(result):
    result["beta_hat"] = {"value": -406.0, "low": -900.0, "high": 2.0, "reading": "harm: it is"}
    assert "as here, says harm: it is" in Page(render(result)).text


def test_missing_values_of_their_own_are_counted(result):
    result["data"]["columns"][0]["missing"] = True
    result["data"]["missing_cells"] = 289
    text = Page(render(result)).text
    assert "a value of their own (289 cells)" in text
    assert "there are none" not in text


def test_what_is_given_is_said(result):
    assert "not modelled" not in Page(render(result)).text
    result["data"]["given"] = ["age", "sex"]
    shown = Page(render(result)).text
    assert "against separate, given age, sex, by log-likelihood" in shown
    assert "Given, and not modelled" in shown


def test_one_seed_promises_no_others(result):
    result["scope"], result["splits"] = "these models", {"training_seeds": 1, "seed": 0}
    assert "test rows." in Page(render(result)).text
    for strategy in result["strategies"].values():
        for record in strategy["per_source"].values():
            record["updates"] = 12.5
    assert "What another seed would give is not covered." in Page(render(result)).text
    result["splits"]["training_seeds"] = 3
    text = Page(render(result)).text
    assert "new training seeds." in text
    assert "Counts are means over 3 seeds." in text


def test_the_worth_of_a_label_has_a_unit_and_is_of_shared_models(result):
    for strategy in result["strategies"].values():
        strategy["label_effect"] = 0.25
    text = Page(render(result)).text
    assert "Label is worth, nats per row" in text
    assert "one source per model" in text
    assert "ignores its label" in text
    for strategy in result["strategies"].values():
        del strategy["label_effect"]
    assert "ignores its label" not in Page(render(result)).text


def test_few_degrees_of_freedom_are_shown(result):
    for d in result["differences"]:
        d["df"] = 9.0
    assert "degrees of freedom" not in Page(render(result)).text
    result["differences"][0]["df"] = result["differences"][1]["df"] = 2.31
    assert Page(render(result)).text.count("2.3 degrees of freedom") == 2


def test_too_few_rows_is_said(result):
    name = "tiny <clinic>"
    result["data"]["sources"].append(
        {"name": name, "rows": 4, "size": 4.0, "tested": False, "reason": "too few rows"}
    )
    text = Page(render(result)).text
    assert "Not drawn, because there is no difference to draw: tiny <clinic>." in text
    assert f"{name} too few rows – – –" in text
    assert "4, of which 3 tested" in text


def test_what_was_measured_besides_is_folded(result):
    page = render(result)
    text = Page(page).text
    assert "Log-likelihood of training rows, nats per row; higher is better" in text
    assert "<summary>Log-likelihood of training rows" in page


def test_a_metric_that_is_shown_never_decides(result):
    result["metrics"]["frechet_distance"] = {"unit": "pixels", "higher_is_better": False}
    for k, strategy in enumerate(result["strategies"].values()):
        level = {"mean": 2.5 + k, "low": None, "high": None, "replicates": [2.0 + k, 3.0 + k]}
        strategy["macro"]["frechet_distance"] = level
        for entry in strategy["per_source"].values():
            entry["metrics"]["frechet_distance"] = level
    page = render(result)
    text = Page(page).text
    assert headings(page).index("shown") == headings(page).index("levels") + 1
    assert "These metrics never decide: the verdict rests on log-likelihood alone." in text
    assert "Frechet-distance, pixels; lower is better" in text
    assert "2.500 2.000 to 3.000" in text
    assert "Other metrics" not in Page(render(wine())).text


def test_another_metric_decides_in_its_own_words(result):
    """No word of log-likelihoods or nats where the document has none."""
    text = json.dumps(result).replace("log_likelihood", "energy_distance")
    document = json.loads(text.replace(UNIT, "units of the data"))
    document["metrics"]["energy_distance"]["higher_is_better"] = False
    document["verdict"]["reason"] = "it is better"
    page = render(document)
    assert not re.search(r"log.likelihood|\bnats?\b", page, re.IGNORECASE)
    assert "Energy-distance, units of the data; lower is better" in page
    assert "difference in energy-distance, units of the data" in page  # the axis


def test_terms_are_explained_in_the_page(result):
    page = Page(render(result))
    targets = {a.get("href") for tag, a in page.tags if tag == "a"}
    ids = {f"#{a['id']}" for _, a in page.tags if (a.get("id") or "").startswith("term-")}
    assert targets == ids


def test_every_header_cell_has_a_scope(many):
    page = Page(render(many))
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)


def test_the_public_door_stays_open(result, tmp_path):
    """`sw.report` is a function before and after its package is imported."""
    pages = []
    for name in ("first.html", "second.html"):
        write: Any = sourcewise.report
        assert write(result, tmp_path / name) == tmp_path / name
        pages.append((tmp_path / name).read_text(encoding="utf-8"))
    given: Any = SimpleNamespace(result=typed(result))
    assert report(given, tmp_path / "third.html").read_text(encoding="utf-8") == pages[0]
    assert pages == [render(result)] * 2
    other: Any = SimpleNamespace(result=None)
    with pytest.raises(InputError, match="a report is of a comparison"):
        report(other, tmp_path / "fourth.html")


def finding(name: str, value: float, words: str = "") -> dict[str, Any]:
    """An entry of `diagnostics`."""
    words = words or str(value)
    return {"name": name, "values": [value], "unit": "", "words": words, "setting": False}


def test_doubts_stand_beside_the_verdict(result):
    quiet = Page(render(result)).text
    assert "Train one model for all sources." in quiet
    assert "Training was not over" not in quiet
    assert "ormalisers" not in quiet
    result["verdict"]["condition"] = "for models trained this long, with simulated normalisers"
    result["strategies"]["pooled"] |= {
        "still_improving": ["class_0"],
        "diagnostics": [finding("annealing error", 0.1), finding("r_hat", 1.004, "1.00")],
        "resolved": {"objective": "nce", "width": 32},
    }
    result["strategies"]["separate"] |= {
        "diagnostics": [
            finding("annealing error", 0.25),
            finding("quadrature error", 0.0, "below 1e-6"),
        ],
        "resolved": {"objective": "nce", "width": 64},
    }
    text = Page(render(result)).text
    head = "For models trained this long, with simulated normalisers: train one model for all"
    assert head in text
    assert "Training was not over: pooled was still improving." in text
    assert "overstated by at most about 0.25 nats; intervals allow for it" in text
    assert "errors of below 1e-6 nats" in text
    assert "The annealing error is the largest distance" in text
    assert "R-hat" in text
    assert "1.00" in text
    assert "Objective nce" in text
    assert "Width pooled 32; separate 64" in text


def test_what_fitting_chose_stands_beside_the_parameters(result):
    result["strategies"]["pooled"]["diagnostics"] = [finding("shrinkage", 0.049)]
    several = finding("shrinkage", 0.27, "0.069 to 0.27")
    result["strategies"]["separate"]["diagnostics"] = [several]
    result["beta_hat"]["note"] = "to first order, for maximum likelihood"
    text = Page(render(result)).text
    assert "Shrinkage" in text
    assert "0.069 to 0.27" in text
    assert "To first order, for maximum likelihood." in text
