"""Table 1: which classes and images its cells take, and what it says of them."""

import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from sourcewise.comparison.run import ComparisonRun
from sourcewise.comparison.scores import Cell as ComparedCell
from sourcewise.errors import InputError
from sourcewise.fitting.execute import execute
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Images
from sourcewise.metrics.features.base import Features
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.studies.runner import plan_study
from sourcewise.studies.table1 import distances, study
from sourcewise.studies.table1.points import PAPER, Spread, Table1, Table1Point
from sourcewise.studies.table1.settings import Table1Settings

NAMES = ("cat", "lion", "dog", "car", "bus", "tree")
TREE = Path(__file__).with_name("tree.csv")


def photographs(each: int = 20) -> Sources:
    """Images that are all different, those of a class of one shade."""
    y = torch.arange(len(NAMES)).repeat_interleave(each)
    pixels = Noise(0).integers(60, len(y), 1, 4, 4) + 30 * y[:, None, None, None]
    pixels[:, 0, 0, 0] = torch.arange(len(y))  # its number
    return Sources(Images.of(pixels.to(torch.uint8)), y, NAMES, name="photographs")


def whole_pixels(data: Sources) -> torch.Tensor:
    assert isinstance(data.x, Images)
    return data.x.pixels()


def digests(x: object) -> list[bytes]:
    assert isinstance(x, Images)
    return list(x.keys())


def small(**changes: object) -> Table1Settings:
    few = {"K": (2, 3), "rows": (8,), "seeds": 1, "passes": 1, "updates": 4, "width": 4}
    few |= {"sampling_seeds": 2, "draws": 4, "features": "principal"}
    return Table1Settings.parse({"hierarchy": str(TREE), **few, **changes})


def test_the_cells_are_all_combinations_equal_budgets_first():
    cells = study.grid(small(rows=(4, 8)), photographs()).cells
    assert len(cells) == 16
    assert [cell.budget for cell in cells] == ["equal"] * 8 + ["converged"] * 8
    assert len({cell.name for cell in cells}) == 16


def test_classes_hang_on_the_level_and_never_on_the_budget():
    settings, data = small(), photographs()
    hierarchy = study.read_hierarchy(TREE)
    found = {
        (cell.level, cell.K, cell.budget): study._classes(data, hierarchy, settings, cell)
        for cell in study.grid(settings, data).cells
    }
    for level in (1, 2):
        for K in (2, 3):
            assert found[level, K, "equal"] == found[level, K, "converged"]
    alike = {frozenset(("cat", "lion")), frozenset(("car", "bus"))}
    assert frozenset(found[2, 2, "equal"]) in alike
    assert set(found[2, 3, "equal"]) == {"cat", "lion", "dog"}
    apart = hierarchy.average_similarity(found[1, 3, "equal"])
    assert apart == 0 < hierarchy.average_similarity(found[2, 3, "equal"])


def test_images_are_drawn_without_replacement_and_the_others_are_spare():
    data = photographs()
    sample, spare = study._sample(data, ("lion", "bus"), 8, Noise(3))
    number = [whole_pixels(part)[:, 0, 0, 0].tolist() for part in (sample, spare)]
    assert len(set(number[0])) == len(number[0]) == 2 * 10  # 8 train, a fifth tests
    assert sorted(number[0] + number[1]) == [*range(20, 40), *range(80, 100)]
    assert sample.counts.tolist() == [10, 10]


def test_images_seen_are_as_planned():
    """Of 8 images a class 7 train: a pass of the pooled model sees 14, of two separate ones 14."""
    settings = small(passes=3, updates=5, seeds=2)
    equal, converged = (study.Cell(8, 1, 2, budget) for budget in ("equal", "converged"))
    assert study._images_seen(settings, equal) == 2 * (3 * 14 + 2 * 3 * 7)
    assert study._images_seen(settings, converged) == 2 * (5 * 14 + 2 * 5 * 7)


@pytest.mark.parametrize("n", [1, 4, 8, 16, 100, 400])
def test_as_many_images_are_sampled_as_leave_n_to_train(n):
    sampled = study._sampled(n)
    assert sampled - -(-sampled // 5) <= n <= sampled - sampled // 5


def test_a_small_table_runs_and_is_taken_up(tmp_path):
    settings = small(K=(2,), levels=(2,)).model_dump(mode="json")
    planned = plan_study("table1", settings, photographs())
    document, table = planned.run(tmp_path / "run")
    assert document["data"] == "photographs"
    points = document["cells"]
    assert [point["budget"] for point in points] == ["equal", "converged"]
    for point in points:
        assert point["separate"] < 0
        assert point["gain"] == pytest.approx(point["pooled"] - point["separate"])
        assert point["low"] < point["gain"] < point["high"]
        assert set(point["frechet"]) == {"pooled", "separate"}
    # 8 images a class, of which one validates: a pass of 16 and two of 8
    assert points[0]["updates"] == {"pooled": [1, 1], "separate": [1, 1]}
    assert points[1]["updates"]["separate"][1] <= 4
    assert "budget converged" in table
    assert "the paper (ImageNet at 256 x 256)" in table
    assert (tmp_path / "run" / "table1.svg").exists()
    again = plan_study("table1", settings, photographs()).run(tmp_path / "run")
    assert again.document == document


def test_what_is_held_out_was_never_seen_and_features_are_of_what_was(monkeypatch):
    """A copy of a training image among the spare ones is held out by nobody."""
    data, chosen = photographs(), {}

    def noted(choice, x, coding, y, noise, cache):
        chosen.update(x=x, y=y)
        return "features"

    monkeypatch.setattr(distances, "features_of", noted)
    sample, spare = study._sample(data, ("lion", "bus"), 8, Noise(3))
    pixels = whole_pixels(spare)
    pixels[0] = whole_pixels(sample)[0]
    twice = replace(spare, x=Images.of(pixels))
    plan = study._prepared(small(), sample, "equal").plan
    real, _ = distances._held_out(small(), plan, twice, None)
    known = set(digests(chosen["x"]))
    assert len(known) == len(chosen["y"]) == 2 * 8
    held = [key for x in real for key in digests(x)]
    assert not known & set(held)
    copied = digests(twice.x)[0] in known
    assert len(held) == 2 * 12 - copied


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rows": (17,)}, "17 training images of a class and 4 draws take 26 images"),
        ({"K": (9,)}, "got 9 of 6 classes"),
        ({"hierarchy": "nowhere.csv"}, "cannot read nowhere.csv"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes, told):
    with pytest.raises(InputError, match=told):
        study.grid(small(**changes), photographs())


def test_tables_are_refused():
    numbers = Sources(torch.zeros(6, 2), torch.arange(6), NAMES, name="numbers")
    with pytest.raises(InputError, match="table1 is of images"):
        study.grid(small(), numbers)


def point(**changes: object) -> Table1Point:
    plain = Table1Point(
        n=100, level=1, K=3, budget="equal", classes=("a", "b", "c"), similarity=1.0,
        unit="nats per pixel value", separate=-4.0, pooled=-3.9, gain=0.1, low=0.08, high=0.12,
        verdict="pool", per_class={}, terms={"shapes": -0.01, "detail": 0.11},
        frechet={"separate": Spread(40.0, 1.0),
        "pooled": Spread(30.0, 1.0)}, floor=5.0, updates={"separate": (10, 20),
        "pooled": (30, 30)}, improving={"separate": 2, "pooled": 0},
    )  # fmt: skip
    return replace(plain, **changes)


def test_the_claims_are_counted_in_pairs_that_differ_in_one_thing():
    points = (
        point(),
        point(K=10, gain=0.3, low=0.25, high=0.35),
        point(level=2, gain=0.05, low=0.03, high=0.11),
        point(level=2, K=10, gain=0.31, low=0.24, high=0.38),
    )
    text = str(Table1(Table1Settings(hierarchy="tree.csv"), points, "photographs"))
    assert "- more sources: the gain is larger in 2 of 2 pairs" in text
    assert "intervals of the gain are apart in 2 for it and 0 against it" in text
    assert "- more similarity: the gain is larger in 1 of 2 pairs" in text
    assert "intervals of the gain are apart in 0 for it and 0 against it" in text
    assert "10 to 20, 2 still improving" in text
    assert "| 100 | 2 | 10 | -0.0100 | +0.1100 |" in text
    assert points[0].advantage == 0.25
    assert points[0].advantage_sd == pytest.approx(2**0.5 / 40)


def test_the_papers_table_is_as_published():
    """Its claims hold in it: of eight pairs each, all but one."""
    gains = {key: (a - b) / a for key, (a, b) in PAPER.items()}
    more_sources = [gains[n, s, 10] > gains[n, s, 3] for n in (500, 1000) for s in (1, 2)]
    assert len(PAPER) == 8
    assert sum(more_sources) == 3


def drawn(settings: Table1Settings, tmp: Path | None, seen: list[str]) -> distances.Distances:
    """Distances of a comparison of 2 training seeds, whose looks are noted."""
    sample, spare = study._sample(photographs(), ("lion", "bus"), 8, Noise(3))
    prepared = study._prepared(settings, sample, "equal")
    found = distances.Distances.of(settings, prepared.plan, spare, tmp)

    def look(cell: ComparedCell, name: str, trained: TrainedStrategy) -> None:
        if len(seen) == 3:
            seen.append("stopped")
            raise KeyboardInterrupt
        seen.append(f"{cell} {name}")
        found.look(cell, name, trained)

    execute(ComparisonRun(prepared, look=look), tmp)
    return found


def test_models_of_all_training_seeds_draw_and_a_stopped_run_keeps_what_was_found(tmp_path):
    """Stopped at the last of four models, it trains the second seed again and no other."""
    settings, seen = small(seeds=2), []
    with pytest.raises(KeyboardInterrupt):
        drawn(settings, tmp_path / "run", seen)
    assert seen == ["0-all pooled", "0-all separate", "1-all pooled", "stopped"]
    again: list[str] = ["", "", "", ""]  # nothing stops it
    found = drawn(settings, tmp_path / "run", again)
    assert again[4:] == ["1-all pooled", "1-all separate"]
    whole = drawn(settings, None, ["", "", "", ""])
    for name in study.STRATEGIES:
        values = torch.cat([whole.known[r, name] for r in range(2)])
        assert len(values.unique()) == 4
        assert found.spread(name) == whole.spread(name)
        assert found.spread(name) == Spread(float(values.mean()), float(values.std()))
    file = tmp_path / "run" / "distances" / "0-pooled.safetensors"
    file.write_bytes(b"?")
    with pytest.raises(InputError, match=f"{re.escape(str(file))} is damaged or gone"):
        drawn(settings, tmp_path / "run", []).spread("pooled")


def test_a_distance_is_the_mean_over_classes_of_draws_from_as_many_images():
    """Of features that are numbers: `(difference of means)^2 + (difference of spreads)^2`."""

    def features(x: torch.Tensor) -> torch.Tensor:
        return x

    class Models:
        def on(self, device: torch.device) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

        def draw(self, y: torch.Tensor, noise: object) -> tuple[torch.Tensor, None]:
            return torch.tensor([0.0, 2.0, 10.0, 14.0], dtype=torch.float64)[:, None], None

    real = [torch.tensor(v, dtype=torch.float64)[:, None] for v in ([3.0, 5.0], [12.0, 16.0])]
    found = distances.Distances(small(draws=2, seeds=1), cast(Features, features), real, None)
    found.look(ComparedCell(0, None), "pooled", cast(TrainedStrategy, Models()))
    assert found.spread("pooled").mean == pytest.approx((3.0**2 + 2.0**2) / 2)
    assert found.spread("pooled").sd == 0


def test_the_estimate_counts_draws():
    settings, data = small(), photographs()
    cells = study.grid(settings, data).cells
    each = [study._images_drawn(settings, cell) for cell in cells]
    assert sorted(set(each)) == [2 * 2 * 2 * 4, 2 * 2 * 3 * 4]  # strategies, sets, classes, draws
    assert (
        distances.drawing_seconds(
            study._prepared(settings, study._sample(data, ("cat", "dog"), 8, Noise(0))[0], "equal")
        )
        > 0
    )
