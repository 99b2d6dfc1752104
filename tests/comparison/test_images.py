"""Images compared: a verdict per pixel value, draws in the run folder, sheets in the report."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

import sourcewise as sw
from sourcewise.families.registry import family
from sourcewise.fitting.prepare import FitSettings, prepare_job
from sourcewise.forms import Images
from sourcewise.randomness import Noise
from sourcewise.report import report
from sourcewise.results.read import read_comparison
from sourcewise.sources import Sources
from sourcewise.strategies import parse_strategies


def crosses(n: int = 160, gap: int = 90) -> Sources:
    """Bright rows in one source, bright columns in the other."""
    y = torch.arange(n) % 2
    pixels = Noise(0).integers(100, n, 1, 4, 4)
    pixels[y == 0, :, 1] += gap
    pixels[y == 1, :, :, 2] += gap
    return Sources(Images.of(pixels.to(torch.uint8)), y, ("rows", "columns"), name="crosses")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    return sw.compare(
        crosses(), seeds=1, model="gaussian", out=tmp_path_factory.mktemp("images") / "run"
    )


def test_a_family_is_found_and_scores_are_per_pixel_value(compared):
    result = compared.result
    assert result.settings["model"] == "gaussian"
    assert result.data.image == (1, 4, 4)
    assert result.data.scored_per == "pixel value"
    assert result.metric.unit == "nats per pixel value"
    assert result.metric.region == 0.01
    text = str(compared)
    assert text.startswith("crosses: 160 rows, 2 sources, images of 1x4x4; scope: procedure")
    assert "bits per dimension" in text


def test_differences_are_those_of_whole_images_by_their_pixel_values(compared):
    """Of cells that are scored row by row, and those that are summed, alike."""
    scores = compared.result.strategies
    gap = (
        scores["pooled"].macro["log_likelihood"].mean
        - scores["separate"].macro["log_likelihood"].mean
    )
    average = next(d for d in compared.result.differences if d.average)
    assert average.difference == pytest.approx(gap)
    assert -8 < scores["separate"].macro["log_likelihood"].mean < -4  # 100 values: 4.6 nats


def test_draws_and_some_images_of_the_data_are_kept(compared):
    for name in ("pooled", "separate", "data"):
        with np.load(f"{compared.result.run}/samples/{name}.npz") as arrays:
            assert arrays["x"].shape == (20, 1, 4, 4)
            assert arrays["x"].dtype == np.uint8
            assert sorted(set(arrays["y"].tolist())) == ["columns", "rows"]


def test_the_report_shows_a_sheet_of_each(compared, tmp_path):
    page = report(read_comparison(compared.result.run), tmp_path / "r.html").read_text()
    sheets = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(sheets) == 3
    titles = re.findall(r"<figcaption><bdi>(.*?)</bdi>", page)
    assert titles == ["images of the data", "pooled", "separate"]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheets[0]))))
    with np.load(f"{compared.result.run}/samples/data.npz") as arrays:
        first = np.repeat(np.repeat(arrays["x"][0, 0], 8, 0), 8, 1)
    views = np.lib.stride_tricks.sliding_window_view(shown[..., 0], first.shape)
    assert (views == first).all((2, 3)).any()


def test_without_a_folder_a_report_has_no_sheets(tmp_path):
    result = sw.compare(crosses(60), seeds=1, model="gaussian", scope="these models")
    assert "data:image/png" not in report(result, tmp_path / "r.html").read_text()


def test_the_energy_distance_decides_by_images_not_by_pixel_values():
    result = sw.compare(
        crosses(), seeds=1, model="gaussian", scope="these models", metric="energy-distance"
    ).result
    levels = [s.macro["energy_distance"].mean for s in result.strategies.values()]
    assert all(level is not None and level < 1.0 for level in levels)
    assert result.metric.unit == "standard deviations"
    # Rows of 16 standardised pixel values are 5.6 apart: .1 % of that at least.
    assert (result.metric.region or 0.0) >= 0.001 * 5.5


def test_settings_and_metric_of_energies_suit_images():
    strategies = parse_strategies("pooled,separate", ("rows", "columns"))
    chosen = family("energy")
    job, _ = prepare_job(crosses(), FitSettings(model="energy"), chosen, strategies)
    assert job.metric.name == "energy-distance"
    assert job.settings == chosen.parse({"network": "convolutional"})
    job, _ = prepare_job(
        crosses(),
        FitSettings(model="energy", set={"network": "mlp"}, metric="log-likelihood"),
        chosen,
        strategies,
    )
    assert job.metric.name == "log-likelihood"
    assert job.settings == chosen.parse({"network": "mlp"})
