"""Images as bytes: copies, marks, fingerprints, in memory or from a map."""

import numpy as np
import pytest
import torch

import sourcewise as sw
from sourcewise.forms import Images, as_table, content
from sourcewise.forms import images as module
from sourcewise.sources import Sources
from sourcewise.splits import identical, repeats_by_chance

GENERATOR = np.random.default_rng(0)


def some(n=7, C=3, H=4, W=5):
    return torch.from_numpy(GENERATOR.integers(0, 256, (n, C, H, W), dtype=np.uint8))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 130)  # two images of 60 bytes


@pytest.mark.usefixtures("small_blocks")
def test_a_map_on_disk_is_what_memory_is(tmp_path):
    pixels = some()
    pixels.numpy().tofile(tmp_path / "pixels")
    disk = torch.from_file(
        str(tmp_path / "pixels"), shared=False, size=pixels.numel(), dtype=torch.uint8
    )
    index = torch.tensor([6, 0, 3, 3])
    for a, b in (
        (Images.of(pixels), Images.of(disk.reshape(pixels.shape))),
        (Images.of(pixels).take(index), Images.of(pixels[index])),
    ):
        assert b"".join(content(a)) == b"".join(content(b))
        assert torch.equal(a.pixels(), b.pixels())
        assert a.same().tolist() == b.same().tolist()
        assert list(a.keys()) == list(b.keys())


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("hashed", [hash, lambda raw: 7])
def test_copies_are_found_even_where_hashes_fail(monkeypatch, hashed):
    pixels = some()
    pixels[4] = pixels[1]
    pixels[6] = pixels[1]
    pixels[5] = pixels[0].flip(1)  # the same bytes in another order
    monkeypatch.setattr(module, "hash", hashed, raising=False)
    x = Images.of(pixels)
    expected = np.unique(pixels.flatten(1).numpy(), axis=0, return_inverse=True)[1].reshape(-1)
    same = identical(x)
    assert same.tolist() == [0, 1, 2, 3, 1, 4, 1]
    assert len(set(zip(same.tolist(), expected.tolist(), strict=True))) == 5


def test_copies_stay_together_unless_chance_makes_as_many():
    pixels = some()
    pixels[4] = pixels[1]
    data = Sources(Images.of(pixels), torch.tensor([0, 0, 0, 0, 1, 1, 1]), "ab")
    assert data.units.tolist() == [0, 1, 2, 3, 1, 4, 5]
    dots = Images.of(torch.from_numpy(GENERATOR.integers(0, 2, (200, 1, 2, 2), dtype=np.uint8)))
    assert repeats_by_chance(dots, dots.same())
    twice = Images.of(some(300, H=40, W=40)).take(torch.arange(301) % 300)
    assert not repeats_by_chance(twice, twice.same())
    large = Images.of(torch.zeros(2, 1, 65, 64, dtype=torch.uint8))
    assert not repeats_by_chance(large, large.same())


def test_counts_by_place_are_those_of_columns():
    x = Images.of(some(50, 1, 3, 3) % 4)
    by_place = x.counts_by_place()
    assert by_place is not None
    for counts, column in zip(by_place, x.pixels().flatten(1).T, strict=True):
        assert torch.equal(counts, torch.bincount(column, minlength=256))


def test_marks_are_of_source_and_image():
    pixels = some(3)
    a = Sources(Images.of(pixels), torch.tensor([0, 1, 1]), "ab")
    b = Sources(Images.of(pixels.flip(0)), torch.tensor([1, 1, 1]), ["x", "b"])
    assert (a.marks == b.marks.flip(0)).tolist() == [False, True, True]
    assert len(a.marks.unique()) == 3
    turned = Sources(Images.of(pixels.transpose(2, 3).contiguous()), a.y, "ab")
    assert not (turned.marks == a.marks).any()


def test_the_fingerprint_is_of_pixels_and_their_range():
    pixels, y = some(4, 1), torch.tensor([0, 0, 1, 1])
    data = Sources(Images.of(pixels), y, "ab")
    same = Sources(Images.of(pixels.flip(0)).take(torch.tensor([3, 2, 1, 0])), y, "ab")
    assert data.fingerprint() == same.fingerprint()
    changed = pixels.clone()
    changed[3, 0, 3, 4] ^= 1
    others = (
        Images.of(changed),
        Images.of(pixels, top=16),
        Images.of(pixels.reshape(4, 1, 5, 4)),
    )
    prints = {Sources(x, y, "ab").fingerprint() for x in others}
    assert len(prints | {data.fingerprint()}) == 4


def test_images_have_no_columns():
    with pytest.raises(sw.InputError, match="images have no columns"):
        as_table(Images.of(some(2)))


def test_arrays_of_bytes_are_images():
    """(n, H, W); the last of four axes is the channels if it is 1 or 3, else the second."""
    n, H, W = 4, 6, 5
    grey, rgb = some(n, 1, H, W), some(n, 3, H, W)
    y = [0, 0, 1, 1]
    for x, pixels in (
        (grey[:, 0], grey),
        (grey, grey),
        (grey.permute(0, 2, 3, 1), grey),
        (rgb, rgb),
        (rgb.permute(0, 2, 3, 1).numpy(), rgb),
    ):
        data = sw.read((x, y))
        assert isinstance(data.x, Images)
        assert torch.equal(data.x.pixels(), pixels)
        assert data.fingerprint() == sw.read((pixels, y)).fingerprint()
    both = sw.read((np.zeros((4, 3, 5, 3), np.uint8), y)).x
    assert isinstance(both, Images)
    assert both.shape == (3, 3, 5)
    with pytest.raises(sw.InputError, match=r"x has shape \(4, 6, 5, 4\): images are"):
        sw.read((np.zeros((4, 6, 5, 4), np.uint8), y))


@pytest.mark.parametrize(("highest", "top"), [(0, 1), (1, 1), (2, 16), (16, 16), (17, 255)])
def test_the_range_of_pixels_is_as_recorded(highest, top):
    x = np.zeros((4, 2, 2), np.uint8)
    x[1, 1, 0] = highest
    data = sw.read((x, [0, 0, 1, 1]))
    assert isinstance(data.x, Images)
    assert data.x.top == data.x.take(torch.tensor([2])).top == top
    if highest == 1:
        assert sw.read((x == 1, [0, 0, 1, 1])).fingerprint() == data.fingerprint()


def test_digits_are_images_of_counts():
    from sklearn.datasets import load_digits

    data = sw.read("digits")
    assert isinstance(data.x, Images)
    assert (data.x.shape, data.x.top) == ((1, 8, 8), 16)
    assert np.array_equal(data.x.pixels()[:, 0].numpy(), load_digits().images)
    assert len(data.units.unique()) == 1797
