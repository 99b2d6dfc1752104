"""One model's life on images: train, draw, write, score."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.forms import Images
from sourcewise.lifecycle.sample import Samples
from sourcewise.lifecycle.sample_files import write_samples
from sourcewise.lifecycle.train import Trained
from sourcewise.randomness import Noise
from sourcewise.sources import Sources


def faces(n: int = 120, shape=(1, 6, 5), key: int = 0) -> Sources:
    """Noise, that of one source darker."""
    pixels = Noise(key).integers(200, n, *shape)
    y = torch.arange(n) % 2
    pixels = torch.where((y == 1)[:, None, None, None], pixels // 2, pixels)
    return Sources(Images.of(pixels.to(torch.uint8)), y, ("light", "dark"), name="faces")


@pytest.fixture(scope="module")
def trained() -> Trained:
    return sw.train(faces(), model="gaussian", strategy="separate")


@pytest.fixture(scope="module")
def samples(trained) -> Samples:
    return sw.sample(trained, n=50)


def test_draws_are_images_like_those_of_their_source(samples):
    assert samples.images.shape == (100, 1, 6, 5)
    assert samples.images.dtype == np.uint8
    light, dark = samples.images[:50].mean(), samples.images[50:].mean()
    assert light == pytest.approx(99.5, abs=5)
    assert dark == pytest.approx(49.5, abs=5)


def test_arrays_come_back_and_are_scored(trained, samples, tmp_path):
    write_samples(samples, tmp_path / "s.npz")
    again = sw.read(tmp_path / "s.npz")
    assert isinstance(again.x, Images)
    assert np.array_equal(again.x.pixels().numpy()[again.y == 1], samples.images[:50])  # by name
    assert sw.evaluate(trained, again).document["data"]["rows"] == 100


def test_a_sheet_holds_them(samples, tmp_path):
    write_samples(samples, tmp_path / "s.png")
    page = np.asarray(Image.open(io.BytesIO((tmp_path / "s.png").read_bytes())))
    first = np.repeat(np.repeat(samples.images[0, 0], 5, 0), 5, 1)
    views = np.lib.stride_tricks.sliding_window_view(page[..., 0], first.shape)
    assert (views == first).all((2, 3)).any()


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".txt", ".parquet"])
def test_other_files_are_refused_in_one_line(samples, tmp_path, ending):
    with pytest.raises(InputError, match="are images, which go to .png and .npz files"):
        write_samples(samples, tmp_path / f"s{ending}")
    with pytest.raises(InputError, match=r"images have no columns: \.images holds them"):
        samples.frame()


def test_rows_are_no_sheet(tmp_path):
    drawn = sw.sample(sw.train(sw.read("wine")), n=1)
    with pytest.raises(InputError, match="a .png file holds images"):
        write_samples(drawn, tmp_path / "s.png")
    with pytest.raises(InputError, match=r"no images: frame\(\) has their columns"):
        _ = drawn.images


def test_what_is_printed_says_how_to_see_them(samples):
    assert "  50 images of 1x6x5: --out FILE.png shows them" in str(samples).splitlines()


def test_scores_are_per_pixel_value_with_bits_beside(trained):
    found = sw.evaluate(trained, faces(key=1))
    assert found.result.metrics["log_likelihood"].unit == "nats per pixel value"
    average = found.result.strategies["separate"].score("log_likelihood", "macro")
    assert average is not None
    assert average.mean is not None
    bits = -average.mean / np.log(2)
    assert f"separate: {bits:.4f} bits per dimension on average" in str(found)
    # Uniform noise of 200 and of 100 values needs as many bits, a normal density of it more.
    least = (np.log2(200) + np.log2(100)) / 2
    assert least < bits < least + 1


def test_images_of_another_size_are_refused(trained):
    with pytest.raises(InputError, match="images of 1x5x6 .* the models are of 1x6x5"):
        sw.evaluate(trained, faces(shape=(1, 5, 6)))


def test_images_take_given_columns():
    """A darker image for a larger c: slopes on pixels, draws at a value."""
    data = faces()
    c = torch.linspace(0, 1, len(data))[:, None].double()
    assert isinstance(data.x, Images)
    pixels = (data.x.pixels() * (1 - 0.9 * c[:, :, None, None])).to(torch.uint8)
    data = Sources(Images.of(pixels), data.y, data.names, c=c)
    run = sw.train(data, model="gaussian", strategy="separate")
    light, dark = (sw.sample(run, n=40, given={"x1": v}).images.mean() for v in (0.0, 1.0))
    assert dark < 0.4 * light
