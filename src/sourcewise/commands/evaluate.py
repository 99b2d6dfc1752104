"""`sourcewise evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from sourcewise.commands import options as o
from sourcewise.commands.progress import late
from sourcewise.commands.screen import show
from sourcewise.errors import InputError
from sourcewise.outputs import check_output

__all__ = ["evaluate"]


def evaluate(
    context: typer.Context,
    run: o.RunFolder,
    data: Annotated[
        str, typer.Argument(help="New rows: a file, folder or built-in name.", show_default=False)
    ],
    strategy: Annotated[
        list[str] | None, typer.Option(help="Only this strategy of the run; repeat for more.")
    ] = None,
    source: o.SourceColumn = None,
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
    missing: Annotated[
        str | None,
        typer.Option(help="Missing values: refuse, drop or impute; by default as the run."),
    ] = None,
    unknown: Annotated[
        str,
        typer.Option(
            help="Rows of a source, or with a category or symbol, that the models do not know: "
            "refuse, or skip them and score the rest."
        ),
    ] = "refuse",
    draws: Annotated[
        int | None,
        typer.Option(
            help="Also draw N of each source from every strategy, and show how they stand beside "
            "these rows: distances, precision, recall and more, none of which decides."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="What makes rows and draws points: auto (the default), and of images principal, "
            "classifier, a TorchScript file or a folder of transformers, PATH or PATH@SHA256."
        ),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(
            help="The rows that the models were trained on, read like these: they tell whether "
            "draws are copies of them, and what draws teach a classifier beside them."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="KEY=VALUE, an option of drawing that the family has, as for sample; repeat for "
            "more.",
        ),
    ] = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON document here.")] = None,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
) -> None:
    """Score new rows under the models of a finished run; read as its data unless you say so."""
    if missing not in (None, "refuse", "drop", "impute"):
        raise InputError(f"--missing {missing}: allowed are refuse, drop, impute")
    if unknown not in ("refuse", "skip"):
        raise InputError(f"--unknown {unknown}: allowed are refuse, skip")
    if out is not None:
        check_output(out)
    given = {name: context.params[name] for name in ("source", *o.PLAIN_OPTIONS)}
    given["group"] = None if group is None else o.names(group)
    given["types"] = None if types is None else o.pairs(o.names(types), "--types")
    given["na"] = None if na is None else o.names(na)
    from sourcewise.fitting.run import load
    from sourcewise.lifecycle.draws.asked import DrawsAsked
    from sourcewise.lifecycle.evaluate import evaluate as score
    from sourcewise.lifecycle.new_rows import reading_options

    opened = load(run)
    chosen = o.pairs(set_, "--set") or None
    asked = {"draws": draws, "features": features, "training": training, "set": chosen}
    if dry_run:
        DrawsAsked.of(opened.settings.model, draws, features, training, chosen)
        reading = reading_options(opened, data, given)
        plan = {"data": data, "reading": reading, "strategies": strategy or opened.strategies}
        plan |= {name: value for name, value in asked.items() if value}
        untimed = {"seconds": None, "seconds_reason": "scoring is not timed in advance"}
        o.print_config({"run": str(run), **plan, "seed": seed, **untimed}, as_json)
        return
    options = {"missing": missing, "unknown": unknown, "seed": seed, "device": device}
    with late("drawing") as progress:
        found = score(
            opened, data, strategies=strategy, progress=progress, **options, **asked, **given
        )
    document = {**found.document, "run": str(run)}
    if out is not None:
        from sourcewise.files import write_json

        write_json(out, document, seal=False)
    if as_json:
        o.print_json(document)
    else:
        show(*str(found).split("\n"))
