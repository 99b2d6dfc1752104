"""What is asked of a sample, and what families say of how it is encoded; imports no torch.

Messages name an option as the user sets it: a family's setting that fills one has its name
(`longest`, `image`, `nodes`, `order`, `components`).
"""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "LONGEST",
    "USUAL",
    "BoxOptions",
    "CodingOptions",
    "LatentOptions",
    "Missing",
    "MixedOptions",
    "NumericOptions",
    "Rules",
    "Symbols",
    "TextOptions",
]

Missing = Literal["refuse", "drop", "impute"]
Symbols = Literal["characters", "bytes"]
LONGEST = 2048


@dataclass(frozen=True)
class Rules:
    """What is asked of a sample, whatever its coding.

    Args:
        min_rows: sources with fewer rows are not looked at for what is peculiar within a source.
        missing: "refuse" missing values, "drop" their rows, or leave them to be imputed by the
            encoder, which is fitted on training rows only.
        log: columns to take logarithms of; ("all",) takes every column in use.
        open_logs: whether logarithms of other columns are left to encoders, where skew or outliers
            ask for them; codings without such a choice take none.
        widest: the most columns that a model takes; None: as many as there are.
    """

    min_rows: int = 10
    missing: Missing = "refuse"
    log: tuple[str, ...] = ()
    open_logs: bool = False
    widest: int | None = None


USUAL = Rules()


@dataclass(frozen=True)
class CodingOptions:
    """What a family's settings say of how examples are encoded; each coding has its own."""


@dataclass(frozen=True)
class NumericOptions(CodingOptions):
    """How many numbers of an image are modelled, and the units of those of a table.

    Args:
        components: principal components; auto: by the rows of the smallest source. Of tables all
            columns are modelled.
        standardise: whether columns of a table are in units of their spread, or in their own.
    """

    components: int | Literal["auto"] = "auto"
    standardise: bool = True


@dataclass(frozen=True)
class LatentOptions(CodingOptions):
    """Which autoencoder makes images latents."""

    autoencoder: str  # a folder, or OWNER/NAME of the hub


@dataclass(frozen=True)
class TextOptions(CodingOptions):
    """How text is encoded."""

    symbols: Symbols = "characters"  # what a symbol is; bytes are those of UTF-8
    longest: int = LONGEST  # the longest example that is taken, in symbols


@dataclass(frozen=True)
class MixedOptions(CodingOptions):
    """How columns of any kind become codes.

    Args:
        bins: per column of numbers, at least 2; auto: by the number of its training rows.
        order: "given", "information", or names of columns that come first, in this order.
    """

    bins: int | Literal["auto"] = "auto"
    order: tuple[str, ...] = ("given",)


@dataclass(frozen=True)
class BoxOptions(CodingOptions):
    """What the columns of a box are, and how it is cut.

    Args:
        image: channels, height and width of the images whose pixels the columns are, () for those
            that an array tells; None: they are no pixels.
        nodes: cells along each axis of a grid; auto: the most steps that a column has; None: no
            grid.
    """

    image: tuple[int, ...] | None = None
    nodes: int | Literal["auto"] | None = None
