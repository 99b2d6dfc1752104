"""Finished runs: what was found, and the models, fitted or loaded when they are first used.

Models are in `models/` of a run folder, draws from those of a comparison in `samples/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from sourcewise.documents import from_json
from sourcewise.errors import InputError, unknown
from sourcewise.files import write_atomic
from sourcewise.fitting.saved import load_models
from sourcewise.fitting.strategy import TrainedStrategy, joined_columns
from sourcewise.forms import Ragged
from sourcewise.randomness import Noise
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.comparison_text import comparison_lines
from sourcewise.results.contract import Json, to_json
from sourcewise.results.data import RunSettings
from sourcewise.results.read import read_result
from sourcewise.results.samples import as_csv, as_json_lines
from sourcewise.results.text import joined
from sourcewise.results.training import TrainingResult, training_lines

__all__ = ["Comparison", "Run", "Trained", "load", "save_samples"]

Models = dict[str, TrainedStrategy]
SAMPLES, MOST_SAMPLES = 100, 5000  # per source, and in all


@dataclass(frozen=True)
class Run:
    """A finished run with models.

    Args:
        result: what was found.
        get_models: fits or loads the models on first use.
    """

    result: ComparisonResult | TrainingResult
    get_models: Callable[[], Models]

    @cached_property
    def models(self) -> Models:
        """The models of each strategy, by its name."""
        return self.get_models()

    @cached_property
    def document(self) -> Json:
        """The result as JSON has it (see docs)."""
        return to_json(self.result)

    @cached_property
    def settings(self) -> RunSettings:
        """Those that the models are used with."""
        where = f"the result of {self.result.run or self.result.data.name}"
        return from_json(RunSettings, self.result.settings, f"{where}, settings,")

    @property
    def strategies(self) -> tuple[str, ...]:
        """Their names."""
        return self.result.names

    def strategy(self, wanted: str | None = None) -> str:
        """The strategy that is wanted; by default the only or the recommended one."""
        name = self.result.recommended if wanted is None else wanted
        if name not in self.strategies:
            raise unknown("strategy in this run", name, self.strategies)
        return name


@dataclass(frozen=True)
class Comparison(Run):
    """A finished comparison. `print(comparison)` shows the table with the verdict in words."""

    result: ComparisonResult

    @property
    def verdict(self) -> Json:
        """Overall verdict, recommendation, reason, and the verdict per source."""
        return self.document["verdict"]

    def __str__(self) -> str:
        return joined(comparison_lines(self.result))


@dataclass(frozen=True)
class Trained(Run):
    """One strategy, trained on all rows. `print(trained)` shows what training took."""

    result: TrainingResult

    def __str__(self) -> str:
        return joined(training_lines(self.result))


def load(run: str | Path) -> Comparison | Trained:
    """A finished comparison or training from its folder: results and models.

    Raises:
        InputError: no such run there, or one that is not finished.
    """
    path, result = Path(run), read_result(run)
    if isinstance(result, TrainingResult):
        return Trained(result, lambda: _models(path, result.names))
    return Comparison(result, lambda: _models(path, result.names))


def _models(path: Path, names: tuple[str, ...]) -> Models:
    """The saved models of these strategies, ready for use."""
    models = load_models(path)
    for name in names:
        if name not in models:
            raise InputError(f"{path / 'models'} lacks the models of {name!r}")
    for item in models.values():
        item.model.eval()
    return models


def save_samples(folder: Path, fitted: Mapping[str, TrainedStrategy], noise: Noise) -> None:
    """Write draws of every modelled source to `samples/`, in original units and types.

    `<strategy>.csv` for tables, `<strategy>.jsonl` for text.
    """
    (folder / "samples").mkdir(exist_ok=True)
    for name, item in fitted.items():
        sources = torch.tensor(item.model.partition.sources)
        y = sources.repeat_interleave(max(1, min(SAMPLES, MOST_SAMPLES // len(sources))))
        x, c = item.draw(y, noise.each(y))
        given, labels = item.given_table(c), [item.model.names[k] for k in y.tolist()]
        if isinstance(x, Ragged):
            ending, text = "jsonl", as_json_lines(x, labels, beside=given)
        else:
            ending, text = "csv", as_csv(joined_columns(given, x), labels)
        write_atomic(folder / "samples" / f"{name}.{ending}", text)
