"""Where samples come from: the contract of `sample --json`, the draws left out."""

from dataclasses import dataclass

from sourcewise.results.data import Resolved

__all__ = ["Names", "SamplesResult"]


@dataclass(frozen=True)
class Names:
    """What the data called the column of the source, and that of the text."""

    source: str
    text: str


@dataclass(frozen=True)
class SamplesResult:
    """Where draws come from."""

    schema_version: int
    kind: str
    run: str | None
    strategy: str
    family: str
    seed: int
    n: int  # per source
    temperature: float | None  # that logits were divided by
    resolved: Resolved
    warnings: tuple[str, ...]
    reading: Names
