"""Whatever happens to a valid file, reading it gives sources or one short line, quickly."""

import gzip
import io
import json
import random
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import sourcewise as sw

TIMES = 60  # mutations of each file; the campaign by hand took 5000
CSV = 'source,x,day,"a, b"\na,1.5,2024-01-02,u\nb,"2.5",2024-02-03,"v\nw"\nb,-3,,\n'
TSV = 'source\ttext\tn\na\tan é\t1\nb\t\t2\nb\t語 "x\t3\n'
LINES = [{"source": s, "text": t} for s, t in (("a", "an é"), ("b", ""), (1, "x\r\ny"))]
FASTA = ">r1 source=b x\nACGT\nAC GT\n\n>r2 source=a\r\nTT\n>r3 source=a\nT\n"


def parquet():
    table = pa.table(
        {
            "source": ["a", "b", "a", "c"],
            "x": [1.5, None, -2.0, 1e300],
            "n": pa.array([1, 2, 3, 2**60]),
            "flag": [True, False, None, True],
            "day": pa.array([0, 1, None, 9], pa.date32()),
            "level": pa.array(["u", "v", "u", None]).dictionary_encode(),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def npz(compressed=False):
    file = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    x = np.array([[1.5, 2], [np.nan, 3], [4, 5]], np.float32)
    save(file, x=x, y=np.array([0, 1, 1]), names=np.array(["a", "b"]))
    return file.getvalue()


def picture(kind, mode="RGB", **how):
    file, noise = io.BytesIO(), np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(file, kind, **how)
    return file.getvalue()


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a/1.png", picture("PNG"))
        zipped.writestr("b/1.bmp", picture("BMP"))
    return file.getvalue()


def encoded_npz():
    file, parts = io.BytesIO(), [picture("PNG"), picture("JPEG")]
    ends = np.cumsum([0, *map(len, parts)])
    np.savez(file, jpeg=np.frombuffer(b"".join(parts), np.uint8), offsets=ends, y=np.arange(2))
    return file.getvalue()


def idx(*shape):
    head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    return head + bytes(i % 3 for i in range(int(np.prod(shape))))


EXIF = Image.Exif()
EXIF[0x0112] = 6
FILES = {
    "a.csv": CSV.encode(),
    "a.tsv": TSV.encode(),
    "b.csv": CSV.encode("utf-16"),
    "a.csv.gz": gzip.compress(CSV.encode()),
    "a.jsonl": "\n".join(map(json.dumps, LINES)).encode(),
    "a.jsonl.gz": gzip.compress("\n".join(map(json.dumps, LINES)).encode()),
    "a.fasta": FASTA.encode(),
    "a.parquet": parquet(),
    "a.npz": npz(),
    "b.npz": npz(True),
    "folder/a.txt": "an é\r\nb\n".encode(),
    "folder/b.txt.gz": gzip.compress("an é\nb\n".encode()),
    "a.zip": archive(),
    "c.npz": encoded_npz(),
    "idx/t-images-idx3-ubyte": idx(6, 4, 5),
    "idx/t-labels-idx1-ubyte.gz": gzip.compress(idx(6)),
    "pictures/a/1.png": picture("PNG"),
    "pictures/a/2.png": picture("PNG", "P"),
    "pictures/a/1.jpg": picture("JPEG", exif=EXIF),
    "pictures/a/1.gif": picture("GIF"),
    "pictures/a/1.bmp": picture("BMP"),
    "pictures/a/1.tif": picture("TIFF", "CMYK", exif=EXIF),
    "pictures/a/1.webp": picture("WEBP", "RGBA"),
    "pictures/a/1.ppm": picture("PPM"),
}
BESIDE = {  # what must be in the same folder
    "t-images-idx3-ubyte": ("t-labels-idx1-ubyte", idx(6)),
    "t-labels-idx1-ubyte.gz": ("t-images-idx3-ubyte", idx(6, 4, 5)),
}
WORDS = [
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"\n",
    b"\r",
    b",",
    b"\\ud83c",
    b"1e999",
    b"9" * 30,
    b"[" * 99,
]
WORDS += ["e\u0301\u202e".encode(), b"-" * 5, b"\xed\xa0\x80", b"NaN", b"2024-13-01", b"\x1b[31m"]
EDGES = [0, 1, 0x7F, 0x80, 0xFF]


def mutated(content, rng):
    """A valid file with some bits flipped, cut, doubled, inserted or overwritten."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(content) + 1)
        end = min(len(content), at + rng.choice([1, 2, 4, 16, 60]))
        how = rng.randrange(7)
        if how == 0 and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del content[at:end]
        elif how == 2:
            del content[at:]
        elif how == 3:
            content[at:at] = rng.choice(WORDS)
        elif how == 4:
            content[at:at] = content[at:end] * rng.choice([1, 3, 100])
        elif how == 5:
            content[at:end] = bytes(rng.choice(EDGES) for _ in range(at, end))
        else:
            lines = bytes(content).split(b"\n")
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            content = bytearray(b"\n".join(lines))
    return bytes(content)


def outcome(folder, name, content):
    """What reading a file, or the folder that it is in, gives, and the seconds that it took."""
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)
    if path.name in BESIDE:
        other, beside = BESIDE[path.name]
        (path.parent / other).write_bytes(beside)
    whole = folder / Path(name).parts[0]
    start = time.perf_counter()
    try:
        data = sw.read(whole)
        assert len(data) > 0
        told = ""
    except sw.InputError as error:
        told = str(error)
    return told, time.perf_counter() - start


def campaign(folder: Path, name: str, seed: int, times: int):
    rng = random.Random(seed)
    for i in range(times):
        told, seconds = outcome(folder, name, mutated(FILES[name], rng))
        assert told.count("\n") < 3, (name, seed, i, told)
        assert seconds < 5, (name, seed, i)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_read_before_it_is_damaged(tmp_path, name):
    told, _ = outcome(tmp_path, name, FILES[name])
    assert not told


@pytest.mark.parametrize("name", FILES)
def test_any_damage_gives_sources_or_one_short_line(tmp_path, name):
    campaign(tmp_path, name, zlib.crc32(name.encode()), TIMES)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_damage_beneath_gzip_is_found_as_well(tmp_path, name):
    rng = random.Random(1)
    for _ in range(TIMES // 2):
        told, _ = outcome(tmp_path, f"{name}.gz", gzip.compress(mutated(FILES[name], rng)))
        assert told.count("\n") < 3
