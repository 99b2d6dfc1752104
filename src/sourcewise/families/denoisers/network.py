"""The network behind a denoiser: a U-Net of images, a perceptron of columns."""

from sourcewise.errors import InputError
from sourcewise.families.denoisers.settings import DenoiserSettings
from sourcewise.networks.unet import UNet, UNetSizes
from sourcewise.networks.unit_mlp import UnitMLP

__all__ = ["network"]

HIDDEN, CHANNELS = 128, 16  # the usual width of either


def network(
    settings: DenoiserSettings, shape: tuple[int, ...], *, K: int, C: int
) -> UNet | UnitMLP:
    """Of images of a shape (channels, height, width), or of rows of a shape (d,).

    Raises:
        InputError: images that cannot be halved as often as there are levels.
    """
    s = settings
    if len(shape) == 1:
        return UnitMLP(*shape, s.width or HIDDEN, 1 + s.blocks, K=K, C=C)
    channels, height, width = shape
    halvings = len(s.levels) - 1
    if height != width or height % 2**halvings:
        raise InputError(
            f"setting levels: images of {height} x {width} pixels cannot be squares that are "
            f"halved {halvings} times: --size N, or fewer levels"
        )
    sizes = UNetSizes(s.width or CHANNELS, s.levels, s.blocks, s.attention)
    return UNet(channels, height, sizes, K=K, C=C)
