"""Self-purification: the table in closed form, and what models regain of wrong labels."""

import pytest
import torch

from sourcewise.randomness import Noise
from sourcewise.samplers.paths import PATHS
from sourcewise.samplers.purification import label_excess
from sourcewise.studies.spfm import closed, images, plane
from sourcewise.studies.spfm.points import Drawn, Labels, Trained, changes, folded
from sourcewise.studies.spfm.settings import SpfmImagesSettings, SpfmSettings

from .test_table1 import photographs, whole_pixels

ENTRIES = [
    pytest.param(case, R, t, id=f"{case.name}, R = {R}, t = {t:g}")
    for case in closed.CASES
    for R, t in case.published
    if case.K == 2 or R == 1 or t in (0.1, 0.5)  # all are in the study
]


@pytest.mark.parametrize(("case", "R", "t"), ENTRIES)
def test_flags_in_closed_form_are_the_published_ones(case, R, t):
    found = closed.flag_rates(case, R, t, 2000 if case.K == 2 or R == 1 else 600, Noise(0))
    recall, false = case.published[R, t]
    assert found.recall == pytest.approx(recall, abs=0.03)
    assert found.false == pytest.approx(false, abs=0.03)


def test_near_pure_noise_one_draw_decides_as_many_do():
    """At t = 0 v - u is E[x | c] - x: so the published lines are of different distances."""
    truth, rho = closed.CASES[0].truth, 0.2
    told, untold = closed.contaminated(truth, rho), truth.mixed()
    x, y, path = Noise(1).normal(9, 2), torch.arange(9) % 2, PATHS["linear"]

    def field(law, label):
        return lambda v, t: law.velocity(v, label.repeat_interleave(6), path.at(t))

    n = Noise(2).normal(9, 6, 2)
    found = label_excess(field(told, y), field(untold, 0 * y), x, n, 0.0, path)
    away = [
        (law.weight[k][..., None] * law.mean[k]).sum(1) - x
        for law, k in ((told, y), (untold, 0 * y))
    ]
    expected = (away[0].square() - away[1].square()).mean(1)
    torch.testing.assert_close(found, expected)


def test_classes_lie_on_a_circle_and_rows_have_a_standard_deviation_of_1():
    truth = plane.circle(5, 0.4)
    y = torch.arange(200_000) % 5
    x = truth.sample(y, noise=Noise(0))
    torch.testing.assert_close(x.std(0), torch.ones(2).double(), rtol=0.01, atol=0)
    assert (x.mean(0).abs() < 0.01).all()


def test_a_wrong_label_is_any_other_one():
    y = torch.arange(60_000) % 3
    given = plane.mislabelled(y, 3, 0.4, Noise(0))
    counts = torch.stack([torch.bincount(given[y == k], minlength=3) for k in range(3)]) / 20_000
    expected = 0.2 + 0.4 * torch.eye(3)
    assert (counts - expected).abs().max() < 0.015


def test_the_same_rows_get_right_labels_and_wrong_ones():
    settings = SpfmSettings(rows=30)
    right, wrong, purified = (
        plane.Rows.of(settings, labels, Noise(3)) for labels in ("right", "wrong", "purified")
    )
    assert torch.equal(right.data.train.tensor, wrong.data.train.tensor)
    assert torch.equal(wrong.data.train.y, purified.data.train.y)
    assert torch.equal(right.data.train.y != wrong.data.train.y, wrong.wrong)
    assert not right.wrong.any()
    assert 0.25 < float(wrong.wrong.double().mean()) < 0.55
    assert (len(right.data.train), len(right.data.valid)) == (108, 12)


def test_what_is_regained_is_a_share_of_what_was_lost():
    def cell(*values):
        return Trained(
            tuple(Drawn("pooled", 1.0, v, None) for v in values), (), None, {"pooled": 9}
        )

    found: dict[Labels, list[Trained]] = {
        "right": [cell(1.0), cell(0.8)],
        "wrong": [cell(0.5), cell(0.4)],
        "purified": [cell(0.9), cell(0.7)],
    }
    (change,) = changes(folded(found))
    assert change.cost == pytest.approx(0.45)
    assert change.gain == pytest.approx(0.35)
    assert change.share == pytest.approx(0.35 / 0.45)
    assert change.low is not None
    assert change.high is not None
    assert change.low < (0.8 + 0.75) / 2 < change.high


@pytest.mark.slow
def test_purification_regains_most_of_what_wrong_labels_cost():
    values = {"rows": 100, "scale": 0.25, "updates": 250, "width": 32, "draws": 200}
    settings = SpfmSettings.parse(values | {"guidance": "1", "strategies": "pooled"})
    right, wrong, purified = (
        plane.measure(settings, labels, 0) for labels in ("right", "wrong", "purified")
    )
    cost, gain = (one.drawn[0].accuracy - wrong.drawn[0].accuracy for one in (right, purified))
    assert cost > 0.25
    assert gain > 0.5 * cost
    assert purified.kept is not None
    assert (purified.kept.precision or 0) > 0.8
    assert purified.kept.recall > 0.8
    updates = [flags.update for flags in purified.flags]
    assert updates == sorted(updates)
    assert updates[-1] == purified.updates["pooled"]
    assert len(wrong.probes) == 15


def test_images_that_judge_are_not_those_that_train():
    data = images._first(photographs(), 3)
    assert data.K == 3
    sample = images.Sample.of(data, SpfmImagesSettings(rows=8, clean=5), Noise(0))
    assert sample.own.counts.tolist() == [8, 8, 8]
    assert sample.others.counts.tolist() == [5, 5, 5]
    number = [whole_pixels(part)[:, 0, 0, 0].tolist() for part in (sample.own, sample.others)]
    assert not set(number[0]) & set(number[1])
    wrong = sample.labelled("wrong", 0.4, Noise(1))
    assert torch.equal(whole_pixels(wrong), whole_pixels(sample.own))
    assert not torch.equal(wrong.y, sample.own.y)
    assert sample.labelled("right", 0.4, Noise(1)) is sample.own
