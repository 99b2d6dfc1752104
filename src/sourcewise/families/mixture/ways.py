"""The ways to fit, and the numbers of components, that settings leave open."""

from collections.abc import Iterator

from sourcewise.families.mixture.sample import Way
from sourcewise.families.mixture.settings import MixtureSettings, Shape
from sourcewise.families.mixture.sharing import Form

__all__ = ["FEW", "sizes", "ways"]

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
FEW = 500  # rows, up to which more ways are tried: where rows are many, full covariances win


def sizes(settings: MixtureSettings) -> tuple[int, ...]:
    """Numbers of components, ascending.

    >>> sizes(MixtureSettings(most=5)), sizes(MixtureSettings(components=7))
    ((1, 2, 3, 4), (7,))
    """
    if settings.components != "auto":
        return (settings.components,)
    return tuple(J for J in SIZES if J <= settings.most)


def ways(settings: MixtureSettings, n: int, K: int, C: int, *, partial: bool) -> Iterator[Way]:
    """From the simplest on, those of one form together.

    With given columns, offsets would shift these too: they are left out.

    Args:
        settings: what is fixed.
        n: rows.
        K: sources of the block.
        C: given columns.
        partial: whether what is the sources' own is drawn together; offsets are not.
    """
    few, own = n <= FEW, settings.prior
    strengths = (1.0, 4.0) if few else (1.0,)
    if C:  # of lines that cross, a single one says little of what is left beside each
        strengths = (0.05, *strengths)
    if own != "auto":
        strengths = (own,)
    shapes: tuple[Shape, ...] = ("full", "diagonal", "tied") if few else ("full",)
    if settings.covariance != "auto":
        shapes = (settings.covariance,)
    means = ("means", "components") if C or partial else ("means", "offsets", "components")
    if settings.sharing != "auto":
        means = (settings.sharing,)
    for each in means if K > 1 else ("means",):
        for shape in shapes:
            for strength in strengths:
                yield Way(Form(each, shape, partial and K > 1), strength)
