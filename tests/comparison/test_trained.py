"""Comparisons of a family that is trained by gradients, on text: a softmax over single symbols."""

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import sourcewise as sw
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import Cell
from sourcewise.errors import TrainingFailed
from sourcewise.families.base import ConditionalModel, Density
from sourcewise.families.family import Family
from sourcewise.families.registry import families
from sourcewise.families.settings import TrainedSettings
from sourcewise.files import read_tensors
from sourcewise.forms import Ragged
from sourcewise.metrics.distributions import log_prob
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

FAST = {"passes": 20, "batch": 16, "learning_rate": 0.2, "check": 5}


class UnigramSettings(TrainedSettings):
    """Of the family below."""


class Unigram(ConditionalModel):
    """Symbols drawn independently; the last one ends the text."""

    hears: ClassVar[bool] = True

    def __init__(self, settings: UnigramSettings, *, K: int, vocabulary: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(K if self.hears else 1, vocabulary + 1))

    @property
    def free_parameters(self) -> int:
        return self.logits.numel() - len(self.logits)

    def reset(self, noise: Noise) -> None:
        self.logits.data = 0.1 * noise.normal(*self.logits.shape, dtype=torch.float32)

    def _log_prob(self, x, y):
        x = x.padded() if isinstance(x, Ragged) else x
        table = self.logits.log_softmax(1)[y if self.hears else torch.zeros_like(y)]
        inside = table.gather(1, x.clamp(min=0)).where(x >= 0, 0.0)
        return inside.sum(1) + table[:, -1]

    def log_density(self, batch, noise):
        return Density(self._log_prob(batch.x, batch.y))

    def loss(self, batch, noise):
        return -self._log_prob(batch.x, batch.y)

    def sample(self, y, noise, c=None):
        u = noise.each(y).uniform(3).contiguous()
        table = self.logits.softmax(1)[y if self.hears else torch.zeros_like(y)][:, :-1]
        steps = (table / table.sum(1, keepdim=True)).cumsum(1).double()
        return torch.searchsorted(steps, u).clamp(max=table.shape[1] - 1)


class Deaf(Unigram):
    hears = False


class Muffled(Unigram):
    """Scores with a share of what training found of the label; a model of one source has none."""

    share: ClassVar[float] = 0.07

    def log_density(self, batch, noise):
        whole = self.logits.data
        self.logits.data = whole.mean(0) + self.share * (whole - whole.mean(0))
        found = super().log_density(batch, noise)
        self.logits.data = whole
        return found


class Clear(Muffled):
    share = 0.9


class Broken(Unigram):
    def loss(self, batch, noise):
        return super().loss(batch, noise) / 0.0


@pytest.fixture(autouse=True)
def small_families(monkeypatch):
    for model in (Unigram, Deaf, Muffled, Clear, Broken):
        name, home = model.__name__.lower(), f"{__name__}:{model.__name__}"
        item = Family(
            name, "for tests", "text", f"{__name__}:UnigramSettings", home, "text", "gradient"
        )
        monkeypatch.setitem(families(), name, item)


def words(n_k: int = 60, K: int = 3, alike: bool = False, seed: int = 0) -> Sources:
    """Source k writes mostly the k-th letter; lengths from 1 to 12."""
    noise = Noise(seed).of("words")
    y = torch.arange(n_k * K) % K
    lengths = 1 + noise.of("length").integers(12, len(y))
    texts = []
    for i, (k, length) in enumerate(zip(y.tolist(), lengths.tolist(), strict=True)):
        own = noise.of("own", i).uniform(length) < (0 if alike else 0.6)
        letters = torch.where(own, k, noise.of("letter", i).integers(8, length))
        texts.append("".join("abcdefgh"[j] for j in letters.tolist()))
    return Sources(Ragged.of_strings(texts), y, [f"s{k}" for k in range(K)], name="words")


def as_text(data: Sources) -> Ragged:
    assert isinstance(data.x, Ragged)
    return data.x


def run(data: Sources | None = None, **changes):
    options = {"model": "unigram", "set": FAST, "seeds": 2}
    return sw.compare(words() if data is None else data, **(options | changes))


@cache
def usual() -> sw.Comparison:
    """What many tests read; the families of this file are there within tests alone."""
    return run()


def test_scores_are_total_nats_over_total_symbols(tmp_path):
    result = run(out=tmp_path / "run")
    document = result.document
    assert document["scope"] == "these models"
    assert document["metrics"]["log_likelihood"]["unit"] == "nats per symbol"
    assert document["metrics"]["log_likelihood"]["region"] == 0.01
    tensors = read_tensors(tmp_path / "run" / "scores.safetensors")
    y, size = tensors["source"], tensors["size"]
    assert torch.equal(size, as_text(words()).lengths.double() + 1)
    for name, strategy in document["strategies"].items():
        rows = tensors[f"log_likelihood/{name}"]  # (R, n)
        for k in range(3):
            mine = (y == k) & ~rows[0].isnan()
            ratios = rows[:, mine].sum(1) / size[mine].sum()
            level = strategy["per_source"][f"s{k}"]["metrics"]["log_likelihood"]["mean"]
            assert level == pytest.approx(float(ratios.mean()), rel=1e-12)
    pooled, separate = (tensors[f"log_likelihood/{n}"] for n in ("pooled", "separate"))
    assert not torch.equal(pooled[0].nan_to_num(), pooled[1].nan_to_num())  # another seed
    assert np.isfinite(separate[:, ~separate[0].isnan()].numpy()).all()


def test_kept_models_are_the_tested_ones_and_are_loaded(tmp_path):
    data = words()
    saved, kept = run(data, out=tmp_path / "run"), usual()
    assert saved.document == {**kept.document, "run": str(tmp_path / "run")}
    loaded = sw.load(tmp_path / "run")
    plan = prepare(data, CompareSettings(model="unigram", set=FAST, seeds=2)).plan
    shared = plan.shared(0)
    split = next(plan.splits(Cell(0, None), shared.fold))
    scores = read_tensors(tmp_path / "run" / "scores.safetensors")
    for name, fitted in loaded.models.items():
        y = data.y[split.test]
        z, log_det = fitted.encoder.encode(shared.rows.take(split.test), y)
        ours = log_prob(fitted.model, z, y).double() + log_det
        assert torch.equal(ours, scores[f"log_likelihood/{name}"][0][split.test])
    lines = (tmp_path / "run" / "samples" / "separate.jsonl").read_text().splitlines()
    drawn = [json.loads(line) for line in lines]
    assert len(drawn) == 300
    own = [line["text"].count("b") for line in drawn if line["source"] == "s1"]
    assert np.mean(own) > 1  # of three letters


def test_validation_rows_are_apart_and_stratified():
    plan = prepare(words(), CompareSettings(model="unigram", set=FAST)).plan
    splits = [next(iter(plan.splits(cell, plan.folds(cell.repetition)))) for cell in plan.cells]
    assert len(splits) == 3
    assert all(torch.equal(split.valid, splits[0].valid) for split in splits)
    split = splits[0]
    parts = [set(rows.tolist()) for rows in (split.train, split.valid, split.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 180
    units = [set(plan.job.data.units[list(part)].tolist()) for part in parts]
    assert not units[0] & units[1] | units[0] & units[2] | units[1] & units[2]
    counts = torch.bincount(plan.job.data.y[splits[0].valid], minlength=3)
    assert counts.min() >= 3
    assert counts.max() <= 7


def test_a_finished_seed_survives_a_kill(tmp_path, monkeypatch):
    module = sys.modules["sourcewise.comparison.run"]
    whole, original = usual(), module.evaluate_cell
    computed = []

    def run_and_note(plan, cell, *args, **how):
        if len(computed) == 1 and cell.repetition == 1:
            raise KeyboardInterrupt
        computed.append(str(cell))
        return original(plan, cell, *args, **how)

    monkeypatch.setattr(module, "evaluate_cell", run_and_note)
    with pytest.raises(KeyboardInterrupt):
        run(out=tmp_path / "run")
    computed.append("killed")
    resumed = run(out=tmp_path / "run")
    assert computed == ["0-all", "killed", "1-all"]
    assert resumed.document == {**whole.document, "run": str(tmp_path / "run")}
    left = {path.suffix for path in (tmp_path / "run").rglob("training/**/*") if path.is_file()}
    assert left <= {".csv"}


def test_a_model_that_ignores_its_label_is_caught():
    deaf, hearing = run(model="deaf"), usual()
    told = [w for w in deaf.document["warnings"] if "ignores its source label" in w]
    assert len(told) == 1
    assert "the pooled model" in told[0]
    assert not any("ignores" in w for w in hearing.document["warnings"])
    effects = {n: s["label_effect"] for n, s in deaf.document["strategies"].items()}
    assert effects["pooled"] == 0
    assert effects["separate"] > 0.3
    assert hearing.document["strategies"]["pooled"]["label_effect"] > 0.3


def test_a_model_that_learnt_little_of_its_label_is_named():
    """The old probe asked only whether another label changes anything."""
    (told,) = [w for w in run(model="muffled").document["warnings"] if "source label" in w]
    found = re.match(
        r"the pooled model learnt little of its source label: (\d+)% of what the label tells "
        r"separate models \(at most (\d+)%\)",
        told,
    )
    assert found is not None
    share, most = map(int, found.groups())
    assert 3 <= share <= 20  # of gaps that are cut where they are beyond doubt
    assert share < most < 50
    assert not any("source label" in w for w in run(model="clear").document["warnings"])
    data = words(200, alike=True)
    assert not any("source label" in w for w in run(data, model="muffled").document["warnings"])


def test_sources_that_are_alike_need_no_label():
    document = run(words(200, alike=True), model="deaf", set={**FAST, "passes": 5}).document
    assert abs(document["strategies"]["separate"]["label_effect"]) < 0.05
    assert not any("ignores" in text for text in document["warnings"])


def test_budgets_tell_what_training_cost():
    document = usual().document
    entry = document["strategies"]["pooled"]["per_source"]["s0"]
    assert entry["updates"] > 0
    assert entry["examples_seen"] == 16 * entry["updates"]
    assert entry["validation"] > 0
    training = document["strategies"]["separate"]["training"]
    assert [block["sources"] for block in training] == [["s0"], ["s1"], ["s2"]]
    assert document["splits"]["validation_share"] == 0.1
    assert document["splits"]["training_seeds"] == 2


def test_one_seed_is_said_and_three_are_not():
    one, several = run(seeds=1).document, usual().document
    assert "what another seed would give is not covered" in one["estimand"]
    assert "training seeds" in several["estimand"]
    told = [w for w in one["warnings"] if w.startswith("one training seed")]
    assert len(told) == 1
    assert not any(w.startswith("one training seed") for w in several["warnings"])


def test_models_that_are_not_done_are_pointed_out():
    short, long = run(set={**FAST, "passes": 2}), run(set={**FAST, "passes": 300})
    told = [w for w in short.document["warnings"] if "still improving" in w]
    assert [w.split()[0] for w in told] == ["pooled", "separate"]
    assert told[0].endswith("train longer with --set passes=4")
    assert short.document["strategies"]["pooled"]["still_improving"]
    assert short.verdict["condition"] == "for models trained this long"
    assert short.verdict["reason"].startswith("for models trained this long: ")
    assert not any("still improving" in w for w in long.document["warnings"])
    assert long.document["strategies"]["pooled"]["still_improving"] == []
    assert long.verdict["condition"] is None
    least = run(set={**FAST, "passes": 1, "updates": 25}).document["warnings"]
    assert any(w.endswith("train longer with --set updates=50") for w in least)
    both = run(set={**FAST, "passes": 2, "updates": 10}).document["warnings"]
    told = [w.split("train longer with ")[1] for w in both if "still improving" in w]
    assert told == 2 * ["--set passes=4 --set updates=20"]
    blind = run(set={**FAST, "passes": 2, "validation": 0}).document["warnings"]
    assert not any("still improving" in w for w in blind)


def test_procedure_pays_for_refits():
    small = {"passes": 1, "batch": 16, "validation": 0.2}
    document = run(words(20, K=2), scope="procedure", seeds=1, set=small).document
    assert document["scope"] == "procedure"
    assert all(row["df"] == 9 for row in document["differences"])
    assert document["strategies"]["pooled"]["per_source"]["s0"]["n_test"] == 20


def test_a_loss_that_is_not_finite_stops_before_training():
    with pytest.raises(TrainingFailed, match="pooled: the first loss of s0, s1, s2 is not finite"):
        run(model="broken")


def test_rehearsals_do_not_train_and_time_is_guessed(monkeypatch):
    from sourcewise.fitting import strategy

    monkeypatch.setattr(strategy, "fit", lambda *_, **__: pytest.fail("trained"))
    prepared = prepare(words(), CompareSettings(model="unigram", set=FAST))
    assert 0 < prepared.seconds() < 600


def test_texts_in_several_sources_stay_together_and_are_counted():
    data = words()
    texts = as_text(data).strings() + ["shared"] * 6
    y = torch.cat([data.y, torch.arange(6) % 3])
    result = run(Sources(Ragged.of_strings(texts), y, data.names))
    assert any("stand in more than one source" in w for w in result.document["warnings"])
    plan = prepare(
        Sources(Ragged.of_strings(texts), y, data.names), CompareSettings(model="unigram")
    ).plan
    assert len(plan.folds(0)[-6:].unique()) == 1


def test_words_of_the_table_are_those_of_the_unit(tmp_path: Path):
    result = usual()
    text = str(result)
    assert "nats per symbol" in text
    assert "symbols" in text.splitlines()[0]
    assert "updates (mean of 2 seeds)" in text
    page = sw.report(result, tmp_path / "report.html").read_text()
    assert "nats per symbol" in page
    assert "nats per row" not in page
