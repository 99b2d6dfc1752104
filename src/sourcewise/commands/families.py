"""`sourcewise families`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sourcewise.commands.options import Json, print_json
from sourcewise.commands.screen import show
from sourcewise.families.registry import families as registered
from sourcewise.families.registry import family

if TYPE_CHECKING:
    from sourcewise.families.family import Family

__all__ = ["families"]


def families(
    name: Annotated[
        str | None, typer.Argument(help="A family, to list its settings; all families if none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the families, or the settings of one with defaults and ranges; no data needed."""
    if name is None:
        _show_all(as_json)
    else:
        _show(family(name), as_json)


def _about(item: "Family") -> dict[str, Any]:
    return {
        "name": item.name,
        "takes": item.takes,
        "about": item.about,
        "recipe": item.recipe,
        "metrics": list(item.metrics),
        "takes_given": item.takes_given,
    }


def _show_all(as_json: bool) -> None:
    every = [_about(item) for item in registered().values()]
    if as_json:
        print_json({"schema_version": 1, "kind": "families", "families": every})
        return
    rows = [(e["name"], e["takes"], e["recipe"], ", ".join(e["metrics"])) for e in every]
    _print(("family", "takes", "recipe", "metrics"), rows)
    show("", "sourcewise families NAME lists a family's settings")


def _show(item: "Family", as_json: bool) -> None:
    settings, sampling = item.settings_class.listed(), item.sampling_class.listed()
    if as_json:
        lists = {"settings": settings, "sampling": sampling}
        found = {key: [asdict(setting) for setting in each] for key, each in lists.items()}
        print_json({"schema_version": 1, "kind": "family", **_about(item), **found})
        return
    show(f"{item.name}: {item.about}")
    show(f"takes {item.takes}; recipe {item.recipe}; metrics {', '.join(item.metrics)}", "")
    _print_settings("--set NAME=VALUE", settings)
    if sampling:
        show("")
        _print_settings("option of sample", sampling)


def _print_settings(head: str, settings: list[Any]) -> None:
    rows = [(s.name, s.default, "; ".join(filter(None, (s.allowed, s.about)))) for s in settings]
    _print((head, "default", "allowed; what it does"), rows)


def _print(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns to the left; the last one wraps under itself."""
    from textwrap import wrap

    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head) - 1)]
    start = sum(widths) + 2 * len(widths)
    for row in (head, *rows):
        cells = "".join(f"{cell:{width}}  " for cell, width in zip(row, widths, strict=False))
        lines = wrap(row[-1], max(30, 98 - start)) or [""]
        show((cells + lines[0]).rstrip())
        for line in lines[1:]:
            show(" " * start + line)
