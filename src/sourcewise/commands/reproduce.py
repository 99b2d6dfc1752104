"""`sourcewise reproduce`."""

from typing import Annotated, Any

import typer

from sourcewise.commands.options import (
    Columns,
    DryRun,
    Ignore,
    Json,
    Log,
    Out,
    Overwrite,
    Seed,
    SourceColumn,
    names,
    pairs,
    print_config,
    print_json,
    read_data,
)
from sourcewise.commands.progress import Progress
from sourcewise.errors import InputError

__all__ = ["reproduce"]


def reproduce(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="fig1: the paper's figure 1; arm-K, arm-n, arm-D: its ARM tables; arm-search: "
            "what comes closest to them; ebm: energy-based models beside the theory; coverage: "
            "whether intervals cover; crossing: where separate overtakes pooled in DATA."
        ),
    ],
    data: Annotated[
        str | None, typer.Argument(help="For crossing: a file or built-in name.")
    ] = None,
    source: SourceColumn = None,
    columns: Columns = None,
    ignore: Ignore = None,
    log: Log = None,
    seeds: Annotated[int | None, typer.Option(help="Runs per cell; fig1: 1000, arm: 3.")] = None,
    paper_estimator: Annotated[
        bool, typer.Option("--paper-estimator", help="fig1: 5 seeds, 500 test points, not exact.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the study, KEY=VALUE; repeat for more."),
    ] = None,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run a study: a figure or table of the paper, beside the paper's numbers, or of the docs."""
    from sourcewise.studies.catalogue import plan_study

    if data is None and (unused := [o for o in (source, columns, ignore, log) if o]):
        raise InputError(f"{unused[0]!r}: --source, --columns, --ignore and --log need DATA")
    values: dict[str, Any] = pairs(set_, "--set") | {"seed": seed}
    given = {
        "seeds": seeds,
        "paper_estimator": paper_estimator or None,
        "log": names(log) or None,
    }
    values |= {key: value for key, value in given.items() if value is not None}
    sources = None if data is None else read_data(context.params)
    planned = plan_study(name, values, sources)
    from sourcewise.files import default_folder

    out = out or default_folder(planned.name, planned.config)
    if dry_run:
        time = planned.estimate()
        seconds = {"seconds": None if time is None else round(time, 2)}
        untimed = {"seconds_reason": "this study is not timed in advance"} if time is None else {}
        print_config(planned.config | {"run": str(out)} | seconds | untimed, as_json)
        return
    with Progress(name) as report_progress:
        document, table = planned.run(out, overwrite, report_progress)
    if as_json:
        print_json(document)
    else:
        print(table, end="")
        print(f"files: {out}")
