"""Kinds of files: each has a reader and endings of its own, and all are told where it matters."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from pkgutil import resolve_name
from typing import get_args

import pytest

from sourcewise.commands.options import Data
from sourcewise.lifecycle.sample_files import ENDINGS
from sourcewise.readers.registry import (
    BUILT_IN,
    FOLDER,
    FORMATS,
    IMAGES,
    PLAIN,
    ReadOptions,
    format_of,
    readable,
)

ALL = (*FORMATS, PLAIN)


@pytest.mark.parametrize("kind", [*ALL, FOLDER, *IMAGES], ids=lambda kind: kind.reader)
def test_every_kind_has_a_reader_and_options_that_there_are(kind):
    assert callable(resolve_name(kind.reader))
    assert set(kind.options) <= {item.name for item in fields(ReadOptions)}


def test_endings_tell_kinds_apart(tmp_path):
    endings = [(ending, kind) for kind in ALL for ending in kind.endings]
    assert len(dict(endings)) == len(endings)
    for ending, kind in endings:
        assert format_of(Path(f"a.b{ending.upper()}")) is kind
    assert format_of(tmp_path) is FOLDER
    assert format_of(Path("a.xlsx")) is None
    assert format_of(Path("wine")) is None


def test_help_and_messages_name_what_can_be_read():
    told = get_args(Data)[1].help
    for kind in FORMATS:
        assert all(ending in readable() for ending in kind.suffixes)
    assert readable() in told
    assert all(name in told for name in (*BUILT_IN, *PLAIN.suffixes))


def test_samples_go_to_files_that_are_read():
    *files, picture = ENDINGS  # a sheet of images is for the eye
    assert all(format_of(Path(f"samples{ending}")) in ALL for ending in files)
    assert format_of(Path(f"samples{picture}")) is None


def test_the_registry_and_settings_of_families_are_light():
    code = (
        "import sys\n"
        "import sourcewise.readers.registry, sourcewise.screening.options\n"
        "from sourcewise.families.registry import families\n"
        "assert all(item.parse({}) for item in families().values())\n"
        "print({'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
