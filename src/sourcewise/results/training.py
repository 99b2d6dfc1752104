"""The result of a training: the contract of `train --json`, and how it prints."""

from collections.abc import Iterator
from dataclasses import dataclass

from sourcewise.errors import counted, listing
from sourcewise.results import text
from sourcewise.results.contract import Json, Sometimes
from sourcewise.results.data import DataFacts, DiagnosticFacts, Fitted, Resolved, TrainedSource

__all__ = ["Blocks", "TrainedModel", "TrainingResult", "training_lines"]


@dataclass(frozen=True)
class Blocks:
    """The strategy that was trained, and the sources of each of its models."""

    name: str
    blocks: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class TrainedModel:
    """What training the model of one block took; see `training.Effort`."""

    sources: tuple[str, ...]
    parameters: int
    n_train: int
    n_valid: int
    examples_seen: int
    updates: int
    best: int | None  # the update whose weights were kept
    validation: float | None  # the loss under these weights
    how: str
    refused: int
    seconds: float
    best_reason: Sometimes[str] = None
    validation_reason: Sometimes[str] = None


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """All of it."""

    schema_version: int
    kind: str
    data: DataFacts[TrainedSource]
    strategy: Blocks
    unit: str  # of losses that are likelihoods
    models: tuple[TrainedModel, ...]
    fitted: Fitted
    resolved: Resolved
    diagnostics: tuple[DiagnosticFacts, ...] = ()
    validated_by: str | None  # what validation losses are
    warnings: tuple[str, ...]
    run: str | None
    settings: Json
    versions: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the strategies: the only one."""
        return (self.strategy.name,)

    @property
    def recommended(self) -> str:
        """The strategy to use."""
        return self.strategy.name


def training_lines(result: TrainingResult) -> Iterator[str]:
    """What training took, as a table."""
    data, models, name = result.data, result.models, result.strategy.name
    sources = counted(len(data.sources), "source")
    yield (
        f"{data.name}: {data.rows} rows, {sources}, {text.extent(data)}; "
        f"{result.settings.get('model', '')}, {name}: {counted(len(models), 'model')}"
    )
    yield from text.note_lines(result.warnings)
    yield ""
    yield from text.about_lines({name: result.resolved}, {name: result.diagnostics})
    head = ["sources", "rows", "valid", "saw", "updates", "kept", "loss", "parameters", "seconds"]
    yield from text.aligned(head, map(_cells, models[: text.MOST_LINES]))
    if len(models) > text.MOST_LINES:
        yield f"  ... {len(models) - text.MOST_LINES} more in result.json"
    if any(model.validation is not None for model in models):
        loss = result.validated_by or "minus log-likelihood"
        yield from text.wrapped(
            f"loss: of the validation rows (valid) under the weights kept; {loss}"
        )


def _cells(model: TrainedModel) -> tuple[str, ...]:
    return (
        listing([text.brief(name, 20) for name in model.sources], 3),
        str(model.n_train),
        str(model.n_valid),
        str(model.examples_seen),
        str(model.updates),
        "last" if model.best is None else str(model.best),
        "-" if model.validation is None else f"{model.validation:.4f}",
        str(model.parameters),
        f"{model.seconds:.2f}",
    )
