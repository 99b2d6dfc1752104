"""`sourcewise bound`."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated

import typer

from sourcewise.bounds.options import Option
from sourcewise.bounds.registry import CLASSES, bound_class, build, options_of
from sourcewise.commands.options import DryRun, Json, print_config, print_json
from sourcewise.commands.screen import show
from sourcewise.errors import InputError, listing
from sourcewise.outputs import check_output

__all__ = ["bound"]


def _typed(same: Mapping[Option, Sequence[str]]) -> Parameter:
    """An option of a name, with what it says for the classes that take it."""
    # Texts, so that what is wrong with one is said in one line that names its range.
    first = next(iter(same))
    help = "; ".join(f"{', '.join(names)}: {option.help}" for option, names in same.items())
    how = typer.Option(first.written, metavar=first.metavar, help=f"{help}.", show_default=False)
    kind = Annotated[str | None, how]
    return Parameter(first.name, Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _with_options(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb, with what the classes declare in place of its `**given`."""
    takers: dict[str, dict[Option, list[str]]] = {}
    for name in CLASSES:
        for option in options_of(name):
            takers.setdefault(option.name, {}).setdefault(option, []).append(name)
    family, *own, _ = signature(verb).parameters.values()
    parameters = [family, *map(_typed, takers.values()), *own]
    verb.__signature__ = signature(verb).replace(parameters=parameters)  # pyright: ignore[reportFunctionMemberAccess]
    return verb


@_with_options
def bound(
    family: Annotated[
        str, typer.Argument(help=f"One of {listing(CLASSES)}; alone it says what it needs.")
    ],
    *,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the bounds to this .svg, .png or .pdf file.")
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            help="Axis of the plot: n (the default) or K; T of sampling and reflow, N of jko."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the JSON document to this file.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    **given: str | None,
) -> None:
    """Compute the theory's bounds and laws for given sizes, of flows too; rates of samplers."""
    typed, kind = given.pop("target"), bound_class(family).kind
    case = build(family, given)
    target = None if typed is None else kind.target.read(typed)
    if over is not None and plot is None:
        raise InputError("--over is the axis of the plot: give --plot FILE too")
    for file in (out, plot):
        if file is not None:
            check_output(file)
    if dry_run:
        files = {name: path and str(path) for name, path in (("plot", plot), ("out", out))}
        untimed = {"seconds": None, "seconds_reason": "numbers only: a few seconds at most"}
        print_config({"settings": case.settings(), "target": target} | files | untimed, as_json)
        return
    found = kind.answer(case, target)
    if out is not None:
        from sourcewise.files import write_json

        write_json(out, found.to_json(), seal=False)
    if plot is not None:
        from sourcewise.report.bounds_plot import draw_bounds

        draw_bounds(case, kind.along(case, over), plot)
    if as_json:
        print_json(found.to_json())
    else:
        show(*kind.text(found).rstrip("\n").split("\n"))
