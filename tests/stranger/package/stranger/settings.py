"""Settings of the family."""

from pydantic import Field

from sourcewise.families.settings import TrainedSettings


class GeneratorSettings(TrainedSettings):
    """How large the network is."""

    latent: int = Field(default=4, ge=1, description="normal draws that a row is made of")
    width: int = Field(default=16, ge=1, description="hidden units")
