"""What the rest of the house must know of a family, without importing what it needs to run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from sourcewise.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from sourcewise.families.base import ConditionalModel
    from sourcewise.families.settings import FamilySettings
    from sourcewise.settings import Settings
    from sourcewise.sources import Sources

__all__ = ["Family", "Recipe"]

Recipe = Literal["exact", "gradient", "phased", "greedy", "purified"]
MOST_NUMBERS = 2**30  # of one model; training takes several times as many


@dataclass(frozen=True)
class Family:
    """A registered family.

    Args:
        name: what users call it.
        about: one line for lists and help.
        takes: what it models, in a few words.
        settings: "module:class" of its settings.
        model: likewise of its model, imported when one is built.
        coding: how examples become tensors, a name in `screening.registry`.
        recipe: how it is trained, a name in `training.recipes.registry`.
        metrics: names of the metrics that it offers; the first is the primary one, unless its
            settings say otherwise: `FamilySettings.judged_by`.
        takes_given: whether it takes given columns c.
        partial: whether its models can be pooled partially: their class then takes the keyword
            `partial`, and says by it that each source has parameters of its own, drawn towards
            those of the others.
        widest: the most columns of a table that it takes; None: as many as there are.
        suits: whether `auto` and `all` take it for these data.
        able: whether `all` takes it for these data though `auto` does not: what learns slowly.
        sampling: likewise of the options of its `sample`, beside sources and noise.
        asks: names of what its model's constructor takes of the encoder beside sizes, where the
            encoder tells it: see `encoders.base.Encoder.further`.
        scope: what intervals cover unless users say; None: the procedure of what is fitted
            exactly, these models of what is trained.
    """

    name: str
    about: str
    takes: str
    settings: str
    model: str
    coding: str
    recipe: Recipe
    metrics: tuple[str, ...] = ("log-likelihood",)
    takes_given: bool = False
    partial: bool = False
    widest: int | None = None
    suits: Callable[["Sources"], bool] = lambda data: False
    able: Callable[["Sources"], bool] = lambda data: False
    sampling: str = "sourcewise.settings:Settings"
    asks: tuple[str, ...] = ()
    scope: Literal["procedure", "these models"] | None = None

    @property
    def trained(self) -> bool:
        """Whether it is trained by gradients; otherwise it is fitted exactly."""
        return self.recipe != "exact"

    @property
    def offers(self) -> tuple[str, ...]:
        """Names of strategies that it has, and others have not."""
        found = {"partial": self.partial, "fine-tuned": self.trained}
        return tuple(name for name, has in found.items() if has)

    @property
    def usual_scope(self) -> Literal["procedure", "these models"]:
        """What intervals cover unless users say."""
        return self.scope or ("these models" if self.trained else "procedure")

    @property
    def model_class(self) -> type["ConditionalModel"]:
        """The class of its models."""
        return _resolved(self.model)

    @property
    def settings_class(self) -> type["FamilySettings"]:
        """The class of its settings."""
        return _resolved(self.settings)

    @property
    def sampling_class(self) -> type["Settings"]:
        """The class of its options of sampling."""
        return _resolved(self.sampling)

    def build(self, settings: "Settings", *, K: int, **sizes: Any) -> "ConditionalModel":
        """An untrained model for K sources; `sizes` are those of the encoder."""
        import torch

        with torch.random.fork_rng(devices=()):  # layers of torch draw as they are made
            return self.model_class(settings, K=K, **sizes)  # pyright: ignore[reportCallIssue]

    def outline(self, settings: "Settings", *, K: int, **sizes: Any) -> "Mapping[str, Tensor]":
        """The state of a model for K sources, in tensors without numbers; none is built."""
        import torch

        _ = self.model_class  # imported before: tensors that its modules make must have numbers
        with torch.device("meta"):
            return self.build(settings, K=K, **sizes).state_dict()

    def refuse_large(self, settings: "Settings", *, K: int, **sizes: Any) -> None:
        """Raise if a model for K sources would hold too many numbers; none is built.

        Raises:
            InputError: their number, and how many may be.
        """
        state = self.outline(settings, K=K, **sizes)
        numbers = sum(tensor.numel() for tensor in state.values())
        if numbers > MOST_NUMBERS:
            raise InputError(
                f"a model of the family {self.name} with these settings and data would hold "
                f"{numbers} numbers: at most {MOST_NUMBERS} are allowed"
            )

    def parse(self, values: Mapping[str, Any]) -> "FamilySettings":
        """Settings from names and values; an unknown name is an `InputError`."""
        return self.settings_class.parse(values)


def _resolved(home: str) -> Any:
    module, name = home.split(":")
    return getattr(import_module(module), name)
