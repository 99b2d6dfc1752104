"""A checkpoint that is no state of the training gives way, before anything is set."""

import pytest
import torch

from sourcewise.training.checkpoint import Checkpoints
from sourcewise.training.resumed import check_tensors, checked_values

VALUES = {"step": 4, "active": [1], "best_loss": [0.5], "best_step": [2], "refused": [0]}
VALUES["done"] = {"0": {"updates": 3, "best": None, "validation": 0.25, "refused": 0}}


def test_values_become_typed():
    found = checked_values(VALUES, 2)
    assert (found.active, found.done[0].validation) == ((1,), 0.25)


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": "x"},
        {"active": [0]},
        {"active": [1, 1]},
        {"active": [5]},
        {"best_loss": []},
        {"best_step": {"0": 1}},
        {"done": []},
        {"done": {"x": {}}},
        {"done": {"0": {"updates": 3}}},
    ],
)
def test_other_values_are_refused(change):
    with pytest.raises(ValueError):
        checked_values(VALUES | change, 2)


def test_tensors_are_those_wanted():
    wanted = {"flat": torch.zeros(2, 3), "m": torch.zeros(2, 3)}
    check_tensors({**wanted, "more": torch.ones(1)}, wanted, ["more"])
    for name, value in (
        ("flat", torch.zeros(1, 3)),
        ("flat", torch.zeros(2, 3, dtype=torch.float64)),
        ("flat", torch.full((2, 3), torch.nan)),
        ("strange", torch.zeros(2, 3)),
    ):
        with pytest.raises(ValueError):
            check_tensors(wanted | {name: value}, wanted)


def test_a_checkpoint_that_does_not_suit_gives_way_to_the_one_before(tmp_path):
    for step in (1, 2):
        Checkpoints(tmp_path, "one").save(step, {"flat": torch.zeros(step)}, {"step": step})

    def check(tensors, values):
        check_tensors(tensors, {"flat": torch.zeros(1)})

    with pytest.warns(UserWarning, match="000000002.json is damaged: .* going back"):
        found = Checkpoints(tmp_path, "one").load(check)
    assert found is not None
    assert found[1] == {"step": 1}
