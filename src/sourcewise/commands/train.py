"""`sourcewise train`."""

from typing import Annotated

import typer

from sourcewise.commands.options import (
    Chunk,
    Columns,
    Data,
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
    SourceColumn,
    Text,
    Types,
    names,
    pair,
    print_config,
    print_json,
    read_data,
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
    out: Out = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train one strategy on all rows and keep its models."""
    chosen = {
        "model": model,
        "set": dict(pair(text, "--set") for text in set_ or ()),
        "strategy": strategy,
        "seed": seed,
        "missing": missing,
        "log": tuple(names(log)),
    }
    kinds = dict(pair(text, "--types") for text in names(types))
    sources = read_data(data, source, columns, ignore, group, kinds, text, chunk)
    from sourcewise.lifecycle.plan import TrainSettings, prepare
    from sourcewise.lifecycle.train import estimate_seconds, execute

    prepared = prepare(sources, TrainSettings.parse(chosen))
    out = out or prepared.folder
    if dry_run:
        config = {**prepared.config, "run": str(out)}
        config["seconds"] = round(estimate_seconds(prepared), 2)
        if prepared.plan.job.family.trained:
            config["seconds_reason"] = "if no training stops early"
        print_config(config, as_json)
        return
    with Progress("training") as report_progress:
        trained = execute(prepared, out, overwrite, report_progress)
    if as_json:
        print_json(trained.document)
    else:
        print(trained)
        print(f"run: {out}")
