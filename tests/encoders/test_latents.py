"""Latents of a tiny autoencoder with random weights: there and back, units, and the cache."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import sourcewise as sw
from sourcewise.encoders import autoencoder as networks
from sourcewise.encoders.autoencoder import Autoencoder, autoencoder
from sourcewise.encoders.latent_cache import cache_folder, cached
from sourcewise.encoders.latents import LatentCoding, LatentEncoder, latent_coding
from sourcewise.encoders.registry import load
from sourcewise.errors import Damaged, InputError
from sourcewise.forms import Images
from sourcewise.randomness import Noise

diffusers = pytest.importorskip("diffusers", reason="diffusers (the extra `latents`) is missing")

Y = torch.arange(12) % 2


def save_autoencoder(folder: Path, seed: int = 0) -> Path:
    """Of 3 channels, 4 latents and a factor of 8."""
    sizes: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (4, 4, 8, 8),
        "layers_per_block": 1,
        "norm_num_groups": 2,
    }
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        diffusers.AutoencoderKL(**sizes).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_autoencoder(tmp_path_factory.mktemp("autoencoder"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOURCEWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def images(n: int = 12, colours: int = 3, side: int = 32, top: int = 255) -> Images:
    u = Noise(0).uniform(n, colours, side, side)
    bright = torch.linspace(0.3, 1, n)[:, None, None, None]
    return Images.of((u * bright * top).round().to(torch.uint8), top)


def encoded(coding: LatentCoding, x: Images) -> Tensor:
    return coding.prepare(x, Noise(0).each(torch.zeros(len(x)).long())).values


def refuse_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(networks, "_network", refuse)


@pytest.mark.parametrize(("colours", "top"), [(3, 255), (1, 255), (3, 16)])
def test_images_become_latents_and_images_of_their_kind(tiny, colours, top):
    x = images(colours=colours, top=top)
    coding = latent_coding(x, str(tiny))
    assert (coding.latent, coding.unit) == ((4, 4, 4), "latent value")
    assert coding.coordinates == 1024 * colours
    assert coding.sizes(x).tolist() == [64.0] * 12
    rows = coding.prepare(x, Noise(0).each(Y))
    encoder = coding.fit(rows, Y, 2)
    z, _ = encoder.encode(rows, Y)
    assert (z.shape, encoder.sizes) == ((12, 64), {"shape": (4, 4, 4)})
    back = encoder.decode(z)
    assert (len(back), back.shape, back.top) == (12, x.shape, top)
    assert len(encoder.decode(z[:0])) == 0


def test_latents_are_those_of_the_network_and_so_are_images(tiny):
    x = images(3)
    network = diffusers.AutoencoderKL.from_pretrained(tiny, low_cpu_mem_usage=False).eval()
    coding = latent_coding(x, str(tiny))
    rows = coding.prepare(x, Noise(0).each(Y[:3]))
    with torch.no_grad():
        pixels = 2 * x.pixels().float() / 255 - 1
        expected = network.encode(pixels).latent_dist.mean
        decoded = (network.decode(expected).sample + 1) / 2 * 255
    torch.testing.assert_close(rows.values, expected, rtol=0, atol=1e-5)
    encoder = coding.fit(rows, Y[:3], 2)
    found = encoder.decode(encoder.encode(rows, Y[:3])[0]).pixels().float()
    assert float((found - decoded.clamp(0, 255).round()).abs().max()) <= 1
    assert float((found - decoded.clamp(0, 255)).abs().mean()) < 0.3


def test_every_channel_of_the_training_rows_has_mean_0_and_standard_deviation_1(tiny):
    x = images()
    coding = latent_coding(x, str(tiny))
    rows = coding.prepare(x, Noise(0).each(Y))
    train = torch.arange(9)
    encoder = coding.fit(rows.take(train), Y[train], 2)
    z = encoder.encode(rows.take(train), Y[train])[0].unflatten(1, (4, 16)).double()
    torch.testing.assert_close(z.mean((0, 2)), torch.zeros(4).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.std((0, 2), correction=0), torch.ones(4).double())
    assert (
        float((encoder.encode(rows, Y)[0].unflatten(1, (4, 16)).mean((0, 2))).abs().max()) > 1e-3
    )


def test_scores_are_of_latents_in_their_own_units(tiny):
    """The log-determinant is that of the affine map, by automatic differentiation."""
    x = images(4)
    coding = latent_coding(x, str(tiny))
    rows = coding.prepare(x, Noise(0).each(Y[:4]))
    encoder = coding.fit(rows, Y[:4], 2)
    z, log_det = encoder.encode(rows, Y[:4])
    mean, scale = encoder._units()
    latents = rows.values.double().requires_grad_()
    (slope,) = torch.autograd.grad(((latents - mean) / scale).sum(), latents)
    torch.testing.assert_close(log_det, slope.log().flatten(1).sum(1))
    again = z.double().unflatten(1, (4, 4, 4)) * scale + mean
    torch.testing.assert_close(again, latents.detach(), rtol=0, atol=1e-5)


def test_an_encoder_comes_back_from_json_and_refuses_other_weights(tiny, tmp_path):
    x = images(4)
    folder = save_autoencoder(tmp_path / "own")
    coding = latent_coding(x, str(folder))
    rows = coding.prepare(x, Noise(0).each(Y[:4]))
    encoder = coding.fit(rows, Y[:4], 2)
    again = load(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder
    z = encoder.encode(rows, Y[:4])[0]
    assert torch.equal(again.decode(z).pixels(), encoder.decode(z).pixels())  # pyright: ignore[reportAttributeAccessIssue]
    save_autoencoder(folder, seed=1)
    with pytest.raises(InputError, match="is not the one that the models were trained with"):
        again.decode(z)
    with pytest.raises(ValueError, match="channels"):
        load({**encoder.to_json(), "mean": [0.0]})


def test_latents_come_from_the_cache_the_second_time(tiny, cache, monkeypatch):
    x = images()
    coding = latent_coding(x, str(tiny))
    first = encoded(coding, x)
    refuse_networks(monkeypatch)
    assert torch.equal(encoded(coding, x), first)
    turned = torch.arange(11, -1, -1)
    assert torch.equal(encoded(coding, x.take(turned)), first[turned])
    with pytest.raises(AssertionError, match="a network was loaded"):
        encoded(coding, images(13))
    assert cache_folder() == cache


def test_only_what_is_new_is_encoded_and_each_image_once(tiny, monkeypatch):
    x, sizes = images(), []
    coding = latent_coding(x, str(tiny))
    encode = Autoencoder.encode
    monkeypatch.setattr(
        Autoencoder, "encode", lambda self, part: sizes.append(len(part)) or encode(self, part)
    )
    few = encoded(coding, x.take(torch.tensor([3, 3, 5])))
    whole = encoded(coding, x)
    assert sizes == [2, 10]
    assert torch.equal(few, whole[[3, 3, 5]])  # whatever stands beside them


def test_other_weights_or_ranges_are_other_latents(tiny, tmp_path):
    x = images()
    other = save_autoencoder(tmp_path / "other", seed=1)
    codings = [latent_coding(x, str(folder)) for folder in (tiny, other)]
    assert codings[0].digest != codings[1].digest
    first, second = (encoded(coding, x) for coding in codings)
    assert not torch.allclose(first, second)
    dark = Images.of(x.pixels() // 16, 16)
    brighter = encoded(latent_coding(dark, str(tiny)), dark)
    plain = encoded(codings[0], Images.of(x.pixels() // 16))
    assert not torch.allclose(brighter, plain)


@pytest.mark.parametrize("damage", ["byte", "cut", "other", "shape"])
def test_a_damaged_cache_file_is_made_again(tiny, cache, damage):
    x = images()
    coding = latent_coding(x, str(tiny))
    first = encoded(coding, x)
    (path,) = cache.rglob("*.safetensors")
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 1
    if damage == "shape":
        cached(path.parent, [bytes(16)], (4, 2, 2), lambda rows: torch.zeros(len(rows), 4, 2, 2))
    else:
        path.write_bytes({"byte": raw, "cut": raw[:100], "other": b"{}"}[damage])
    assert torch.equal(encoded(coding, x), first)
    assert len([*cache.rglob("*.safetensors")]) == 1


def test_a_cache_that_cannot_be_written_is_done_without(tiny, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("SOURCEWISE_CACHE", str(blocked))
    x = images(2)
    assert encoded(latent_coding(x, str(tiny)), x).shape == (2, 4, 4, 4)


def test_a_cache_has_its_usual_place(monkeypatch):
    monkeypatch.delenv("SOURCEWISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/kept")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == Path("/kept/sourcewise")
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder().parts[-3:] == ("Library", "Caches", "sourcewise")
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/local/sourcewise")


def test_many_images_are_kept_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("sourcewise.encoders.latent_cache.TOGETHER", 4)
    keys, asked = [bytes([i % 10]) * 16 for i in range(12)], []

    def make(index: Tensor) -> Tensor:
        asked.extend(index.tolist())
        return index[:, None].float()

    for _ in range(2):
        found = cached(tmp_path / "new", keys, (1,), make)
        assert found.flatten().tolist() == [*range(10), 0, 1]
    assert asked == [*range(10)]
    assert len([*(tmp_path / "new").iterdir()]) == 3


def test_the_folder_of_a_pipeline_will_do(tiny, tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "vae").symlink_to(tiny)
    found, plain = autoencoder(str(tmp_path / "pipeline")), autoencoder(str(tiny))
    assert (found.digest, found.factor, found.channels) == (plain.digest, 8, 4)


def test_a_name_of_the_hub_is_looked_for_here_first(tiny, monkeypatch):
    asked = []

    def snapshot_download(name: str, *, allow_patterns: object, local_files_only: bool = False):
        asked.append(local_files_only)
        if local_files_only and name != "here/already":
            raise FileNotFoundError(name)
        if name == "nobody/nothing":
            raise OSError("no\nroute")
        return str(tiny)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    found = autoencoder("here/already")
    assert (found.name, asked) == ("here/already", [True])
    assert autoencoder("owner/name").digest == found.digest
    with pytest.raises(InputError, match=r"and the hub does not give it \(no route\)"):
        autoencoder("nobody/nothing")
    assert asked == [True, True, False, True, False]


def test_what_is_no_autoencoder_is_refused_in_one_line(tiny, tmp_path, monkeypatch):
    for name, message in (
        ("/no/such/folder", "no folder '/no/such/folder', and no name of the hub"),
        (str(tmp_path), "holds no file config.json"),
    ):
        with pytest.raises(InputError, match=message):
            autoencoder(name)
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(InputError, match=r"holds no file diffusion_pytorch_model\.safetensors"):
        autoencoder(str(tmp_path))
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    with pytest.raises(Damaged, match=r"config\.json is damaged: .*AutoencoderKL"):
        autoencoder(str(tmp_path))
    with pytest.raises(InputError, match=r"multiples of 8 pixels, not 20 x 20: --size 16"):
        latent_coding(images(side=20), str(tiny))
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    networks._network.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'sourcewise\[latents\]'"):
        encoded(latent_coding(images(5), str(tiny)), images(5))


OPTIONS = {"updates": 3, "passes": 1, "width": 4, "levels": "1,2", "bound_draws": 2}


def sources(n: int = 12) -> sw.Sources:
    return sw.Sources(images(n), torch.arange(n) % 2, ("a", "b"), name="made")


def test_training_and_drawing_by_latents(tiny, tmp_path):
    options = OPTIONS | {"autoencoder": str(tiny)}
    run = sw.train(
        sources(), model="diffusion", strategy="pooled", set=options, out=tmp_path / "run"
    )
    assert run.document["unit"] == "nats per latent value"
    again = sw.load(tmp_path / "run")
    encoder = again.models["pooled"].encoder
    assert isinstance(encoder, LatentEncoder)
    drawn = sw.sample(again, n=2)
    assert isinstance(drawn.x, Images)
    assert drawn.x.shape == (3, 32, 32)


def test_a_comparison_is_in_nats_per_latent_value(tiny, monkeypatch):
    options = OPTIONS | {"autoencoder": str(tiny)}
    data = sources(40)
    encoded(latent_coding(data.x, str(tiny)), data.x)  # pyright: ignore[reportArgumentType]
    refuse_networks(monkeypatch)
    result = sw.compare(data, model="diffusion", set=options, seeds=1, scope="these models")
    document = result.document
    metric = document["metrics"][document["primary_metric"]]
    assert (metric["unit"], document["data"]["scored_per"]) == (
        "nats per latent value",
        "latent value",
    )
    assert "bits per dimension" not in str(result)


def test_tables_have_no_latents():
    table = sw.read("wine")
    with pytest.raises(InputError, match="setting autoencoder: only images have latents"):
        sw.train(table, model="diffusion", set={"autoencoder": "folder"})
