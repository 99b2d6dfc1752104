"""A classifier of images, trained by one recipe: the same steps for whatever images it gets.

`updates` steps of Adam on batches of `batch` images, each image once per pass in an order drawn
anew, the step size falling from `rate` to 0 by a half cosine, cross-entropy of the labels. Pixels
are standardised by the mean and standard deviation of all pixels of the training images. Same
noise, same network, bit for bit (with as many threads). It is trained in float32 and applied in
float64, so that the size of batches makes no difference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, islice

import torch
from torch import Tensor, nn

from sourcewise.documents import Positive, Real, Size, typed
from sourcewise.encoders.base import Document
from sourcewise.encoders.images import as_images
from sourcewise.errors import InputError
from sourcewise.families.settings import TrainedSettings
from sourcewise.forms import Images, X
from sourcewise.metrics.tensor_text import from_text, to_text
from sourcewise.networks.classifier import ImageClassifier
from sourcewise.networks.layers import reset
from sourcewise.randomness import Noise
from sourcewise.training.optimizer import Adam, rate

__all__ = ["ImageRecipe", "TrainedImages", "train_images"]

AT_ONCE = 1 << 10  # images that are classified at once


@dataclass(frozen=True)
class ImageRecipe:
    """How the network is made and trained.

    Args:
        width: channels of the first convolution.
        hidden: values of the hidden layer.
        updates: steps.
        batch: images of a step.
        rate: the first step size.
        decay: of weights, per step and unit of step size.
    """

    width: Size = 16
    hidden: Size = 64
    updates: Size = 600
    batch: Size = 64
    rate: Positive = 2e-3
    decay: Real = 0.05

    @property
    def settings(self) -> TrainedSettings:
        """What the optimiser is told."""
        return TrainedSettings(
            learning_rate=self.rate, weight_decay=self.decay, schedule="cosine", warmup=0.0
        )


@dataclass(frozen=True)
class TrainedImages:
    """A trained network, and what its images were standardised by.

    Args:
        network: its parameters do not change any more.
        shape: channels, height and width.
        labels: number of labels.
        width: of the recipe.
        hidden: of the recipe.
        mean: of all pixels.
        scale: their standard deviation; 1 where it is 0.
    """

    network: ImageClassifier
    shape: tuple[Size, Size, Size]
    labels: Size
    width: Size
    hidden: Size
    mean: Real
    scale: Positive

    def features(self, x: X) -> Tensor:
        """(n, hidden) float64 of the hidden layer."""
        return self._through(x, hidden=True)

    def labels_of(self, x: X) -> Tensor:
        """(n,) the label that is most likely to the network."""
        return self._through(x, hidden=False).argmax(1)

    @torch.no_grad()
    def _through(self, x: X, hidden: bool) -> Tensor:
        images = as_images(x)
        if images.shape != self.shape:
            raise InputError(f"images of {images.shape}, the classifier is of {self.shape}")
        run = self.network.features if hidden else self.network.forward
        parts = (part for _, pixels in images.blocks() for part in pixels.split(AT_ONCE))
        out = [run(self.standard(part)).double() for part in parts]
        width = self.hidden if hidden else self.labels
        return torch.cat(out) if out else torch.empty(0, width, dtype=torch.float64)

    def standard(self, pixels: Tensor) -> Tensor:
        """Pixels (b, C, H, W) as the network takes them."""
        dtype = self.network.out.weight.dtype
        return (pixels.cpu().to(dtype) - self.mean) / self.scale

    def to_json(self) -> Document:
        """Sizes and parameters as plain values."""
        state = self.network.state_dict()
        sizes = asdict(replace(self, network=None))  # pyright: ignore[reportArgumentType]
        return {
            **sizes,
            "network": {name: to_text(value.float()) for name, value in state.items()},
        }

    @classmethod
    def from_json(cls, document: Document) -> "TrainedImages":
        """The inverse of `to_json`.

        Raises:
            InputError: it holds no such network.
        """
        sizes = typed(_Sizes, {k: v for k, v in document.items() if k not in ("network", "kind")})
        network = ImageClassifier(sizes.shape, sizes.labels, sizes.width, sizes.hidden)
        wanted = network.state_dict()
        if document["network"].keys() != wanted.keys():
            raise InputError("no parameters of a classifier of images")
        state = {
            name: from_text(document["network"][name], tuple(value.shape), value.dtype)
            for name, value in wanted.items()
        }
        network.load_state_dict(state)
        return cls(network.requires_grad_(False).double(), **vars(sizes))


@dataclass(frozen=True)
class _Sizes:
    """All of it but the network."""

    shape: tuple[Size, Size, Size]
    labels: Size
    width: Size
    hidden: Size
    mean: Real
    scale: Positive


def train_images(
    x: X, y: Tensor, labels: int, noise: Noise, recipe: ImageRecipe | None = None
) -> TrainedImages:
    """A classifier of images by their labels.

    Args:
        x: n images of one shape.
        y: (n,) in {0, ..., labels - 1}.
        labels: K.
        noise: of the first weights and the order of images.
        recipe: None: the usual one.

    Raises:
        InputError: no images.
    """
    images, recipe = as_images(x), recipe or ImageRecipe()
    if not len(images):
        raise InputError("no images to train a classifier on")
    network = ImageClassifier(images.shape, labels, recipe.width, recipe.hidden)
    reset(network, noise.of("weights"))
    mean, scale = _scale(images)
    trained = TrainedImages(
        network, images.shape, labels, recipe.width, recipe.hidden, mean, scale
    )
    _descend(trained, images, y, noise.of("order"), recipe)
    network.requires_grad_(False).double()
    return trained


def _scale(images: Images) -> tuple[float, float]:
    """Mean and standard deviation of all pixels."""
    counts = torch.zeros(256, dtype=torch.int64)
    for _, pixels in images.blocks():
        counts += torch.bincount(pixels.cpu().flatten(), minlength=256)
    share, value = counts.double() / counts.sum(), torch.arange(256).double()
    mean = (share * value).sum()
    return float(mean), float((share * (value - mean).square()).sum().sqrt()) or 1.0


def _descend(
    trained: TrainedImages, images: Images, y: Tensor, noise: Noise, recipe: ImageRecipe
) -> None:
    """Train the network in place."""
    parameters = list(trained.network.parameters())
    flat, settings = _flat(parameters), recipe.settings
    matrices = torch.cat([torch.full((p.numel(),), p.ndim > 1) for p in parameters])
    adam, batches = Adam(flat, settings, matrices), _batches(len(images), recipe.batch, noise)
    for t, rows in enumerate(islice(batches, recipe.updates)):
        logits = trained.network(trained.standard(images.take(rows).pixels()))
        loss = nn.functional.cross_entropy(logits, y[rows])
        grads = torch.autograd.grad(loss, parameters)
        grad = torch.cat([part.flatten() for part in grads])[None]
        adam.step(flat, grad, torch.tensor([[rate(settings, t, recipe.updates)]]), t + 1)


def _flat(parameters: Sequence[nn.Parameter]) -> Tensor:
    """(1, P) all of them, which become views of it."""
    flat = torch.cat([p.detach().flatten() for p in parameters])[None]
    for p, part in zip(parameters, flat[0].split([p.numel() for p in parameters]), strict=True):
        p.data = part.view_as(p)
    return flat


def _batches(n: int, size: int, noise: Noise) -> Iterator[Tensor]:
    """Rows of batch after batch, without end; a pass has each row once."""
    for turn in count():
        yield from noise.of(turn).permutation(n).split(size)
