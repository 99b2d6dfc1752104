import copy
import itertools
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.transformer.model import Transformer
from sourcewise.families.transformer.settings import TransformerSettings
from sourcewise.forms import Ragged
from sourcewise.metrics.distributions import log_prob
from sourcewise.networks.cache import Cache
from sourcewise.randomness import Noise

V, K = 5, 3
STRINGS = [[0, 1, 2], [], [4], [3, 3, 1, 0, 2, 4, 1], [2, 1]]
X, Y = Ragged.of(STRINGS), torch.tensor([0, 1, 2, 0, 1])
NOISE = Noise(9)


def model(K: int = K, V: int = V, seed: int = 0, C: int = 0, **options: Any) -> Transformer:
    small = {"width": 8, "heads": 2, "dropout": 0.0} | options
    out = Transformer(TransformerSettings.parse(small), K=K, vocabulary=V, C=C)
    out.reset(Noise(seed))
    return out.double()


def padded(extra: int = 0) -> torch.Tensor:
    return torch.nn.functional.pad(X.padded(), (0, extra), value=-1)


@dataclass
class Streams:
    """One stream per member of a stack, as the training engine gives them."""

    members: list[Noise]

    def of(self, *key: int | str) -> "Streams":
        return Streams([noise.of(*key) for noise in self.members])

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.stack([noise.uniform(*shape) for noise in self.members])


def stack(models: list[Transformer]) -> Transformer:
    out = copy.deepcopy(models[0])
    for name, parameter in out.named_parameters():
        parameter.data = torch.stack([m.get_parameter(name).detach() for m in models])
    return out


def test_loss_is_minus_the_sum_of_the_conditional_log_probabilities():
    net = model()
    scores = net.logits(padded(), Y).log_softmax(-1)
    by_hand = [
        -scores[i, torch.arange(len(string) + 1), torch.tensor([*string, V])].sum()
        for i, string in enumerate(STRINGS)
    ]
    torch.testing.assert_close(net.loss(Batch.of(padded(), Y), NOISE), torch.stack(by_hand))


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}])
def test_padding_changes_nothing(options):
    net = model(**options)
    loss = net.loss(Batch.of(padded(), Y), NOISE)
    torch.testing.assert_close(net.loss(Batch.of(padded(5), Y), NOISE), loss)
    noisy = padded(5)
    noisy[noisy.ge(0).cumprod(1).eq(0) & (torch.arange(12) > 9)] = 3  # after the first -1
    torch.testing.assert_close(net.loss(Batch.of(noisy, Y), NOISE), loss)


def test_log_prob_takes_both_forms_and_any_batch(monkeypatch):
    net = model().float()
    whole = log_prob(net, X, Y)
    torch.testing.assert_close(whole, -net.loss(Batch.of(padded(), Y), NOISE))
    torch.testing.assert_close(log_prob(net, padded(3), Y), whole)
    single = [log_prob(net, X.take(torch.tensor([i])), Y[i : i + 1]) for i in range(len(X))]
    torch.testing.assert_close(torch.cat(single), whole, rtol=1e-6, atol=1e-6)
    monkeypatch.setattr("sourcewise.families.transformer.model._SCORED", 9)  # several chunks
    torch.testing.assert_close(log_prob(net, X, Y), whole, rtol=1e-6, atol=1e-6)
    assert log_prob(net, Ragged.of([]), Y[:0]).shape == (0,)


def test_log_prob_never_drops_and_follows_the_callers_grad_mode():
    net = model(dropout=0.5)
    assert torch.equal(log_prob(net, X, Y), log_prob(net, X, Y))
    torch.testing.assert_close(net.eval().loss(Batch.of(padded(), Y), NOISE), -log_prob(net, X, Y))
    assert log_prob(net, X, Y).requires_grad
    with torch.inference_mode():
        assert not log_prob(net, X, Y).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_prob_with_and_without_kv_cache_agree(dtype):
    net, x = model().to(dtype), Noise(1).integers(V, 4, 50)
    y, cache = Noise(2).integers(K, 4), Cache(2, x.device)
    inputs = [net.labels(y), *(net.symbols(x[:, t]) for t in range(50))]
    cached = torch.stack([net.step(h, cache) for h in inputs], 1).log_softmax(-1)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    whole = net.logits(x, y).log_softmax(-1)
    torch.testing.assert_close(cached, whole, rtol=tolerance, atol=tolerance)
    ends = cached[:, :-1].gather(-1, x[..., None]).sum((1, 2)) + cached[:, -1, V]
    torch.testing.assert_close(ends, log_prob(net, x, y), rtol=tolerance, atol=tolerance)


@torch.no_grad()
def test_probabilities_of_all_strings_sum_to_one():
    net, longest = model(K=2, V=2), 6
    strings = [list(s) for T in range(longest + 1) for s in itertools.product(range(2), repeat=T)]
    last = torch.tensor(strings[-(2**longest) :])  # those of the greatest length
    for y in range(2):
        ended = log_prob(net, Ragged.of(strings), torch.full((len(strings),), y)).exp().sum()
        steps = net.logits(last, torch.full((len(last),), y)).log_softmax(-1)
        begin = steps[:, :-1].gather(-1, last[..., None]).sum((1, 2)).exp()
        longer = (begin * (1 - steps[:, -1, 2].exp())).sum()
        assert float(longer) > 0.01
        assert abs(float(ended + longer) - 1) < 1e-12


@pytest.mark.parametrize("options", [{}, {"dropout": 0.3, "label_dropout": 0.5}])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_stacked_models_are_each_of_them(options, dtype, tolerance):
    models = [model(seed=s, **options).to(dtype) for s in range(4)]
    x = Noise(1).integers(V, 4, 5, 9)
    lengths = Noise(2).integers(10, 4, 5) // torch.tensor([1, 2, 3, 10])[:, None]
    x = torch.where(torch.arange(9) < lengths[..., None], x, -1)  # the last has only empty ones
    y, streams = Noise(3).integers(K, 4, 5), [Noise(s).of("step") for s in range(4)]
    stacked = stack(models)
    losses = stacked.loss(Batch.of(x, y), Streams(streams))  # pyright: ignore[reportArgumentType]
    losses.sum().backward()
    for s, alone in enumerate(models):
        own = x[s, :, : int(lengths[s].max())]
        loss = alone.loss(Batch.of(own, y[s]), streams[s])
        loss.sum().backward()
        torch.testing.assert_close(losses[s], loss, rtol=tolerance, atol=tolerance)
        for name, parameter in alone.named_parameters():
            gradient = stacked.get_parameter(name).grad
            assert gradient is not None
            torch.testing.assert_close(
                gradient[s], parameter.grad, rtol=tolerance, atol=tolerance * 10
            )


def test_a_symbol_reaches_later_positions_only():
    net, t = model(), 4
    x = Noise(1).integers(V, 2, 8)
    changed = x.clone()
    changed[:, t] = (x[:, t] + 1) % V
    y = torch.tensor([0, 1])
    before, after = net.logits(x, y), net.logits(changed, y)
    assert torch.equal(before[:, : t + 1], after[:, : t + 1])
    assert ((before[:, t + 1 :] - after[:, t + 1 :]).abs().amax((0, 2)) > 1e-6).all()


def test_positions_and_labels_matter():
    net = model()
    repeated = net.logits(torch.zeros(1, 6, dtype=torch.int64), Y[:1])
    assert (repeated[0, 1:-1] - repeated[0, 2:]).abs().amax(1).min() > 1e-6
    labels = log_prob(net, Ragged.of([[0, 1]] * K), torch.arange(K))
    assert len(set(labels.tolist())) == K


@pytest.mark.parametrize("options", [{}, {"label_dropout": 0.5}, {"layers": 3, "dropout": 0.5}])
def test_every_parameter_receives_a_gradient(options):
    net = model(**options)
    x, y = Noise(1).integers(V, 32, 9), torch.arange(32) % K
    net.loss(Batch.of(x, y), NOISE).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_dropout_is_drawn_from_the_noise_in_training_only():
    net, plain = model(dropout=0.5), model()
    first = net.loss(Batch.of(padded(), Y), Noise(1))
    assert torch.equal(first, net.loss(Batch.of(padded(), Y), Noise(1)))
    assert not torch.isclose(first, net.loss(Batch.of(padded(), Y), Noise(2))).any()
    still = net.eval().loss(Batch.of(padded(), Y), Noise(1))
    torch.testing.assert_close(still, plain.loss(Batch.of(padded(), Y), NOISE))


def test_a_dropped_label_is_one_more_row():
    net = model(label_dropout=0.5)
    assert net.free_parameters == model().free_parameters + 8
    x, y = Ragged.of([[0, 1]] * 64), torch.zeros(64, dtype=torch.int64)
    loss = net.loss(Batch.of(x.padded(), y), NOISE)
    kept, dropped = (-log_prob(net, x.take(torch.tensor([0])), torch.tensor([k])) for k in (0, K))
    is_kept = torch.isclose(loss, kept)
    assert (is_kept ^ torch.isclose(loss, dropped)).all()
    assert 16 < int(is_kept.sum()) < 48


def test_free_parameters():
    width, layers = 8, 2
    block = 4 * width + (3 * width + width) * (width + 1) + 4 * width * (2 * width + 1) + width
    expected = K * width + V * width + layers * block + 2 * width + (V + 1) * (width + 1)
    assert model().free_parameters == expected


def test_reset_draws_all_by_key():
    state = model(seed=1).state_dict()
    torch.testing.assert_close(model(seed=1).state_dict(), state, rtol=0, atol=0)
    other = model(seed=2)
    assert all(
        not torch.equal(value, state[name])
        for name, value in other.state_dict().items()
        if value.ndim > 1
    )


@torch.no_grad()
def test_samples_follow_the_distribution():
    net = model(K=2, V=2)
    n = 5_000
    x = net.sample(torch.ones(n, dtype=torch.int64), noise=Noise(3), longest=8)
    for string in [[], [0], [1], [0, 1], [1, 1, 0]]:
        p = float(log_prob(net, Ragged.of([string]), torch.tensor([1])).exp())
        share = sum(row == string for row in rows(x)) / n
        assert abs(share - p) < 4.5 * (p * (1 - p) / n) ** 0.5


def rows(x: Ragged) -> list[list[int]]:
    return [part.tolist() for part in x.values.split(x.lengths.tolist())]


def test_samples_are_the_same_in_other_batches(monkeypatch):
    net, y = model(), torch.arange(40) % K
    noise = Noise(4).each(y)
    whole = rows(net.sample(y, noise=noise, longest=100))
    assert max(map(len, whole)) > 16  # the cache grew
    order = Noise(5).permutation(40)
    assert rows(net.sample(y[order], noise=noise.take(order), longest=100)) == [
        whole[i] for i in order
    ]
    assert rows(net.sample(y[7:8], noise=noise.take(torch.tensor([7])), longest=100)) == whole[7:8]
    monkeypatch.setattr("sourcewise.families.transformer.model._SAMPLED", 7)
    assert rows(net.sample(y, noise=noise, longest=100)) == whole
    short = rows(net.sample(y, noise=noise, longest=3))
    assert short == [row[:3] for row in whole]  # cut, not drawn anew
    assert rows(net.sample(y, noise=noise, longest=0)) == [[]] * 40
    assert rows(net.sample(y[:0], noise=noise.take(order[:0]))) == []


def test_temperature_sharpens():
    net, y = model(), torch.zeros(50, dtype=torch.int64)
    cold = rows(net.sample(y, noise=Noise(4), temperature=1e-4, longest=10))
    assert all(row == cold[0] for row in cold)  # the most probable symbol each time
    with pytest.raises(InputError, match="temperature must be above 0, not 0"):
        net.sample(y, noise=Noise(4), temperature=0)


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="width / heads must be even, not 6 / 2"):
        TransformerSettings.parse({"width": 6, "heads": 2})


def test_half_precision_stays_close():
    net = model().float()
    exact = net.loss(Batch.of(padded(), Y), NOISE)
    with torch.autocast("cpu", torch.bfloat16):
        half = net.loss(Batch.of(padded(), Y), NOISE)
        text = net.sample(Y, noise=NOISE, longest=5)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, rtol=0.02, atol=0.02)
    assert len(text) == len(Y)


@torch.no_grad()
def test_given_columns_are_a_prefix():
    """At each c probabilities sum to 1 with what is longer, and another c has others."""
    net, longest = model(K=2, V=2, C=3, seed=1), 6
    strings = [list(s) for T in range(longest + 1) for s in itertools.product(range(2), repeat=T)]
    last = torch.tensor(strings[-(2**longest) :])
    y, values = torch.ones(len(strings), dtype=torch.int64), []
    for c in Noise(4).normal(2, 3):
        given = c.expand(len(strings), 3)
        batch = Batch.of(Ragged.of(strings), y, given)
        log_p = net.log_density(batch, NOISE).value
        padded = Batch.of(Ragged.of(strings).padded(), y, given)
        torch.testing.assert_close(-net.eval().loss(padded, NOISE), log_p)
        steps = net.logits(last, y[: len(last)], given[: len(last)]).log_softmax(-1)
        begin = steps[:, :-1].gather(-1, last[..., None]).sum((1, 2)).exp()
        longer = (begin * (1 - steps[:, -1, 2].exp())).sum()
        assert abs(float(log_p.exp().sum() + longer) - 1) < 1e-12
        values.append(log_p)
    assert not torch.allclose(*values)


def test_stacked_models_with_given_columns_are_each_of_them():
    models = [model(C=2, seed=s) for s in range(3)]
    x, y, c = Noise(1).integers(V, 3, 5, 4), Noise(3).integers(K, 3, 5), Noise(4).normal(3, 5, 2)
    losses = stack(models).loss(Batch.of(x, y, c), NOISE)
    for s, alone in enumerate(models):
        own = alone.loss(Batch.of(x[s], y[s], c[s]), NOISE)
        torch.testing.assert_close(losses[s], own, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_draws_follow_what_is_given():
    net, n = model(K=1, V=2, C=1, seed=2), 4000
    net.given.weight.data *= 30  # pyright: ignore[reportOptionalMemberAccess]
    y = torch.zeros(n, dtype=torch.int64)
    for value in (-1.0, 1.0):
        c = torch.full((n, 1), value, dtype=torch.float64)
        drawn = net.sample(y, Noise(6), c)
        empty = float((drawn.lengths == 0).double().mean())
        nothing = Batch.of(Ragged.of([[]]), y[:1], c[:1])
        p = float(net.log_density(nothing, NOISE).value.exp())
        assert abs(empty - p) < 5 * (p * (1 - p) / n) ** 0.5
