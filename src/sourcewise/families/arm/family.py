"""The record of the family of the paper's autoregressive model."""

from sourcewise.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="arm",
    about="the paper's autoregressive model of sequences of one length",
    takes="symbols",
    settings="sourcewise.families.arm.settings:ArmSettings",
    model="sourcewise.families.arm.model:Arm",
    coding="tokens",
    recipe="gradient",
)
