"""Options that several verbs share, and what verbs do with them."""

import csv
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sourcewise.commands.progress import late
from sourcewise.commands.screen import show
from sourcewise.commands.workers import spread
from sourcewise.errors import InputError, listing, shortened, visible
from sourcewise.families.registry import families
from sourcewise.readers.registry import BUILT_IN, PLAIN, readable

if TYPE_CHECKING:
    import yaml

    from sourcewise.comparison.beside.prepare import PreparedFamilies
    from sourcewise.comparison.prepare import Prepared
    from sourcewise.lifecycle.prepare import PreparedTraining
    from sourcewise.settings import Settings
    from sourcewise.sources import Sources
    from sourcewise.suspects.prepare import PreparedLabels

PLAIN_OPTIONS = ("text", "chunk", "decimal", "separator", "encoding", "dates", "size", "channels")
Given = dict[str, Any]  # options by parameter name

Data = Annotated[
    str,
    typer.Argument(
        help=f"A {readable()} file, a folder of {PLAIN.suffixes[0]} files, of folders of images, "
        f"or of idx files, or a built-in name: {', '.join(BUILT_IN)}."
    ),
]
_FAMILIES = ", ".join(f"{item.name} ({item.takes})" for item in families().values())
SourceColumn = Annotated[
    str | None, typer.Option("--source", help="Column that says where a row comes from.")
]
Names = list[str] | None  # A,B as in a CSV file; the option may be repeated
Columns = Annotated[
    Names,
    typer.Option(help="Use only these columns: A,B; names as in CSV, '\"Weight, kg\",age'."),
]
Ignore = Annotated[Names, typer.Option(help="Leave these columns out: A,B.")]
GivenColumns = Annotated[
    Names,
    typer.Option("--given", help="Condition on these columns, and never model them: A,B."),
]
Group = Annotated[
    Names,
    typer.Option(
        help="Rows alike in these columns stay together: A,B; none: every row stands for itself."
    ),
]
Types = Annotated[Names, typer.Option(help="Column types: A=category,B=number,C=date.")]
Decimal = Annotated[
    str | None, typer.Option(help="Mark of decimals in text, . or , (by default as columns show).")
]
Separator = Annotated[
    str | None,
    typer.Option(help="What separates cells (by default what splits the rows evenly)."),
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of text, such as cp1252 (by default UTF-8).")
]
Na = Annotated[
    Names, typer.Option(help="Values that are missing, beside the empty cell, NA, NaN, ...: A,B.")
]
Dates = Annotated[str | None, typer.Option(help="How dates are written: %d/%m/%Y.")]
Size = Annotated[
    int | None,
    typer.Option(help="Make images squares of N pixels a side, cut from their centre."),
]
Channels = Annotated[
    str | None, typer.Option(help="Make images grey or rgb (by default grey if all are).")
]
SampleRows = Annotated[
    int | None, typer.Option(help="Keep at most N rows of each source, drawn by --seed.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A setting of the family, KEY=VALUE; repeat for more; --dry-run lists them all.",
    ),
]
Missing = Annotated[
    str,
    typer.Option(
        help="Missing values: refuse, drop (their rows), or impute where the family can; families "
        "of mixed tables take them as values, or with impute leave them out of scores."
    ),
]
Model = Annotated[
    str, typer.Option(help=f"Model family: {_FAMILIES}, or auto: one of them by the data.")
]
Models = Annotated[
    str,
    typer.Option(
        "--model",
        help=f"Model families, one or several beside each other (A,B): {_FAMILIES}; all: those "
        "that suit the data; auto: those of them that --budget has time for.",
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(help="The folder of a finished compare or train.", show_default=False)
]
Text = Annotated[
    str | None, typer.Option("--text", help="Column of text that is the example; text.")
]
Chunk = Annotated[
    int | None, typer.Option("--chunk", help="Cut longer texts into pieces of N characters.")
]
Log = Annotated[
    Names, typer.Option(help="Take logarithms of these columns: A,B, all, none, or auto.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]


def _seed(value: int) -> int:
    if not 0 <= value < 2**63:
        raise InputError(f"--seed must be a whole number from 0 to {2**63 - 1}, got {value}")
    return value


Seed = Annotated[int, typer.Option(callback=_seed, help="Seed of all random choices.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write to.", show_default=False)]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only resolved settings and a time estimate.")
]
Device = Annotated[str, typer.Option(help="Where models run: auto, cpu, cuda, cuda:0, ...")]
Track = Annotated[
    str, typer.Option(help="Where curves go besides log.csv: none, tensorboard, wandb.")
]
Checkpoint = Annotated[float, typer.Option(help="Seconds between checkpoints.")]
Stacked = Annotated[
    bool, typer.Option(help="Train the models of a partition at the same time, or in turn.")
]
Shard = Annotated[
    bool,
    typer.Option(help="With --workers or torchrun, spread each model's parameters."),
]


def _workers(value: int) -> int:
    code = spread(value)
    if code is not None:
        raise typer.Exit(code)
    return value


Workers = Annotated[
    int, typer.Option(callback=_workers, help="Processes that share the work, one core each.")
]
Metric = Annotated[
    str, typer.Option(help="What decides: auto (the family's first metric) or another of its own.")
]
Overwrite = Annotated[bool, typer.Option(help="Replace another run in the folder.")]


def names(texts: Names) -> list[str]:
    """The names in `A,B`, quoted as in CSV, of an option that may be repeated.

    >>> names(['age, "Weight, kg"', '" height "'])
    ['age', 'Weight, kg', ' height ']
    """
    try:
        rows = list(csv.reader(texts or (), skipinitialspace=True))
    except csv.Error:
        raise InputError(f"cannot tell the names in {listing(texts or ())}: quote them") from None
    return [name for row in rows for name in row if name.strip()]


def named(texts: Names, option: str) -> list[str]:
    """The names of an option that says nothing unless it names a column.

    >>> named(["age"], "--given"), named(None, "--given")
    (['age'], [])
    """
    found = names(texts)
    if texts and not found:
        raise InputError(f"{option} '' names no column: write {option} A,B or leave it out")
    return found


def pair(text: str, option: str) -> tuple[str, str]:
    """Key and value of `KEY=VALUE`."""
    key, equals, value = text.rpartition("=") if option == "--types" else text.partition("=")
    if not key or not equals:
        raise InputError(f"{option} {text}: write KEY=VALUE")
    return key.strip(), value.strip()


def pairs(items: list[str] | None, option: str) -> dict[str, Any]:
    """What `KEY=VALUE`, given any number of times, sets; a key comes once."""
    found: dict[str, Any] = {}
    for item in items or ():
        key, value = pair(item, option)
        if key in found:
            raise InputError(f"{option}: two values of {key!r}, {found[key]} and {value}")
        found[key] = value
    return found


def read_data(given: Given) -> "Sources":
    """`sourcewise.read`, with options as they are typed; those that a verb lacks are None."""
    with late("reading images") as progress:
        return _read(given, progress)


def _read(given: Given, progress: Callable[[int, int], None]) -> "Sources":
    from sourcewise.readers.read import read

    return read(
        given["data"],
        columns=named(given["columns"], "--columns") or None,
        ignore=named(given["ignore"], "--ignore"),
        given=named(given.get("given"), "--given"),
        group=named(given.get("group"), "--group"),
        types=pairs(named(given.get("types"), "--types"), "--types"),
        na=names(given.get("na")),
        sample_rows=given.get("sample_rows"),
        sample_seed=given.get("seed") or 0,
        progress=progress,
        **{name: given.get(name) for name in ("source", *PLAIN_OPTIONS)},
    )


def values_of(settings: type["Settings"], given: Given) -> dict[str, Any]:
    """The options that are fields of a settings class, as it takes them."""
    found = {name: given[name] for name in settings.model_fields if name in given}
    if "log" in found:
        found["log"] = tuple(named(found["log"], "--log")) or ("auto",)
    if "set_" in given and "set" in settings.model_fields:
        found["set"] = pairs(given["set_"], "--set")
    return found


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    show(json.dumps(document, allow_nan=False))


def print_config(config: dict[str, Any], as_json: bool) -> None:
    """What `--dry-run` shows."""
    if as_json:
        print_json(config)
        return
    import yaml

    class Shown(yaml.SafeDumper):
        """Text with characters that are shown by escapes in quotes, where YAML reads these."""

    Shown.add_representer(str, _in_yaml)
    text = yaml.dump(config, Dumper=Shown, sort_keys=False, allow_unicode=True)
    show(*text.rstrip("\n").split("\n"))


def _in_yaml(dumper: "yaml.SafeDumper", text: str) -> "yaml.ScalarNode":
    style = None if visible(text) == text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", shortened(text, 200), style)


def print_plan(
    prepared: "Prepared | PreparedFamilies | PreparedTraining | PreparedLabels",
    out: Path,
    seconds: float,
    as_json: bool,
) -> None:
    """What `--dry-run` shows of a run that takes a while: settings, what they come to, time."""
    plan = {**prepared.config, **prepared.foreseen(), "run": str(out)}
    plan["seconds"] = round(seconds, 2)
    seen, warnings = prepared.screened.data.seen, prepared.notes
    if as_json:
        plan |= {"warnings": warnings, "columns": [asdict(column) for column in seen]}
        print_json(plan)
        return
    from sourcewise.results.text import note_lines, seen_lines

    print_config(plan, as_json)
    if seen:
        show("", "columns as they were read:", *seen_lines(seen))
    if warnings:
        show("", *note_lines(warnings))
