"""Small valid data of every kind that is read, what damages bytes, and options: all by chance."""

import codecs
import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

__all__ = ["OPTIONS", "Data", "damaged", "flip", "options", "valid"]

ROWS = 40

OPTIONS = {  # values: right ones, and wrong ones
    "--source": (("source", "word"), ("x", "nope", "")),
    "--decimal": ((",", "."), (";", ",,")),
    "--separator": ((",", ";", "\t"), ("|", " ", "", "::")),
    "--encoding": (("utf-8", "cp1252", "latin-1"), ("utf-16", "shift_jis", "base64", "nope")),
    "--na": (("-999", "0", "a,red", "1.5,1.50"), ('"',)),
    "--dates": (("%d/%m/%Y", "%Y-%m-%d"), ("%", "%Q", "")),
    "--types": (("x=category", "y=number,code=category", "when=date"), ("word=number", "=")),
    "--group": (("code", "when", "word,code"), ("source", "nope", "")),
    "--columns": (("x,y", "x", "word,x"), ("x,x", "nope", '"')),
    "--ignore": (("x", "when,word"), ("source", "nope")),
    "--log": (("y", "all"), ("word", "nope")),
    "--missing": (("drop", "impute", "refuse"), ("nope",)),
    "--text": (("word", "text"), ("x", "nope")),
    "--chunk": (("1", "7"), ("0", "-1", "9999999999999")),
    "--size": (("4", "8"), ("0", "-1", "99999", "nope")),
    "--channels": (("grey", "rgb"), ("nope",)),
    "--sample-rows": (("5", "1000"), ("0", "nope")),
}
KINDS = ("png", "bmp", "gif", "jpeg")  # of image files
TEXTS = ("--chunk", "--encoding")  # the options of a folder or a file of text
IMAGES = ("--size", "--channels", "--sample-rows")
FOREIGN = ("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp1252", "cp037", "shift_jis", "cp437")


@dataclass(frozen=True)
class Data:
    """What `sourcewise` reads by its name: one file, or a folder of some."""

    name: str
    files: dict[str, bytes]  # by path
    takes: tuple[str, ...] = tuple(OPTIONS)  # options that apply

    def write(self, folder: Path) -> None:
        """Write the files into a folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@cache
def valid() -> tuple[Data, ...]:
    """One of each kind."""
    frame, rng = _table(), np.random.default_rng(1)
    plain = frame.to_csv(index=False, date_format="%Y-%m-%d").encode()
    german = frame.assign(big="1.234,5").to_csv(
        index=False, sep=";", decimal=",", date_format="%d.%m.%Y"
    )
    lines = "".join(
        f'{{"source": "{s}", "text": "{w} {x} ä", "code": {i % 4}}}\n'
        for i, (s, w, x) in enumerate(zip(frame.source, frame.word, frame.x, strict=True))
    ).encode()
    letters = ["".join(rng.choice(list("ACGT"), 9)) for _ in range(ROWS)]
    fasta = "".join(f">{i} source={'ab'[i % 2]}\n{t}\n" for i, t in enumerate(letters))
    arrays, table = io.BytesIO(), io.BytesIO()
    np.savez(arrays, x=rng.normal(size=(ROWS, 3)), y=np.arange(ROWS) % 2)
    frame.astype({"word": "category"}).to_parquet(table, compression=None)
    files = {
        "table.csv": plain,
        "german.csv": german.encode(),
        "table.tsv": frame.to_csv(index=False, sep="\t").encode(),
        "table.csv.gz": gzip.compress(plain, mtime=0),
        "texts.jsonl": lines,
        "texts.jsonl.gz": gzip.compress(lines, mtime=0),
        "reads.fasta": fasta.encode(),
        "reads.fa.gz": gzip.compress(fasta.encode(), mtime=0),
        "table.parquet": table.getvalue(),
        "arrays.npz": arrays.getvalue(),
    }
    said = frame.word + " " + frame.x.astype(str)
    words = {s: "\n".join(said[frame.source == s]).encode() for s in "ab"}
    single = {f"texts/{s}.txt": text for s, text in words.items()}
    zipped = {"zipped/a.txt.gz": gzip.compress(words["a"], mtime=0), "zipped/b.txt": words["b"]}
    each = {f"classes/{s}/{i}.txt": words[s][i:] for s in "ab" for i in range(12)}
    every = {name: {name: content} for name, content in files.items()}
    every |= {"texts": single, "zipped": zipped, "classes": each, **_images(rng)}
    takes = dict.fromkeys(("reads.fasta", "reads.fa.gz", "texts", "zipped", "classes"), TEXTS)
    takes |= dict.fromkeys(("texts.jsonl", "texts.jsonl.gz"), (*TEXTS, "--source", "--group"))
    takes |= {"arrays.npz": ("--log", "--missing")}
    takes |= dict.fromkeys(("pictures", "pictures.zip", "encoded.npz", "idx"), IMAGES)
    return tuple(Data(name, held, takes.get(name, Data.takes)) for name, held in every.items())


def _images(rng: np.random.Generator) -> dict[str, dict[str, bytes]]:
    """Grey images of two classes: files in folders, in an archive, encoded arrays, idx files."""
    pixels = rng.integers(0, 256, (24, 6, 6), np.uint8)
    files = {
        f"{'ab'[i % 2]}/{i}.{(kind := KINDS[i % 4])}": _encoded(x, kind)
        for i, x in enumerate(pixels)
    }
    archive, arrays = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    joined = np.frombuffer(b"".join(files.values()), np.uint8)
    ends = np.cumsum([0, *map(len, files.values())])
    np.savez(arrays, jpeg=joined, offsets=ends, y=np.arange(24) % 2)
    return {
        "pictures": {f"pictures/{name}": content for name, content in files.items()},
        "pictures.zip": {"pictures.zip": archive.getvalue()},
        "encoded.npz": {"encoded.npz": arrays.getvalue()},
        "idx": {
            "idx/t-images-idx3-ubyte": _idx(pixels),
            "idx/t-labels-idx1-ubyte": _idx(np.arange(24) % 2),
        },
    }


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def _idx(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return head + values.astype(np.uint8).tobytes()


def _table() -> pd.DataFrame:
    rng, i = np.random.default_rng(0), np.arange(ROWS)
    y = pd.Series(rng.normal(5, 1, ROWS).round(3))
    return pd.DataFrame(
        {
            "source": np.where(i % 2, "a", "b"),
            "x": rng.normal(size=ROWS).round(2),
            "y": y.mask(i % 13 == 5),
            "code": [f"{k:03d}" for k in i % 4],
            "when": pd.Timestamp("2024-01-15") + pd.to_timedelta(i * 3, "D"),
            "word": rng.choice(["red", "blue", "grün"], ROWS),
        }
    )


def options(data: Data, rng: random.Random) -> list[str]:
    """None to three, most of them such as apply, most with a right value."""
    names = data.takes if rng.random() < 0.9 else tuple(OPTIONS)
    chosen = rng.sample(sorted(names), min(len(names), rng.choice((0, 0, 1, 1, 2, 3))))
    return [w for name in chosen for w in (name, rng.choice(OPTIONS[name][rng.random() < 0.15]))]


def damaged(data: Data, rng: random.Random) -> Data:
    """The same, with one file damaged one to three times; what is packed also within."""
    name = rng.choice(sorted(data.files))
    raw, within = data.files[name], rng.random() < 0.8
    if within and name.endswith(".gz"):
        raw = gzip.compress(_mutated(gzip.decompress(raw), rng), mtime=0)
    elif within and name.endswith(".npz"):
        raw = _member(raw, rng)
    elif within and name.endswith(".parquet"):
        raw = flip(raw, rng)  # what changes places is all refused alike
    else:
        raw = _mutated(raw, rng)
    return replace(data, files={**data.files, name: raw})


def _mutated(raw: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        raw = rng.choice(MUTATIONS)(raw, rng)
    return raw


def _member(raw: bytes, rng: random.Random) -> bytes:
    """An archive whose checksums are right, and one of its members is not."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name, out = rng.choice(sorted(members)), io.BytesIO()
    members[name] = _mutated(members[name], rng)
    with zipfile.ZipFile(out, "w") as archive:
        for key, content in members.items():
            archive.writestr(key, content)
    return out.getvalue()


def flip(raw: bytes, rng: random.Random, start: int = 0, end: int | None = None) -> bytes:
    """One bit of a byte from `start` to `end`."""
    if len(raw) <= start:
        return raw
    at = rng.randrange(start, min(end or len(raw), len(raw)))
    return raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :]


def _truncate(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _insert(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice((rng.randbytes(rng.randint(1, 9)), *TOKENS)) + raw[at:]


def _delete(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + raw[at + rng.randint(1, 20) :]


def _duplicate(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.splitlines(keepends=True) or [b""]
    at = rng.randrange(len(lines))
    return b"".join(lines[: at + 1] + lines[at:])


def _shuffle(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.splitlines(keepends=True)
    return b"".join(rng.sample(lines, len(lines)))


def _swap(raw: bytes, rng: random.Random) -> bytes:
    """Another character for a delimiter, everywhere or in some places."""
    old, new = rng.sample((b",", b";", b"\t", b"|", b".", b"\n", b"\r", b"\r\n", b'"', b" "), 2)
    return raw.replace(old, new, rng.choice((-1, 1, 5)))


def _recode(raw: bytes, rng: random.Random) -> bytes:
    return codecs.encode(raw.decode("utf-8", "replace"), rng.choice(FOREIGN), "replace")


def _retype(raw: bytes, rng: random.Random) -> bytes:
    """Something else for one number or word."""
    found = list(re.finditer(rb"[\w.]+", raw))
    if not found:
        return raw
    start, end = rng.choice(found).span()
    return raw[:start] + rng.choice(TOKENS) + raw[end:]


TOKENS = (
    *(b"", b"nan", b"-inf", b"1e999", b"-999", b"1e-320", b"0x1F", b"9" * 25, b"1,234.5"),
    *(b'"', b"'", b"\0", b"\x1b[31m", b"\xff\xfe", b"\xed\xa0\x80", b"A" * 3000, b"=1+1", b"{}"),
    *(
        b"[1, 2]",
        b"null",
        b"true",
        b"#",
        b"01/02/2024",
        b"2024-13-45",
        "\u202e\u00e9e\u0301".encode(),
    ),
)
MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(flip, _truncate, _insert, _delete, _duplicate, _shuffle, _swap, _recode, *[_retype] * 5),
    lambda raw, rng: b"" if rng.random() < 0.2 else flip(raw, rng),
)
