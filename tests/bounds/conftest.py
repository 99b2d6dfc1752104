"""Sizes of each class, as options and as they are typed."""

from sourcewise.bounds.case import SOURCES
from sourcewise.bounds.registry import CLASSES, bound_class

FAMILIES = [name for name in CLASSES if bound_class(name).kind is SOURCES]
SIZES = {
    "gaussian": {"dim": 10, "specific": 5, "mean_bound": 5},
    "arm": {
        "vocabulary": 2,
        "length": 10,
        "embedding": 8,
        "width": 64,
        "depth": 3,
        "weight_bound": 1,
    },
    "energy": {"dim": 2, "embedding": 8, "width": 64, "depth": 3, "weight_bound": 1},
    "general": {"shared": 8, "specific": 2, "constant": 100},
    "jko": {"W2": 3, "eps": 0.01, "gamma": 0.5},
    "reflow": {"lipschitz": 1, "gamma2": 3, "steps": 100, "eps": 0.01},
    "sampling": {"dim": 10, "steps": 1000, "score_error": 0.01, "intrinsic": 4},
}


def options(family: str, **more) -> dict:
    common = {"sources": 5, "samples": 5000} if family in FAMILIES else {}
    return {**common, **SIZES[family], **more}


def flags(family: str, **more) -> list[str]:
    pairs = options(family, **more).items()
    return [part for key, value in pairs for part in (f"--{key.replace('_', '-')}", str(value))]
