"""A search over settings: as many trials for every strategy, judged on validation rows only.

The rows are those of the first split: a trial trains on its training rows and is worth the
likelihood of its validation rows, in nats per unit. Test rows play no part. The first trial is the
family's own settings, so that the best trial is never worse than they are; the others are
chosen by the tree-structured Parzen estimator (Bergstra et al., "Algorithms for hyper-parameter
optimization", 2011) of Optuna, from the run's seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sourcewise.comparison.evaluation import Encoded, Fitted, Job, Split, Work, fit_strategy, part
from sourcewise.comparison.scopes import Cell, Plan, Shared
from sourcewise.errors import InputError, TrainingFailed
from sourcewise.families.settings import Range, TrainedSettings
from sourcewise.files import read_json, write_json
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.strategies import Strategy
from sourcewise.training.processes import Processes

__all__ = ["Trial", "search"]

Progress = Callable[[int, int], None]
FAILED = 1e30  # the worth of a trial whose loss was not finite


@dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Args:
        changes: fields that differ from the family's settings.
        validation: nats per unit, lower is better; None if training broke down.
    """

    changes: dict[str, Any]
    validation: float | None


def search(
    plan: Plan, trials: int, folder: Path | None, progress: Progress | None
) -> tuple[Plan, dict[str, list[Trial]]]:
    """The plan with the best settings of every strategy, and all trials.

    Args:
        plan: what is compared.
        trials: of each strategy.
        folder: where finished trials are kept, so that an interrupted search goes on.
        progress: called with (done, in all).
    """
    settings = plan.job.settings
    assert isinstance(settings, TrainedSettings)
    shared, cell = plan.shared(0), Cell(0, None)
    split = next(iter(plan.splits(cell, shared[0])))
    encoded = Encoded.of(plan.job, shared[1], split)
    noise = Noise(plan.seed).of("search")
    found: dict[str, list[Trial]] = {}
    for i, strategy in enumerate(plan.job.strategies):
        told = part(progress, i, len(plan.job.strategies))
        place = None if folder is None else folder / strategy.name

        def worth(
            changes: dict[str, Any], strategy: Strategy = strategy, place: Path | None = place
        ) -> float | None:
            try:
                tuned = {strategy.name: settings.parse(settings.model_dump() | changes)}
            except InputError:
                return None  # settings that do not go together
            job = replace(plan.job, tuned=tuned)
            work = Work(noise.of("training"), None, None)
            return _validation(job, strategy, encoded, split, shared, work)

        seed = noise.of(strategy.name).integers(2**31, 1).item()
        found[strategy.name] = _trials(settings.SPACE, worth, trials, int(seed), place, told)
    tuned: dict[str, Settings] = {
        name: settings.parse(settings.model_dump() | _best(done).changes)
        for name, done in found.items()
    }
    return replace(plan, job=replace(plan.job, tuned=tuned)), found


def _trials(
    space: Mapping[str, Any],
    worth: Callable[[dict[str, Any]], float | None],
    trials: int,
    seed: int,
    folder: Path | None,
    progress: Progress | None,
) -> list[Trial]:
    """Trials one after another; those finished earlier are taken from the folder."""
    try:
        import optuna
    except ImportError:
        raise InputError("--trials needs optuna: pip install 'sourcewise[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    done: list[Trial] = []
    processes = Processes.found()
    for number in range(trials):
        asked = study.ask() if number else None
        changes = {} if asked is None else {n: _suggest(asked, n, s) for n, s in space.items()}
        trial = _kept(folder, number, changes)
        if not processes.agreed(trial is not None) or trial is None:
            trial = Trial(changes, worth(changes))
            if folder is not None and processes.first:
                folder.mkdir(parents=True, exist_ok=True)
                write_json(folder / f"trial-{number:04d}.json", vars(trial))
        if asked is not None:
            study.tell(asked, FAILED if trial.validation is None else trial.validation)
        done.append(trial)
        if progress is not None:
            progress(number + 1, trials)
    return done


def _suggest(asked: Any, name: str, space: Any) -> Any:
    if isinstance(space, Range):
        return asked.suggest_float(name, space.low, space.high, log=space.log)
    return asked.suggest_categorical(name, space.values)


def _kept(folder: Path | None, number: int, changes: dict[str, Any]) -> Trial | None:
    """A trial finished earlier, if it is of these settings."""
    path = None if folder is None else folder / f"trial-{number:04d}.json"
    if path is None or not path.exists():
        return None
    try:
        trial = Trial(**read_json(path))
    except (InputError, TypeError):
        return None
    return trial if trial.changes == changes else None


def _validation(
    job: Job,
    strategy: Strategy,
    encoded: Encoded,
    split: Split,
    shared: Shared,
    work: Work,
) -> float | None:
    """Loss of the validation rows under the models of a strategy; None if training broke down."""
    labels = shared[2] if strategy.shuffled else job.data.y
    try:
        fitted = fit_strategy(job, strategy, encoded, split, labels, work)
    except (TrainingFailed, InputError):  # the settings do not go with these columns
        return None
    return _loss(job, fitted, split)


def _loss(job: Job, fitted: Fitted, split: Split) -> float:
    """`sum_b loss_b size_b / sum_b size_b` over the blocks with validation rows."""
    y, sizes = job.data.y[split.valid], job.sizes[split.valid]
    total = weight = 0.0
    for block, effort in zip(fitted.model.partition, fitted.efforts, strict=True):
        if effort.validation is not None:
            size = sum(float(sizes[y == k].sum()) for k in block)
            total, weight = total + effort.validation * size, weight + size
    if not weight:
        raise InputError("--trials are judged on validation rows: --set validation=0.1")
    return total / weight


def _best(trials: list[Trial]) -> Trial:
    def loss(trial: Trial) -> float:
        return FAILED if trial.validation is None else trial.validation

    return min(trials, key=loss)
