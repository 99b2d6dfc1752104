"""Models in `models/` of a run folder: `<strategy>/` holds a document and the weights.

What is read must be a model whole: a document of the right type, an encoder, and tensors of the
shapes that a model of these settings and sizes has. The shapes are compared before memory is
taken for the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.documents import from_json, reading
from sourcewise.encoders import registry
from sourcewise.encoders.given import GivenEncoder, GivenRows
from sourcewise.errors import InputError, listing
from sourcewise.families.base import ConditionalModel
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import family
from sourcewise.files import file_digest, read_json, read_tensors, write_json, write_tensors
from sourcewise.fitting.flags import write_flags
from sourcewise.fitting.job import Job
from sourcewise.fitting.strategy import Encoders, TrainedStrategy
from sourcewise.metrics.features import registry as features
from sourcewise.partition import Partition
from sourcewise.results.contract import Json, to_json
from sourcewise.training import Effort

__all__ = ["load_models", "save_models"]

DOCUMENT, WEIGHTS = "model.json", "model.safetensors"
AVERAGES, GIVEN = "averages.safetensors", "given.safetensors"
FLAGS = "flags.csv"
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Saved:
    """The document of the models of a strategy."""

    family: str
    settings: Json  # of the family
    sizes: Json  # of its constructor
    blocks: tuple[tuple[int, ...], ...]  # sources of each
    sources: tuple[str, ...]  # names of all sources of the run
    efforts: tuple[Effort, ...]  # of each block
    encoder: Json
    weights: str  # digest of their file
    averages: str | None  # likewise; None: there are none
    given: Json | None  # encoder of given columns; None: there are none
    given_rows: str | None  # digest of those of the training rows
    features: Json | None  # of the metric; None: it asks for none
    partial: bool = False  # whether the sources of a block are pooled partially


def save_models(folder: Path, fitted: Mapping[str, TrainedStrategy], job: Job) -> None:
    """Write `models/<strategy>/` for every strategy."""
    partial = {strategy.name for strategy in job.strategies if strategy.partial}
    for name, item in fitted.items():
        place = folder / "models" / name
        place.mkdir(parents=True, exist_ok=True)
        blocks = [item.model.block(j) for j in range(len(item.model.partition))]
        weights = _numbered([block.state_dict() for block in blocks])
        averages = _numbered([_numbered(block.averages) for block in blocks])
        write_tensors(place / WEIGHTS, weights)
        if averages:
            write_tensors(place / AVERAGES, averages)
        if item.flags:
            write_flags(place / FLAGS, item.flags, job.data)
        write_json(
            place / DOCUMENT,
            {
                "family": job.family.name,
                "settings": job.tuned.get(name, job.settings).model_dump(mode="json"),
                "sizes": item.encoders.sizes(job.family),
                "blocks": [list(block) for block in item.model.partition],
                "sources": list(item.model.names),
                "efforts": [vars(effort) for effort in item.efforts],
                "encoder": item.encoder.to_json(),
                "weights": file_digest(place / WEIGHTS),
                "averages": file_digest(place / AVERAGES) if averages else None,
                "given_rows": _save_given(place, item.given_rows),
                "given": None if item.given is None else item.given.to_json(),
                "features": None if item.features is None else item.features.to_json(),
                **({"partial": True} if name in partial else {}),
            },
        )


def _save_given(place: Path, rows: GivenRows | None) -> str | None:
    if rows is None:
        return None
    write_tensors(place / GIVEN, vars(rows))
    return file_digest(place / GIVEN)


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
    note = from_json(Saved, read_json(place / DOCUMENT), str(place / DOCUMENT))
    chosen, encoder = family(note.family), registry.load(note.encoder)
    given = None if note.given is None else GivenEncoder.from_json(note.given)
    points = None if note.features is None else features.load(note.features)
    encoders = Encoders(encoder, given, points)
    if to_json(encoders.sizes(chosen)) != note.sizes:
        raise InputError("sizes of models and of their encoder differ")
    if len(note.efforts) != len(note.blocks):
        raise InputError(f"{len(note.efforts)} efforts of {len(note.blocks)} blocks")
    settings, options = chosen.parse(note.settings), {"partial": True} if note.partial else {}
    every = _by_number(_tensors(place / WEIGHTS, note.weights), len(note.blocks))

    def build(K: int) -> ConditionalModel:
        return chosen.build(settings, K=K, **note.sizes, **options)

    wanted = {}
    for block, tensors in zip(note.blocks, every, strict=True):
        if len(block) not in wanted:
            wanted[len(block)] = chosen.outline(settings, K=len(block), **note.sizes, **options)
        _compare(wanted[len(block)], tensors)
    model = PartitionedModel(Partition(note.blocks), build, note.sources)
    for j, tensors in enumerate(every):
        _fill(model.block(j), tensors)
    if note.averages is not None:
        averages = _by_number(_tensors(place / AVERAGES, note.averages), len(note.blocks))
        for j, tensors in enumerate(averages):
            _add_averages(model.block(j), tensors)
    rows = None
    if note.given_rows is not None:
        rows = GivenRows(**_tensors(place / GIVEN, note.given_rows))
    return TrainedStrategy(model, encoders, note.efforts, rows)


def _tensors(path: Path, digest: str) -> Tensors:
    if digest != file_digest(path):
        raise InputError(f"{path} is damaged: it is of another model")
    return read_tensors(path)


def _compare(wanted: Tensors, found: Tensors) -> None:
    """Raise unless names and shapes agree; training may have changed the precision."""
    if wanted.keys() != found.keys():
        raise InputError(f"tensors {listing(wanted.keys() ^ found.keys())} are not those of it")
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(f"{name} has the shape {tuple(tensor.shape)}")
        if tensor.is_floating_point() != wanted[name].is_floating_point():
            raise InputError(f"{name} has the type {tensor.dtype}")


def _fill(model: ConditionalModel, tensors: Tensors) -> None:
    """Set parameters and buffers; only what an untrained model leaves open may be unknown."""
    parameters = dict(model.named_parameters())
    for name, start in model.state_dict().items():
        known = start.isfinite() if name not in parameters else torch.ones_like(start)
        if bool((known.bool() & ~tensors[name].isfinite()).any()):
            raise InputError(f"{name} is not finite")
    # Assigned, not copied into: the precision is that of the file.
    model.load_state_dict(tensors, assign=True)


def _add_averages(model: ConditionalModel, tensors: Tensors) -> None:
    count = len({key.split("/", 1)[0] for key in tensors})
    model.averages = tuple(_by_number(tensors, count))
    for average in model.averages:
        _compare(dict(model.named_parameters()), average)


def _numbered(every: Sequence[Tensors]) -> dict[str, Tensor]:
    """Several sets of tensors as one."""
    return {f"{i}/{name}": v for i, tensors in enumerate(every) for name, v in tensors.items()}


def _by_number(tensors: Tensors, count: int) -> list[dict[str, Tensor]]:
    """The inverse of `_numbered`."""
    out: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for key, value in tensors.items():
        number, _, name = key.partition("/")
        if not number.isdecimal() or int(number) >= count:
            raise InputError(f"the tensor {key!r} is of no block")
        out[int(number)][name] = value
    return out
