"""The small classifier of images: its network, its recipe, and what it comes to on real images."""

import gzip

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from sourcewise.errors import InputError
from sourcewise.forms import Images
from sourcewise.metrics.accuracy_score import accuracy_score
from sourcewise.metrics.classifiers import Labelled, image_network
from sourcewise.metrics.image_classifier import ImageRecipe, train_images
from sourcewise.networks.classifier import ImageClassifier
from sourcewise.networks.layers import reset
from sourcewise.randomness import Noise


def network(shape: tuple[int, int, int]) -> ImageClassifier:
    made = ImageClassifier(shape, labels=3, width=4, hidden=6)
    reset(made, Noise(0))
    return made


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 8, 8), (3, 16, 16), (1, 28, 28), (3, 33, 20)])
def test_images_of_any_size_give_a_number_per_label_and_train_every_parameter(shape):
    net, x = network(shape), Noise(1).normal(5, *shape).float()
    assert net(x).shape == (5, 3)
    assert net.features(x).shape == (5, 6)
    net(x).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())


def test_two_networks_as_one_give_what_each_gives():
    first, second = network((1, 8, 8)), network((1, 8, 8))
    reset(second, Noise(1))
    x = Noise(2).normal(2, 5, 1, 8, 8).float()
    states = (dict(net.named_parameters()) for net in (first, second))
    one, other = states
    both = {name: torch.stack([one[name], other[name]]) for name in one}
    found = functional_call(first, both, x)
    wanted = torch.stack([first(x[0]), second(x[1])])
    assert torch.allclose(found, wanted, atol=1e-5)


def test_one_step_is_that_of_adam():
    """Against torch's own, from the same weights on the same rows."""
    x = Images.of(Noise(0).integers(256, 20, 1, 4, 4).to(torch.uint8))
    y = torch.arange(20) % 2
    recipe = ImageRecipe(width=2, hidden=3, updates=1, batch=20, rate=0.01, decay=0.1)
    trained = train_images(x, y, 2, Noise(3), recipe)
    wanted = ImageClassifier(x.shape, 2, 2, 3)
    reset(wanted, Noise(3).of("weights"))
    decaying = [p for p in wanted.parameters() if p.ndim > 1]
    others = [p for p in wanted.parameters() if p.ndim == 1]
    groups = [
        {"params": decaying, "weight_decay": 0.1},
        {"params": others, "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, recipe.settings.beta2))
    nn.functional.cross_entropy(wanted(trained.standard(x.pixels()).float()), y).backward()
    adam.step()
    for p, q in zip(trained.network.parameters(), wanted.parameters(), strict=True):
        assert torch.allclose(p.float(), q, atol=1e-5)


def test_nothing_to_train_on_is_refused():
    none = Images.of(torch.zeros(0, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(InputError, match="no images to train"):
        train_images(none, torch.zeros(0, dtype=torch.int64), 2, Noise(0))


def fashion(folder, kind: str, each: int) -> Labelled:
    """So many images of each class, at 16 x 16."""
    raw = {
        what: np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8)
        for what, name in (
            ("x", f"{kind}-images-idx3-ubyte.gz"),
            ("y", f"{kind}-labels-idx1-ubyte.gz"),
        )
    }
    x, y = raw["x"][16:].reshape(-1, 28, 28), raw["y"][8:]
    rows = np.concatenate([np.flatnonzero(y == k)[:each] for k in range(10)])
    pixels = torch.from_numpy(x[rows].copy())[:, None].float()
    small = nn.functional.interpolate(pixels, (16, 16), mode="area").round().to(torch.uint8)
    return Labelled(Images.of(small), torch.from_numpy(y[rows].astype(np.int64)))


@pytest.mark.slow
def test_real_images_are_told_apart_and_draws_that_are_real_lose_nothing(shared_data):
    """Fashion-MNIST, 300 images per class; draws are other real images."""
    folder = shared_data / "images" / "fashion_mnist"
    whole, held_out = fashion(folder, "train", 600), fashion(folder, "t10k", 200)
    even = torch.arange(len(whole)) % 2 == 0
    real, other = whole.take(even), whole.take(~even)
    classifier = image_network()
    found = accuracy_score(other, real, held_out, classifier, Noise(0), seeds=1)
    assert float(found.real.overall) >= 0.8
    assert abs(found.relative_drop) < 0.04
    wrong = Labelled(other.x, torch.where(other.y < 2, 1 - other.y, other.y))
    swapped = accuracy_score(wrong, real, held_out, classifier, Noise(0), seeds=1)
    assert float(swapped.score.per_label[0, :2].max()) < 0.1
    assert float(swapped.score.per_label[0, 2:].mean()) > 0.7
