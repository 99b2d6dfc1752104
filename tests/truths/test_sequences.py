"""Truths over sequences: normalised, sampled as they say, as alike as they say."""

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.families.arm.model import Arm
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.metrics.total_variation import total_variation
from sourcewise.randomness import Noise
from sourcewise.truths.sequences import independent_sequences, shared_logits


@pytest.mark.parametrize(
    "truth",
    [independent_sequences(2, 3, 3, Noise(0), 0.5), shared_logits(2, 3, 3, 0.7, Noise(0))],
)
def test_tables_and_samples(truth):
    assert truth.log_p.exp().sum(1).tolist() == pytest.approx([1, 1])
    y = torch.arange(2).repeat_interleave(50_000)
    x = truth.sample(y, noise=Noise(4))
    number = (x * torch.tensor([9, 3, 1])).sum(1)
    for k in range(2):
        assert truth.log_prob(x[y == k], y[y == k])[:5].tolist() == pytest.approx(
            truth.log_table(k)[number[y == k]][:5].tolist()
        )
        seen = torch.bincount(number[y == k], minlength=27)
        expected = 50_000 * truth.log_p[k].exp()
        likely = expected > 5
        chi2 = ((seen - expected) ** 2 / expected)[likely].sum().item()
        assert chi2 < 60  # chi2_26: p = 1.7e-4


def test_similarity_of_shared_logits_is_their_correlation():
    truth = shared_logits(2, 2, 16, 0.5, Noise(1))
    measured = torch.corrcoef(truth.log_p)[0, 1].item()
    assert measured == pytest.approx(truth.similarity, abs=5 / 2**8)


def test_dirichlet_moments():
    p = independent_sequences(2000, 2, 2, Noise(2), 0.5).log_p.exp()
    assert p.mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.02)
    variance = 0.25 * 0.75 / (4 * 0.5 + 1)  # m (1 - m) / (a_0 + 1)
    assert p.var(0).tolist() == pytest.approx([variance] * 4, rel=0.15)


def test_distances_of_what_can_be_listed_are_sums():
    truth = shared_logits(2, 2, 4, 1.0, Noise(3))
    model = Arm(ArmSettings(width=8), K=2, M=2, D=4)
    model.reset(Noise(5))
    found = total_variation(truth, model, K=2)
    for k in range(2):
        with torch.no_grad():
            gap = truth.log_p[k].exp() - model.log_table(k).double().exp()
        by_hand = gap.abs().sum().item() / 2
        assert found[k].value == pytest.approx(by_hand, abs=1e-9)
        assert found[k].standard_error == 0


def test_bad_sizes():
    with pytest.raises(InputError, match="too many for a table"):
        shared_logits(2, 2, 21, 1.0, Noise(0))
    with pytest.raises(InputError, match="s must be at least 0"):
        shared_logits(2, 2, 3, -1.0, Noise(0))
    with pytest.raises(InputError, match="concentration must be above 0"):
        independent_sequences(2, 2, 3, Noise(0), 0.0)
