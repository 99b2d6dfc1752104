"""`sourcewise sample`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sourcewise.commands.options import (
    Device,
    DryRun,
    Json,
    RunFolder,
    Seed,
    names,
    pairs,
    print_config,
    print_json,
)
from sourcewise.commands.screen import show
from sourcewise.errors import InputError, counted

__all__ = ["sample"]


def sample(
    run: RunFolder,
    strategy: Annotated[
        str | None, typer.Option(help="One of the run's; by default the recommended one.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Draw this source; repeat for more.")
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "-n", "--number", help="Draws per source (10), or per row of --given FILE (1)."
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--given",
            help="A=VALUE,B=VALUE of given columns, or a FILE of rows of them, maybe with their "
            "sources; by default as training rows have.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="KEY=VALUE, an option of drawing that the family has, such as temperature=0.8 "
            "(likelier draws) or guidance=2; repeat for more.",
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="A file: .csv, .jsonl, .txt (one source), .npz or .png (images)."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Draw from the models of a finished run, in the original types."""
    from sourcewise.fitting.run import load
    from sourcewise.lifecycle.sample import sample as draw
    from sourcewise.lifecycle.sample_files import check_file, write_samples

    opened, asked = load(run), _asked(given)
    if out is not None:
        check_file(out)
    if dry_run:
        plan = {"strategy": opened.strategy(strategy), "sources": source, "n": number}
        plan |= {
            "given": asked,
            "set": pairs(set_, "--set"),
            "seed": seed,
            "device": device,
            "out": out and str(out),
        }
        untimed = {"seconds": None, "seconds_reason": "drawing is not timed in advance"}
        print_config({"run": str(run), **plan, **untimed}, as_json)
        return
    samples = draw(
        opened,
        strategy=strategy,
        sources=source,
        n=number,
        seed=seed,
        device=device,
        set=pairs(set_, "--set"),
        given=asked,
    )
    if out is not None:
        write_samples(samples, out)
    if as_json:
        file = {"file": str(out)} if out is not None else {"samples": samples.plain()}
        print_json({**samples.document, "run": str(run), **file})
    elif out is not None:
        notes = (f"note: {warning}" for warning in samples.result.warnings)
        show(*notes, f"{counted(len(samples), 'sample')}: {out}")
    else:
        show(*str(samples).split("\n"))


def _asked(given: list[str] | None) -> dict[str, Any] | str | None:
    """Values by name, or the name of a file."""
    if not given:
        return None
    if not any(text.strip() for text in given):
        raise InputError("--given '' says nothing: write A=VALUE,B=VALUE, or a FILE of rows")
    if len(given) == 1 and ("=" not in given[0] or Path(given[0]).is_file()):
        return given[0]
    return pairs(names(given), "--given")
