"""What reading a table finds of each column; results tell it too, without torch."""

from dataclasses import dataclass

__all__ = ["SeenColumn"]


@dataclass(frozen=True, slots=True)
class SeenColumn:
    """A column of a table as it was read."""

    name: str
    kind: str  # number, category or date
    example: str  # a value as it stands
    gaps: int  # rows without a value
    distinct: int  # different values
    why: str  # it has this kind
    recorded: str = ""  # what draws become again: "boolean", "integer", "day", "float32", ...
