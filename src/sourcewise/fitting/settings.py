"""The settings that comparisons and trainings share."""

from typing import Any

from pydantic import Field

from sourcewise.screening.options import Missing
from sourcewise.settings import Settings

__all__ = ["FitSettings"]


class FitSettings(Settings):
    """What is fitted to the data, whatever for."""

    model: str = Field(default="auto", description="auto or a family's name")
    set: dict[str, Any] = Field(default_factory=dict, description="the family's settings")
    seed: int = Field(default=0, description="of all random choices")
    metric: str = Field(
        default="auto", description="auto (the family's first) or another that it offers"
    )
    missing: Missing = Field(default="refuse", description="refuse, drop, impute")
    log: tuple[str, ...] = Field(default=(), description="column names, or all")
