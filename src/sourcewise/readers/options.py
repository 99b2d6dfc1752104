"""How data are to be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sourcewise.forms.table import Kind

__all__ = ["ReadOptions"]


@dataclass(frozen=True)
class ReadOptions:
    """The options of `sourcewise.read`, which explains them."""

    source: str | None = None
    columns: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    types: Mapping[str, "Kind"] = field(default_factory=dict)
    text: str | None = None
    chunk: int | None = None

    @property
    def given(self) -> dict[str, object]:
        """Those that say something, by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value}
