"""`sourcewise report`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sourcewise.commands.options import Json, print_json
from sourcewise.commands.screen import show

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; default RUN/report.html. .png, .svg: the plot.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the HTML report (or the plot) of a finished run again, from its files."""
    from sourcewise.report import report as write_report
    from sourcewise.results.read import read_reported

    found = replace(read_reported(run), run=str(run))  # where its files are now
    page = write_report(found, out or run / "report.html")
    if as_json:
        print_json({"run": str(run), "report": str(page)})
    else:
        show(f"report: {page}")
