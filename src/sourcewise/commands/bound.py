"""`sourcewise bound`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sourcewise.commands.options import DryRun, Json, print_config
from sourcewise.errors import InputError

__all__ = ["bound"]


def _size(option: str, metavar: str, text: str) -> Any:
    # Texts, so that what is wrong with one is said in one line that names its range.
    return typer.Option(f"--{option}", metavar=metavar, help=text, show_default=False)


def bound(
    family: Annotated[
        str, typer.Argument(help="gaussian, arm, energy or general; alone it says what it needs.")
    ],
    sources: Annotated[str | None, _size("sources", "K", "Number of sources.")] = None,
    samples: Annotated[str | None, _size("samples", "n", "Examples in all.")] = None,
    delta: Annotated[str | None, _size("delta", "P", "Chance that a bound fails; .05.")] = None,
    groups: Annotated[
        str | None,
        _size("groups", "J", "Also with the sources in J groups, or groups of sizes 3,2."),
    ] = None,
    dim: Annotated[
        str | None, _size("dim", "d", "gaussian, energy: coordinates of x, its columns.")
    ] = None,
    specific: Annotated[
        str | None, _size("specific", "d1", "gaussian, general: numbers of one source alone.")
    ] = None,
    mean_bound: Annotated[
        str | None, _size("mean-bound", "B", "gaussian: largest absolute mean.")
    ] = None,
    shares: Annotated[
        str | None, _size("shares", "A,B", "gaussian: shares of the sources; equal.")
    ] = None,
    vocabulary: Annotated[str | None, _size("vocabulary", "M", "arm: symbols.")] = None,
    length: Annotated[str | None, _size("length", "D", "arm: positions.")] = None,
    encoder: Annotated[
        str | None, _size("encoder", "NAME", "arm: per-position (default) or shared.")
    ] = None,
    embedding: Annotated[
        str | None, _size("embedding", "d_e", "arm, energy: numbers per embedding.")
    ] = None,
    width: Annotated[str | None, _size("width", "W", "arm, energy: width of the network.")] = None,
    depth: Annotated[
        str | None, _size("depth", "L", "arm, energy: affine layers of the network.")
    ] = None,
    weight_bound: Annotated[
        str | None, _size("weight-bound", "B", "arm, energy: largest absolute weight, 1 or more.")
    ] = None,
    nonzeros: Annotated[
        str | None, _size("nonzeros", "S", "arm, energy: weights that are not 0; all.")
    ] = None,
    shared: Annotated[
        str | None, _size("shared", "P", "general: numbers that all sources can share.")
    ] = None,
    constant: Annotated[
        str | None, _size("constant", "c", "general: c of log N = m log(c/eps); 1.")
    ] = None,
    target: Annotated[
        str | None, _size("target", "TV", "Also the examples needed for this average TV.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the bounds to this file.")] = None,
    over: Annotated[str | None, typer.Option(help="Axis of the plot: n (default) or K.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON document here.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compute the theory's bounds and laws for given sizes, pooled and separate."""
    options = {k: v for k, v in locals().items() if k not in _NOT_SIZES}
    from sourcewise.theory import calculator, cases
    from sourcewise.theory.options import value

    case = cases.build(family, options)
    aim = None if target is None else value("target", target)
    if over is not None and plot is None:
        raise InputError("--over is the axis of the plot: give --plot FILE too")
    if out is not None and not out.parent.is_dir():
        raise InputError(f"{out}: there is no folder {out.parent}")
    if dry_run:
        files = {name: path and str(path) for name, path in (("plot", plot), ("out", out))}
        untimed = {"seconds": None, "seconds_reason": "numbers only: a few seconds at most"}
        print_config({"settings": case.settings, "target": aim} | files | untimed, as_json)
        return
    found = calculator.document(case, aim)
    if out is not None:
        from sourcewise.files import write_json

        write_json(out, found)
    if plot is not None:
        from sourcewise.report.bounds_plot import draw_bounds

        over = over or "n"
        at = case.n if over == "n" else case.K
        lines = calculator.curves(case, over)
        draw_bounds(*lines, over, plot, at, calculator.title(case), case.words)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, allow_nan=False))
    else:
        print(calculator.table(found, case.words), end="")


_NOT_SIZES = ("family", "target", "plot", "over", "out", "dry_run", "as_json")
