"""The figures of the docs' theory pages."""

from .pictures import draw_docs_figures


def test_the_docs_figures_draw(tmp_path):
    for page in draw_docs_figures(tmp_path):
        assert b"</svg>" in page.read_bytes()
