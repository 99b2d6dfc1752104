"""Who scores whom: no row is scored by a model that knows it, or a copy of it."""

import pytest
import torch

from sourcewise.fitting.job import Work
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.suspects.copies import votes
from sourcewise.suspects.prepare import LabelsSettings, prepare
from sourcewise.suspects.scores import fold_scores, scoring_seconds

Y = torch.arange(120) % 3
X = Noise(0).normal(120, 2) + 3 * Y[:, None]
THREE = Sources(X, Y, "abc", name="three")


def prepared(data: Sources, **settings):
    chosen = {"model": "gaussian", "seeds": 1, **settings}
    return prepare(data, LabelsSettings.changed(None, chosen))


def test_folds_keep_rows_and_their_copies_from_the_models_that_score_them():
    x = torch.cat([X, X[:30]])  # copies, of another source
    twice = Sources(x, torch.cat([Y, Y[1:31]]), "abc", name="copies")
    division = prepared(twice).division(0)
    scored = []
    for part in range(5):
        split = division.split(part)
        known = {tuple(row) for row in x[torch.cat([split.train, split.valid])].tolist()}
        assert not known & {tuple(row) for row in x[split.test].tolist()}
        scored += split.test.tolist()
    assert sorted(scored) == list(range(150))


def test_groups_stay_together():
    group = torch.arange(120) // 4
    division = prepared(Sources(X, Y, "abc", group=group), min_rows=5).division(0)
    for part in range(5):
        split = division.split(part)
        assert not set(group[split.train].tolist()) & set(group[split.test].tolist())


def test_scores_are_log_densities_of_models_of_the_other_folds():
    """Against Gaussians fitted here to the same rows, and scored under every label."""
    ready = prepared(THREE, set={"shrinkage": "none", "shared_covariance": False})
    division = ready.division(0)
    split = division.split(2)
    found = fold_scores(ready.job, division.rows, split, ready.judged, Work(Noise(0)))
    for k in range(3):
        own = X[split.train][Y[split.train] == k]
        normal = torch.distributions.MultivariateNormal(own.mean(0), own.T.cov(correction=0))
        want = normal.log_prob(X[split.test])
        assert torch.allclose(found[:, k], want, atol=1e-8)


def test_the_own_label_of_a_row_plays_no_part_in_its_scores():
    ready = prepared(THREE)
    division = ready.division(0)
    split = division.split(0)
    found = fold_scores(ready.job, division.rows, split, ready.judged, Work(Noise(0)))
    y = Y.clone()
    y[split.test] = (y[split.test] + 1) % 3
    other = prepared(Sources(X, y, "abc", name="three"))
    rows = other.division(0).rows
    again = fold_scores(other.job, rows, split, other.judged, Work(Noise(0)))
    assert torch.allclose(found, again, atol=1e-12)


def test_copies_vote_where_folds_keep_them_together():
    x = torch.tensor([0.5, 0.25, 0.5, 0.5, 7.0], dtype=torch.float64)
    x = torch.cat([x[:, None].expand(5, 3), Noise(0).normal(40, 3)])
    y = torch.tensor([0, 1, 1, 0, 1] + [0, 1] * 20)
    found = votes(Sources(x, y, "ab"), y, 2)
    assert found is not None
    assert found[:5].tolist() == [[1, 1], [0, 0], [2, 0], [1, 1], [0, 0]]
    assert float(found[5:].sum()) == 0
    known = y.clone()
    known[0] = -1  # of a source that nobody judges
    some = votes(Sources(x, y, "ab"), known, 2)
    assert some is not None
    assert some[:4].tolist() == [[1, 1], [0, 0], [1, 0], [0, 1]]


def test_copies_do_not_vote_where_models_have_seen_them():
    x, y = torch.arange(10.0)[:, None], torch.arange(10) % 2
    assert votes(Sources(x, y, "ab"), y, 2) is None  # no copies
    again = torch.cat([x, x]).double()
    grouped = Sources(again, torch.cat([y, y]), "ab", group=torch.arange(20))
    assert votes(grouped, torch.cat([y, y]), 2) is None


@pytest.mark.parametrize(
    ("family", "columns", "timed"),
    [
        ("flow", 2, True),
        ("purified-flow", 2, True),
        ("rectified-flow", 2, True),
        ("jko", 2, True),
        ("energy", 2, True),  # by quadrature
        ("energy", 4, False),  # by a simulation that follows training
    ],
)
def test_scoring_is_timed_of_all_that_have_densities_before_training(family, columns, timed):
    wide = Sources(Noise(0).normal(120, columns) + 3 * Y[:, None], Y, "abc", name="wide")
    ready = prepared(wide, model=family, set={"updates": 1, "passes": 1})
    of = ready.rehearsal
    seconds = scoring_seconds(ready.job, of.rows, of.split, of.encoders, 3)
    assert (seconds > 0) == timed
