from xml.etree import ElementTree

import matplotlib
import pytest
from PIL import Image

from sourcewise.errors import InputError
from sourcewise.report.forest import PALETTE, draw, save
from sourcewise.report.html import inline
from sourcewise.report.rows import forest, panels

from .conftest import typed


def test_rows_are_sorted_by_difference_after_the_mean(result):
    plot = forest(typed(result))
    assert plot
    assert [row.name for row in plot.rows] == ["macro", "class_0", "class_2", "class_1"]
    assert plot.region == 0.13


def test_the_scale_holds_zero_the_region_and_all_estimates(result):
    plot = forest(typed(result))
    assert plot
    low, high = plot.limits
    assert low < -0.13
    assert high > 1.7
    assert not plot.clipped


def test_one_far_source_does_not_set_the_scale(many):
    plot = forest(typed(many))
    assert plot
    assert plot.clipped
    assert plot.limits[1] < 3


def test_an_estimate_stays_in_sight(result):
    result["differences"][1].update(difference=9.0, low=-40.0, high=58.0)
    plot = forest(typed(result))
    assert plot
    assert plot.clipped
    assert 9 < plot.limits[1] < 20


def test_panels_hold_every_row_once_on_one_scale(many):
    plot = forest(typed(many))
    assert plot
    parts = panels(plot)
    assert sum((part.rows for part in parts), ()) == plot.rows
    assert {part.limits for part in parts} == {plot.limits}
    assert max(len(part.rows) for part in parts) <= 40


@pytest.mark.parametrize("missing", ["difference", "low", "high"])
def test_an_absent_number_is_not_drawn(result, missing):
    result["differences"][1][missing] = None
    plot = forest(typed(result))
    assert plot
    marks = {row.name: row.marks for row in plot.rows}
    assert ("class_0" in marks) == (missing != "difference")
    assert save(plot, "svg")


def test_no_difference_no_plot(result, tmp_path):
    result["differences"] = []
    assert forest(typed(result)) is None
    with pytest.raises(InputError, match="no difference"):
        draw(typed(result), tmp_path / "plot.svg")


def test_all_differences_zero_is_drawn(result):
    for d in result["differences"]:
        d.update(difference=0.0, low=0.0, high=0.0)
    del result["metrics"]["log_likelihood"]["region"]
    plot = forest(typed(result))
    assert plot
    assert save(plot, "svg")


def test_names_are_text_not_mathematics(many, tmp_path):
    draw(typed(many), tmp_path / "plot.svg")
    root = ElementTree.parse(tmp_path / "plot.svg").getroot()
    texts = {"".join(item.itertext()) for item in root.iter() if item.tag.endswith("}text")}
    assert "cost $x_1$ & $\\frac{1}{2}$" in texts
    assert {"← favours separate", "favours the other strategy →"} <= texts


def test_an_inline_svg_has_theme_colours_only(many):
    plot = forest(typed(many))
    assert plot
    part = panels(plot)[0]
    text = inline(save(part, "svg"), "p", "title", "desc", {"name-3": "<b>"}, "wide")
    root = ElementTree.fromstring(text)
    styles = ";".join(item.get("style", "") for item in root.iter())
    assert "#" not in styles.replace("url(#", "")
    assert "font-family" not in styles
    assert not any(color in styles for color in PALETTE.values())
    assert "<title>&lt;b&gt;</title>" in text
    ids = [item.get("id") for item in root.iter() if item.get("id")]
    assert len(ids) == len(set(ids))
    used = {item.get("href", "")[1:] for item in root.iter("use")}
    assert used <= set(ids)


def test_drawing_is_deterministic_and_leaves_settings_alone(result, tmp_path):
    before = dict(matplotlib.rcParams)
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        draw(typed(result), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert dict(matplotlib.rcParams) == before
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 2000


def test_a_style_of_the_user_changes_nothing(result):
    plot = forest(typed(result))
    assert plot
    plain = save(plot, "svg")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path"}):
        assert save(plot, "svg") == plain


def test_another_ending_is_refused(result, tmp_path):
    with pytest.raises(InputError, match="must end in .png or .svg"):
        draw(typed(result), tmp_path / "plot.docx")
