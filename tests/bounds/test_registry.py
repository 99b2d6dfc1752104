"""Options: what they are resolved to, and what is said of bad ones."""

import pytest

from sourcewise.bounds.registry import CLASSES, build
from sourcewise.errors import InputError

from .conftest import options

BAD = [
    ("--samples must be a whole number from 1 to 1e+15, got 0", "gaussian", {"samples": "0"}),
    ("--samples must be a whole number from 1 to 1e+15, got inf", "gaussian", {"samples": "inf"}),
    ("--sources must be a whole number from 1 to 1e+15, got 2.5", "gaussian", {"sources": "2.5"}),
    (
        "--sources must be a whole number from 1 to 1e+15, got x",
        "gaussian",
        {"sources": "x"},
    ),
    ("--specific must be at most --dim, 10, got 11", "gaussian", {"specific": "11"}),
    ("--delta must be above 0 and below 1, got 1", "gaussian", {"delta": "1"}),
    ("--delta must be above 0 and below 1, got nan", "gaussian", {"delta": "nan"}),
    ("--mean-bound must be above 0 and at most 1e+15, got 0", "gaussian", {"mean_bound": 0}),
    ("--groups must be at most --sources, 5, got 6", "gaussian", {"groups": 6}),
    ("--groups 3,3 must sum to --sources, 5, got 6", "gaussian", {"groups": "3,3"}),
    ("--groups 3,3 must sum to --sources, 5, got 6", "arm", {"groups": [3, 3]}),
    ("or the size of each group, A,B,C, got 3,,2", "gaussian", {"groups": "3,,2"}),
    ("--groups must be a whole number from 1 to 10000, or", "gaussian", {"groups": "2.5"}),
    ("--groups must be a whole number from 1 to 10000, or", "energy", {"groups": 0}),
    ("A,B,C, got []", "gaussian", {"groups": []}),
    ("A,B,C, got nan,5", "gaussian", {"groups": "nan,5"}),
    ("--shares must have one entry per source, 5, got 2", "gaussian", {"shares": ".5,.5"}),
    ("--shares must be positive numbers", "gaussian", {"shares": ".5,.6"}),
    ("--vocabulary is no option of bound gaussian", "gaussian", {"vocabulary": 3}),
    ("bound arm needs --length", "arm", {"length": None}),
    ("--vocabulary must be a whole number from 2", "arm", {"vocabulary": 1}),
    ("--width must be at least --length, 10, got 9", "arm", {"width": 9}),
    ("--nonzeros must be at most the network's entries, 4994", "arm", {"nonzeros": 4995}),
    ("--encoder must be one of per-position, shared, got Shared", "arm", {"encoder": "Shared"}),
    ("got .99999999999999999, which rounds to 1", "gaussian", {"delta": ".99999999999999999"}),
    ("got 1e-400, which rounds to 0", "gaussian", {"mean_bound": "1e-400"}),
    ("--width must be at least --dim", "energy", {"width": 9}),
    ("--weight-bound must be at least 1", "energy", {"weight_bound": 0.5}),
    ("--intrinsic must be at most --dim, 10, got 11", "sampling", {"intrinsic": 11}),
    ("--score-error must be at least 0 and", "sampling", {"score_error": "-1"}),
    ("--order must be a whole number from 1", "sampling", {"order": 0.5}),
    ("--constant must be above 0", "sampling", {"constant": 0}),
    ("bound sampling needs --steps: a whole number from 2", "sampling", {"steps": None}),
    ("--delta is no option of bound sampling", "sampling", {"delta": 0.1}),
    ("bound jko needs --W2: above 0", "jko", {"W2": None}),
    ("--eps must be at least 0", "jko", {"eps": -1}),
    ("--gamma must be above 0", "jko", {"gamma": 0}),
    ("--steps must be a whole number from 1", "jko", {"steps": 0}),
    ("bound jko needs --steps here: the rule for it is for --eps above 0", "jko", {"eps": 0}),
    ("the rule for it is for gamma lambda up to 2, got 2.5", "jko", {"gamma": "2.5"}),
    ("the rule for it gives more than 1e+15", "jko", {"gamma": 1e-16}),
    ("--smoothing needs --second-moment too", "jko", {"smoothing": 0.1, "dim": 2}),
    ("--growth needs --inverse-error too", "jko", {"growth": 0.1}),
    ("bound reflow needs --gamma2: at least 0", "reflow", {"gamma2": None}),
    ("--lipschitz must be at least 0", "reflow", {"lipschitz": "-2"}),
    ("--steps must be a whole number from 1", "reflow", {"steps": "1.5"}),
    ("--W2 is no option of bound reflow", "reflow", {"W2": 3}),
    ("--shared and --specific must not both be 0", "general", {"shared": 0, "specific": 0}),
]


@pytest.mark.parametrize(("message", "family", "change"), BAD)
def test_bad_options_are_named_with_their_range(message, family, change):
    with pytest.raises(InputError) as stop:
        build(family, options(family) | change)
    assert message in str(stop.value)
    assert "\n" not in str(stop.value)


def test_settings_are_resolved():
    assert build("arm", options("arm")).settings()["encoder"] == "per position"
    assert build("arm", options("arm")).settings()["nonzeros"] == 4994
    assert build("energy", options("energy", nonzeros=7)).settings()["nonzeros"] == 7
    for family in CLASSES:  # resolved settings are options, of the same case
        settings = build(family, options(family)).settings()
        again = {name: value for name, value in settings.items() if name != "family"}
        assert build(family, again).settings() == settings
