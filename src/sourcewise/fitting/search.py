"""A search over settings: as many trials for every strategy, judged on validation rows only.

The rows are those of the first split: a trial trains on its training rows and is worth the
likelihood of its validation rows, in nats per unit. Test rows play no part. The first trial is the
family's own settings, so that the best trial is never worse than they are; the others are
chosen by the tree-structured Parzen estimator (Bergstra et al., "Algorithms for hyper-parameter
optimization", 2011) of Optuna, from the run's seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sourcewise.documents import from_json
from sourcewise.encoders.base import Rows
from sourcewise.errors import InputError, TrainingFailed
from sourcewise.execution import Execution
from sourcewise.families.settings import FamilySettings, Range, TrainedSettings
from sourcewise.files import read_json, write_json
from sourcewise.fitting.job import Job, Progress, Split, Work, share
from sourcewise.fitting.strategy import Encoded, TrainedStrategy, fit_strategy
from sourcewise.randomness import Noise
from sourcewise.results.comparison import Trial
from sourcewise.strategies import Strategy
from sourcewise.training.processes import Processes

__all__ = ["search"]

Changes = dict[str, Any]  # of settings, by name
FAILED = 1e30  # the worth of a trial whose loss was not finite


def search(
    job: Job,
    rows: Rows,
    split: Split,
    shuffled: Tensor,
    noise: Noise,
    trials: int,
    execution: Execution,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Job, dict[str, list[Trial]]]:
    """The job with the best settings of every strategy, and all trials.

    The split's test rows play no part. Labels (n,) are `shuffled` for a control.
    Finished trials are kept in the folder, so that an interrupted search goes on.
    """
    settings, encoded = job.settings, Encoded.of(job, rows, split)
    assert isinstance(settings, TrainedSettings)
    work = Work(noise.of("training"), execution)
    found: dict[str, list[Trial]] = {}
    for i, strategy in enumerate(job.strategies):
        labels = shuffled if strategy.shuffled else job.data.y

        def worth(
            changes: Changes, strategy: Strategy = strategy, labels: Tensor = labels
        ) -> float | None:
            try:
                tuned = {strategy.name: settings.parse(settings.model_dump() | changes)}
                of = replace(job, tuned=tuned)
                trained = fit_strategy(of, strategy, encoded, split, labels, work)
            except (TrainingFailed, InputError):  # settings that do not go together, or with these
                return None
            return _loss(job, trained, split)

        seed = noise.of(strategy.name).integers(2**31, 1).item()
        place = None if folder is None else folder / strategy.name
        told = share(progress, i, len(job.strategies))
        found[strategy.name] = _trials(settings.SPACE, worth, trials, int(seed), place, told)
    tuned: dict[str, FamilySettings] = {
        name: settings.parse(settings.model_dump() | min(done, key=_worth).changes)
        for name, done in found.items()
    }
    return replace(job, tuned=tuned), found


def _trials(
    space: Mapping[str, Any],
    worth: Callable[[Changes], float | None],
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
            study.tell(asked, _worth(trial))
        done.append(trial)
        if progress is not None:
            progress(number + 1, trials)
    return done


def _suggest(asked: Any, name: str, space: Any) -> Any:
    if isinstance(space, Range):
        return asked.suggest_float(name, space.low, space.high, log=space.log)
    return asked.suggest_categorical(name, space.values)


def _kept(folder: Path | None, number: int, changes: Changes) -> Trial | None:
    """A trial finished earlier, if it is of these settings."""
    path = None if folder is None else folder / f"trial-{number:04d}.json"
    if path is None or not path.exists():
        return None
    try:
        trial = from_json(Trial, read_json(path), str(path))
    except InputError:
        return None
    return trial if trial.changes == changes else None


def _loss(job: Job, trained: TrainedStrategy, split: Split) -> float:
    """`sum_b loss_b size_b / sum_b size_b` over the blocks with validation rows."""
    y, sizes = job.data.y[split.valid], job.sizes[split.valid]
    total = weight = 0.0
    for block, effort in zip(trained.model.partition, trained.efforts, strict=True):
        if effort.validation is not None:
            size = sum(float(sizes[y == k].sum()) for k in block)
            total, weight = total + effort.validation * size, weight + size
    if not weight:
        raise InputError("--trials are judged on validation rows: --set validation=0.1")
    return total / weight


def _worth(trial: Trial) -> float:
    return FAILED if trial.validation is None else trial.validation
