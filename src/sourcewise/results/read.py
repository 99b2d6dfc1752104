"""The result in a run folder, whatever kind of run with models it holds."""

from pathlib import Path

from sourcewise.documents import from_json
from sourcewise.errors import InputError
from sourcewise.files import exists, read_json
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.contract import Json
from sourcewise.results.labels import LABELS, LabelsResult
from sourcewise.results.training import TrainingResult

__all__ = ["read_comparison", "read_labels", "read_reported", "read_result"]


def read_result(run: str | Path) -> ComparisonResult | TrainingResult:
    """Of a finished comparison or training.

    Raises:
        InputError: no such run there, one that is not finished, or a damaged file.
    """
    path = Path(run)
    file, document = path / "result.json", _document(path)
    if document.get("kind") == "train":
        return from_json(TrainingResult, document, str(file))
    if "verdict" in document:
        return from_json(ComparisonResult, document, str(file))
    name = document.get("name", document.get("kind"))
    kind = "" if name is None else f" (of {name!r})"
    raise InputError(f"{path} holds a run without models{kind}: allowed are compare and train")


def _document(path: Path) -> Json:
    """What a finished run found, of whatever kind."""
    file = path / "result.json"
    if not exists(path) or not path.is_dir():
        raise InputError(f"no run folder {path}")
    if not exists(file):
        if not exists(path / "config.yaml"):
            raise InputError(f"{path} holds no run")
        raise InputError(
            f"the run in {path} is not finished (no result.json): the command that started it "
            "goes on where it stopped"
        )
    document = read_json(file)
    if not isinstance(document, dict):
        raise InputError(f"{file} is no comparison's result, nor that of a training")
    return document


def read_comparison(run: str | Path) -> ComparisonResult:
    """Of a finished comparison; see `read_result`."""
    result = read_result(run)
    if not isinstance(result, ComparisonResult):
        raise InputError(f"{Path(run) / 'result.json'} is no comparison's result")
    return result


def read_labels(run: str | Path) -> LabelsResult:
    """Of a finished search for suspect labels."""
    file, document = Path(run) / "result.json", _document(Path(run))
    if document.get("kind") != LABELS:
        raise InputError(f"{file} is no result of labels")
    return from_json(LabelsResult, document, str(file))


def read_reported(run: str | Path) -> ComparisonResult | LabelsResult:
    """Of a run that there is a report of."""
    if _document(Path(run)).get("kind") == LABELS:
        return read_labels(run)
    return read_comparison(run)
