"""The engine: stacked equals one after another, resumed equals uninterrupted."""

import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.errors import InputError, TrainingFailed
from sourcewise.execution import Execution
from sourcewise.families.arm.model import Arm
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.training.averages import average
from sourcewise.training.checkpoint import Checkpoints
from sourcewise.training.data import Batches
from sourcewise.training.log import Log, tracker, whole_lines
from sourcewise.training.optimizer import Adam, rate

K, M, D = 3, 3, 4
NAMES = ("a", "b", "c")
COUNTS = (200, 90, 30)


def settings(**options) -> ArmSettings:
    plain = {"embedding": 4, "width": 8, "depth": 2, "batch": 32, "passes": 2, "check": 5}
    return ArmSettings.parse(plain | options)


def build(partition: Partition, chosen: ArmSettings) -> PartitionedModel:
    return PartitionedModel(partition, lambda K: Arm(chosen, K=K, M=M, D=D), NAMES)


def data(valid: int = 20) -> TrainingData:
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(COUNTS)])
    x = torch.minimum(Noise(5).integers(M, len(y), D), y[:, None] + 1)
    held = torch.arange(len(y)) % 10 < valid // 10
    return TrainingData(Batch.of(x[~held], y[~held]), Batch.of(x[held], y[held]))


def trained(partition: Partition, seed=0, folder=None, progress=None, **options):
    execution, options = Execution.taken_from(options)
    chosen = settings(**options)
    model = build(partition, chosen)
    efforts = fit(
        model,
        data(),
        names=NAMES,
        noise=Noise(seed),
        settings=chosen,
        execution=execution,
        folder=folder,
        progress=progress,
    )
    return model, efforts


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("batch", [32, "all"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_stacked_training_equals_one_after_another(batch, ema):
    options = {"precision": "float64", "batch": batch, "ema": ema, "passes": 6, "patience": 0.3}
    together, how = trained(Partition.separate(3), **options)
    apart, how_apart = trained(Partition.separate(3), stacked=False, **options)
    a, b = flat(together), flat(apart)
    assert a.dtype == torch.float64
    assert ((a - b).abs() <= 1e-5 * b.abs().clamp(min=1e-3)).all()
    assert how[0].how == "gradient, 3 models at once"
    assert how_apart[0].how == "gradient"
    numbers = [
        [(e.examples_seen, e.updates, e.best) for e in efforts] for efforts in (how, how_apart)
    ]
    assert numbers[0] == numbers[1]


def test_a_model_is_looked_at_as_if_it_was_alone():
    """The third ends at update 3, between looks; the second would be kept as it was then."""
    options = {"learning_rate": 0.1, "passes": 3, "precision": "float64"}
    together, how = trained(Partition.separate(3), **options)
    apart, how_apart = trained(Partition.separate(3), stacked=False, **options)
    assert [(e.updates, e.best) for e in how] == [(e.updates, e.best) for e in how_apart]
    assert torch.allclose(flat(together), flat(apart), rtol=1e-5)


def test_stacked_losses_and_gradients_equal_single_ones_in_float32():
    from sourcewise.training.processes import Processes
    from sourcewise.training.recipes.base import Member
    from sourcewise.training.stack_training import StackTraining
    from sourcewise.training.task import Task

    chosen, cpu = settings(), torch.device("cpu")
    members = []
    for k in range(3):
        number = torch.full((3,), -1)
        number[k] = 0
        model = Arm(chosen, K=1, M=M, D=D)
        model.reset(Noise(k))
        members.append(Member((NAMES[k],), model, data().of(number)))

    def run(which):
        tasks = [Task(m.key, m.model, m.data, chosen, Noise(9), cpu) for m in which]
        return StackTraining(tasks, chosen, cpu, Processes())

    together, apart = run(members), [run([m]) for m in members]
    for _ in range(3):
        loss = together.update()
        for s, alone in enumerate(apart):
            assert loss[s].item() == pytest.approx(alone.update().item(), rel=1e-5)
            worst = (together.stack.grad[s] - alone.stack.grad[0]).norm()
            assert worst <= 1e-5 * alone.stack.grad.norm()


def test_a_block_does_not_depend_on_the_others():
    whole, _ = trained(Partition.separate(3), stacked=False)
    part, _ = trained(Partition(((1,),)), stacked=False)
    assert torch.equal(flat(whole.block(1)), flat(part.block(0)))


def test_blocks_of_other_sizes_train_alone_and_say_so():
    _, efforts = trained(Partition(((0, 1), (2,))))
    assert [e.how for e in efforts] == ["gradient, alone: no other block is of its size"] * 2


@pytest.mark.parametrize("partition", [Partition.pooled(3), Partition.separate(3)])
def test_a_killed_training_goes_on_to_the_same_bits(partition, tmp_path: Path):
    options = {"ema": 0.9, "passes": 8, "checkpoint": 0, "patience": 0.3}
    expected, efforts = trained(partition, folder=tmp_path / "whole", **options)

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done > total / 3:
            raise Killed

    with pytest.raises(Killed):
        trained(partition, folder=tmp_path / "cut", progress=kill, **options)
    assert list((tmp_path / "cut").rglob("checkpoint-*.json"))
    resumed, again = trained(partition, folder=tmp_path / "cut", **options)
    assert torch.equal(flat(expected), flat(resumed))
    assert efforts == again


def test_a_finished_training_is_not_done_again(tmp_path: Path):
    first, _ = trained(Partition.pooled(3), folder=tmp_path)
    calls = []
    second, _ = trained(
        Partition.pooled(3), folder=tmp_path, progress=lambda done, total: calls.append(done)
    )
    assert torch.equal(flat(first), flat(second))
    assert not calls


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path):
    for step in (1, 2, 3):
        Checkpoints(tmp_path, "me").save(step, {"x": torch.tensor([step])}, {"step": step})
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert Checkpoints(tmp_path, "other").load() is None
    newest = tmp_path / "checkpoint-000000003.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1] + b"!")
    with pytest.warns(UserWarning, match="damaged: .* going back"):
        found = Checkpoints(tmp_path, "me").load()
    assert found is not None
    assert found[1] == {"step": 2}
    assert found[0]["x"].item() == 2


def test_other_settings_do_not_take_up_a_checkpoint(tmp_path: Path):
    trained(Partition.pooled(3), folder=tmp_path)
    fresh, _ = trained(Partition.pooled(3), learning_rate=0.01)
    other, _ = trained(Partition.pooled(3), folder=tmp_path, learning_rate=0.01)
    assert torch.equal(flat(fresh), flat(other))


def test_the_best_weights_are_kept():
    model, (effort,) = trained(Partition.pooled(3), learning_rate=0.3, passes=20, patience=0.5)
    assert effort.best is not None
    assert effort.best < effort.updates
    held = data()
    with torch.no_grad():
        loss = model.loss(held.valid, Noise(0)).double().mean().item()
    assert loss == pytest.approx(effort.validation, rel=1e-5)


def test_a_loss_that_is_not_finite_is_named():
    with pytest.raises(TrainingFailed, match=r"loss of .* is not finite at update \d+ .*learning"):
        trained(Partition.separate(3), learning_rate=1e30, clip=0, passes=30)


def test_devices_and_empty_blocks():
    with pytest.raises(InputError, match="no device 'gpu'"):
        trained(Partition.pooled(3), device="gpu")
    chosen = settings()
    build(Partition.separate(3), chosen)
    nobody = data().of(torch.tensor([-1, -1, -1]))
    with pytest.raises(InputError, match="no training rows for a"):
        fit(
            build(Partition.separate(3), chosen),
            nobody,
            names=NAMES,
            noise=Noise(0),
            settings=chosen,
        )


def test_union_shows_every_row_once_per_pass_and_weighted_every_source_alike():
    y = torch.tensor([0] * 90 + [1] * 10)
    union = Batches(y, 32, "union", Noise(0))
    seen = torch.cat([union.index(t) for t in range(25)])  # 800 = 8 passes
    assert torch.bincount(seen).tolist() == [8] * 100
    weighted = Batches(y, 50, "weighted", Noise(0))
    share = (y[torch.cat([weighted.index(t) for t in range(200)])] == 1).double().mean().item()
    assert abs(share - 0.5) < 4 * 0.5 / 100


def test_adam_is_that_of_torch():
    chosen = TrainedSettings(weight_decay=0.1, beta2=0.99)
    start, target = Noise(0).normal(2, 7), Noise(1).normal(2, 7)
    ours, theirs = start.clone(), start[0].clone().requires_grad_()
    mine = Adam(ours, chosen, torch.ones(7, dtype=torch.bool))
    torch_adam = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    lr = torch.tensor([[0.01], [0.02]], dtype=torch.float64)
    for t in range(1, 20):
        mine.step(ours, 2 * (ours - target), lr, t)
        torch_adam.zero_grad()
        (theirs - target[0]).square().sum().backward()
        torch_adam.step()
    assert torch.allclose(ours[0], theirs, atol=1e-12)
    assert not torch.allclose(ours[0] - start[0], ours[1] - start[1])


def test_schedules():
    cosine = TrainedSettings(learning_rate=2.0, warmup=0.1)
    assert [rate(cosine, t, 10) for t in (0, 1, 10)] == pytest.approx([2.0, 2.0, 0.0])
    root = TrainedSettings(learning_rate=1.0, warmup=0.1, schedule="inverse-sqrt")
    assert rate(root, 400, 1000) == pytest.approx(math.sqrt(100 / 400))
    flat_ = TrainedSettings(learning_rate=1.0, warmup=0.0, schedule="constant")
    assert {rate(flat_, t, 9) for t in range(9)} == {1.0}


def test_the_average_is_exact_for_a_constant():
    ema, value = torch.zeros(1, 2), torch.ones(1, 2)
    for t in range(1, 50):
        average(ema, value, 0.999, t)
    weight = 1.0
    for t in range(1, 50):
        weight *= min(0.999, t / (t + 9))
    assert ema[0, 0].item() == pytest.approx(1 - weight, rel=1e-5)


def test_log_has_a_line_per_look_and_outlives_a_restart(tmp_path: Path):
    trained(Partition.separate(3), folder=tmp_path, passes=4)
    (path,) = tmp_path.rglob("log.csv")
    header, *lines = path.read_text().splitlines()
    assert header.startswith("block,update,examples_seen,loss,validation")
    assert {line.split(",")[0] for line in lines} == set(NAMES)
    log = Log(path.parent, step=5)
    log.add(torch.ones(1))
    log.look(["a"], 6, [(192, None, 0.1)])
    kept = path.read_text().splitlines()
    assert kept[:-1] == [header, *(line for line in lines if int(line.split(",")[1]) <= 5)]
    assert kept[-1].startswith("a,6,192,1,,0.1,")


def test_damaged_lines_of_a_log_are_left_out(tmp_path: Path):
    whole = b"a,1,32,0.5,,0.1,0.25"
    wrong = (
        b"a,1,32,0.5,,0.1",
        b"a,x,32,0.5,,0.1,0.25",
        b"a,1,32,0.5,,0.1,nan",
        b"\xac" + whole[1:],
    )
    path = tmp_path / "log.csv"
    path.write_bytes(b"\n".join((b"\xffblock", whole, *wrong, b'"' + b"1" * 200_000)))
    assert whole_lines(path)[0] == whole.decode().split(",")
    assert [row[0] for row in whole_lines(path)] == ["a", "\ufffd"]  # the name of no block
    Log(tmp_path, step=5)
    assert path.read_text().splitlines()[1].startswith("a,1,32")


def test_curves_go_to_tensorboard_and_a_tracker_that_is_missing_is_named(tmp_path: Path):
    trained(Partition.pooled(3), folder=tmp_path, track="tensorboard")
    assert list(tmp_path.rglob("events.out.tfevents*"))
    if find_spec("wandb") is None:
        with pytest.raises(InputError, match="--track wandb: not installed"):
            tracker("wandb", None)
