"""`sourcewise reproduce`."""

from typing import Annotated, Any

import typer

from sourcewise.commands import options as o
from sourcewise.commands.progress import Progress
from sourcewise.commands.screen import show
from sourcewise.errors import InputError
from sourcewise.studies.registry import STUDIES

__all__ = ["reproduce"]

_ON_DATA = ", ".join(study.name for study in STUDIES.values() if study.takes_data)


def reproduce(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="; ".join(f"{s.name}: {s.about}" for s in STUDIES.values()) + "."),
    ] = None,
    data: Annotated[
        str | None, typer.Argument(help=f"For {_ON_DATA}: a file or built-in name.")
    ] = None,
    source: o.SourceColumn = None,
    columns: o.Columns = None,
    ignore: o.Ignore = None,
    log: o.Log = None,
    size: o.Size = None,
    channels: o.Channels = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Runs per cell: the setting `seeds`; --dry-run shows its default."),
    ] = None,
    paper_estimator: Annotated[
        bool,
        typer.Option("--paper-estimator", help="Measure fig1 with 5 seeds and 500 test points."),
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the study, KEY=VALUE; repeat for more."),
    ] = None,
    seed: o.Seed = 0,
    workers: o.Workers = 1,
    out: o.Out = None,
    overwrite: o.Overwrite = False,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
) -> None:
    """Run a study: a figure or table of the paper, beside the paper's numbers, or of the docs.

    Without NAME: the studies.
    """
    if name is None:
        _list(as_json)
        return
    of_data = source, columns, ignore, log, size, channels
    if data is None and (unused := [typed for typed in of_data if typed]):
        raise InputError(f"{unused[0]!r}: options of how data are read need DATA")
    if workers > 1 and name in STUDIES and not STUDIES[name].spreads:
        raise InputError(f"--workers {workers}: the work of {name} is not shared by processes")
    given = {"seeds": seeds, "paper_estimator": paper_estimator or None}
    given["log"] = o.named(log, "--log") or None
    values: dict[str, Any] = o.pairs(set_, "--set") | ({"seed": seed} if seed else {})
    values |= {key: value for key, value in given.items() if value is not None}
    sources = None if data is None else o.read_data(context.params)
    from sourcewise.run_folders import default_folder
    from sourcewise.studies.runner import plan_study

    planned = plan_study(name, values, sources)
    out = out or default_folder(planned.name, planned.config)
    if dry_run:
        seconds = {"seconds": round(planned.estimate(), 2)}
        o.print_config(planned.config | {"run": str(out)} | seconds, as_json)
        return
    with Progress(name) as report_progress:
        document, table = planned.run(out, overwrite, report_progress)
    if as_json:
        o.print_json(document)
    else:
        show(*table.rstrip("\n").split("\n"), f"files: {out}")


def _list(as_json: bool) -> None:
    """The studies."""
    if as_json:
        rows = [
            {"name": study.name, "about": study.about, "takes_data": study.takes_data}
            for study in STUDIES.values()
        ]
        o.print_json({"studies": rows})
        return
    for study in STUDIES.values():
        show(f"{study.name:<12}{study.about}")
