"""The families by name, with their settings; listing them imports no torch."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sourcewise.errors import unknown
from sourcewise.models.energy_settings import EnergySettings
from sourcewise.models.settings import (
    ArmSettings,
    GaussianSettings,
    TableSettings,
    TrainedSettings,
    TransformerSettings,
)
from sourcewise.settings import Settings

if TYPE_CHECKING:
    from sourcewise.models.base import ConditionalModel

__all__ = ["FAMILIES", "Family", "family"]


@dataclass(frozen=True)
class Family:
    """A registered family.

    Args:
        name: what users call it.
        settings: its settings class.
        home: "module:class" of the model, imported when one is built.
        about: one line for `--help`.
        coding: how examples become tensors, a name in `encoders.registry`.
    """

    name: str
    settings: type[Settings]
    home: str
    about: str
    coding: str = "numeric"

    @property
    def trained(self) -> bool:
        """Whether it is trained by gradients; otherwise it is fitted exactly."""
        return issubclass(self.settings, TrainedSettings)

    @property
    def model(self) -> type["ConditionalModel"]:
        """The class of its models."""
        module, name = self.home.split(":")
        return getattr(import_module(module), name)

    def build(self, settings: Settings, *, K: int, **sizes: Any) -> "ConditionalModel":
        """An untrained model for K sources; `sizes` are those of the encoder."""
        return self.model(settings, K=K, **sizes)  # pyright: ignore[reportCallIssue]

    def parse(self, values: dict[str, Any] | Settings | None) -> Settings:
        """Settings from names and values; an unknown name is an `InputError`."""
        return values if isinstance(values, Settings) else self.settings.parse(values or {})


FAMILIES = {
    item.name: item
    for item in [
        Family(
            "gaussian",
            GaussianSettings,
            "sourcewise.models.gaussian:Gaussian",
            "multivariate normal, fitted exactly",
        ),
        Family(
            "table",
            TableSettings,
            "sourcewise.models.table:TableModel",
            "categories, numbers and gaps, one column after another",
            coding="table",
        ),
        Family(
            "arm",
            ArmSettings,
            "sourcewise.models.arm:Arm",
            "the paper's autoregressive model of sequences of one length",
            coding="tokens",
        ),
        Family(
            "transformer",
            TransformerSettings,
            "sourcewise.models.transformer:Transformer",
            "text and other sequences, one symbol after another",
            coding="text",
        ),
        Family(
            "energy",
            EnergySettings,
            "sourcewise.models.energy:Energy",
            "an energy on a box of numbers; normalised by quadrature for up to three columns",
            coding="box",
        ),
    ]
}


def family(name: str) -> Family:
    """The family called `name`; an unknown name is an `InputError` that suggests the nearest.

    >>> family("gausian")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no family 'gausian': did you mean 'gaussian'? (there are: ...)
    """
    if name not in FAMILIES:
        raise unknown("family", name, FAMILIES)
    return FAMILIES[name]
