"""Draws beside new rows: the draws of `sample`, each number what its function says."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import sourcewise as sw
from sourcewise.documents import from_json
from sourcewise.errors import InputError
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Images, as_table, take
from sourcewise.lifecycle.draws.measured import parts_of
from sourcewise.lifecycle.evaluate import Evaluation
from sourcewise.metrics.features.columns import ColumnFeatures
from sourcewise.metrics.frechet import equal_rows, frechet_distance
from sourcewise.metrics.projections import PARTS
from sourcewise.metrics.sample_scores import SampleScores, sample_scores
from sourcewise.randomness import Noise
from sourcewise.results.contract import to_json
from sourcewise.results.evaluation import EvaluationResult
from sourcewise.results.evaluation_draws import (
    AccuracyOfDraws,
    DrawnStrategy,
    DrawsResult,
    DrawsScore,
)

NAMES = ("a", "b")
N = 50  # draws


def points(n: int = 120, key: int = 0) -> sw.Sources:
    """Two sources of numbers, which lean to different sides."""
    y = torch.arange(n) % 2
    x = Noise(key).of("points").normal(n, 2)
    x[:, 1] += (2 * y - 1) * (2 * x[:, 0] + 1.5)
    return sw.Sources(x, y, NAMES, name="points")


def shown(found: Evaluation) -> DrawsResult:
    """What it found of draws."""
    assert found.result.draws is not None
    return found.result.draws


def score(item: DrawnStrategy, key: str, source: str = "macro") -> DrawsScore:
    found = item.score(key, source)
    assert found is not None
    return found


def mean(item: DrawnStrategy, key: str, source: str = "macro") -> float:
    value = score(item, key, source).mean
    assert value is not None
    return value


def accuracy(item: DrawnStrategy) -> AccuracyOfDraws:
    assert item.accuracy is not None
    return item.accuracy


@pytest.fixture(scope="module")
def run():
    """Two strategies."""
    chosen = {"seeds": 1, "scope": "these models", "strategies": ("pooled", "separate")}
    return sw.compare(points(), model="gaussian", **chosen)


@pytest.fixture(scope="module")
def found(run):
    return sw.evaluate(run, points(key=1), draws=N, training=points())


def by_hand(run, strategy: str, k: int) -> SampleScores:
    """By the draws of `sample` and the function of all numbers."""
    new, training = points(key=1), points()
    drawn = sw.sample(run, strategy=strategy, n=N)
    features = ColumnFeatures.fit(training.x, run.models[strategy].encoder.coding)
    x, y, z = (features(take(s.x, s.y == k)) for s in (new, drawn, training))
    return sample_scores(x, y, Noise(0).of("evaluate", "draws", k), z)


@pytest.mark.parametrize("strategy", ["pooled", "separate"])
@pytest.mark.parametrize("k", [0, 1])
def test_every_number_is_that_of_the_draws_of_sample(run, found, strategy, k):
    scores = by_hand(run, strategy, k)
    told = shown(found).strategies[strategy].per_source[NAMES[k]]
    assert (told.n_test, told.n_draws, told.n_equal, told.n_training) == (60, N, N, 60)
    means = {key: score.mean for key, score in told.metrics.items()}
    assert scores.floor is not None
    assert scores.manifold is not None
    assert scores.memorisation is not None
    assert means == pytest.approx(
        {
            "energy_distance": scores.energy,
            "kernel_distance": scores.kernel,
            "frechet_distance": scores.frechet,
            "frechet_of_halves": scores.floor.drawn,
            "precision": scores.manifold.precision,
            "recall": scores.manifold.recall,
            "density": scores.manifold.density,
            "coverage": scores.manifold.coverage,
            "memorisation_ratio": scores.memorisation.ratio,
            "memorisation_share": scores.memorisation.share,
        },
        rel=1e-9,
    )
    assert told.metrics["frechet_of_halves"].expected == scores.floor.real
    assert told.metrics["memorisation_share"].expected == scores.memorisation.expected_share


def test_averages_are_those_of_the_sources(found):
    for item in shown(found).strategies.values():
        assert item.macro["sources"] == NAMES
        for key in item.per_source["a"].metrics:
            each = [mean(item, key, name) for name in NAMES]
            assert mean(item, key) == pytest.approx(np.mean(each))


def test_differences_are_of_the_same_rows_and_favour_what_is_nearer(run, found):
    told = found.document["draws"]["differences"]
    gaps = {(d["source"], d["metric"]): d for d in told}
    assert {d["strategy"] for d in told} == {"pooled"}
    for key in ("energy_distance", "kernel_distance", "frechet_distance"):
        for source in (*NAMES, "macro"):
            pooled, separate = (
                mean(shown(found).strategies[name], key, source) for name in ("pooled", "separate")
            )
            gap = gaps[source, key]
            assert gap["difference"] == pytest.approx(separate - pooled)
            assert gap["low"] < gap["difference"] < gap["high"]
    assert gaps["macro", "frechet_distance"]["high"] < 0  # sources lean to different sides


def test_nothing_else_of_the_document_changes(run, found):
    plain = sw.evaluate(run, points(key=1))
    document = {**found.document}
    assert document.pop("draws")["role"].endswith("nothing is decided by it")
    assert document == plain.document
    assert "draws" not in plain.document


def test_it_is_read_back_as_it_was(found):
    written = json.loads(json.dumps(found.document, allow_nan=False))
    assert to_json(from_json(EvaluationResult, written, "here")) == written == found.document


def test_a_table_shows_it(found):
    lines = str(found).splitlines()
    head = next(line for line in lines if line.split()[:2] == ["source", "energy"])
    words = "kernel Frechet floor prec. recall dens. cover. ratio share"
    assert " ".join(head.split()[2:]) == words
    average = score(shown(found).strategies["pooled"], "energy_distance")
    row = lines[lines.index(head) + 3]
    assert average.mean is not None
    told = f"macro {average.mean:.3f} ± {average.standard_error:.3f}"
    assert " ".join(row.split()[:4]) == told
    assert "trained on                       accuracy  ± seeds  relative drop" in str(found)


def copies(self: TrainedStrategy, y, noise, c=None, **options):
    """A model that gives its training rows again, in their order."""
    data = points()
    return take(data.x, (data.y == int(y[0])).nonzero().squeeze(1)[: len(y)]), None


def test_copies_are_told_by_memorisation_and_teach_what_the_rows_teach(run, monkeypatch):
    monkeypatch.setattr(TrainedStrategy, "draw", copies)
    told = shown(sw.evaluate(run, points(key=1), draws=60, training=points()))
    item = told.strategies["pooled"]
    assert mean(item, "memorisation_ratio") == 0
    assert mean(item, "memorisation_share") == 1
    assert told.accuracy is not None
    assert told.accuracy.examples == {"a": 60, "b": 60}
    assert accuracy(item).draws == accuracy(item).real == accuracy(item).augmented
    assert accuracy(item).relative_drop == accuracy(item).augmented_drop == 0
    assert accuracy(item).real.mean > 0.7
    gaps = {(d.source, d.metric): d for d in told.differences}
    assert gaps["macro", "frechet_distance"].difference == 0  # both strategies draw the same


def swapped(self: TrainedStrategy, y, noise, c=None, **options):
    return copies(self, 1 - y, noise)


def test_draws_under_wrong_labels_teach_the_opposite(run, monkeypatch):
    monkeypatch.setattr(TrainedStrategy, "draw", swapped)
    found = sw.evaluate(run, points(key=1), draws=60, training=points())
    told = accuracy(shown(found).strategies["pooled"])
    assert told.draws.mean == pytest.approx(1 - told.real.mean)
    assert told.relative_drop == pytest.approx(1 - told.draws.mean / told.real.mean)


def test_as_many_training_rows_as_draws_teach_a_classifier(run):
    told = shown(sw.evaluate(run, points(key=1), draws=20, training=points()))
    assert told.accuracy is not None
    assert told.accuracy.examples == {"a": 20, "b": 20}
    assert told.features.fitted_on == "the training rows"
    alone = shown(sw.evaluate(run, points(key=1), draws=20))
    assert alone.features.fitted_on == "these rows"
    assert alone.accuracy is None
    assert alone.training is None


@pytest.mark.parametrize("m", [2, 7, 19, 20, 40])
def test_the_spread_of_parts_is_that_of_the_mean_of_draws(m):
    """Exactly, where parts are single draws or fewer; in expectation, where they are more."""
    drawn = [Noise(s).of("parts").normal(m) for s in range(1 if m <= PARTS else 2000)]
    told = np.mean([float(parts_of(each).var()) / PARTS for each in drawn])
    true = np.mean([float(each.var()) / m for each in drawn])
    assert told == pytest.approx(true, rel=1e-12 if m <= PARTS else 0.03)
    first, second = drawn[0], Noise(9).normal(m)
    assert torch.allclose(parts_of(first) - parts_of(second), parts_of(first - second))


def test_few_rows_give_what_they_can(run):
    few = points(key=1).take(torch.tensor([0, 2, 4, 1]))  # three rows of a, one of b
    told = shown(sw.evaluate(run, few, draws=5)).strategies["pooled"]
    assert list(told.per_source) == ["a"]
    assert set(told.per_source["a"].metrics) == {
        "energy_distance",
        "kernel_distance",
        "frechet_distance",
    }
    assert told.macro["sources"] == ("a",)


def faces(n: int = 80, shape=(1, 6, 5), key: int = 0) -> sw.Sources:
    """Noise, that of one source darker."""
    y = torch.arange(n) % 2
    pixels = Noise(key).integers(200, n, *shape) // (1 + y[:, None, None, None])
    return sw.Sources(Images.of(pixels.to(torch.uint8)), y, ("light", "dark"), name="faces")


@pytest.fixture(scope="module")
def drawer():
    return sw.train(faces(), model="gaussian", strategy="separate")


@pytest.fixture
def quick(monkeypatch):
    """Classifiers of images that learn in a moment."""
    from sourcewise.lifecycle.draws import accuracy as classified
    from sourcewise.metrics.classifiers import image_network
    from sourcewise.metrics.image_classifier import ImageRecipe

    monkeypatch.setattr(
        classified, "image_network", lambda: image_network(ImageRecipe(width=4, updates=20))
    )


@pytest.mark.parametrize(
    ("features", "kind", "coordinates"), [("auto", "images", 39), ("principal", "principal", 30)]
)
def test_images_go_the_same_way(drawer, quick, features, kind, coordinates):
    seen = []
    found = sw.evaluate(
        drawer,
        faces(key=1),
        draws=30,
        features=features,
        training=faces(),
        progress=lambda done, total: seen.append((done, total)),
    )
    told = shown(found)
    assert (told.features.kind, told.features.coordinates) == (kind, coordinates)
    item = told.strategies["separate"]
    assert accuracy(item).draws.mean > 0.95
    assert accuracy(item).draws.standard_error is not None
    assert mean(item, "precision") > 0.5
    assert (score(item, "frechet_of_halves").expected or 0) > 0
    assert seen == [(i, 5) for i in range(1, 6)]  # two sources, three samples of a classifier


def test_options_of_drawing_apply_to_these_draws():
    options = {"updates": 2, "passes": 1, "width": 8, "lengths": ()}
    run = sw.train(points(40), model="diffusion", strategy="pooled", set=options)
    chosen = {"steps": 4, "guidance": 1.5}
    found = shown(sw.evaluate(run, points(40, 1), draws=12, set=chosen))
    assert found.options == chosen
    drawn = sw.sample(run, n=12, set=chosen)
    new = points(40, 1)
    features = ColumnFeatures.fit(new.x, run.models["pooled"].encoder.coding)
    rows, draws = (features(take(s.x, s.y == 0)) for s in (new, drawn))
    pair = equal_rows(rows, draws, Noise(0).of("evaluate", "draws", 0, "equal"))
    told = found.strategies["pooled"].per_source["a"].metrics["frechet_distance"]
    assert told.mean == pytest.approx(frechet_distance(*pair), rel=1e-6)


def test_categories_are_compared_by_their_names(frame):
    """New rows of fewer categories are the points that they are among all rows."""
    whole = sw.read(frame.fillna({"age": 40.0}), source="site")
    chosen = {"updates": 5, "passes": 1, "batch": 32}
    run = sw.train(whole, model="table", set=chosen, strategy="pooled")
    some = frame.fillna({"age": 40.0}).query("kind != 'mild'")
    index = torch.tensor((frame["kind"] != "mild").tolist())
    names = ("energy_distance", "frechet_distance", "coverage")
    a, b = (
        shown(sw.evaluate(run, data, draws=30)).strategies["pooled"]
        for data in (sw.read(some, source="site"), whole.take(index))
    )
    assert [score(a, name) for name in names] == [score(b, name) for name in names]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 1}, "--draws 1: allowed are 2 to 10000 of each source"),
        ({"features": "auto"}, "--features is about draws: say how many by --draws N"),
        ({"training": "wine"}, "--training is about draws: say how many by --draws N"),
        ({"set": {"steps": 3}}, "--set is about draws: say how many by --draws N"),
        ({"draws": 9, "set": {"steps": 3}}, "has no options of drawing"),
        ({"draws": 9, "features": "principle"}, "no features 'principle': did you mean 'princ"),
        ({"draws": 9, "features": "principal"}, "is for images: rows of columns take auto alone"),
    ],
)
def test_what_cannot_be_asked_is_refused(run, options, message):
    with pytest.raises(InputError, match=message):
        sw.evaluate(run, points(key=1), **options)


def test_learned_features_need_training_rows(drawer):
    for features in ("principal", "classifier"):
        with pytest.raises(InputError, match=f"--features {features} is learned from training"):
            sw.evaluate(drawer, faces(key=1), draws=9, features=features)


def test_other_training_rows_are_refused_or_pointed_out(run, drawer):
    more = sw.Sources(points().x, points().y, ("a", "c"), name="more")
    with pytest.raises(InputError, match=r"more: training rows of sources .* 'c' \(known: a, b\)"):
        sw.evaluate(run, points(key=1), draws=9, training=more)
    with pytest.raises(InputError, match="images of 1x5x6 .* the models are of 1x6x5"):
        sw.evaluate(drawer, faces(key=1), draws=9, training=faces(shape=(1, 5, 6)))
    found = sw.evaluate(run, points(key=1), draws=9, training=points(100))
    assert "100 training rows; the models come from 120" in found.document["warnings"]


def test_training_rows_are_known_by_their_marks(tmp_path):
    run = sw.train(points(), model="gaussian", out=tmp_path / "run")
    for key, told in ((0, []), (5, ["0 of 120 training rows equal one of the same source"])):
        options = {"draws": 9, "training": points(key=key)}
        warned = sw.evaluate(run, points(key=1), **options).document["warnings"]
        assert [text[: len(told[0])] for text in warned] == told


def test_texts_are_no_points(words):
    small = {"width": 8, "layers": 1, "heads": 2, "updates": 1, "batch": 16}
    run = sw.train(words, set=small)
    with pytest.raises(InputError, match="--draws needs rows of columns or images"):
        sw.evaluate(run, words, draws=5)


def test_the_command_says_what_python_says(tmp_path, capsys, monkeypatch):
    from sourcewise.cli import main

    def command(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["sourcewise", *arguments])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    for name, key in (("old.csv", 0), ("new.csv", 1)):
        data = points(key=key)
        lines = [
            f"{NAMES[k]},{a!r},{b!r}"
            for k, (a, b) in zip(data.y, as_table(data.x).matrix().tolist(), strict=True)
        ]
        Path(name).write_text("\n".join(["source,x1,x2", *lines]) + "\n")
    command("train", "old.csv", "--model", "gaussian", "--out", "run")
    asked = ("evaluate", "run", "new.csv", "--draws", "20", "--training", "old.csv")
    document = json.loads(command(*asked, "--json")[0])
    again = sw.evaluate("run", "new.csv", draws=20, training="old.csv")
    assert document["draws"] == again.document["draws"]
    assert "draws beside these rows: 20 of each source, seed 0" in command(*asked)[0]
    plan = json.loads(command(*asked, "--dry-run", "--json")[0])
    assert (plan["draws"], plan["training"]) == (20, "old.csv")
    for more in ((), ("--dry-run",)):
        out, err = command("evaluate", "run", "new.csv", "--draws", "1", *more)
        assert (out, err.count("\n")) == ("", 1)
