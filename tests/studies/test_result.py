"""What results of studies share."""

from dataclasses import asdict, dataclass

from sourcewise.settings import Settings
from sourcewise.studies.curves import Fit
from sourcewise.studies.result import Result


class Width(Settings):
    width: int = 3


@dataclass(frozen=True)
class Fits(Result):
    settings: Width
    points: tuple[Fit, ...]
    best: Fit


def test_results_come_back_and_points_are_selected():
    fits = (Fit("pooled", -0.5, None, None, 1, 2), Fit("separate", -0.4, -0.5, -0.3, 1, 2))
    result = Fits(Width(width=4), fits, fits[0])
    document = result.to_json()
    assert document == {
        "settings": {"width": 4},
        "cells": tuple(map(asdict, fits)),
        "best": asdict(fits[0]),
    }
    rows = [asdict(fit) | {"later": 1} for fit in fits]
    assert Fits.from_json({**document, "cells": rows, "seconds": 1.0}) == result
    assert result.select(strategy="pooled", low=None) == fits[:1]
