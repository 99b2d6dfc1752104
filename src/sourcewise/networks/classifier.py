"""A small classifier of images: strided convolutions, one hidden layer, a number per label.

    h_0 = x,   h_l = relu(conv(h_(l-1), stride 2))   until a side is 4 or less (once at least),
    f(x) = A relu(B flatten(h_L) + b) + a

The first convolution halves nothing, so that small images keep their pixels. The hidden layer's
values are what the image is to the network: its features.
"""

from torch import Tensor, nn

from sourcewise.networks.layers import Conv2d, Linear

__all__ = ["ImageClassifier"]

LEAST_SIDE, MOST_CHANNELS = 4, 64
GAIN = 6.0**0.5  # He's bound for what a ReLU halves


class ImageClassifier(nn.Module):
    """`(..., C, H, W) -> (..., labels)`.

    Args:
        shape: channels, height and width of the images.
        labels: number of labels.
        width: channels of the first convolution; each halving doubles them, up to 64.
        hidden: values of the hidden layer.
    """

    def __init__(
        self, shape: tuple[int, int, int], labels: int, width: int = 16, hidden: int = 64
    ):
        super().__init__()
        channels, *sides = shape
        layers = [Conv2d(channels, width, gain=GAIN)]
        while max(sides) > LEAST_SIDE or len(layers) < 2:
            wider = min(2 * width, MOST_CHANNELS)
            layers.append(Conv2d(width, wider, stride=2, gain=GAIN))
            width, sides = wider, [(side + 1) // 2 for side in sides]
        self.layers = nn.ModuleList(layers)
        self.hidden = Linear(width * sides[0] * sides[1], hidden, gain=GAIN)
        self.out = Linear(hidden, labels)

    def features(self, x: Tensor) -> Tensor:
        """(..., hidden) of x (..., C, H, W)."""
        for layer in self.layers:
            x = layer(x).relu()
        return self.hidden(x.flatten(-3)).relu()

    def forward(self, x: Tensor) -> Tensor:
        """(..., labels) logits of x (..., C, H, W)."""
        return self.out(self.features(x))
