"""`sourcewise compare`."""

from typing import Annotated

import typer

from sourcewise.commands import options as o
from sourcewise.commands.progress import Progress
from sourcewise.commands.screen import show

__all__ = ["compare"]


def compare(
    context: typer.Context,
    data: o.Data = "wine",
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
    min_rows: Annotated[
        int, typer.Option(help="Sources with fewer rows train, but are not tested.")
    ] = 10,
    model: o.Models = "auto",
    budget: Annotated[
        float | None,
        typer.Option(
            help="Minutes that the families of --model auto may take together.", show_default="2"
        ),
    ] = None,
    set_: o.Set = None,
    metric: o.Metric = "auto",
    strategies: Annotated[
        str,
        typer.Option(
            help="pooled, separate, partial, fine-tuned, shuffled, groups:a+b|c, groups:FILE.csv"
        ),
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
    region: Annotated[
        float | None,
        typer.Option(
            help="Differences within it, either way, are too small to matter. "
            "[default: the metric's]",
            show_default=False,
        ),
    ] = None,
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
    """Train pooled and separate models and say which is better for which source."""
    from sourcewise.comparison.compare import CompareSettings, ready
    from sourcewise.execution import Execution
    from sourcewise.fitting.execute import execute

    options = context.params
    execution = Execution.parse(o.values_of(Execution, options))
    settings = CompareSettings.parse(o.values_of(CompareSettings, options))
    run = ready(o.read_data(options), settings, execution)
    out = out or run.folder
    if dry_run:
        o.print_plan(run.prepared, out, run.prepared.seconds(), as_json)
        return
    with Progress("comparing") as report_progress:
        result = execute(run, out, overwrite, report_progress)
    from sourcewise.report import report as write_report

    page = write_report(result, out / "report.html")
    if as_json:
        o.print_json(result.document)
    else:
        show(*str(result).split("\n"), f"report: {page}")
