"""Strategies: named ways to train on all sources, and how users write them."""

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sourcewise.errors import InputError, unknown
from sourcewise.partition import Partition

__all__ = ["FINE_TUNED", "Strategy", "in_order", "parse_strategies", "without"]

FINE_TUNED = "fine-tuned"
GROUPS = ("groups:a+b|c", "groups:FILE.csv")
NAMED = ("pooled", "separate", "partial", FINE_TUNED, "shuffled", *GROUPS)


@dataclass(frozen=True)
class Strategy:
    """A partition with a name; a control is there to be beaten, never recommended.

    Args:
        name: what tables call it.
        partition: one model per block.
        shuffled: train on permuted labels: what the labels are worth to the pooled model.
        partial: each source has parameters of its own, drawn towards those of its block.
        parent: the strategy from whose weights each source's model begins, and towards which it
            is drawn; None: training begins anew.
    """

    name: str
    partition: Partition
    shuffled: bool = False
    partial: bool = False
    parent: "Strategy | None" = None

    def trained_like(self, other: "Strategy") -> bool:
        """Whether a block that both have is trained alike in both, given the same settings."""
        mine, others = ((one.shuffled, one.partial, one.parent) for one in (self, other))
        return mine == others


def parse_strategies(text: str, names: tuple[str, ...]) -> tuple[Strategy, ...]:
    """Strategies from a comma-separated list.

    `pooled`, `separate`, `partial`, `fine-tuned`, `shuffled`, and groups: `groups:a+b|c`, or
    `groups:FILE.csv` with the columns `source` and `group`. Sources that the groups do not name
    stand alone.

    >>> [s.partition.blocks for s in parse_strategies("pooled,groups:a+b", ("a", "b", "c"))]
    [((0, 1, 2),), ((0, 1), (2,))]

    Raises:
        InputError: an unknown strategy or source, a source in two groups, a strategy twice.
    """
    K = len(names)
    strategies: list[Strategy] = []
    for spec in (part.strip() for part in text.split(",") if part.strip()):
        taken = {strategy.name for strategy in strategies}
        if spec.startswith("groups:"):
            partition = _groups(spec.removeprefix("groups:"), names)
            strategies.append(Strategy(_free_name("groups", taken), partition))
        elif spec in taken:
            raise InputError(f"strategy {spec!r} is named twice")
        elif spec == "separate":
            strategies.append(Strategy(spec, Partition.separate(K)))
        elif spec in ("pooled", "shuffled"):
            strategies.append(Strategy(spec, Partition.pooled(K), spec == "shuffled"))
        elif spec == "partial":
            strategies.append(Strategy(spec, Partition.pooled(K), partial=True))
        elif spec == FINE_TUNED:
            parent = Strategy("pooled", Partition.pooled(K))
            strategies.append(Strategy(spec, Partition.separate(K), parent=parent))
        else:
            raise unknown("strategy", spec, NAMED)
    return tuple(strategies)


def in_order(strategies: Iterable[Strategy]) -> list[Strategy]:
    """Those that others begin from come first; otherwise as they stand."""
    return sorted(strategies, key=lambda strategy: strategy.parent is not None)


def without(text: str, names: Collection[str]) -> str:
    """A list of strategies, as it is written, without some of them.

    >>> without("pooled,separate,partial", ["partial"])
    'pooled,separate'
    """
    specs = (part.strip() for part in text.split(","))
    return ",".join(spec for spec in specs if spec not in names)


def _free_name(name: str, taken: set[str]) -> str:
    number = 2
    while name in taken:
        name, number = f"{name.split('-')[0]}-{number}", number + 1
    return name


def _groups(spec: str, names: tuple[str, ...]) -> Partition:
    blocks = _from_csv(Path(spec)) if spec.endswith(".csv") else _from_text(spec)
    named = [source for block in blocks for source in block]
    for source in named:
        if source not in names:
            raise unknown("source", source, names)
        if named.count(source) > 1:
            raise InputError(f"source {source!r} stands in two groups")
    alone = [(source,) for source in names if source not in named]
    return Partition(tuple(tuple(map(names.index, block)) for block in (*blocks, *alone)))


def _from_text(spec: str) -> list[tuple[str, ...]]:
    blocks = [tuple(name.strip() for name in block.split("+")) for block in spec.split("|")]
    if any(not name for block in blocks for name in block):
        raise InputError(f"groups:{spec}: an empty name (allowed: groups:a+b|c)")
    return blocks


def _from_csv(path: Path) -> list[tuple[str, ...]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    groups: dict[str, list[str]] = {}
    for row in rows:
        if row.get("source") is None or row.get("group") is None:
            raise InputError(f"{path} needs the columns source and group")
        groups.setdefault(row["group"], []).append(row["source"])
    if not groups:
        raise InputError(f"{path} holds no rows")
    return [tuple(members) for members in groups.values()]
