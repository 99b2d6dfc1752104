"""Models in `models/` of a run folder: `<strategy>/<block>/` holds the weights and a document.

What is read must be a model whole: a document of the right type, an encoder, and tensors of the
shapes that a model of these settings and sizes has. The shapes are compared before memory is
taken for the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.documents import from_json, reading
from sourcewise.encoders import registry
from sourcewise.errors import InputError, listing
from sourcewise.families.base import ConditionalModel
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import family
from sourcewise.files import file_digest, read_json, read_tensors, write_json, write_tensors
from sourcewise.fitting.job import Job
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.partition import Partition
from sourcewise.results.contract import Json, to_json
from sourcewise.training import Effort

__all__ = ["load_models", "save_models"]

DOCUMENT, WEIGHTS, AVERAGES = "model.json", "model.safetensors", "averages.safetensors"
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class SavedBlock:
    """The document of the model of one block."""

    family: str
    settings: Json  # of the family
    sizes: Json  # of its constructor
    block: tuple[int, ...]  # sources
    blocks: int  # of the strategy
    sources: tuple[str, ...]  # names of all sources of the run
    effort: Effort
    encoder: Json
    weights: str  # digest of their file


def save_models(folder: Path, fitted: Mapping[str, TrainedStrategy], job: Job) -> None:
    """Write `models/<strategy>/<block>/` for every strategy."""
    for name, item in fitted.items():
        settings = job.tuned.get(name, job.settings).model_dump(mode="json")
        for j, block in enumerate(item.model.partition):
            place = folder / "models" / name / str(j)
            place.mkdir(parents=True, exist_ok=True)
            weights = place / WEIGHTS
            own = item.model.block(j)
            write_tensors(weights, own.state_dict())
            if own.averages:
                write_tensors(place / AVERAGES, _numbered(own.averages))
            write_json(
                place / DOCUMENT,
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


def load_models(folder: Path) -> dict[str, TrainedStrategy]:
    """The inverse of `save_models`.

    Raises:
        InputError: whatever is wrong with the files, in one line.
    """
    places = [place for place in (folder / "models").glob("*") if place.is_dir()]
    models = {}
    for place in sorted(places):
        with reading(place):
            models[place.name] = _load_strategy(place)
    return models


def _load_strategy(place: Path) -> TrainedStrategy:
    folders = sorted(place.glob("*"), key=lambda path: int(path.name))
    notes = [
        from_json(SavedBlock, read_json(path / DOCUMENT), str(path / DOCUMENT)) for path in folders
    ]
    first = notes[0]
    if len(notes) != first.blocks:
        raise InputError(f"{len(notes)} of {first.blocks} blocks")
    own = {"block": first.block, "effort": first.effort, "weights": first.weights}
    if any(replace(note, **own) != first for note in notes):
        raise InputError("its blocks are of different runs")
    chosen, encoder = family(first.family), registry.load(first.encoder)
    if to_json(encoder.sizes) != first.sizes:
        raise InputError("sizes of models and of their encoder differ")
    settings = chosen.parse(first.settings)
    weights = [_weights(path, note) for path, note in zip(folders, notes, strict=True)]

    def build(K: int) -> ConditionalModel:
        return chosen.build(settings, K=K, **first.sizes)

    for note, tensors in zip(notes, weights, strict=True):
        with torch.device("meta"):
            _compare(build(len(note.block)).state_dict(), tensors)
    partition = Partition(tuple(note.block for note in notes))
    model = PartitionedModel(partition, build, first.sources)
    for j, (path, tensors) in enumerate(zip(folders, weights, strict=True)):
        _fill(model.block(j), path, tensors)
    return TrainedStrategy(model, encoder, tuple(note.effort for note in notes))


def _weights(folder: Path, note: SavedBlock) -> Tensors:
    if note.weights != file_digest(folder / WEIGHTS):
        raise InputError(f"{folder / WEIGHTS} is damaged: it is of another model")
    return read_tensors(folder / WEIGHTS)


def _compare(wanted: Tensors, found: Tensors) -> None:
    """Raise unless names and shapes agree; training may have changed the precision."""
    if wanted.keys() != found.keys():
        raise InputError(f"tensors {listing(wanted.keys() ^ found.keys())} are not those of it")
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(f"{name} has the shape {tuple(tensor.shape)}")
        if tensor.is_floating_point() != wanted[name].is_floating_point():
            raise InputError(f"{name} has the type {tensor.dtype}")


def _fill(model: ConditionalModel, folder: Path, tensors: Tensors) -> None:
    """Set parameters and buffers; only what an untrained model leaves open may be unknown."""
    parameters = dict(model.named_parameters())
    for name, start in model.state_dict().items():
        known = start.isfinite() if name not in parameters else torch.ones_like(start)
        if bool((known.bool() & ~tensors[name].isfinite()).any()):
            raise InputError(f"{name} is not finite")
    # Assigned, not copied into: the precision is that of the file.
    model.load_state_dict(tensors, assign=True)
    if (folder / AVERAGES).exists():
        model.averages = _averages(read_tensors(folder / AVERAGES))
        for average in model.averages:
            _compare(parameters, average)


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
