"""The picture of the bounds."""

from sourcewise.bounds.calculator import curves
from sourcewise.bounds.registry import build
from sourcewise.report.bounds_plot import draw_bounds


def test_the_plot_names_its_case_and_all_its_lines(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    seen = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: seen.append(figure))
    sizes = {"sources": 5, "samples": 5000, "dim": 10, "specific": 5, "mean_bound": 5}
    case = build("gaussian", sizes)
    found = curves(case, "n")
    draw_bounds(case, found, tmp_path / "bounds.svg")
    axes, legend = seen[-1].axes[0], seen[-1].legends[0]
    assert axes.get_title(loc="left") == "gaussian: 5 sources, 5,000 examples, delta = 0.05"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("examples $n$", "average TV")
    named = {text.get_text() for text in legend.get_texts()}
    forms = {form.removeprefix("localized_") for form in found.lines["pooled"]}
    assert named == {*found.lines, *forms, "bounds", "to expect"}
