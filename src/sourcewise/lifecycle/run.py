"""Open a run folder, whatever kind of run with models it holds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sourcewise.comparison.result import Comparison
from sourcewise.errors import InputError, unknown
from sourcewise.files import read_json
from sourcewise.fitting.store import load_models
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.lifecycle.trained import Trained

__all__ = ["Run", "load", "opened", "strategies_of", "usual_strategy"]

Run = Comparison | Trained


def load(run: str | Path) -> Run:
    """A finished comparison or training from its folder: results and models.

    Raises:
        InputError: no such run there, or one that is not finished.
    """
    path = Path(run)
    document = _document(path)
    if not isinstance(document, dict):
        raise InputError(
            f"{path / 'result.json'} is no comparison's result, nor that of a training"
        )
    names = _names(document)
    if names is None:
        kind = f" (of {document['name']!r})" if "name" in document else ""
        raise InputError(f"{path} holds a run without models{kind}: allowed are compare and train")
    if document.get("kind") == "train":
        return Trained(document, lambda: _models(path, names))
    return replace(Comparison(document, dict), get_models=lambda: _models(path, names))


def opened(run: str | Path | Run) -> Run:
    """The run itself, or the one in a folder."""
    return load(run) if isinstance(run, str | Path) else run


def strategies_of(run: Run) -> tuple[str, ...]:
    """The names of its strategies."""
    return tuple(_names(run.document) or ())


def usual_strategy(run: Run, wanted: str | None) -> str:
    """The strategy that is wanted; by default the only or the recommended one."""
    names = strategies_of(run)
    if wanted is not None and wanted not in names:
        raise unknown("strategy in this run", wanted, names)
    return wanted or (names[0] if isinstance(run, Trained) else run.verdict["recommended"])


def _document(path: Path) -> Any:
    if not path.is_dir():
        raise InputError(f"no run folder {path}")
    if (path / "result.json").exists():
        return read_json(path / "result.json")
    if (path / "config.yaml").exists():
        raise InputError(
            f"the run in {path} is not finished (no result.json): the command that started it "
            "goes on where it stopped"
        )
    raise InputError(f"{path} holds no run")


def _names(document: dict[str, Any]) -> list[str] | None:
    """The strategies of a training or comparison; None: it is another kind of run."""
    if document.get("kind") == "train":
        return [document["strategy"]["name"]]
    return list(document["strategies"]) if "verdict" in document else None


def _models(path: Path, names: list[str]) -> dict[str, TrainedStrategy]:
    """The saved models; whatever is wrong with their files is one line."""
    try:
        fitted = load_models(path)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path / 'models'} is damaged: {first}") from None
    for name in names:
        if name not in fitted:
            raise InputError(f"{path / 'models'} lacks the models of {name!r}")
    for item in fitted.values():
        item.model.eval()
    return fitted
