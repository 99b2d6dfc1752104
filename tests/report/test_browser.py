"""The report as a reader meets it: opened from disk in Chromium, without a network."""

import re
import shutil

import pytest

from sourcewise.report.html import write_report

from .conftest import typed

COLOURS = """() => {
    const shown = e => e.getClientRects().length && e.textContent.trim();
    const ground = e => {
        for (; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if (color !== 'rgba(0, 0, 0, 0)') return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const leaves = [...document.querySelectorAll('main *')].filter(
        e => shown(e) && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
            && !['title', 'desc', 'style'].includes(e.tagName.toLowerCase()));
    return leaves.map(e => [
        e.textContent.trim().slice(0, 40),
        getComputedStyle(e)[e.tagName.toLowerCase() === 'text' ? 'fill' : 'color'],
        ground(e)]);
}"""


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of the system; nothing is installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def show(browser, tmp_path):
    """Open a result's report; the page must fetch, run and complain about nothing."""
    opened = []

    def show(result, width=1280, scheme="light", scripts=True):
        write_report(typed(result), tmp_path / "report.html")
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            java_script_enabled=scripts,
        )
        page = context.new_page()
        heard = {"requests": [], "console": [], "dialogs": []}
        page.on("request", lambda request: heard["requests"].append(request.url))
        page.on("console", lambda message: heard["console"].append(message.text))
        page.on("pageerror", lambda error: heard["console"].append(str(error)))
        page.on("dialog", lambda dialog: heard["dialogs"].append(dialog.message))
        address = (tmp_path / "report.html").as_uri()
        page.goto(address)
        opened.append((context, heard, address))
        return page

    yield show
    for context, heard, address in opened:
        context.close()
        assert heard == {"requests": [address], "console": [], "dialogs": []}


def luminance(color):
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["result", "many"])
def test_the_page_never_scrolls_sideways(show, request, name):
    page = show(request.getfixturevalue(name))
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for width in (320, 360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.body.scrollWidth") <= width


def test_no_script_of_a_name_runs(show, many):
    many["warnings"] = ["<script>document.title = 'ran'</script><img src=x onerror=alert(1)>"]
    page = show(many)
    assert page.title() == "Train one model for all sources. – wine"
    assert page.locator("script, main img").count() == 0
    assert page.get_by_text("<script>document.title='ran'</script>", exact=True).count() > 0
    names = page.locator("svg.wide text").all_text_contents()
    assert "cost $x_1$ & $\\frac{1}{2}$" in [text.strip() for text in names]


def test_it_reads_without_scripts(show, result):
    page = show(result, scripts=False)
    assert page.locator("h1").inner_text() == "Train one model for all sources."


@pytest.mark.parametrize(("width", "kind"), [(360, "narrow"), (1280, "wide")])
def test_the_plot_fits_the_screen_and_its_text_is_legible(show, many, width, kind):
    page = show(many, width)
    other = {"narrow": "wide", "wide": "narrow"}[kind]
    assert page.locator(f"svg.{kind}").first.is_visible()
    assert not page.locator(f"svg.{other}").first.is_visible()
    heights = page.evaluate(
        f"[...document.querySelectorAll('svg.{kind} text')].map(t => t.getBBox().height"
        " * t.ownerSVGElement.getBoundingClientRect().width"
        " / t.ownerSVGElement.viewBox.baseVal.width)"
    )
    assert min(heights) >= 11
    # Names end where the axis begins, and none sticks out of the drawing.
    out = page.evaluate(
        f"[...document.querySelectorAll('svg.{kind} text')].filter(t => {{"
        "const b = t.getBBox(), w = t.ownerSVGElement.viewBox.baseVal.width;"
        "return b.x < 0 || b.x + b.width > w}).map(t => t.textContent)"
    )
    assert out == []


@pytest.mark.parametrize("name", ["result", "many"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(show, request, name, scheme):
    page = show(request.getfixturevalue(name), scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for text, color, ground in page.evaluate(COLOURS):
        assert contrast(color, ground) >= 4.5, (text, color, ground)


def test_dark_is_dark_in_the_plot_too(show, result):
    grounds, fills, marks = {}, {}, {}
    for scheme in ("light", "dark"):
        page = show(result, scheme=scheme)
        grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        style = "getComputedStyle(document.querySelector('svg.wide {}')).{}"
        fills[scheme] = page.evaluate(style.format("text", "fill"))
        marks[scheme] = page.evaluate(style.format("path", "fill"))
    assert luminance(grounds["dark"]) < 0.05 < 0.8 < luminance(grounds["light"])
    assert luminance(fills["light"]) < 0.2 < 0.4 < luminance(fills["dark"])
    assert marks == grounds  # the first path is the ground of the plot


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_prints_black_on_white_with_folds_open(show, result, scheme):
    page = show(result, scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("svg.wide").first.is_visible()
    assert page.get_by_text("ab12cd34ef56").is_visible()
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")


def test_a_long_table_is_whole_on_paper(show, many):
    page = show(many)
    cut = "getComputedStyle(document.querySelector('.scroll.long')).maxHeight"
    assert page.evaluate(cut) != "none"
    page.emulate_media(media="print")
    assert page.evaluate(cut) == "none"
