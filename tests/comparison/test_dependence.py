"""Rows that belong together though nobody said so: found, named, a condition of the verdict."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.comparison.dependence import CONDITION, dependence
from sourcewise.comparison.near import near_pairs
from sourcewise.comparison.neighbours import alike, layout_of, stretches
from sourcewise.comparison.repeated import groups_by, stays_in_sources
from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

CASES, VISITS = 20, 5


def patients(seed: int, correlation: float = 0.5, columns: int = 3) -> pd.DataFrame:
    """Two sources of 20 patients with 5 rows each, who differ by normal effects on the columns."""
    random = np.random.default_rng(seed)
    case = np.repeat(np.arange(2 * CASES), VISITS)
    effect = random.normal(size=(2 * CASES, columns))[case]
    noise = random.normal(size=effect.shape)
    x = correlation**0.5 * effect + (1 - correlation) ** 0.5 * noise
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(columns)])
    source = np.where(case < CASES, "a", "b")
    return frame.assign(source=source, patient=case)


def signs(frame: pd.DataFrame, seed: int = 0, **options):
    """What is found of a table, with differences of the strategies that are mere noise."""
    data = sw.read(frame, **options)
    differences = np.random.default_rng(seed).normal(size=len(frame))
    return dependence(data, differences, range(data.K))


def table(seed: int, n: int = 200, columns: int = 4) -> pd.DataFrame:
    """Independent rows of two sources; columns are dependent, and one has few values."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, columns)) @ random.normal(size=(columns, columns))
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(columns)])
    count, source = random.poisson(2, n), random.choice(["a", "b"], n, p=[0.7, 0.3])
    return frame.assign(count=count, source=source)


def test_undeclared_patients_make_a_verdict_conditional_until_they_are_declared():
    frame = patients(0)
    result = sw.compare(sw.read(frame.drop(columns="patient")), seeds=1, model="gaussian")
    assert result.verdict["condition"] == CONDITION
    assert result.verdict["reason"].startswith(f"{CONDITION}: ")
    note = next(note for note in result.document["warnings"] if "neighbours" in note)
    assert "'x0'" in note
    assert note.endswith("or say --group none if every row stands for itself")
    assert result.document["dependence"]["declared"] is None
    for group, declared in (("patient", "group"), ("none", "none")):
        result = sw.compare(sw.read(frame, group=group), seeds=1, model="gaussian")
        assert result.verdict["condition"] is None
        assert result.document["dependence"]["declared"] == declared
        assert not any("neighbours" in note for note in result.document["warnings"])


def test_patients_are_found_in_nearly_every_data_set():
    found = [signs(patients(seed).drop(columns="patient"), seed)[0] for seed in range(50)]
    assert sum(bool(each.neighbours) for each in found) == 50
    # .8 of the neighbours are of one patient: a correlation of .5 for them is one of .4.
    strength = [each.neighbours[0].rank or 0 for each in found if each.neighbours]
    assert 0.3 < np.mean(strength) < 0.55


def test_columns_that_are_a_little_alike_tell_it_together():
    """None of the columns would alone: a correlation of .16 in 200 rows is two standard errors."""
    frames = [patients(seed, correlation=0.2, columns=10) for seed in range(20)]
    found = [signs(frame.drop(columns="patient"), seed)[0] for seed, frame in enumerate(frames)]
    assert sum(bool(each.neighbours) for each in found) >= 19


@pytest.mark.parametrize("number", [False, True])
def test_the_column_that_names_the_case_is_proposed(number):
    """Though the file is sorted by it: as a number it rises, as a text it has one run each."""
    frame = patients(1)
    if not number:
        frame["patient"] = [f"P{case:02}" for case in frame["patient"]]
    found, lines = signs(frame)
    assert found.suggested == ("patient",)
    assert "--group patient" in lines[0]
    assert {each.column for each in found.neighbours} <= {"x0", "x1", "x2"}


def test_constants_of_patients_are_proposed_together():
    frame, random = patients(2), np.random.default_rng(2)
    case = frame.pop("patient")
    frame["age"] = random.integers(40, 60, 2 * CASES)[case]
    frame["sex"] = random.choice(["f", "m"], 2 * CASES)[case]
    found, lines = signs(frame)
    assert set(found.repeats) == {"age", "sex"}
    assert set(found.suggested) == {"age", "sex"}
    assert "values of 'age', 'sex' repeat" in lines[0] or "values of 'sex', 'age'" in lines[0]


def test_a_constant_of_patients_is_found_in_shuffled_rows():
    told = 0
    for seed in range(20):
        frame, random = patients(seed), np.random.default_rng(seed)
        frame["weight"] = random.normal(75, 12, 2 * CASES).round(1)[frame.pop("patient")]
        found, _ = signs(frame.sample(frac=1, random_state=seed), seed)
        told += found.repeats == ("weight",) and found.suggested == ("weight",)
    assert told >= 19


def test_values_of_one_lattice_are_no_cases():
    """Decimals, logarithms of counts, a source that is recorded more coarsely, heaps."""
    random, source = np.random.default_rng(0), np.repeat([0, 1, 2], [600, 400, 200])
    n = len(source)
    normal = random.normal(50, 10, n)
    columns = {
        "decimals": normal.round(0),
        "moved": (normal + 4 * source).round(0),
        "logarithms": np.log(random.integers(1, 60, n)),
        "inches": np.where(source == 1, (normal / 2.54).round(0) * 2.54, normal.round(1)),
        "heaps": np.where(random.random(n) < 0.7, random.integers(2, 12, n) * 5e3, normal * 1e3),
    }
    found = [
        name
        for name, values in columns.items()
        if stays_in_sources(values, False, source, Noise(0))
    ]
    assert not found
    shared = random.integers(0, 40, n).astype(float)
    assert not stays_in_sources(shared, True, source, Noise(0))
    assert stays_in_sources(shared + 100 * source, True, source, Noise(0))


def test_exchangeable_rows_are_hardly_ever_told_to_be_alike():
    found = [signs(table(seed), seed)[0] for seed in range(200)]
    assert sum(each.undeclared for each in found) <= 4


def test_a_file_that_is_sorted_by_a_column_is_no_sign():
    """By a number, by whole years, by a category and a number, in one source alone."""
    wrong = 0
    for seed in range(60):
        random, frame = np.random.default_rng(seed), table(seed, 240)
        frame["z"] = frame["x0"] + random.normal(size=240)  # depends on the key
        frame["age"] = (10 * frame["x0"]).round()
        frame["sex"] = np.where(frame["x1"] > 0, "f", "m")
        ways = ["x0"], ["age"], ["sex", "age"]
        frame = frame.sort_values(ways[seed % 3])
        if seed >= 30:  # only source a is sorted
            other = frame[frame["source"] == "b"].sample(frac=1, random_state=seed)
            frame = pd.concat([frame[frame["source"] == "a"], other])
        wrong += signs(frame, seed)[0].undeclared
    assert wrong <= 2


def test_dependence_is_found_beside_what_the_file_is_sorted_by():
    frame = patients(3)
    random = np.random.default_rng(3)
    frame["year"] = np.sort(random.integers(2000, 2006, len(frame)))
    assert signs(frame.drop(columns="patient"))[0].neighbours


def test_permutations_keep_their_level_with_rare_values():
    """The normal law would not: two neighbours of three rare rows are many standard errors."""
    wrong, source = 0, np.repeat([0, 1], 100)
    for seed in range(100):
        values = (np.random.default_rng(seed).random((200, 20)) < 0.01).astype(float)
        category = np.ones(20, bool)
        layout = layout_of(values, category, source)
        wrong += bool(alike(values, category, layout, Noise(seed)))
    assert wrong <= 2


def test_the_statistic_is_the_rank_correlation_of_neighbours():
    """A series in time, against the definition written out; across sources nothing counts."""
    random, n = np.random.default_rng(0), 300
    x = np.zeros(n)
    for i in range(1, n):
        x[i] = 0.6 * x[i - 1] + random.normal()
    source = np.repeat([0, 1], n // 2)
    values = x[:, None]
    found = alike(
        values, np.zeros(1, bool), layout_of(values, np.zeros(1, bool), source), Noise(0)
    )
    ranks = [pd.Series(x[source == k]).rank(pct=True).to_numpy() for k in (0, 1)]
    centred = [each - each.mean() for each in ranks]
    r = sum(e[1:] @ e[:-1] for e in centred) / sum(e @ e for e in centred)
    # Exchangeable rows have a mean of -1 / n_k in each source.
    assert found[0].rank == pytest.approx(r + 2 / n, abs=0.02)


def test_copies_with_noise_are_found_in_three_columns():
    x = np.empty((600, 3))
    for seed in range(10):
        random = np.random.default_rng(seed)
        x[:] = random.normal(size=(600, 3))
        x[:60] = x[300:360] + 0.01 * random.normal(size=(60, 3))
        pairs, _ = near_pairs(x, Noise(seed))
        true = {frozenset((i, i + 300)) for i in range(60)}
        found = {frozenset(pair) for pair in pairs.tolist()}
        assert len(found & true) >= 50
        assert len(found - true) <= 10
    data = Sources(torch.from_numpy(x), torch.arange(600) % 2, ("a", "b"))
    signs, lines = dependence(data, np.full(600, np.nan), (0, 1))
    assert signs.undeclared
    assert f"{signs.near_copies} rows have a near copy" in lines[-1]
    assert "--group none" in lines[-1]
    assert dependence(replace(data, independent=True), np.full(600, np.nan), (0, 1))[1] == []


def test_closeness_by_chance_makes_no_copies():
    """Tails, decimals, dependent columns, clusters, zeros, a curve, scales that differ."""
    for seed in range(5):
        random, n = np.random.default_rng(seed), 1000
        z, cluster = random.normal(size=(n, 4)), random.integers(0, 20, n)
        t = 6 * random.random(n)
        samples = {
            "tails": random.standard_t(1, (n, 3)),
            "decimals": z.round(1),
            "more decimals": z[:, :2].round(3),
            "one column": z[:, :1].round(3),
            "dependent": z[:, :1] + 0.01 * z,
            "clusters": 5 * random.normal(size=(20, 4))[cluster] + 0.05 * z,
            "zeros": np.where(z > 0.5, z, 0.0),
            "curve": np.stack([np.cos(t), np.sin(t), t], 1) + 0.01 * z[:, :3],
            "scales": z * np.where(random.random((n, 1)) < 0.5, 0.01, 1),
        }
        assert {name: len(near_pairs(x, Noise(0))[0]) for name, x in samples.items()} == (
            dict.fromkeys(samples, 0)
        )


def test_copies_agree_in_columns_of_few_values():
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=(600, 3)), random.integers(0, 2, (600, 5))], 1)
    x[:60] = x[300:360]
    x[:60, :3] += 0.01 * random.normal(size=(60, 3))
    assert len(near_pairs(x, Noise(0))[0]) >= 50
    x[:60, 3:] = 1 - x[:60, 3:]
    assert len(near_pairs(x, Noise(0))[0]) == 0


def test_groups_are_not_proposed_where_they_would_leave_too_few():
    source = np.repeat([0, 1], 100)
    sex = np.repeat([0.0, 1.0], 50)[np.arange(200) % 100]
    case = np.repeat(np.arange(40.0), 5)
    assert groups_by(sex[:, None], source, (0, 1), 5) is None
    chosen = groups_by(np.stack([sex, case], 1), source, (0, 1), 5)
    assert chosen is not None
    assert chosen.tolist() == [1]


def test_group_none_can_be_said_of_all_data_and_a_column_of_that_name_goes_first(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(40, 2)), [*"ab" * 20]
    for data in (sw.read((x, y), group="none"), sw.read("wine", group="none")):
        assert data.independent
        assert data.group is None
        assert data.reading == {"group": ("none",)}
        assert sw.read(data).independent
    frame = table(0, 60)
    assert sw.read(frame, group="none").independent
    called = sw.read(frame.assign(none=np.arange(60) // 2), group="none")
    assert not called.independent
    assert called.group_by == ("none",)
    assert any("the column called 'none'" in note for note in called.notes)
    with pytest.raises(InputError, match="no column 'none'"):
        sw.read(frame, group=["none", "x0"])
    path = tmp_path / "texts.jsonl"
    path.write_text('{"source": "a", "text": "b"}\n{"source": "c", "text": "d"}\n')
    assert sw.read(path, group="none").independent


def test_identical_rows_stay_together_where_every_row_stands_for_itself():
    x = torch.tensor([[1.5, 2.0], [1.5, 2.0], [0.3, 4.0], [7.0, 8.0]])
    data = sw.read((x, [*"abab"]), group="none")
    assert data.units.tolist() == [0, 0, 1, 2]


def test_of_many_rows_stretches_are_looked_at():
    rows = stretches(100_000, 5000)
    assert len(rows) == 5000
    assert (np.diff(rows) == 1).mean() > 0.98
    assert stretches(10, 20).tolist() == list(range(10))


def test_differences_of_texts_in_a_row_are_looked_at():
    """Texts have no columns: only what they say of the strategies can resemble its neighbours."""
    texts = [f"t{7919 * i % 1000:03}" for i in range(200)]
    data = sw.read(pd.DataFrame({"source": [*"ab" * 100], "text": texts}))
    random = np.random.default_rng(0)
    blocks = np.repeat(random.normal(size=20), 10) + 0.5 * random.normal(size=200)
    found, lines = dependence(data, blocks, (0, 1))
    assert found.differences is not None
    assert found.differences > 0.3
    assert "in the difference of the strategies" in lines[0]
    assert dependence(data, random.permutation(blocks), (0, 1))[0].differences is None
    # Names that begin alike stand together in a sorted list, and say nothing of its rows.
    alphabetical = sw.read(pd.DataFrame({"source": [*"ab" * 100], "text": sorted(texts)}))
    assert dependence(alphabetical, blocks, (0, 1))[0].differences is None


def test_images_of_a_case_are_kept_together_in_python():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 4, 4), dtype=np.uint8)
    data = sw.read((images, np.arange(200) % 2))
    blocks = np.repeat(random.normal(size=20), 10) + 0.5 * random.normal(size=200)
    found, lines = dependence(data, blocks, (0, 1))
    assert found.differences is not None
    assert "together with the argument group of sourcewise.Sources in Python" in lines[0]
    grouped = replace(data, group=torch.arange(200) // 10)
    assert dependence(grouped, blocks, (0, 1))[1] == []


def test_pieces_of_texts_say_nothing_of_the_texts():
    """`--chunk` keeps pieces together; texts that follow each other may still be of one case."""
    texts = [f"{7919 * i % 1000:03}".ljust(20, "x") for i in range(200)]
    frame = pd.DataFrame({"source": [*"ab" * 100], "text": texts})
    data = sw.read(frame, chunk=10)
    blocks = np.repeat(np.random.default_rng(0).normal(size=20), 20)
    found, _ = dependence(data, blocks, (0, 1))
    assert found.declared is None
    assert found.differences is not None
    assert dependence(sw.read(frame, chunk=10, group="none"), blocks, (0, 1))[1] == []
