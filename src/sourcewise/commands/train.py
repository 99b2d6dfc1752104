"""`sourcewise train`."""

from typing import Annotated

import typer

from sourcewise.commands import options as o
from sourcewise.commands.progress import Progress
from sourcewise.commands.screen import show

__all__ = ["train"]


def train(
    context: typer.Context,
    data: o.Data,
    source: o.SourceColumn = None,
    columns: o.Columns = None,
    ignore: o.Ignore = None,
    given: o.GivenColumns = None,
    log: o.Log = None,
    group: o.Group = None,
    types: o.Types = None,
    text: o.Text = None,
    chunk: o.Chunk = None,
    decimal: o.Decimal = None,
    separator: o.Separator = None,
    encoding: o.Encoding = None,
    na: o.Na = None,
    dates: o.Dates = None,
    size: o.Size = None,
    channels: o.Channels = None,
    sample_rows: o.SampleRows = None,
    missing: o.Missing = "refuse",
    model: o.Model = "auto",
    set_: o.Set = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="One of pooled, separate, partial, fine-tuned, groups:a+b|c, groups:FILE.csv"
        ),
    ] = "pooled",
    seed: o.Seed = 0,
    workers: o.Workers = 1,
    device: o.Device = "auto",
    track: o.Track = "none",
    checkpoint: o.Checkpoint = 60,
    stacked: o.Stacked = True,
    shard: o.Shard = False,
    out: o.Out = None,
    overwrite: o.Overwrite = False,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
) -> None:
    """Train one strategy on all rows and keep its models."""
    from sourcewise.execution import Execution
    from sourcewise.fitting.execute import execute
    from sourcewise.lifecycle.prepare import TrainSettings, prepare
    from sourcewise.lifecycle.train import TrainingRun

    options = context.params
    execution = Execution.parse(o.values_of(Execution, options))
    settings = TrainSettings.parse(o.values_of(TrainSettings, options))
    prepared = prepare(o.read_data(options), settings)
    run = TrainingRun(prepared, execution)
    out = out or run.folder
    if dry_run:
        o.print_plan(prepared, out, run.seconds(), as_json)
        return
    with Progress("training") as report_progress:
        result = execute(run, out, overwrite, report_progress)
    if as_json:
        o.print_json(result.document)
    else:
        show(*str(result).split("\n"), f"run: {out}")
