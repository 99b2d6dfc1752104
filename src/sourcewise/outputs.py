"""Where a file that a user asks for may go: never over what a run reads back."""

from pathlib import Path
from tempfile import TemporaryFile

from sourcewise.errors import InputError
from sourcewise.run_folders import own_files

__all__ = ["check_output"]

PAGE = "report.html"  # of a run's files the only one that is made again and never read


def check_output(path: Path) -> None:
    """Raise unless a file can be written there.

    Raises:
        InputError: a folder, something else than a file, a place that does not exist or cannot be
            written, or a file of a run.
    """
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder")
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write {path}: it is no file")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")
    try:
        TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    place = path.parent.resolve() / path.name  # a link itself is replaced, not followed
    for folder in place.parents:
        first = place.relative_to(folder).parts[0]
        if first != PAGE and first in own_files(folder):
            raise InputError(f"cannot write {path}: the run in {folder} keeps its own files there")
