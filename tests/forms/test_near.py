"""Near copies: found where one picture was changed, and not where two are alike."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import sourcewise as sw
from sourcewise.comparison import copies as told
from sourcewise.comparison.dependence import near_duplicates
from sourcewise.comparison.warnings import repeats
from sourcewise.forms import Images
from sourcewise.forms.near import _candidates, _count
from sourcewise.sources import Sources

GENERATOR = np.random.default_rng(7)


def pictures(n, side=32):
    """Smooth random images: sums of a few waves."""
    at = np.arange(side) / side
    waves = GENERATOR.normal(size=(n, 4, 4))
    basis = np.cos(np.pi * np.arange(4)[:, None] * (at + 0.5 / side))
    found = np.einsum("nij,ih,jw->nhw", waves, basis, basis)
    low, high = found.min((1, 2), keepdims=True), found.max((1, 2), keepdims=True)
    return np.rint(20 + 200 * (found - low) / (high - low)).astype(np.uint8)


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))


CHANGES = {
    "jpeg": jpeg,
    "brighter": lambda image: np.rint(image * 1.1 + 5).clip(0, 255).astype(np.uint8),
    "noise": lambda image: (
        (image + np.random.default_rng(1).normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)
    ),
    "smaller and back": lambda image: np.asarray(
        Image.fromarray(image).resize((24, 24), 3).resize((32, 32), 3)
    ),
}


def images(pixels):
    return Images.of(torch.from_numpy(pixels[:, None]))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_a_near_copy_and_others_are_none(change):
    plain = pictures(40)
    changed = np.stack([CHANGES[change](image) for image in plain[:20]])
    found = images(np.concatenate([plain, changed])).near_copies()
    planted = {(i, 40 + i) for i in range(20)}
    pairs = set(map(tuple, found.tolist()))
    assert pairs <= planted
    assert len(pairs) >= 18


def test_close_hashes_are_those_of_a_double_loop():
    """Hashes spread wide: of close pairs none has more than the eight neighbours in between."""
    hashes = GENERATOR.integers(0, 2**64, 60, dtype=np.uint64)
    flips = [np.uint64(0), np.uint64(1 << 63), np.uint64((1 << 40) + 2), np.uint64(0b10101)]
    more = np.concatenate([hashes, *(hashes[:9] ^ flip for flip in flips)])
    expected = {
        (i, j)
        for i in range(len(more))
        for j in range(i + 1, len(more))
        if bin(int(more[i] ^ more[j])).count("1") <= 3
    }
    assert set(map(tuple, _candidates(more).tolist())) == expected
    assert _count(more).tolist() == [bin(int(word)).count("1") for word in more]


def test_the_time_does_not_grow_with_the_square_where_all_images_are_alike():
    """At most 4 bands x 8 neighbours a row are compared."""
    assert len(_candidates(np.zeros(3000, np.uint64))) <= 32 * 3000
    assert len(_candidates(np.zeros(1, np.uint64))) == 0


def test_flat_and_small_images_are_no_near_copies():
    flat = np.full((3, 20, 20), 7, np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None]
    assert len(images(flat).near_copies()) == 0
    small = pictures(1, 11)
    assert len(images(np.concatenate([small, small + 1])).near_copies()) == 0
    assert len(images(pictures(0)).near_copies()) == 0


def test_near_copies_are_told_with_an_example():
    plain = pictures(60)
    changed = np.stack([jpeg(image) for image in plain[:4]])
    x, y = np.concatenate([plain, changed]), [*"aabb" * 15, *"bbaa"]
    data = sw.read((x, y))
    found = near_duplicates(data)
    assert found is not None
    assert found.rows == 8
    assert found.text.startswith("8 images have a near copy")
    assert "8 of them in another source, such as row 1 and row 61: " in found.text
    assert near_duplicates(sw.read((plain, y[:60]))) is None
    grouped = Sources(data.x, data.y, data.names, group=torch.arange(64) % 60, group_by=("case",))
    assert near_duplicates(grouped) is None


def test_exact_copies_are_counted_for_each_pair_of_sources():
    x = pictures(12)
    x[5], x[8], x[9], x[1] = x[0], x[0], x[4], x[2]
    data = sw.read((x, [*"aaaabbbbcccc"]))
    assert repeats(data) == (
        "4 images repeat another exactly; 2 different images stand in more than one source "
        "(b and c: 2, a and b: 1, a and c: 1), such as row 1 and row 6; copies of an image are "
        "kept together in splits"
    )
    assert near_duplicates(data) is None
    assert repeats(sw.read((pictures(4), [*"aabb"]))) is None


@pytest.mark.parametrize("together", [1, 3, 4096])
def test_copies_in_several_sources_are_those_of_a_double_loop(monkeypatch, together):
    monkeypatch.setattr(told, "_EXAMPLES", together)
    same = torch.from_numpy(GENERATOR.integers(0, 30, 90))
    y = torch.from_numpy(GENERATOR.integers(0, 5, 90))
    found, shared = told._in_several(y, same)
    where = {number: set(y[same == number].tolist()) for number in same.tolist()}
    for a in range(5):
        for b in range(a + 1, 5):
            n = sum({a, b} <= sources for sources in where.values())
            assert ((n, a, b) in found) == (n > 0)
    assert [n for n, _, _ in found] == sorted((n for n, _, _ in found), reverse=True)
    assert shared.tolist() == sorted(number for number in where if len(where[number]) > 1)
    assert (
        told._in_several(torch.cat([y, torch.tensor([200])]), torch.cat([same, same[:1]]))[0] == []
    )
