"""Images as points by networks: trained here, or read from files made elsewhere."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sourcewise.encoders.pixels import PixelCoding
from sourcewise.errors import InputError
from sourcewise.forms import Images
from sourcewise.metrics.features import classified, pretrained, script
from sourcewise.metrics.features.choice import features_of
from sourcewise.metrics.features.classified import ClassifierFeatures
from sourcewise.metrics.features.foreign import ImageInput, checksum
from sourcewise.metrics.features.pretrained import PretrainedFeatures
from sourcewise.metrics.features.registry import load
from sourcewise.metrics.features.script import ScriptFeatures
from sourcewise.metrics.image_classifier import ImageRecipe, train_images
from sourcewise.randomness import Noise

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
SMALL = ImageRecipe(width=4, hidden=6, updates=150, batch=16)


def images(n=60, shape=(1, 8, 8), key=0) -> Images:
    return Images.of(Noise(key).integers(256, n, *shape).to(torch.uint8))


def halves(n=60) -> tuple[Images, torch.Tensor]:
    """Dark images and bright ones."""
    y = torch.arange(n) % 2
    pixels = images(n).pixels() // 2 + 100 * y[:, None, None, None].to(torch.uint8)
    return Images.of(pixels), y


def again(features):
    return load(json.loads(json.dumps(features.to_json())))


# --- a classifier of the training images


def test_same_noise_same_network_and_other_noise_another():
    x, y = halves()
    one, same, other = (train_images(x, y, 2, Noise(s), SMALL) for s in (0, 0, 1))
    assert torch.equal(one.features(x), same.features(x))
    assert not torch.equal(one.features(x), other.features(x))
    assert float((one.labels_of(x) == y).double().mean()) == 1.0


def test_points_have_mean_0_and_variance_1_and_are_kept():
    x, y = halves()
    features = ClassifierFeatures.fit(x, y, Noise(0), SMALL)
    points = features(x)
    assert points.shape == (60, 6)
    assert torch.allclose(points.mean(0), torch.zeros(6).double(), atol=1e-12)
    assert float(points.var(0, correction=0).mean()) == pytest.approx(1.0)
    kept = again(features)
    assert isinstance(kept, ClassifierFeatures)
    assert torch.equal(kept(x), points)
    assert kept.digest == features.digest
    assert features.digest != ClassifierFeatures.fit(x, y, Noise(1), SMALL).digest


def test_images_one_by_one_have_the_same_points():
    x, y = halves()
    features = ClassifierFeatures.fit(x, y, Noise(0), SMALL)
    each = torch.cat([features(x.take(torch.tensor([i]))) for i in range(8)])
    assert torch.allclose(each, features(x)[:8], atol=1e-10)


def test_it_is_trained_once_for_the_same_images(tmp_path, monkeypatch):
    x, y = halves()
    first = ClassifierFeatures.cached(x, y, Noise(0), tmp_path, SMALL)
    monkeypatch.setattr(classified, "train_images", None)
    second = ClassifierFeatures.cached(x, y, Noise(0), tmp_path, SMALL)
    assert torch.equal(first(x), second(x))
    with pytest.raises(TypeError):  # other labels, another network
        ClassifierFeatures.cached(x, 1 - y, Noise(0), tmp_path, SMALL)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace("classifier", "clossifier"))
    with pytest.raises(InputError, match="is damaged"):
        ClassifierFeatures.cached(x, y, Noise(0), tmp_path, SMALL)


def test_documents_of_another_network_are_refused():
    x, y = halves()
    document = ClassifierFeatures.fit(x, y, Noise(0), SMALL).to_json()
    for broken in ({"width": 8}, {"network": {}}):
        classifier = {**document["classifier"], **broken}
        with pytest.raises(InputError):
            load({**document, "classifier": classifier})
    with pytest.raises(InputError, match="two sources at least"):
        ClassifierFeatures.fit(x, torch.zeros_like(y), Noise(0), SMALL)
    features = ClassifierFeatures.fit(x, y, Noise(0), SMALL)
    with pytest.raises(InputError, match="the classifier is of"):
        features(images(shape=(3, 8, 8)))


# --- what networks made elsewhere are given


def test_images_are_scaled_and_grey_becomes_three_channels():
    pixels = torch.tensor([[[[0, 10], [5, 10]]]], dtype=torch.uint8)
    found = ImageInput(None, 0.0, 1.0, (0.5, 0.0, 0.0), (0.5, 1.0, 2.0))(pixels, 10)
    assert found.shape == (1, 3, 2, 2)
    assert found[0, 0].tolist() == [[-1.0, 1.0], [0.0, 1.0]]
    assert found[0, 2].tolist() == [[0.0, 0.5], [0.25, 0.5]]
    wide = ImageInput(side=4)(pixels, 10)
    assert wide.shape == (1, 3, 4, 4)
    assert 0 <= float(wide.min()) <= float(wide.max()) <= 255
    assert torch.equal(ImageInput(side=7)(pixels * 0 + 10, 10), torch.full((1, 3, 7, 7), 255.0))


# --- TorchScript


class Means(nn.Module):
    """Mean of each channel, or its square."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        means = x.mean((2, 3))
        return means if return_features else means.square()


class Plain(nn.Module):
    """The first two rows of pixels of the red channel; of narrow images it fails."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2] > 4, "too small"
        return x[:, 0, :2]


@pytest.fixture
def means(tmp_path):
    path = tmp_path / "means.pt"
    torch.jit.script(Means()).save(str(path))
    return path


def test_a_torchscript_file_is_asked_for_features(means):
    x = images(shape=(3, 8, 8))
    features = ScriptFeatures.open(means)
    wanted = x.pixels().double().mean((2, 3))
    assert torch.allclose(features(x), wanted, rtol=1e-5)
    kept = again(features)
    assert kept == features
    assert torch.equal(kept(x), features(x))


def test_another_file_is_refused(means):
    features = ScriptFeatures.open(means, checksum(means))
    with pytest.raises(InputError, match="should have 0000"):
        ScriptFeatures.open(means, "0" * 64)
    torch.jit.script(Plain()).save(str(means))
    other = ScriptFeatures.open(means)
    assert other.sha256 != features.sha256
    script._network.cache_clear()
    with pytest.raises(InputError, match=f"should have {features.sha256}"):
        features(images())
    assert other(images(shape=(1, 8, 8))).shape == (60, 16)  # (60, 2, 8), flat
    with pytest.raises(InputError, match="takes no such images"):
        other(images(shape=(1, 4, 4)))


def test_what_is_no_torchscript_is_refused(tmp_path):
    path = tmp_path / "words.pt"
    with pytest.raises(InputError, match="cannot read"):
        ScriptFeatures.open(path)
    path.write_text("no network")
    with pytest.raises(InputError, match="is no TorchScript file"):
        ScriptFeatures.open(path)


# --- transformers


class Tiny(nn.Module):
    """As transformers answers: a sequence of vectors for each image."""

    def __init__(self, folder: str):
        super().__init__()
        self.weight = nn.Parameter(load_file(f"{folder}/model.safetensors")["weight"])

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=pixel_values.mean((2, 3))[:, None] @ self.weight)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "tiny"
    path.mkdir()
    save_file({"weight": 2 * torch.eye(3)}, path / "model.safetensors")
    (path / "config.json").write_text("{}")
    scaling = {"crop_size": {"height": 8, "width": 8}, "image_mean": [0, 0, 0.5]}
    (path / "preprocessor_config.json").write_text(json.dumps({**scaling, "image_std": [1, 1, 1]}))
    pretrained._network.cache_clear()
    return path


@pytest.fixture
def transformers(monkeypatch):
    module = ModuleType("transformers")
    auto = SimpleNamespace(from_pretrained=lambda folder, **options: Tiny(folder))
    module.AutoModel = auto  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "transformers", module)


def test_a_folder_gives_the_first_vector_and_its_own_scaling(folder, transformers):
    x = images(shape=(1, 8, 8))
    features = PretrainedFeatures.open(folder)
    assert (features.input.side, features.input.mean) == (8, (0.0, 0.0, 0.5))
    mean = x.pixels().double().mean((1, 2, 3)) / 255
    wanted = 2 * torch.stack([mean, mean, mean - 0.5], 1)
    assert torch.allclose(features(x), wanted, atol=1e-5)
    assert again(features) == features


def test_another_folder_is_refused(folder, transformers):
    features = PretrainedFeatures.open(folder)
    save_file({"weight": torch.eye(3)}, folder / "model.safetensors")
    pretrained._network.cache_clear()
    with pytest.raises(InputError, match="another network"):
        features(images())
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match="holds no network"):
        PretrainedFeatures.open(folder)


def test_without_transformers_one_line_says_so(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match="transformers, which is not installed: pip install"):
        PretrainedFeatures.open(folder)


def test_a_true_network_of_transformers(tmp_path):
    """Where the package is there: a DINOv2 of few numbers, saved by it and read back."""
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Dinov2Config(**sizes, image_size=28, patch_size=14)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        transformers.Dinov2Model(config).save_pretrained(tmp_path)
    x = images(4, (3, 8, 8))
    features = PretrainedFeatures.open(tmp_path)
    assert features.input.side == 224
    points = features(x)
    assert points.shape == (4, 8)
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        network = transformers.Dinov2Model.from_pretrained(tmp_path).eval()
        wanted = network(features.input(x.pixels(), x.top)).pooler_output.double()
    assert torch.allclose(points, wanted, atol=1e-6)


# --- by name


def test_features_by_name(tmp_path, means, folder, transformers):
    x, y = halves()
    coding = PixelCoding(x.shape, x.top)
    kinds = {"auto": "images", "principal": "principal", str(means): "torchscript"}
    for choice, kind in {**kinds, str(folder): "transformers"}.items():
        assert features_of(choice, x, coding).to_json()["kind"] == kind
    checked = features_of(f"{means}@{checksum(means)}", x, coding)
    assert checked == features_of(str(means), x, coding)
    with pytest.raises(InputError, match="no features 'princpal': did you mean 'principal'"):
        features_of("princpal", x, coding)
    with pytest.raises(InputError, match="need the sources"):
        features_of("classifier", x, coding)
    kept = features_of("classifier", x, coding, y, cache=tmp_path / "kept")
    assert isinstance(kept, ClassifierFeatures)
    assert len(list((tmp_path / "kept").iterdir())) == 1
