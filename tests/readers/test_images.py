"""Images in folders, archives, idx and .npz files: what is read, and what is refused."""

import gzip
import io
import os
import struct
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sourcewise as sw
from sourcewise.forms import Images
from sourcewise.readers import read as door
from sourcewise.readers.images import decode, room

GENERATOR = np.random.default_rng(3)


def grey(n=6, H=4, W=5):
    return GENERATOR.integers(0, 256, (n, H, W), dtype=np.uint8)


def encoded(pixels, kind="PNG", **how):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zipped(path, files, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def two_classes(images, ending="png"):
    """Half of the images for each of two sources."""
    half = len(images) // 2
    return {
        f"{'a' if i < half else 'b'}/{i}.{ending}": encoded(image)
        for i, image in enumerate(images)
    }


def pixels_of(data):
    assert isinstance(data.x, Images)
    return data.x.pixels().numpy()


def idx(values, kind=8):
    head = bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


def refused(path, match, **options):
    with pytest.raises(sw.InputError, match=match) as caught:
        sw.read(path, **options)
    told = str(caught.value)
    assert "\n" not in told
    assert len(told) < 2000
    return told


def test_containers_of_the_same_images_give_the_same_sample(tmp_path):
    images = np.concatenate([grey(), np.zeros((2, 4, 5), np.uint8) + 255])
    files = two_classes(images)
    y = np.arange(8) // 4
    blobs = [encoded(image) for image in images]
    ends = np.cumsum([0, *map(len, blobs)])
    np.savez(tmp_path / "raw.npz", images=images[..., None], label=y, name=np.array(["a", "b"]))
    np.savez_compressed(
        tmp_path / "jpeg.npz",
        jpeg=np.frombuffer(b"".join(blobs), np.uint8),
        offsets=ends,
        y=np.array(["a", "b"])[y],
    )
    samples = [
        sw.read(folder(tmp_path / "folder", files)),
        sw.read(zipped(tmp_path / "a.zip", files)),
        sw.read(zipped(tmp_path / "b.zip", {f"all/of/{n}": c for n, c in files.items()}, 0)),
        sw.read(tmp_path / "raw.npz"),
        sw.read(tmp_path / "jpeg.npz"),
        sw.read((images, np.array(["a", "b"])[y])),
    ]
    assert all(np.array_equal(pixels_of(data), images[:, None]) for data in samples)
    assert len({data.fingerprint() for data in samples}) == 1
    assert len({tuple(data.marks.tolist()) for data in samples}) == 1
    assert samples[0].places(5) == str(tmp_path / "folder" / "b" / "5.png")
    assert samples[1].places(5) == f"{tmp_path / 'a.zip'}: b/5.png"
    assert samples[4].places(5) == f"{tmp_path / 'jpeg.npz'}: image 6"
    assert samples[0].name == "folder"


def test_files_are_in_natural_order_and_their_content_tells_the_format(tmp_path):
    images = grey(12)
    files = {f"a/{i}.dat": encoded(image) for i, image in enumerate(images)}
    files["a/11.dat"] = encoded(images[11], "BMP")
    files["a/3.dat"] = encoded(images[3], "GIF")
    files["a/4.jpg"] = encoded(images[4], "TIFF")
    del files["a/4.dat"]
    data = sw.read(folder(tmp_path, files))
    assert np.array_equal(pixels_of(data)[:, 0], images)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_come_back(tmp_path, packed):
    train, test = grey(7), grey(3)
    y, z = np.array([3, 1, 3, 3, 1, 1, 1], np.uint8), np.array([1, 3, 9], np.uint8)
    write = gzip.compress if packed else bytes
    end = ".gz" if packed else ""
    files = {
        f"train-images-idx3-ubyte{end}": write(idx(train)),
        f"train-labels-idx1-ubyte{end}": write(idx(y)),
        f"t10k-images.idx3-ubyte{end}": write(idx(test)),
        f"t10k-labels.idx1-ubyte{end}": write(idx(z)),
        "README.md": b"from somewhere",
    }
    data = sw.read(folder(tmp_path / "mnist", files))
    assert np.array_equal(pixels_of(data)[:, 0], np.concatenate([test, train]))
    assert [data.names[k] for k in data.y.tolist()] == [str(v) for v in [*z, *y]]
    assert data.notes == ("left out, as no data: README.md",)
    assert data.places(2).endswith(f"t10k-images.idx3-ubyte{end}, image 3")
    assert data.places(3).endswith(f"train-images-idx3-ubyte{end}, image 1")
    for half in ("images-idx3", "labels-idx1"):
        alone = sw.read(tmp_path / "mnist" / f"train-{half}-ubyte{end}")
        assert np.array_equal(pixels_of(alone)[:, 0], train)
        assert not alone.notes


def test_a_named_idx_file_is_read_whatever_lies_beside_it(tmp_path):
    images, labels = grey(), np.arange(6, dtype=np.uint8) % 2
    files = {
        "train-images-idx3-ubyte": idx(images),
        "train-images-idx3-ubyte.gz": gzip.compress(idx(images)),
        "train-labels-idx1-ubyte": idx(labels),
        "t10k-images-idx3-ubyte": idx(images),  # without labels
        "notes.txt": b"mine",
        "wine.csv": b"source,x",
    }
    home = folder(tmp_path / "a", files)
    refused(home, "holds idx files and notes.txt")
    for name in ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"):
        assert np.array_equal(pixels_of(sw.read(home / name))[:, 0], images)
    refused(home / "t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte has no labels: bring")
    refused(
        home / "train-labels-idx1-ubyte", "holds train-images.* and train-images.*: remove one"
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train-labels-idx1-ubyte": None}, "train-images-idx3-ubyte has no labels"),
        ({"train-images-idx3-ubyte": None}, "train-labels-idx1-ubyte has no images"),
        ({"train-labels-idx1-ubyte": idx(np.zeros(5, np.uint8))}, "5 labels, .* 6 images"),
        ({"train-labels-idx1-ubyte": idx(np.zeros(6, ">i4"), 12)}, "values of type 12: bytes"),
        ({"train-labels-idx1-ubyte": idx(np.zeros((3, 2), np.uint8))}, "2 axes: labels have one"),
        ({"train-images-idx3-ubyte": idx(np.zeros((6, 4), np.uint8))}, "2 axes: images have 3"),
        ({"train-images-idx3-ubyte": b"\0\1\x08\3" + bytes(99)}, "damaged or no idx file"),
        ({"train-images-idx3-ubyte": b"\0\0\x08\3\0\0"}, "ends within its head"),
        ({"train-images-idx3-ubyte": idx(grey())[:-1]}, "not hold as many values as it says"),
        ({"train-images-idx3-ubyte": idx(grey()) + b"\0"}, "not hold as many values as it says"),
        ({"train-labels-idx1-ubyte": idx(np.zeros(6, np.uint8))[:-1]}, "not hold as many values"),
        ({"train-images-idx3-ubyte": idx(np.zeros((6, 0, 4), np.uint8))}, "no pixels"),
        (
            {"train-images-idx3-ubyte": b"\0\0\x08\3" + struct.pack(">3I", 6, 2**31, 2**31)},
            "not hold as many values as it says",
        ),
        ({"a.txt": b"no"}, "holds idx files and a.txt: move it elsewhere"),
        (
            {"train-images-idx3-ubyte.gz": gzip.compress(idx(grey()))},
            "holds train.* and train.*gz",
        ),
        (
            {
                "t-images-idx3-ubyte": idx(grey(1, 9, 8)),
                "t-labels-idx1-ubyte": idx(np.zeros(1, np.uint8)),
            },
            r"different sizes: 8 x 9 \(t-images-idx3-ubyte\), 5 x 4",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value[:20],
)
def test_idx_files_that_are_refused(tmp_path, change, match):
    files = {
        "train-images-idx3-ubyte": idx(grey()),
        "train-labels-idx1-ubyte": idx(np.arange(6, dtype=np.uint8) % 2),
    }
    kept = {name: content for name, content in (files | change).items() if content is not None}
    told = refused(folder(tmp_path, kept), match)
    assert str(tmp_path) in told


def test_a_gzipped_head_that_lies_is_refused_before_memory_is_spent(tmp_path):
    head = b"\0\0\x08\3" + struct.pack(">3I", 60000, 1000, 28)
    files = {
        "train-images-idx3-ubyte.gz": gzip.compress(head + bytes(100)),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx(np.zeros(60000, np.uint8))),
    }
    refused(folder(tmp_path, files), "holds more than .* MiB, over 100 times")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_constant_image_stays_constant(mode):
    image = Image.new(mode, (37, 23), 201 if mode == "L" else (201, 3, 90))
    made = decode.shaped(image, mode == "L", 8)
    expected = [201] if mode == "L" else [201, 3, 90]
    assert np.array_equal(made, np.broadcast_to(np.array(expected)[:, None, None], made.shape))


@pytest.mark.parametrize(("H", "W"), [(4, 7), (7, 4), (5, 5), (6, 5)])
def test_the_square_in_the_centre_is_cut_by_hand(H, W):
    pixels = GENERATOR.integers(0, 256, (H, W, 3), dtype=np.uint8)
    side = min(H, W)
    top, left = (H - side) // 2, (W - side) // 2
    by_hand = pixels[top : top + side, left : left + side]
    made = decode.shaped(Image.fromarray(pixels), False, side)
    assert np.array_equal(made, np.moveaxis(by_hand, 2, 0))


def test_a_ramp_is_made_smaller_without_aliasing():
    """The cubic filter keeps straight lines away from the edges; single pixels of a fine
    checkerboard become its mean."""
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    small = decode.shaped(Image.fromarray(ramp), True, 16)[0]
    middle = ramp.reshape(64, 16, 4).mean((0, 2))  # 6, 22, ...
    assert np.abs(small[:, 2:-2] - middle[2:-2]).max() <= 0.5
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(decode.shaped(Image.fromarray(board), True, 8).astype(int) - 127.5).max() <= 1


def test_raw_and_encoded_images_are_made_smaller_alike(tmp_path):
    images = GENERATOR.integers(0, 256, (6, 9, 12, 3), dtype=np.uint8)
    files = sw.read(folder(tmp_path, two_classes(images)), size=4, channels="grey")
    raw = sw.read((images, [*"aaabbb"]), size=4, channels="grey")
    assert pixels_of(raw).shape == (6, 1, 4, 4)
    assert raw.fingerprint() == files.fingerprint()
    assert raw.fingerprint() == sw.read(files, size=4, channels="grey").fingerprint()
    assert raw.reading == {"size": 4, "channels": "grey"}


def test_colour_by_hand(tmp_path):
    """Luma of ITU-R 601: .299 R + .587 G + .114 B; grey images are RGB with equal channels."""
    colours = np.array([[[255, 0, 0]], [[0, 255, 0]], [[0, 0, 255]], [[10, 20, 30]]], np.uint8)
    data = sw.read((colours[:, None], [0, 0, 1, 1]), channels="grey")
    luma = colours[:, 0].astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(pixels_of(data).reshape(4) - luma).max() <= 0.5
    plain = grey()
    wide = sw.read(folder(tmp_path, two_classes(plain)), channels="rgb")
    assert np.array_equal(pixels_of(wide), np.repeat(plain[:, None], 3, 1))
    mixed = folder(tmp_path, {"b/9.png": encoded(np.dstack([plain[0]] * 3))})
    data = sw.read(mixed)
    assert np.array_equal(pixels_of(data)[:6], np.repeat(plain[:, None], 3, 1))
    assert data.notes == ("of 7 images, these were changed: 6 grey (made RGB)",)
    data = sw.read(mixed, channels="grey")
    assert np.array_equal(pixels_of(data)[:6, 0], plain)
    assert data.notes == ("of 7 images, these were changed: 1 of colour (made grey)",)


def special():
    """Images of other kinds, with what they become."""
    pixels = GENERATOR.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    alpha = GENERATOR.integers(0, 256, (4, 6), dtype=np.uint8)
    over = alpha[..., None] / 255 * pixels + (255 - alpha[..., None])
    yield "RGBA", encoded(np.dstack([pixels, alpha])), over, "transparency (laid on white)"
    la = Image.merge("LA", (Image.fromarray(pixels[..., 0]), Image.fromarray(alpha)))
    yield "LA", encoded(la), over[..., 0], "transparency (laid on white)"
    few = np.array([[0, 1, 2, 1]] * 4, np.uint8)
    colours = np.array([[9, 8, 7], [250, 0, 3], [1, 99, 200]], np.uint8)
    palette = Image.fromarray(few, "L").copy()
    palette.putpalette(colours.tobytes())
    yield "palette", encoded(palette), colours[few], "palette (made RGB)"
    clear = encoded(palette, transparency=1)
    white = np.where(few[..., None] == 1, 255, colours[few])
    yield "clear colour", clear, white, "palette (made RGB)"
    deep = GENERATOR.integers(0, 65536, (4, 6)).astype(np.uint16)
    deep[0, :2] = 0, 65535
    yield "16 bits", encoded(deep), deep / 257, "16 bits (divided by 257)"
    yield "16 bits TIFF", encoded(deep, "TIFF"), deep / 257, "16 bits (divided by 257)"
    bits = few > 0
    yield "1 bit", encoded(Image.fromarray(bits)), bits * 255.0, ""
    cmyk = np.zeros((4, 6, 4), np.uint8)
    cmyk[..., 1], cmyk[..., 3] = 255, 51
    image = Image.fromarray(cmyk, "CMYK")
    yield "CMYK", encoded(image, "TIFF"), np.broadcast_to([204, 0, 204], (4, 6, 3)), "CMYK"


@pytest.mark.parametrize(
    ("content", "expected", "note"), [row[1:] for row in special()], ids=[r[0] for r in special()]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_kinds_of_pixels_by_hand(tmp_path, content, expected, note):
    data = sw.read(folder(tmp_path, {"a/1.png": content, "b/1.png": content}))
    found = np.moveaxis(pixels_of(data)[0], 0, 2).astype(float)
    assert found.shape == (*expected.shape[:2], 1 if expected.ndim == 2 else 3)
    assert np.abs(found.reshape(expected.shape) - expected).max() <= 1
    assert note in "".join(data.notes)
    assert bool(note) == bool(data.notes)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP", "JPEG"])
def test_images_are_turned_as_exif_says(tmp_path, turn, kind):
    """An image that is stored turned comes back upright."""
    upright = (10 * np.arange(24) + 3 * np.arange(4)[:, None]).astype(np.uint8)
    stored = {  # the inverse of what each orientation asks for
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    how = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(kind, {})
    content = encoded(np.ascontiguousarray(stored), kind, exif=exif, **how)
    data = sw.read(folder(tmp_path, {"a/1": content, "b/1": content}))
    found = pixels_of(data)[0]
    assert found.shape[1:] == upright.shape
    assert np.abs(found.astype(int) - upright).max() <= (2 if kind == "JPEG" else 0)
    turned = "of 2 images, these were changed: 2 turned as their EXIF data say"
    assert data.notes == ((turned,) if turn > 1 and kind != "TIFF" else ())


def bomb():
    """A PNG file whose head says 30 000 x 30 000."""
    content = bytearray(encoded(grey(1)[0]))
    content[16:24] = struct.pack(">2I", 30000, 30000)
    import zlib

    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def animated():
    frames = [Image.fromarray(image) for image in grey(3)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a/x.txt", b"some words", "x.txt is no image that can be read; allowed are whole images"),
        ("a/x.png", b"", "x.png is no image"),
        ("a/x.jpg", encoded(grey(1, 50, 60)[0], "JPEG")[:600], "x.jpg is damaged or cut short"),
        ("a/x.png", encoded(grey(1, 50, 60)[0])[:600], "x.png is damaged or cut short"),
        ("a/x.gif", animated(), "x.gif holds several images"),
        ("a/x.png", bomb(), "x.png has more than 67108864 pixels"),
        ("a/x.tif", encoded(np.zeros((4, 5), np.float32), "TIFF"), "pixels of another kind .F."),
        ("a/x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n", "x.eps is no image"),
        ("a/x.png", encoded(grey(1, 9, 9)[0]), r"2 sizes, 5 x 4 \(.*0.png\), 9 x 9 .*--size 4"),
        ("x.png", encoded(grey(1)[0]), r"holds files \(x.png\) beside folders: bring one folder"),
        ("a/b/x.png", encoded(grey(1)[0]), "b lies too deep: bring one folder"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:30],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_what_is_refused_among_images(tmp_path, name, content, match, packed):
    size = (50, 60) if "cut short" in match else (4, 5)
    files = two_classes(grey(6, *size)) | {name: content}
    if packed:
        match = match.replace("b lies", "a/b/x.png lies")
        path = zipped(tmp_path / "a.zip", files)
    else:
        path = folder(tmp_path / "a", files)
    told = refused(path, match)
    assert str(path) in told


def test_all_bad_files_are_told_at_once(tmp_path):
    files = two_classes(grey())
    files |= {"a/x.png": b"no", "b/y.md": b"# no", "b/z.gif": animated()}
    told = refused(folder(tmp_path, files), "3 of 9 files cannot be read: ")
    assert all(f"{name} " in told for name in ("x.png", "y.md", "z.gif"))


def test_a_file_that_may_not_be_opened(tmp_path, unprivileged):
    folder(tmp_path / "a", two_classes(grey()))
    (tmp_path / "a" / "a" / "0.png").chmod(0)
    unprivileged()
    refused("a", r"a/0.png cannot be read \(Permission denied\)")


def test_what_pillow_says_of_damage_goes_no_further(tmp_path, caplog):
    """A damaged head, which without a logger shows on the screen."""
    content = bytearray(encoded(GENERATOR.integers(0, 256, (4, 5, 3), np.uint8), "TIFF"))
    place = content.index(struct.pack("<HH", 277, 3))  # samples per pixel
    content[place + 8 : place + 10] = struct.pack("<H", 260)
    refused(folder(tmp_path, {"a/1.tif": bytes(content)}), "1.tif is")
    assert not caplog.records
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(content))
    assert "More samples per pixel" in caplog.text


def test_what_systems_leave_is_left_out(tmp_path):
    files = two_classes(grey()) | {
        ".DS_Store": b"\0",
        "a/Thumbs.db": b"\0",
        "README.md": b"about",
        "__MACOSX/a/._0.png": b"\0",
    }
    expected = ".DS_Store, README.md, __MACOSX", "a/Thumbs.db"
    for path in (folder(tmp_path / "a", files), zipped(tmp_path / "a.zip", files)):
        data = sw.read(path)
        assert len(data) == 6
        assert data.notes[0].startswith(f"left out, as no data: {expected[0]}")
        assert expected[1] in data.notes[0]


def test_folders_without_images(tmp_path):
    refused(folder(tmp_path / "a", {"a/.x": b"", "b/1.png": encoded(grey(1)[0])}), "a holds no im")
    refused(folder(tmp_path / "b", {"1.png": b"\x89PNG"}), "and no folders: bring one folder of")
    (tmp_path / "c").mkdir()
    refused(tmp_path / "c", "holds neither images nor text files")
    refused(zipped(tmp_path / "a.zip", {}), "holds no images: bring one folder")
    refused(folder(tmp_path / "d", {"a/a.txt": b"x", "a/1.png": encoded(grey(1)[0])}), "a.txt is")


def test_archives_that_are_refused(tmp_path):
    good = two_classes(grey())
    for name in ("../a/x.png", "/a/x.png", "a/../../x.png"):
        files = good | {name: encoded(grey(1)[0])}
        refused(zipped(tmp_path / "a.zip", files), "lies outside of the archive")
    refused(zipped(tmp_path / "a.zip", good, zipfile.ZIP_LZMA), "another way than by deflate")
    refused(
        zipped(tmp_path / "a.zip", {"a/1.png": bytes(1 << 28)}), "over 100 times what it takes"
    )
    refused(folder(tmp_path, {"no.zip": b"PK no"}) / "no.zip", "damaged or no .zip file")
    content = zipped(tmp_path / "a.zip", {"a/1.png": b"1", "a/2.png": b"2"}).read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"a/2.png", b"a/1.png"))
    refused(tmp_path / "a.zip", "holds a/1.png twice")
    content = bytearray(zipped(tmp_path / "a.zip", good, 0).read_bytes())
    central = content.index(b"PK\1\2")
    content[central + 8] |= 1  # encrypted, it says
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", "encrypted: write the archive without a password")
    content = bytearray(zipped(tmp_path / "a.zip", good, 0).read_bytes())
    content[content.index(b"IDAT") + 9] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", r"a/0.png is damaged \(Bad CRC-32")


def jpegs(**changes):
    blobs = [encoded(image) for image in grey()]
    arrays = {
        "jpeg": np.frombuffer(b"".join(blobs), np.uint8),
        "offsets": np.cumsum([0, *map(len, blobs)]),
        "label": np.arange(6) // 3,
    } | changes
    return {name: value for name, value in arrays.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"offsets": np.array([0, 70, 60, 80, 90, 95, 99])}, "'offsets' goes back after image 2"),
        ({"offsets": np.array([0, 70, 80, 90, 95, 99, 10**6])}, "beyond the [0-9]+ bytes"),
        ({"offsets": np.array([-5, 70, 80, 90, 95, 99, 100])}, "beyond the"),
        ({"offsets": np.array([0, 10, 20, 30, 40, 50, 60])}, "6 of 6 files cannot be read"),
        ({"offsets": np.array([0.0, 1])}, "must be whole numbers"),
        ({"offsets": None}, "'jpeg' needs 'offsets'"),
        ({"jpeg": np.zeros((3, 3), np.uint8)}, "must be bytes one after another"),
        ({"jpeg": np.zeros(9)}, "must be bytes one after another"),
        ({"label": np.arange(5)}, r"6 images, and sources of shape \(5,\)"),
        ({"label": None}, "a.npz: no array 'y' .*; --source NAME says where"),
        ({"name": np.array(["a"])}, "1 names, but y goes up to 1"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_encoded_images_in_an_npz_that_are_refused(tmp_path, changes, match):
    np.savez(tmp_path / "a.npz", **jpegs(**changes))
    refused(tmp_path / "a.npz", match)


def test_sources_of_an_npz(tmp_path):
    images = grey()
    alphabet = np.array([1, 0, 1, 1, 0, 2], np.uint8)
    arrays = {"images": images, "label": np.array([0, 1, 2, 0, 1, 2]), "alphabet": alphabet}
    arrays |= {"alphabet_names": np.array(["x", "y", "z"]), "name": np.array(["p", "q", "r"])}
    arrays |= {"group": np.array(["far", "near", "far"])}
    np.savez(tmp_path / "a.npz", **arrays)

    def labels(**options):
        data = sw.read(tmp_path / "a.npz", **options)
        return [data.names[k] for k in data.y.tolist()]

    assert labels() == [*"pqrpqr"]
    assert labels(source="alphabet") == [*"yxyyxz"]
    assert labels(source="group") == ["far", "near", "far"] * 2
    refused(
        tmp_path / "a.npz",
        "a.npz: no array 'alphabed': did you mean 'alphabet'",
        source="alphabed",
    )


def test_options_that_do_not_apply(tmp_path):
    path = folder(tmp_path / "a", two_classes(grey()))
    refused(path, "5 x 4, too small for --size 5: images are only made smaller", size=5)
    refused(path, "apply to .*: --chunk .allowed: --size, --channels, --sample-rows", chunk=3)
    refused(path, "size must be a whole number from 1 up, got 0", size=0)
    refused(path, "sample_rows must be a whole number from 1 up", sample_rows=-1)
    refused(path, "no channels 'gray'", channels="gray")
    refused("wine", "wine holds no images: size and channels do not apply", size=4)
    refused("digits", "digits holds images 8 x 8, too small for --size 9", size=9)
    (tmp_path / "a.csv").write_text("source,x\na,1\nb,2\n")
    refused(tmp_path / "a.csv", "apply to .*: --size", size=4)


def test_values_between_those_recorded_span_all_bytes():
    """Means of 0 and 1, or of counts up to 16, are bytes."""
    ink = np.zeros((2, 4, 4), np.uint8)
    ink[0] = 1
    data = sw.read((ink, [0, 1]), size=4)
    assert isinstance(data.x, Images)
    assert (data.x.top, data.x.pixels().max()) == (1, 1)
    data = sw.read((ink, [0, 1]), size=2)
    assert isinstance(data.x, Images)
    assert data.x.top == 255
    assert data.x.pixels().flatten(1).unique(dim=1).tolist() == [[255], [0]]


def test_a_sample_of_rows_is_the_same_whatever_holds_them(tmp_path):
    images, y = grey(30), np.repeat(["a", "b", "c"], [4, 16, 10])
    files = {
        f"{k}/{i:02}.png": encoded(image)
        for i, (k, image) in enumerate(zip(y, images, strict=True))
    }
    broken = files | {"d/1.png": encoded(grey(1)[0])}
    options: dict[str, Any] = {"sample_rows": 5, "sample_seed": 1}
    raw = sw.read((images, y), **options)
    assert raw.counts.tolist() == [4, 5, 5]
    assert raw.reading == options
    decoded = sw.read(folder(tmp_path, files), **options)
    assert decoded.fingerprint() == raw.fingerprint()
    assert sw.read(raw, **options).fingerprint() == raw.fingerprint()
    rows = [int(decoded.places(i)[-6:-4]) for i in range(14)]  # what the files are called
    assert [raw.places(i) for i in range(14)] == [f"row {row + 1}" for row in rows]
    # Other sources change nothing.
    more = sw.read(folder(tmp_path, broken), **options)
    assert np.array_equal(pixels_of(more)[:14], pixels_of(raw))
    other = sw.read((images, y), sample_rows=5, sample_seed=2)
    assert other.fingerprint() != raw.fingerprint()
    table = sw.read("wine", sample_rows=10)
    assert table.counts.tolist() == [10, 10, 10]


def test_sampled_rows_are_uniform():
    """Each of 12 rows is drawn with probability 1/4: 400 draws, within 4.5 standard errors."""
    x, y = torch.arange(24.0).reshape(24, 1), torch.arange(24) % 2
    drawn = torch.zeros(24)
    for seed in range(400):
        rows = sw.read((x, y), sample_rows=3, sample_seed=seed).x
        assert isinstance(rows, torch.Tensor)
        drawn[rows[:, 0].long()] += 1
    assert (drawn - 100).abs().max() < 4.5 * (400 * 0.25 * 0.75) ** 0.5


def test_pixels_of_many_images_lie_in_a_file_without_a_name(tmp_path, monkeypatch):
    images = grey(20, 30, 20)
    path = folder(tmp_path / "a", two_classes(images))
    in_memory = sw.read(path)
    monkeypatch.setattr(room, "_IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    on_disk = sw.read(path)
    assert not list((tmp_path / "temporary").iterdir())
    with open("/proc/self/maps") as maps:
        assert str(tmp_path / "temporary") in maps.read()
    assert on_disk.fingerprint() == in_memory.fingerprint()
    assert on_disk.same.tolist() == in_memory.same.tolist()


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = folder(tmp_path / "a", two_classes(grey()))
    monkeypatch.setattr(room, "_IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", full)
    refused(path, "0 MiB of pixels go to a temporary file in .*: too little room .TMPDIR names")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    refused(path, "No such file or directory .TMPDIR")


def test_progress_is_told_while_images_are_read(tmp_path, monkeypatch):
    from sourcewise.readers.images import sources

    monkeypatch.setattr(sources, "_EVERY", 4)
    told = []
    sw.read(folder(tmp_path, two_classes(grey())), progress=lambda *at: told.append(at))
    assert told == [(4, 12), (8, 12), (12, 12)]
    assert door.ReadOptions(progress=print).chosen == {}


def test_images_on_disk_are_not_copied(tmp_path):
    images = GENERATOR.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    data = sw.read((mapped, [0, 0, 0, 1, 1, 1]))
    assert isinstance(data.x, Images)
    assert data.x.held.data_ptr() == mapped.ctypes.data
    assert data.fingerprint() == sw.read((images, [0, 0, 0, 1, 1, 1])).fingerprint()


def test_fashion_mnist(shared_data):
    data = sw.read(shared_data / "images" / "fashion_mnist", size=8, sample_rows=200)
    assert isinstance(data.x, Images)
    assert (data.x.shape, data.counts.tolist()) == ((1, 8, 8), [200] * 10)


def test_arrays_of_real_images(shared_data):
    letters = sw.read(shared_data / "images" / "omniglot_5alphabets.npz", source="alphabet")
    assert isinstance(letters.x, Images)
    assert (letters.x.shape, letters.x.top) == ((1, 105, 105), 1)
    assert dict(zip(letters.names, letters.counts.tolist(), strict=True))["Korean"] == 800
    path = shared_data / "images" / "tiny_imagenet_42cls_jpeg64.npz"
    dogs = sw.read(path, size=16, sample_rows=4)
    assert isinstance(dogs.x, Images)
    assert (dogs.x.shape, dogs.K, len(dogs)) == ((3, 16, 16), 42, 168)
    assert dogs.names[0] == "chihuahua"
