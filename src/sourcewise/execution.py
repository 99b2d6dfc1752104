"""Where and how fast something runs: never part of a run's identity.

The same command on another device, with tracking, or with other checkpoints goes on with the same
run.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from sourcewise.errors import InputError
from sourcewise.settings import Settings

if TYPE_CHECKING:
    import torch

__all__ = ["Execution", "device_of"]


class Execution(Settings):
    """Where and how fast models are trained."""

    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:0, ...")
    track: Literal["none", "tensorboard", "wandb"] = Field(
        default="none", description="where curves go besides log.csv"
    )
    checkpoint: float = Field(
        default=60, ge=0, le=1_000_000_000, description="seconds between checkpoints"
    )
    stacked: bool = Field(
        default=True, description="train the models of a partition at the same time"
    )
    shard: bool = Field(
        default=False,
        description="under torchrun, spread each model's parameters over the processes, one model "
        "after another: for networks too large for one device",
    )

    @field_validator("device")
    @classmethod
    def _check_device(cls, name: str) -> str:
        device_of(name)
        return name

    @classmethod
    def taken_from(cls, values: Mapping[str, Any]) -> tuple["Execution", dict[str, Any]]:
        """Those of the values that say how to run, and the others.

        >>> Execution.taken_from({"device": "cpu", "seeds": 2})[1]
        {'seeds': 2}
        """
        own = {name: value for name, value in values.items() if name in cls.model_fields}
        return cls.parse(own), {name: v for name, v in values.items() if name not in own}

    @classmethod
    def refuse(cls, settings: Mapping[str, Any]) -> None:
        """Raise if a family is set what is said of a whole run.

        >>> Execution.refuse({"shard": "true"})
        Traceback (most recent call last):
        ...
        sourcewise.errors.InputError: setting shard changes no result: it is the option --shard
        """
        for name in settings:
            if name in cls.model_fields:
                value = settings[name]
                flag = {"true": "", "false": "no-"}.get(str(value).lower())
                option = f"--{name} {value}" if flag is None else f"--{flag}{name}"
                raise InputError(f"setting {name} changes no result: it is the option {option}")


def device_of(name: str) -> "torch.device":
    """The device called `name`; under `torchrun`, `auto` gives each process its own GPU.

    >>> device_of("gpu")
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no device 'gpu' (allowed: auto, cpu, cuda, cuda:0, ...)

    Raises:
        InputError: there is none.
    """
    import torch

    if name == "auto":
        local = os.environ.get("LOCAL_RANK", "0")
        return torch.device(f"cuda:{local}" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"no device {name!r} (allowed: auto, cpu, cuda, cuda:0, ...)")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r}: no GPU is there (allowed: auto, cpu)")
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise InputError(f"no device {name!r} (allowed: auto, cpu, cuda:0 to cuda:{count - 1})")
    return device
