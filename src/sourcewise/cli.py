"""The command line: thin. The verbs stand in `commands/`.

Heavy modules are imported when a verb runs, not for `--help`.
"""

import atexit
import errno
import os
import signal
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from sourcewise import __version__
from sourcewise.commands.bound import bound
from sourcewise.commands.compare import compare
from sourcewise.commands.evaluate import evaluate
from sourcewise.commands.families import families
from sourcewise.commands.labels import labels
from sourcewise.commands.report import report
from sourcewise.commands.reproduce import reproduce
from sourcewise.commands.sample import sample
from sourcewise.commands.screen import prepare, show
from sourcewise.commands.train import train
from sourcewise.errors import InputError
from sourcewise.stopping import Terminated, listen

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="sourcewise",
    help="One generative model for all your data sources, or one each?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 and 143 stopped."""
    # One thread: more would cost time on small models, and change the bits of results.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if os.environ.get("RANK", "0") != "0":  # of several processes the first alone speaks
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    prepare()
    listen()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()  # a reader that has gone shows here, or as Python ends
        if code == _INTERRUPTED:
            _stop(_GOES_ON, _INTERRUPTED)
        raise SystemExit(code if isinstance(code, int) else 0)
    except Terminated:
        _stop(_GOES_ON, _TERMINATED)
    except InputError as error:
        _stop(f"error: {error}", 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        if type(error).__name__ == "Abort":  # Ctrl-C, as the option parser passes it on
            _stop(_GOES_ON, _INTERRUPTED)
        told = getattr(error, "format_message", None)  # a usage error of the option parser
        if told is not None:
            _stop(f"error: {_line(told())} (see --help)", 2)
        if os.environ.get("SOURCEWISE_TRACEBACK"):
            raise
        if isinstance(error, OSError) and error.errno in _DISK:
            place = f" {error.filename}" if error.filename else ""
            then = "once that is mended, the same command goes on"
            _stop(f"failed: cannot write{place}: {error.strerror}; {then}", 1)
        where = "(SOURCEWISE_TRACEBACK=1 shows where)"
        _stop(f"failed: {type(error).__name__}: {_line(str(error))} {where}", 1)


def run() -> NoReturn:
    """`main` as a process of its own, that ends when all is said.

    Python's own end would take down threads of libraries that still read ahead of what was asked
    of them; one that waits for Python then aborts the process (Arrow: apache/arrow#34314).
    """
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


_TERMINATED = 128 + signal.SIGTERM
_INTERRUPTED = 130  # Ctrl-C: by the option parser's version a code, or an exception called Abort
_GOES_ON = "interrupted; the same command goes on where this one stopped"

# What a disk says when it takes no more; a run goes on from its last whole file.
_DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


def _line(text: str) -> str:
    return " ".join(text.split())


def _stop(message: str, code: int) -> None:
    show(message, file=sys.stderr)
    raise SystemExit(code)


def _version(wanted: bool) -> None:
    if wanted:
        show(f"sourcewise {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """One generative model for all your data sources, or one each?"""


for verb in (compare, train, sample, evaluate, labels, families, reproduce, report, bound):
    app.command()(verb)


if __name__ == "__main__":
    run()
