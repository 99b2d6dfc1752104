"""`sourcewise labels`."""

from typing import Annotated

import typer

from sourcewise.commands import options as o
from sourcewise.commands.progress import Progress
from sourcewise.commands.screen import show

__all__ = ["labels"]


def labels(
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
    min_rows: Annotated[
        int,
        typer.Option(
            help="Sources of fewer different rows train, but their labels are neither judged nor "
            "suggested."
        ),
    ] = 10,
    model: o.Model = "auto",
    set_: o.Set = None,
    metric: Annotated[
        str,
        typer.Option(help="What rows are scored by: auto, log-likelihood or likelihood-bound."),
    ] = "auto",
    strategy: Annotated[
        str,
        typer.Option(
            help="One of pooled, separate, partial, fine-tuned, groups:a+b|c, groups:FILE.csv"
        ),
    ] = "pooled",
    folds: Annotated[
        int, typer.Option(help="Parts of the rows that are held out in turn, and scored.")
    ] = 5,
    seeds: Annotated[
        int, typer.Option(help="Divisions into folds; intervals of scores need two or more.")
    ] = 3,
    probability: Annotated[
        float,
        typer.Option(help="Flag labels that are wrong with at least this probability."),
    ] = 0.5,
    most: Annotated[
        int | None,
        typer.Option(help="Flag at most N labels, the most suspect.", show_default="no limit"),
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
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Only what was found, in three lines.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Find rows whose label is suspect: another source explains them better."""
    from sourcewise.execution import Execution
    from sourcewise.fitting.execute import execute
    from sourcewise.suspects.prepare import LabelsSettings, prepare
    from sourcewise.suspects.run import LabelsRun

    options = context.params
    execution = Execution.parse(o.values_of(Execution, options))
    settings = LabelsSettings.parse(o.values_of(LabelsSettings, options))
    run = LabelsRun(prepare(o.read_data(options), settings), execution)
    out = out or run.folder
    if dry_run:
        o.print_plan(run.prepared, out, run.seconds(), as_json)
        return
    with Progress("judging labels") as report_progress:
        found = execute(run, out, overwrite, None if quiet else report_progress)
    from sourcewise.report import report as write_report
    from sourcewise.results.labels_text import found_lines

    page = write_report(found, out / "report.html")
    if as_json:
        o.print_json(found.document)
    elif quiet:
        show(*list(found_lines(found.result))[:3])
    else:
        show(*str(found).split("\n"), f"all labels: {out / 'labels.csv'}", f"report: {page}")
