"""Finished runs: what was found, and the models, fitted or loaded when they are first used.

Models are in `models/` of a run folder, draws from those of a comparison in `samples/`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.documents import from_json
from sourcewise.errors import InputError, unknown
from sourcewise.execution import Execution, device_of
from sourcewise.files import write_atomic
from sourcewise.fitting.saved import load_models
from sourcewise.fitting.strategy import TrainedStrategy, joined_columns
from sourcewise.forms import Images, Ragged, Table, X
from sourcewise.randomness import Noise
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.comparison_text import comparison_lines
from sourcewise.results.contract import Json, to_json
from sourcewise.results.data import RunSettings
from sourcewise.results.read import read_result
from sourcewise.results.samples import as_arrays, as_csv, as_json_lines
from sourcewise.results.sheets import DATA
from sourcewise.results.text import joined
from sourcewise.results.training import TrainingResult, training_lines
from sourcewise.sources import Sources

__all__ = ["Comparison", "Run", "Trained", "comparison_in", "load", "save_samples"]

Models = dict[str, TrainedStrategy]
SAMPLES, MOST_SAMPLES = 100, 5000  # per source, and in all
SHOWN = 10  # images per source, those of the data and draws alike


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


def comparison_in(run: str | Path) -> Comparison:
    """A finished comparison from its folder; see `load`."""
    found = load(run)
    if not isinstance(found, Comparison):
        raise InputError(f"{Path(run)} holds no comparison")
    return found


def _models(path: Path, names: tuple[str, ...]) -> Models:
    """The saved models of these strategies, ready for use."""
    models = load_models(path)
    for name in names:
        if name not in models:
            raise InputError(f"{path / 'models'} lacks the models of {name!r}")
    for item in models.values():
        item.model.eval()
    return models


def save_samples(
    folder: Path,
    fitted: Mapping[str, TrainedStrategy],
    data: Sources,
    noise: Noise,
    execution: Execution | None = None,
) -> None:
    """Write draws of every modelled source to `samples/`, in original units and types.

    `<strategy>.csv` for tables, `<strategy>.jsonl` for text. Of images `<strategy>.npz`, and some
    of the data beside them, `data.npz`.
    """
    (folder / "samples").mkdir(exist_ok=True)
    device = device_of("cpu" if execution is None else execution.device)
    for name, item in fitted.items():
        sources = torch.tensor(item.model.partition.sources)
        most = SHOWN if isinstance(data.x, Images) else SAMPLES
        y = sources.repeat_interleave(max(1, min(most, MOST_SAMPLES // len(sources))))
        with item.on(device):
            x, c = item.draw(y, noise.each(y))
        labels = [item.model.names[k] for k in y.tolist()]
        place = folder / "samples" / name
        _write_draws(place, x, item.given_table(c), labels, item.model.names)
    if isinstance(data.x, Images):
        some = data.take(torch.cat([_first(data.y == k) for k in range(data.K)]))
        labels = [str(data.names[k]) for k in some.y.tolist()]
        _write_draws(folder / "samples" / DATA, some.x, None, labels, tuple(data.names))


def _first(mask: Tensor) -> Tensor:
    return mask.nonzero().squeeze(1)[:SHOWN]


def _write_draws(
    path: Path, x: X, given: Table | None, labels: Sequence[str], names: Sequence[str]
) -> None:
    ending: str
    content: str | bytes
    if isinstance(x, Images):
        ending, content = "npz", as_arrays(x, labels, names)
    elif isinstance(x, Ragged):
        ending, content = "jsonl", as_json_lines(x, labels, beside=given)
    else:
        ending, content = "csv", as_csv(joined_columns(given, x), labels)
    write_atomic(path.with_name(f"{path.name}.{ending}"), content)
