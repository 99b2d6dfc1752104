"""Purified flows: what labels are judged by, and what a row without a label is to the loss."""

import math

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import Diagnosed, Occasion
from sourcewise.families.flow.model import Flow
from sourcewise.families.flow.settings import FlowSettings
from sourcewise.families.offers import Judging, LabelFlags
from sourcewise.families.purified_flow.model import PurifiedFlow
from sourcewise.families.purified_flow.settings import PurifiedFlowSettings
from sourcewise.randomness import Noise
from sourcewise.samplers.paths import PATHS

TABLE = {"d": 3}
IMAGES = {"shape": (1, 8, 8), "values": (-1.0, 2.0), "top": 16}
SIZES = pytest.mark.parametrize("sizes", [TABLE, IMAGES, TABLE | {"C": 2}])


def made(sizes, K=2, **options) -> PurifiedFlow:
    plain = {"width": 8, "levels": (1, 2), "dropout": 0.3, "probe_draws": 3}
    model = PurifiedFlow(PurifiedFlowSettings.parse(plain | options), K=K, **sizes)
    model.reset(Noise(0))
    model.network.gain.data.fill_(0.8)
    return model


def rows_of(model: PurifiedFlow, n: int = 6) -> Batch:
    c = Noise(6).normal(n, model.C).float() if model.C else None
    return Batch.of(Noise(4).normal(n, math.prod(model.shape)).float(), torch.arange(n) % 2, c)


@SIZES
@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_labels_are_judged_by_two_losses_at_the_same_point(sizes, path):
    model = made(sizes, path=path, probe_time=0.35)
    batch = rows_of(model)
    found = model.label_excess(batch, Noise(5))
    x = batch.tensor.view(6, *model.shape)
    n = Noise(5).normal(6, 3, *model.shape).float()
    t, label = torch.full((6,), 0.35), torch.eye(2)[batch.y]
    expected = torch.zeros(6)
    for r in range(3):
        point, u = PATHS[path].point(x, n[:, r], t), PATHS[path].velocity(x, n[:, r], t)
        with torch.no_grad():
            told, untold = (model.velocity(point, t, of, batch.c) for of in (label, 0 * label))
        losses = [(v - u).square().flatten(1).mean(1) for v in (told, untold)]
        expected += (losses[0] - losses[1]) / 3
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@SIZES
def test_judging_is_without_dropout_and_gradient(sizes):
    model = made(sizes)
    batch = rows_of(model)
    found = model.train().label_excess(batch, Noise(5))
    assert not found.requires_grad
    assert torch.equal(found, model.eval().label_excess(batch, Noise(5)))


@SIZES
def test_a_row_without_a_label_is_trained_as_one_whose_label_was_left_out(sizes):
    model = made(sizes, unlabelled=1e-9, dropout=0.0).train()
    batch = rows_of(model)
    nobody = Batch(batch.x, torch.full((6,), -1), batch.c, batch.size)
    found = model.loss(nobody, Noise(5))
    found.sum().backward()
    label = model.network.condition.label.weight
    assert label.grad is not None
    assert not bool(label.grad.any())
    assert not torch.allclose(found, model.loss(batch, Noise(5)))
    label.data.zero_()  # no label tells anything now
    torch.testing.assert_close(found, model.loss(batch, Noise(5)))


@SIZES
def test_with_labels_it_is_a_flow(sizes):
    model = made(sizes).train()
    shared = {name: getattr(model.settings, name) for name in FlowSettings.model_fields}
    flow = Flow(FlowSettings.parse(shared), K=2, **sizes).train()
    flow.load_state_dict({n: v for n, v in model.state_dict().items() if n != "flagged"})
    batch = rows_of(model)
    assert torch.equal(model.loss(batch, Noise(5)), flow.loss(batch, Noise(5)))


def test_one_source_has_no_other_label():
    assert isinstance(made(TABLE), Judging)
    assert made(TABLE, purify_after=0.4).judged_after == 0.4
    assert made(TABLE, K=1, purify_after=0.4).judged_after is None


def test_labels_are_judged_against_what_is_learned_without_them():
    with pytest.raises(InputError, match="coupling.*independent") as refused:
        PurifiedFlowSettings.parse({"coupling": "optimal-transport"})
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="unlabelled above 0"):
        PurifiedFlowSettings.parse({"unlabelled": 0.0})
    assert PurifiedFlowSettings.parse({"unlabelled": 0.0, "purify_after": 1}).unlabelled == 0


def test_a_reader_is_told_that_scores_believe_all_labels():
    model = made(TABLE)
    assert model.diagnostics() == []
    looks = torch.full((10,), 4.0)
    flagged = torch.tensor([4.0, 3, 3, 2, 0, 0, 0, 0, 0, 0])  # two of four looks are no flag
    model.keep_flags(LabelFlags(looks, flagged, flagged))
    (item,) = model.diagnostics()
    assert item.values == pytest.approx((0.3,))
    strategies = {"pooled": Diagnosed(model.diagnostics())}
    told = {
        purpose: [c.text for c in PurifiedFlow.cautions(strategies, Occasion(purpose, 0.01, 3))]
        for purpose in ("compare", "evaluate", "train", "sample")
    }
    assert "up to 30% of a model's training labels" in told["compare"][0]
    assert told["compare"] == told["evaluate"]
    assert told["train"] == told["sample"] == []
    model.keep_flags(LabelFlags(looks, 0 * flagged, flagged))
    clean = {"pooled": Diagnosed(model.diagnostics())}
    assert not list(PurifiedFlow.cautions(clean, Occasion("compare", 0.01, 3)))


def test_images_are_judged_later_and_with_a_margin():
    """Unless users say how."""
    usual = PurifiedFlowSettings()
    assert usual.suited("table") == usual
    images = usual.suited("images")
    assert (images.purify_after, images.probe_time, images.probe_margin) == (0.3, 0.2, 0.5)
    given = PurifiedFlowSettings.parse({"probe_margin": 0, "probe_draws": 1}).suited("images")
    assert (given.probe_time, given.probe_margin) == (0.2, 0)
    with pytest.raises(InputError, match="one draw has no standard error: probe_draws=2"):
        PurifiedFlowSettings.parse({"probe_margin": 1, "probe_draws": 1})
