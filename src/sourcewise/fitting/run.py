"""Finished runs: what was found, and the models, fitted or loaded when they are first used.

Models are in `models/` of a run folder, draws from those of a comparison in `samples/`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.encoders import registry
from sourcewise.errors import InputError, unknown
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import family
from sourcewise.files import (
    file_digest,
    read_json,
    read_tensors,
    write_atomic,
    write_json,
    write_tensors,
)
from sourcewise.fitting.job import Job
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Ragged
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.comparison_text import comparison_lines
from sourcewise.results.contract import Json, from_json, to_json
from sourcewise.results.data import RunSettings
from sourcewise.results.read import read_result
from sourcewise.results.samples import as_csv, as_json_lines
from sourcewise.results.text import joined
from sourcewise.results.training import TrainingResult, training_lines
from sourcewise.training import Effort

__all__ = ["Comparison", "Run", "Trained", "load", "load_models", "save_models", "save_samples"]

Models = dict[str, TrainedStrategy]
AVERAGES = "averages.safetensors"
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
    """The saved models; whatever is wrong with their files is one line."""
    try:
        models = load_models(path)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path / 'models'} is damaged: {first}") from None
    for name in names:
        if name not in models:
            raise InputError(f"{path / 'models'} lacks the models of {name!r}")
    for item in models.values():
        item.model.eval()
    return models


def save_models(folder: Path, fitted: Mapping[str, TrainedStrategy], job: Job) -> None:
    """Write `models/<strategy>/<block>/` for every strategy."""
    for name, item in fitted.items():
        settings = job.tuned.get(name, job.settings).model_dump(mode="json")
        for j, block in enumerate(item.model.partition):
            place = folder / "models" / name / str(j)
            place.mkdir(parents=True, exist_ok=True)
            weights = place / "model.safetensors"
            own = item.model.block(j)
            write_tensors(weights, own.state_dict())
            if own.averages:
                write_tensors(place / AVERAGES, _numbered(own.averages))
            write_json(
                place / "model.json",
                {
                    "family": job.family.name,
                    "settings": settings,
                    "sizes": item.encoder.sizes,
                    "block": list(block),
                    "blocks": len(item.model.partition),
                    "sources": list(item.model.names),
                    "effort": vars(item.efforts[j]),
                    "encoder": item.encoder.to_json(),
                    "weights": file_digest(weights),
                },
            )


def save_samples(folder: Path, fitted: Mapping[str, TrainedStrategy], noise: Noise) -> None:
    """Write draws of every modelled source to `samples/`, in original units and types.

    `<strategy>.csv` for tables, `<strategy>.jsonl` for text.
    """
    (folder / "samples").mkdir(exist_ok=True)
    for name, item in fitted.items():
        sources = torch.tensor(item.model.partition.sources)
        y = sources.repeat_interleave(max(1, min(SAMPLES, MOST_SAMPLES // len(sources))))
        with torch.no_grad():
            x = item.encoder.decode(item.model.sample(y, noise=noise))
        labels = [item.model.names[k] for k in y.tolist()]
        ending, form = ("jsonl", as_json_lines) if isinstance(x, Ragged) else ("csv", as_csv)
        write_atomic(folder / "samples" / f"{name}.{ending}", form(x, labels))


def load_models(folder: Path) -> dict[str, TrainedStrategy]:
    """The inverse of `save_models`."""
    places = [place for place in (folder / "models").glob("*") if place.is_dir()]
    return {place.name: _load_strategy(place) for place in sorted(places)}


def _load_strategy(place: Path) -> TrainedStrategy:
    blocks = sorted(place.glob("*"), key=lambda path: int(path.name))
    notes = [read_json(block / "model.json") for block in blocks]
    first = notes[0]
    if len(notes) != first["blocks"]:
        raise InputError(f"{place} is damaged: {len(notes)} of {first['blocks']} blocks")
    chosen = family(first["family"])
    settings = chosen.parse(first["settings"])
    model = PartitionedModel(
        Partition(tuple(tuple(note["block"]) for note in notes)),
        lambda K: chosen.build(settings, K=K, **first["sizes"]),
        tuple(first["sources"]),
    )
    for j, block in enumerate(blocks):
        weights = block / "model.safetensors"
        if notes[j]["weights"] != file_digest(weights):
            raise InputError(f"{weights} is damaged: it is of another model")
        # Assigned, not copied into: training may have changed the precision.
        model.block(j).load_state_dict(read_tensors(weights), assign=True)
        if (block / AVERAGES).exists():
            model.block(j).averages = _averages(read_tensors(block / AVERAGES))
    efforts = tuple(Effort(**note["effort"]) for note in notes)
    return TrainedStrategy(model, registry.load(first["encoder"]), efforts)


def _numbered(averages: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Several sets of parameters as one."""
    return {f"{i}/{name}": v for i, every in enumerate(averages) for name, v in every.items()}


def _averages(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], ...]:
    """The inverse of `_numbered`."""
    out: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split("/", 1)
        out.setdefault(int(number), {})[name] = value
    return tuple(out[i] for i in sorted(out))
