"""The command line: thin. Heavy modules are imported when a command runs, not for `--help`."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sourcewise import __version__
from sourcewise.errors import InputError

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["app", "main"]

app = typer.Typer(
    name="sourcewise",
    help="One generative model for all your data sources, or one each?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SourceColumn = Annotated[
    str | None, typer.Option("--source", help="Column that says where a row comes from.")
]
Columns = Annotated[str | None, typer.Option(help="Use only these columns: A,B.")]
Ignore = Annotated[str | None, typer.Option(help="Leave these columns out: A,B.")]
Log = Annotated[str | None, typer.Option(help="Take logarithms of these columns: A,B, or all.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write to.", show_default=False)]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only resolved settings and a time estimate.")
]
Overwrite = Annotated[bool, typer.Option(help="Replace another run in the folder.")]


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 bad usage or bad input."""
    # One thread: more would cost time on small models, and change the bits of results.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        code = app(standalone_mode=False)
        raise SystemExit(code if isinstance(code, int) else 0)
    except InputError as error:
        _stop(f"error: {_line(str(error))}", 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        if type(error).__name__ == "Abort":  # Ctrl-C, as the option parser passes it on
            _stop("interrupted; the same command goes on where this one stopped", 130)
        told = getattr(error, "format_message", None)  # a usage error of the option parser
        if told is not None:
            _stop(f"error: {_line(told())} (see --help)", 2)
        if os.environ.get("SOURCEWISE_TRACEBACK"):
            raise
        where = "(SOURCEWISE_TRACEBACK=1 shows where)"
        _stop(f"failed: {type(error).__name__}: {_line(str(error))} {where}", 1)


def _line(text: str) -> str:
    return " ".join(text.split())


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    raise SystemExit(code)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sourcewise {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """One generative model for all your data sources, or one each?"""


@app.command()
def compare(
    data: Annotated[
        str,
        typer.Argument(
            help="A .csv, .tsv (also .gz), .parquet or .npz file, or a built-in name: wine, "
            "breast-cancer, digits, gaussian."
        ),
    ] = "wine",
    source: SourceColumn = None,
    columns: Columns = None,
    ignore: Ignore = None,
    log: Log = None,
    group: Annotated[
        str | None, typer.Option(help="Rows alike in these columns stay together: A,B.")
    ] = None,
    types: Annotated[
        str | None, typer.Option(help="Column types: A=category,B=number,C=date.")
    ] = None,
    missing: Annotated[
        str, typer.Option(help="Missing values: refuse, drop (their rows) or impute.")
    ] = "refuse",
    min_rows: Annotated[
        int, typer.Option(help="Sources with fewer rows train, but are not tested.")
    ] = 10,
    model: Annotated[
        str, typer.Option(help="Model family: auto, gaussian (normal, fitted exactly).")
    ] = "auto",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the family, KEY=VALUE; repeat for more."),
    ] = None,
    strategies: Annotated[
        str,
        typer.Option(help="pooled, separate, shuffled, groups:a+b|c, groups:FILE.csv"),
    ] = "pooled,separate",
    seeds: Annotated[int, typer.Option(help="Repetitions of the cross-validation.")] = 3,
    scope: Annotated[
        str, typer.Option(help="What intervals cover: auto, procedure, 'these models'.")
    ] = "auto",
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train pooled and separate models and say which is better for which source."""
    chosen = {
        "model": model,
        "set": dict(_pair(text, "--set") for text in set_ or ()),
        "strategies": strategies,
        "seeds": seeds,
        "scope": scope,
        "seed": seed,
        "min_rows": min_rows,
        "missing": missing,
        "log": tuple(_names(log)),
    }
    kinds = dict(_pair(text, "--types") for text in _names(types))
    sources = _read(data, source, columns, ignore, group, kinds)
    from sourcewise.comparison import CompareSettings, estimate_seconds, execute, prepare

    settings = CompareSettings.parse(chosen)
    prepared = prepare(sources, settings)
    out = out or prepared.folder
    if dry_run:
        seconds = round(estimate_seconds(prepared), 2)
        config = {**prepared.config, "run": str(out), "seconds": seconds}
        _print_config(config, as_json)
        return
    with _Progress("comparing") as report_progress:
        result = execute(prepared, out, overwrite, report_progress)
    from sourcewise.report import report as write_report

    page = write_report(result, out / "report.html")
    if as_json:
        print(json.dumps(result.document, ensure_ascii=False, allow_nan=False))
    else:
        print(result)
        print(f"report: {page}")


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _pair(text: str, option: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError(f"{option} {text}: write KEY=VALUE")
    return key.strip(), value.strip()


def _read(
    data: str,
    source: str | None,
    columns: str | None,
    ignore: str | None,
    group: str | None,
    types: dict[str, Any],
) -> "Sources":
    from sourcewise.readers import read

    return read(
        data,
        source=source,
        columns=_names(columns) or None,
        ignore=_names(ignore),
        group=_names(group),
        types=types,
    )


def _print_config(config: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(config, ensure_ascii=False, allow_nan=False))
        return
    import yaml

    print(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), end="")


class _Progress:
    """A progress bar with time left on stderr, on a terminal only."""

    def __init__(self, title: str):
        self.title = title
        self.bar: Any = None

    def __enter__(self) -> Callable[[int, int], None] | None:
        if not sys.stderr.isatty():
            return None
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.bar.start()
        task = self.bar.add_task(self.title)
        return lambda done, total: self.bar.update(task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()


@app.command()
def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            help="fig1: the paper's figure 1; coverage: whether intervals cover; crossing: where "
            "separate overtakes pooled in DATA."
        ),
    ],
    data: Annotated[
        str | None, typer.Argument(help="For crossing: a file or built-in name.")
    ] = None,
    source: SourceColumn = None,
    columns: Columns = None,
    ignore: Ignore = None,
    log: Log = None,
    seeds: Annotated[int | None, typer.Option(help="fig1: runs per cell; 1000.")] = None,
    paper_estimator: Annotated[
        bool, typer.Option("--paper-estimator", help="fig1: 5 seeds, 500 test points, not exact.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the study, KEY=VALUE; repeat for more."),
    ] = None,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run a study: a figure or table of the paper, beside the paper's numbers, or of the docs."""
    from sourcewise.studies.catalogue import plan_study

    if data is None and (unused := [o for o in (source, columns, ignore, log) if o]):
        raise InputError(f"{unused[0]!r}: --source, --columns, --ignore and --log need DATA")
    values: dict[str, Any] = dict(_pair(text, "--set") for text in set_ or ()) | {"seed": seed}
    given = {
        "seeds": seeds,
        "paper_estimator": paper_estimator or None,
        "log": _names(log) or None,
    }
    values |= {key: value for key, value in given.items() if value is not None}
    sources = None if data is None else _read(data, source, columns, ignore, None, {})
    planned = plan_study(name, values, sources)
    from sourcewise.files import default_folder

    out = out or default_folder(planned.name, planned.config)
    if dry_run:
        untimed = {"seconds": None, "seconds_reason": "a study is not timed in advance"}
        _print_config(planned.config | {"run": str(out)} | untimed, as_json)
        return
    with _Progress(name) as report_progress:
        document, table = planned.run(out, overwrite, report_progress)
    if as_json:
        print(json.dumps(document, ensure_ascii=False, allow_nan=False))
    else:
        print(table, end="")
        print(f"files: {out}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; default RUN/report.html. .png, .svg: the plot.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the HTML report (or the plot) of a finished run again, from its files."""
    from sourcewise.comparison import load
    from sourcewise.report import report as write_report

    result = load(run)
    page = write_report(result, out or run / "report.html")
    print(json.dumps({"run": str(run), "report": str(page)}) if as_json else f"report: {page}")


def _size(option: str, metavar: str, text: str) -> Any:
    # Texts, so that what is wrong with one is said in one line that names its range.
    return typer.Option(f"--{option}", metavar=metavar, help=text, show_default=False)


@app.command()
def bound(
    family: Annotated[str, typer.Argument(help="gaussian, arm, energy or general.")],
    sources: Annotated[str | None, _size("sources", "K", "Number of sources.")] = None,
    samples: Annotated[str | None, _size("samples", "n", "Examples in all.")] = None,
    delta: Annotated[str | None, _size("delta", "P", "Error probability; .05.")] = None,
    groups: Annotated[
        str | None, _size("groups", "J", "Also for J groups, or for sizes: 3,2.")
    ] = None,
    dim: Annotated[str | None, _size("dim", "d", "gaussian, energy: coordinates of x.")] = None,
    specific: Annotated[
        str | None, _size("specific", "d1", "gaussian, general: numbers of one source alone.")
    ] = None,
    mean_bound: Annotated[str | None, _size("mean-bound", "B", "gaussian: largest mean.")] = None,
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
    depth: Annotated[str | None, _size("depth", "L", "arm, energy: its layers.")] = None,
    weight_bound: Annotated[
        str | None, _size("weight-bound", "B", "arm, energy: largest weight.")
    ] = None,
    nonzeros: Annotated[
        str | None, _size("nonzeros", "S", "arm, energy: non-zero weights; all.")
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
        _print_config({"settings": case.settings, "target": aim} | files | untimed, as_json)
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


if __name__ == "__main__":
    main()
