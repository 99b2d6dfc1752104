"""The result of a comparison: the contract of `compare --json`, key by key in docs/result.md."""

from dataclasses import dataclass

from sourcewise.results.contract import Json, Sometimes
from sourcewise.results.data import ComparedSource, DataFacts, DiagnosticFacts, Fitted, Resolved
from sourcewise.results.families import Best, FamilyLevel, FamilyVerdict

__all__ = [
    "MACRO",
    "BetaHat",
    "BlockEffort",
    "ComparisonResult",
    "Dependence",
    "Difference",
    "FarOut",
    "Gap",
    "Lead",
    "Level",
    "MetricFacts",
    "Resemblance",
    "Searched",
    "Shrinkage",
    "SourceResult",
    "Splits",
    "StrategyResult",
    "Term",
    "Trial",
    "Verdict",
    "Worst",
]

MACRO = "macro"  # stands for a source: the mean over tested sources, each counted once


@dataclass(frozen=True)
class MetricFacts:
    """What numbers of a metric are; only the one that decides has a region of equivalence."""

    unit: str
    higher_is_better: bool
    region: Sometimes[float] = None
    total_variation: Sometimes[float] = None  # the most that is inside it, of rows

    @property
    def direction(self) -> str:
        """In words."""
        return "higher is better" if self.higher_is_better else "lower is better"


@dataclass(frozen=True)
class Level:
    """The value of a metric; of those that are shown, the repetitions instead of an interval."""

    mean: float | None
    low: float | None
    high: float | None
    replicates: Sometimes[tuple[float | None, ...]] = None


@dataclass(frozen=True, kw_only=True)
class SourceResult:
    """A source under a strategy: means over folds and repetitions."""

    n_train: float
    n_test: float
    examples_seen: float  # by the model of the source's block, repeats counted
    updates: float
    n_valid: Sometimes[float] = None  # of families trained by gradients, as the next
    best: Sometimes[float] = None  # the update whose weights were kept
    best_reason: Sometimes[str] = None
    validation: Sometimes[float] = None  # the loss under these weights
    validation_reason: Sometimes[str] = None
    metrics: dict[str, Level]  # `train_KEY` is that of the source's own training rows


@dataclass(frozen=True)
class Worst:
    """The tested source on which a strategy is worst."""

    source: str
    mean: float | None


@dataclass(frozen=True)
class Searched:
    """What a search over settings chose, in how many trials."""

    trials: int
    chosen: Json


@dataclass(frozen=True)
class BlockEffort:
    """What training the kept model of a block took; see `training.Effort`."""

    sources: tuple[str, ...]
    examples_seen: int
    updates: int
    best: int | None
    validation: float | None
    how: str
    refused: int = 0


@dataclass(frozen=True, kw_only=True)
class StrategyResult:
    """One strategy: what it was given, and how well it does."""

    parameters: float  # of all its models together
    label_effect: Sometimes[float] = None  # what a row gains under its own label
    label_effect_reason: Sometimes[str] = None
    still_improving: tuple[str, ...] = ()  # sources whose model had its best weights last
    blocks: tuple[tuple[str, ...], ...]
    per_source: dict[str, SourceResult]
    macro: dict[str, Level]
    worst: dict[str, Worst]
    fitted: Fitted
    resolved: Resolved
    diagnostics: tuple[DiagnosticFacts, ...] = ()
    settings: Sometimes[Json] = None  # that a search chose
    searched: Sometimes[Searched] = None
    validated_by: Sometimes[str] = None  # what validation losses are
    training: Sometimes[tuple[BlockEffort, ...]] = None

    @property
    def shares(self) -> bool:
        """Whether a model serves several sources, so that it has a label to listen to."""
        return any(len(block) > 1 for block in self.blocks)


@dataclass(frozen=True)
class Gap:
    """Strategy minus baseline on a source, or on average; above 0 favours the strategy."""

    source: str
    strategy: str
    baseline: str
    metric: str
    unit: str
    difference: float | None
    low: float | None
    high: float | None
    standard_error: float | None

    @property
    def average(self) -> bool:
        """Whether it is that of all sources."""
        return self.source == MACRO


@dataclass(frozen=True)
class Difference(Gap):
    """A gap with its test and verdict."""

    df: float | None  # of the t that gives the interval its width
    p: float | None
    p_holm: float | None
    p_outside: float | None  # against a difference outside the region, adjusted as well
    verdict: str
    would_decide: str | None


@dataclass(frozen=True)
class Term:
    """What a part of the metric makes of a difference averaged over sources."""

    name: str
    strategy: str
    baseline: str
    difference: float | None
    low: float | None  # over test rows and training seeds, as the next
    high: float | None


@dataclass(frozen=True)
class BetaHat:
    """The sharing factor, or why there is none."""

    value: float | None
    low: float | None
    high: float | None
    reason: Sometimes[str] = None
    strategy: Sometimes[str] = None
    note: Sometimes[str] = None
    reading: Sometimes[str] = None


@dataclass(frozen=True)
class Lead:
    """What the recommended strategy gains on average over the one that comes next to it."""

    strategy: str  # that is recommended
    over: str
    difference: float | None  # 0 or above
    low: float | None
    high: float | None
    sure: float | None  # 1 less the one-sided p-value, from .5 to 1

    @property
    def surely(self) -> str:
        """How sure it is, in words.

        >>> Lead("pooled", "separate", 0.1, -0.1, 0.3, 0.874).surely
        '87 % sure'
        """
        return "not known how sure" if self.sure is None else f"{100 * self.sure:.0f} % sure"


@dataclass(frozen=True)
class Verdict:
    """Who is better, for whom, which strategy to use, and how surely."""

    overall: str
    strategy: str  # the main rival
    baseline: str
    recommended: str
    lead: Lead
    reason: str
    per_source: dict[str, str]
    condition: str | None = None  # what the verdict holds under


@dataclass(frozen=True)
class Trial:
    """Settings that a search tried."""

    changes: Json  # fields that differ from the family's settings
    validation: float | None  # loss, lower is better; None if training broke down


@dataclass(frozen=True)
class Splits:
    """How rows were split, and how often models were trained."""

    folds: Sometimes[int] = None
    repetitions: Sometimes[int] = None
    jackknife_groups: Sometimes[int] = None
    test_share: Sometimes[float] = None
    training_seeds: Sometimes[int] = None
    seed: Sometimes[int] = None
    stratified_by: Sometimes[str] = None
    validation_share: Sometimes[float] = None
    models_kept: Sometimes[str] = None

    @property
    def averaged_over(self) -> str:
        """What counts such as updates are means of; empty if every model was trained once."""
        if self.folds and self.repetitions:
            return f"{self.folds} folds x {self.repetitions}"
        seeds = self.training_seeds or 1
        return f"{seeds} seeds" if seeds > 1 else ""


@dataclass(frozen=True)
class Resemblance:
    """A column in which rows resemble the next row of their source in the file."""

    column: str
    rank: float | None  # correlation of ranks; None for categories
    same: float  # share of neighbours with one value, chance taken off


@dataclass(frozen=True)
class Dependence:
    """Signs that rows belong together; few are looked for where `--group` says what a row is."""

    declared: str | None  # what it says: "group" (columns), "none", or nothing
    neighbours: tuple[Resemblance, ...] = ()  # where they are more alike than chance makes them
    differences: float | None = None  # that of the strategies: correlation of ranks, likewise
    repeats: tuple[str, ...] = ()  # columns whose values repeat as those of cases do
    near_copies: int = 0  # rows that have one
    suggested: tuple[str, ...] = ()  # columns for `--group`

    @property
    def undeclared(self) -> bool:
        """Whether there is a sign of what nobody said."""
        alike = self.neighbours or self.differences is not None
        return self.declared is None and bool(alike or self.repeats or self.near_copies)


@dataclass(frozen=True)
class FarOut:
    """Rows so far out that a sample of a source may hold some or none; and what the others say."""

    rows: int
    per_source: dict[str, int]  # of sources that have any
    verdict: Sometimes[str] = None  # of the comparison of the other rows
    verdict_reason: Sometimes[str] = None  # why there is none
    differences: Sometimes[tuple[Difference, ...]] = None  # likewise


@dataclass(frozen=True)
class Shrinkage:
    """What each strategy's kept models estimate of a column, source by source."""

    column: str
    quantity: str  # "mean" or "standard deviation"
    unit: str
    sources: tuple[str, ...]
    estimates: dict[str, tuple[float | None, ...]]  # by strategy, in the order of the sources


@dataclass(frozen=True)
class ComparisonResult:
    """All of it."""

    schema_version: int
    data: DataFacts[ComparedSource]
    scope: str
    estimand: str
    primary_metric: str
    metrics: dict[str, MetricFacts]
    warnings: tuple[str, ...]
    run: str | None
    strategies: dict[str, StrategyResult]
    differences: tuple[Difference, ...]
    beta_hat: BetaHat
    verdict: Verdict
    settings: Json
    search: dict[str, tuple[Trial, ...]]
    splits: Splits
    versions: dict[str, str]
    dependence: Sometimes[Dependence] = None  # older results have none
    far_out: Sometimes[FarOut] = None  # there are no such rows, or they do not matter
    # Where several families were compared; all else is of the best one.
    families: Sometimes[tuple[FamilyLevel, ...]] = None
    family_verdicts: Sometimes[tuple[FamilyVerdict, ...]] = None
    best: Sometimes[Best] = None
    shrinkage: Sometimes[tuple[Shrinkage, ...]] = None  # no strategy pools partially
    terms: Sometimes[tuple[Term, ...]] = None  # the metric is not told apart

    def __post_init__(self) -> None:
        key = self.primary_metric
        if key not in self.metrics:
            raise ValueError(f"metrics lacks {key}, the primary metric")
        for name, strategy in self.strategies.items():
            if key not in strategy.macro or key not in strategy.worst:
                raise ValueError(f"strategies.{name} lacks {key} in macro or worst")

    @property
    def metric(self) -> MetricFacts:
        """What numbers of the deciding metric are."""
        return self.metrics[self.primary_metric]

    @property
    def shown(self) -> dict[str, MetricFacts]:
        """The metrics that decide nothing."""
        return {key: facts for key, facts in self.metrics.items() if key != self.primary_metric}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the strategies."""
        return tuple(self.strategies)

    @property
    def rivals(self) -> tuple[str, ...]:
        """The strategies that are compared with the baseline."""
        return tuple(dict.fromkeys(d.strategy for d in self.differences))

    @property
    def recommended(self) -> str:
        """The strategy to use."""
        return self.verdict.recommended

    def of(self, strategy: str, source: str) -> SourceResult | None:
        """A source under a strategy, if it is tested."""
        found = self.strategies.get(strategy)
        return found and found.per_source.get(source)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that some strategy has numbers of."""
        every = (name for s in self.strategies.values() for name in s.per_source)
        return tuple(dict.fromkeys(every))

    @property
    def solved_exactly(self) -> bool:
        """Whether no model took a gradient step."""
        return not any(entry.updates for entry in self.entries)

    @property
    def entries(self) -> list[SourceResult]:
        """All sources under all strategies."""
        return [entry for s in self.strategies.values() for entry in s.per_source.values()]
