"""Snapshots of averages in files beside the checkpoints: written once, whole or refused."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.denoisers.settings import DenoiserSettings
from sourcewise.families.diffusion.model import Diffusion
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.files import read_json, read_tensors, write_json
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.training.averages import Averages
from sourcewise.training.checkpoint import Checkpoints

NAMES, COUNTS = ("a", "b", "c"), (90, 60, 36)
SETTINGS = DenoiserSettings.parse(
    {"width": 8, "batch": 12, "passes": 12, "updates": 0, "check": 10, "patience": 0}
)
PARTITIONS = pytest.mark.parametrize("partition", [Partition.pooled(3), Partition.separate(3)])


class Killed(Exception):
    pass


def data() -> TrainingData:
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(COUNTS)])
    x = Noise(5).normal(len(y), 3) + y[:, None]
    held = torch.arange(len(y)) % 6 == 0
    return TrainingData(Batch.of(x[~held], y[~held]), Batch.of(x[held], y[held]))


def trained(
    folder: Path | None, partition: Partition, progress: Callable[[int, int], None] | None = None
) -> Any:
    model = PartitionedModel(partition, lambda K: Diffusion(SETTINGS, K=K, d=3), NAMES)
    where = Execution(checkpoint=0)
    options: Any = {"settings": SETTINGS, "execution": where, "progress": progress}
    efforts = fit(model, data(), names=NAMES, folder=folder, **options)
    weights = [p.detach() for p in model.parameters()]
    averages = [v for block in model.blocks for a in block.averages for v in a.values()]  # pyright: ignore[reportGeneralTypeIssues,reportAttributeAccessIssue]
    return torch.cat([v.flatten() for v in (*weights, *averages)]), efforts


def killed(folder: Path, partition: Partition, share: float) -> Path:
    """The folder of the checkpoints of a training that ended before its time."""

    def kill(done: int, total: int) -> None:
        if done > share * total:
            raise Killed

    with pytest.raises(Killed):
        trained(folder, partition, kill)
    (place,) = folder.iterdir()
    return place


def files(place: Path) -> list[Path]:
    return sorted(place.glob("snapshot-*.safetensors"))


@PARTITIONS
def test_a_killed_training_goes_on_to_the_same_bits(partition, tmp_path: Path):
    """With models that leave the stack at other times, and so snapshots of fewer."""
    whole, efforts = trained(None, partition)
    for share in (0.45, 0.6, 0.8):
        assert files(killed(tmp_path, partition, share))
    resumed, again = trained(tmp_path, partition)
    assert torch.equal(resumed, whole)
    assert again == efforts


@PARTITIONS
def test_snapshots_are_written_once_and_gone_when_training_is_over(
    partition, tmp_path: Path, monkeypatch
):
    written: list[str] = []
    write = Checkpoints._written

    def watched(self: Checkpoints, key: str, part: Any) -> str:
        before = self._snapshot(key).exists()
        digest = write(self, key, part)
        written.extend([] if before else [key])
        return digest

    monkeypatch.setattr(Checkpoints, "_written", watched)
    place = killed(tmp_path, partition, 0.7)
    sizes = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files(place)}
    assert len(sizes) > 3
    assert len(written) == len(set(written))
    notes = [read_json(path) for path in place.glob("checkpoint-*.json")]
    asked_for = {key for note in notes for key in note["snapshots"]}
    assert {path.stem for path in sizes} == {f"snapshot-{key}" for key in asked_for}
    newest = read_tensors(max(place.glob("checkpoint-*.safetensors")))
    own = {"flat", "m", "v", "best", "power/0.05", "power/0.1"}
    assert own == {name for name in newest if not name.startswith("done")}
    again = killed(tmp_path, partition, 0.9)
    for path in set(files(again)) & sizes.keys():
        assert sizes[path] == (path.stat().st_ino, path.stat().st_mtime_ns)
    trained(tmp_path, partition)
    assert not files(place)
    assert len(list(place.glob("checkpoint-*"))) == 2  # tensors and document


def spoil(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("harm", [spoil, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_snapshot_is_told_in_a_line_and_harms_nothing(which, harm, tmp_path: Path):
    """The first one is of both checkpoints: training begins anew. Both ways to the same bits."""
    partition = Partition.pooled(3)
    whole, _ = trained(None, partition)
    path = files(killed(tmp_path, partition, 0.7))[which]
    harm(path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        resumed, _ = trained(tmp_path, partition)
    lines = [str(one.message) for one in told if "checkpoint" in str(one.message)]
    assert lines
    assert all(path.name in line and len(line.splitlines()) == 1 for line in lines)
    assert torch.equal(resumed, whole)


def test_a_snapshot_of_another_training_is_refused(tmp_path: Path):
    one, other = Checkpoints(tmp_path, "me"), Checkpoints(tmp_path / "b", "me")
    for kept, value in ((one, 1.0), (other, 2.0)):
        kept.save(3, {"x": torch.zeros(1), "snapshot/2-1/x": torch.tensor([value])}, {})
    name = "snapshot-2-1.safetensors"
    (tmp_path / name).write_bytes((tmp_path / "b" / name).read_bytes())
    with pytest.warns(UserWarning, match=f"{name} is of another checkpoint: there is none"):
        assert Checkpoints(tmp_path, "me").load() is None


@pytest.mark.parametrize("key", ["../x", "a", "2-", ""])
def test_a_key_names_no_other_file(tmp_path: Path, key: str):
    kept = Checkpoints(tmp_path, "me")
    kept.save(3, {"x": torch.zeros(1)}, {})
    note = tmp_path / "checkpoint-000000003.json"
    document = read_json(note)
    write_json(note, document | {"snapshots": {key: document["tensors"]}})
    with pytest.warns(UserWarning, match=r"000000003.json is damaged: snapshots"):
        assert kept.load() is None


def test_checkpoints_that_were_not_taken_up_make_room(tmp_path: Path):
    """A training that began anew keeps its own, though older ones have higher numbers."""
    old, new = Checkpoints(tmp_path, "old"), Checkpoints(tmp_path, "new")
    for step in (50, 60):
        old.save(step, {"x": torch.zeros(1), "snapshot/16-1/x": torch.zeros(1)}, {})
    for step in (5, 20):
        new.save(step, {"x": torch.ones(1), "snapshot/4-1/x": torch.ones(1)}, {"step": step})
    found = new.load()
    assert found is not None
    assert found[1] == {"step": 20}
    assert found[0].keys() == {"x", "snapshot/4-1/x"}
    assert [path.name for path in files(tmp_path)] == ["snapshot-4-1.safetensors"]


def test_snapshots_leave_the_device():
    """Numbers of a device without any cannot leave it, which they try at the first snapshot."""
    averages = Averages(torch.zeros(1, 3, device="meta"), SETTINGS)
    with pytest.raises(NotImplementedError, match="meta"):
        averages.update(torch.ones(1, 3, device="meta"), 16)
