"""The search over settings: equal trials, validation rows only, and it goes on after a kill."""

import pytest
import torch

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.forms import Ragged
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

QUICK = {"width": 8, "heads": 2, "layers": 1, "passes": 1, "updates": 5, "batch": 16, "check": 5}


def words(change_test_rows: bool = False) -> Sources:
    n = 60
    letters = Noise(0).integers(3, 2 * n, 3) + torch.tensor([97])
    letters[n:] += 1
    lengths = 1 + torch.arange(2 * n) % 3
    rows = [row[:k].tolist() for row, k in zip(letters, lengths.tolist(), strict=True)]
    return Sources(Ragged.of(rows), torch.arange(2 * n) // n, ["a", "b"], name="words")


def run(tmp_path=None, **more):
    return sw.compare(
        words(), model="transformer", set=QUICK, seeds=2, trials=3, out=tmp_path, **more
    )


def test_every_strategy_gets_the_same_trials_and_its_best(tmp_path):
    result = run(tmp_path / "run")
    search = result.document["search"]
    assert {name: len(trials) for name, trials in search.items()} == {"pooled": 3, "separate": 3}
    for name, trials in search.items():
        assert trials[0]["changes"] == {}
        best = min(trials, key=lambda trial: trial["validation"])
        used = result.document["strategies"][name]["settings"]
        assert best["changes"].items() <= used.items()
        searched = result.document["strategies"][name]["searched"]
        assert searched == {"trials": 3, "chosen": best["changes"]}
        for key, value in best["changes"].items():
            assert f"{key}={value:.3g}" in str(result)
    assert str(result).count("3 trials, chose") == 2
    page = sw.report(result, tmp_path / "report.html").read_text()
    assert "Settings searched" in page
    assert "of 3 trials" in page
    assert run().document["search"] == search


def test_finished_trials_are_not_run_again(tmp_path, monkeypatch):
    from sourcewise.fitting import search as module

    calls = []
    whole = module.fit_strategy

    def counted(*args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(module, "fit_strategy", counted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    result = run(tmp_path / "run")
    assert len(calls) == 5 + 2
    monkeypatch.undo()
    assert result.document["search"] == run().document["search"]


def test_an_exact_family_has_nothing_to_try():
    with pytest.raises(InputError, match="--trials: gaussian is fitted exactly"):
        sw.compare(sw.read("wine"), trials=3, model="gaussian")
