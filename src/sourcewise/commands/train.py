"""`sourcewise train`."""

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

__all__ = ["train"]


def train(
    data: Data,
    source: SourceColumn = None,
    columns: Columns = None,
    ignore: Ignore = None,
    log: Log = None,
    group: Group = None,
    types: Types = None,
    text: Text = None,
    chunk: Chunk = None,
    missing: Missing = "refuse",
    model: Model = "auto",
    set_: Set = None,
    strategy: Annotated[
        str, typer.Option(help="One of pooled, separate, groups:a+b|c, groups:FILE.csv")
    ] = "pooled",
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
    """Train one strategy on all rows and keep its models."""
    chosen = {
        "model": model,
        "set": settings_of(set_),
        "strategy": strategy,
        "seed": seed,
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
    from sourcewise.execution import Execution
    from sourcewise.fitting.execute import execute
    from sourcewise.lifecycle.prepare import TrainSettings, prepare
    from sourcewise.lifecycle.train import TrainingRun

    prepared = prepare(sources, TrainSettings.parse(chosen))
    run = TrainingRun(prepared, Execution.parse(where))
    out = out or run.folder
    if dry_run:
        trained = prepared.job.family.trained
        plan = {**prepared.config, "resolved": prepared.effective_settings()}
        plan["warnings"] = prepared.screened.warnings
        print_plan(plan, out, run.seconds(), trained, as_json)
        return
    with Progress("training") as report_progress:
        result = execute(run, out, overwrite, report_progress)
    if as_json:
        print_json(result.document)
    else:
        print(result)
        print(f"run: {out}")
