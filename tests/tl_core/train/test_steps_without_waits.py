"""No step of an epoch waits for a GPU: tried on the CPU by what it reads, on a GPU by torch.

TF32, and what `deterministic` turns off, are set for a whole process; each test puts them back.
"""

import gc
import itertools
import math

import pytest
import torch

from tests.tl_core.no_waits import NoTransfers
from tl_core import TrainConfig, Trainer
from tl_core.augment import AUGMENTATIONS
from tl_core.machine.device import set_arithmetic
from tl_core.train import loss_watch
from tl_core.train.loss_watch import LossWatch
from tl_core.train.optim import OPTIMIZERS
from tl_core.train.step_graph import WARM_UP

CPU = torch.device("cpu")
PLAIN = {
    "width": 4, "depth": 1, "threads": 1, "batch_size": 8, "lr": 0.001, "precision": "fp32",
    "eval_precision": "fp32",
}  # fmt: skip
STEPS = [
    {"clip_norm": 1.0, "label_smoothing": 0.1},
    {"class_weights": "balanced", "sampling": "balanced", "schedule": "plateau"},
    {"precision": "bf16", "attention": "se", "dropout": 0.2},
    {"precision": "fp16", "optimizer": "adamw", "clip_norm": 1.0},
    {"freeze_depth": 2, "augmentation": "none", "head_units": 8},
    {"cached_views": 2},
    {"mixup": 0.2, "cutmix": 1.0, "class_weights": "balanced"},
    *({"optimizer": name} for name in ("sgd", "adam", "adamw", "rmsprop")),
]


def on_gpu(test):
    """The marks of a test that a GPU alone can run."""
    available = torch.cuda.is_available()
    test = pytest.mark.skipif(not available, reason="needs a CUDA device")(test)
    return pytest.mark.gpu(pytest.mark.timeout(120)(test))


@pytest.fixture
def run(few_digits, tmp_path):
    """run(device, **fields) → a Trainer on 200 digits."""

    def make(device, **fields):
        fields = {**PLAIN, "device": device, "cache_dir": str(tmp_path / device[:4]), **fields}
        return Trainer(TrainConfig(**fields), few_digits)

    return make


@pytest.fixture
def arithmetic():
    """Puts back what holds for a whole process."""
    cudnn = torch.backends.cudnn
    before = (torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark)
    yield
    torch.set_float32_matmul_precision(before[0])
    cudnn.allow_tf32, cudnn.benchmark = before[1:]
    torch.use_deterministic_algorithms(False)


def begun(trainer):
    """The rest of the batches of a trainer's first epoch, after steps that may be recorded."""
    trainer.model.train()
    trainer.batches.start_epoch(0)
    batches = trainer.epoch_batches()
    for batch in itertools.islice(batches, WARM_UP + 1):
        trainer.train_step(batch, 0.5)
    return batches


@pytest.mark.parametrize("fields", STEPS, ids=str)
def test_a_step_reads_no_value_and_copies_nothing(run, fields):
    trainer = run("cpu", **fields)
    for batch in begun(trainer):
        with NoTransfers():
            loss, hits = trainer.train_step(batch, 0.5)
        assert math.isfinite(loss.item())
        assert 0 <= hits <= len(batch.labels)


def test_the_rows_of_optimizers_are_all_tried():
    assert {"sgd", "adam", "adamw", "rmsprop"} <= set(OPTIMIZERS)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.0])
def test_the_loss_is_looked_at_every_50_steps(value):
    watch = LossWatch()
    found = [watch.diverged(step, torch.tensor(value)) for step in range(101)]
    expected = [not math.isfinite(value) and step % 50 == 0 for step in range(101)]
    assert found == expected


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_cpu_leaves_the_arithmetic_of_gpus_alone(arithmetic, deterministic):
    torch.backends.cudnn.benchmark = False
    set_arithmetic(CPU, deterministic)
    assert not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_arithmetic_of_a_gpu(arithmetic, monkeypatch, deterministic):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    for other in (not deterministic, deterministic):
        set_arithmetic(torch.device("cuda"), other)
    fast = not deterministic
    assert torch.get_float32_matmul_precision() == ("high" if fast else "highest")
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == (fast, fast)
    assert torch.are_deterministic_algorithms_enabled() == deterministic


def train_without_waiting(trainer):
    """The rest of an epoch, in which torch raises an error wherever the host would wait."""
    batches, watch = begun(trainer), LossWatch()
    loss_sum = torch.zeros((), device=trainer.device)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step, batch in enumerate(batches):
            loss, _ = trainer.train_step(batch, 0.5)
            loss_sum += loss
            assert not watch.diverged(step, loss_sum)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert step > 5
    assert math.isfinite(loss_sum.item())


@on_gpu
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.2, "cutmix": 1.0}], ids=["plain", "mixed"])
def test_no_policy_makes_a_gpus_host_wait(arithmetic, run, monkeypatch, augmentation, mixing):
    monkeypatch.setattr(loss_watch, "CHECK_STEPS", 3)
    train_without_waiting(run("cuda", augmentation=augmentation, flip=True, **mixing))


@on_gpu
@pytest.mark.parametrize("fields", [*STEPS, {"precision": "fp16", "optimizer": "sgd"}], ids=str)
def test_no_step_makes_a_gpus_host_wait(arithmetic, run, fields):
    train_without_waiting(run("cuda", **fields))


@on_gpu
def test_waits_are_seen_on_a_gpu():
    value = torch.ones((), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchroniz"):
            value.item()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@on_gpu
def test_images_that_stay_on_the_host_are_read_ahead_without_waits(arithmetic, run, monkeypatch):
    trainer = run("cuda", augmentation="standard")
    monkeypatch.setattr("tl_core.batches.batches.on_device", lambda *asked: None)
    train_without_waiting(trainer)


@on_gpu
def test_a_loss_that_diverges_is_seen_once_it_has_arrived():
    watch, broken = LossWatch(), torch.full((), math.nan, device="cuda")
    watch.diverged(0, broken)
    torch.cuda.synchronize()
    assert watch.diverged(1, broken)
    assert not watch.diverged(2, broken)  # nothing is on its way before step 50


@on_gpu
def test_a_run_that_diverges_on_a_gpu_stops(arithmetic, run):
    trainer = run("cuda", lr=1e30, batch_norm=False, epochs=3)
    metrics = trainer.run_epoch()
    assert (trainer.stop_reason, math.isnan(metrics.train_loss)) == ("diverged", True)


@on_gpu
def test_deterministic_runs_on_a_gpu_give_the_same_numbers(arithmetic, run):
    fields = {"augmentation": "standard", "mixup": 0.2, "epochs": 2, "deterministic": True}
    found = []
    for _ in range(2):
        trainer = run("cuda", **fields)
        metrics = [trainer.run_epoch() for _ in range(2)]
        found.append([(m.train_loss, m.val_loss, m.val_accuracy) for m in metrics])
    assert found[0] == found[1]


@on_gpu
def test_a_run_gives_its_memory_back(arithmetic, run):
    def trained():
        trainer = run("cuda", augmentation="standard")
        trainer.run_epoch()

    trained()  # loads libraries and the images, which stay
    gc.collect()
    before = torch.cuda.memory_allocated()
    for _ in range(2):
        trained()
        gc.collect()
    assert torch.cuda.memory_allocated() <= before


@on_gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_run_on_the_second_gpu(arithmetic, run):
    trainer = run("cuda:1", augmentation="standard", mixup=0.2)
    train_without_waiting(trainer)
    assert {p.device for p in trainer.model.parameters()} == {torch.device("cuda:1")}
