"""`sourcewise compare`."""

from typing import Annotated

import typer

from sourcewise.commands.options import (
    Checkpoint,
    Chunk,
    Columns,
    Data,
    Device,
    DryRun,
    Group,
    Ignore,
    Json,
    Log,
    Metric,
    Missing,
    Model,
    Out,
    Overwrite,
    Seed,
    Set,
    Shard,
    SourceColumn,
    Stacked,
    Text,
    Track,
    Types,
    names,
    print_json,
    print_plan,
    read_data,
    settings_of,
)
from sourcewise.commands.progress import Progress

__all__ = ["compare"]


def compare(
    data: Data = "wine",
    source: SourceColumn = None,
    columns: Columns = None,
    ignore: Ignore = None,
    log: Log = None,
    group: Group = None,
    types: Types = None,
    text: Text = None,
    chunk: Chunk = None,
    missing: Missing = "refuse",
    min_rows: Annotated[
        int, typer.Option(help="Sources with fewer rows train, but are not tested.")
    ] = 10,
    model: Model = "auto",
    set_: Set = None,
    metric: Metric = "auto",
    strategies: Annotated[
        str,
        typer.Option(help="pooled, separate, shuffled, groups:a+b|c, groups:FILE.csv"),
    ] = "pooled,separate",
    trials: Annotated[
        int, typer.Option(help="Settings to try per strategy, judged on validation rows.")
    ] = 0,
    seeds: Annotated[
        int, typer.Option(help="Repetitions of the cross-validation, or training seeds.")
    ] = 3,
    scope: Annotated[
        str, typer.Option(help="What intervals cover: auto, procedure, 'these models'.")
    ] = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    track: Track = "none",
    checkpoint: Checkpoint = 60,
    stacked: Stacked = True,
    shard: Shard = False,
    out: Out = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train pooled and separate models and say which is better for which source."""
    chosen = {
        "model": model,
        "set": settings_of(set_),
        "metric": metric,
        "strategies": strategies,
        "trials": trials,
        "seeds": seeds,
        "scope": scope,
        "seed": seed,
        "min_rows": min_rows,
        "missing": missing,
        "log": tuple(names(log)),
    }
    where = {
        "device": device,
        "track": track,
        "checkpoint": checkpoint,
        "stacked": stacked,
        "shard": shard,
    }
    sources = read_data(data, source, columns, ignore, group, types, text, chunk)
    from sourcewise.comparison import CompareSettings, ComparisonRun, prepare
    from sourcewise.execution import Execution
    from sourcewise.fitting.execute import execute

    prepared = prepare(sources, CompareSettings.parse(chosen))
    run = ComparisonRun(prepared, Execution.parse(where))
    out = out or run.folder
    if dry_run:
        trained = prepared.plan.job.family.trained
        plan = {**prepared.config, "resolved": prepared.effective_settings()}
        plan["warnings"] = prepared.screened.warnings
        print_plan(plan, out, prepared.seconds(), trained, as_json)
        return
    with Progress("comparing") as report_progress:
        result = execute(run, out, overwrite, report_progress)
    from sourcewise.report import report as write_report

    page = write_report(result, out / "report.html")
    if as_json:
        print_json(result.document)
    else:
        print(result)
        print(f"report: {page}")
