"""Where samples come from: the contract of `sample --json`, the draws left out."""

from collections.abc import Mapping
from dataclasses import dataclass

from sourcewise.results.contract import Scalar

__all__ = ["Names", "SamplesResult"]


@dataclass(frozen=True)
class Names:
    """What the data called the column of the source, and that of the text."""

    source: str
    text: str


@dataclass(frozen=True)
class SamplesResult:
    """Where draws come from.

    Args:
        schema_version: of the contract.
        kind: "sample".
        run: the folder.
        strategy: whose models drew.
        family: of the models.
        seed: of all draws.
        n: per source.
        temperature: that logits were divided by; None: 1.
        resolved: what settings given as `auto` became.
        warnings: one line each.
        reading: names of columns.
    """

    schema_version: int
    kind: str
    run: str | None
    strategy: str
    family: str
    seed: int
    n: int
    temperature: float | None
    resolved: Mapping[str, Scalar]
    warnings: tuple[str, ...]
    reading: Names
