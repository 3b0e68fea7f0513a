"""Workers that train a stack of heads, or find it trained, without Ray."""

import dataclasses
import threading
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sweep.judge.judging import judge_in_turn, judge_trial
from sweep.options.user_modules import read_user_module
from sweep.trial import head_stacks
from sweep.trial.head_stacks import REACH, HeadStacks
from sweep.trial.job import Job
from sweep.trial.trainable import TrialActor, run_facts, unpack
from tl_core import TrainConfig, Trainer
from tl_core.frozen import features
from tl_core.frozen.cut import cut_model
from tl_core.frozen.feature_cache import BUDGET_VARIABLE
from tl_core.train import head_group
from tl_core.train.checkpoint import save_checkpoint
from tl_core.train.head_group import HeadGroup
from tl_core.train.heads import train_heads
from tl_core.train.optim import OPTIMIZERS

BASE = TrainConfig(
    dataset="digits", width=4, depth=1, freeze_depth=4, epochs=2, threads=1, precision="fp32",
    eval_precision="fp32", augmentation="none",
)  # fmt: skip
RATES = [0.001 * 1.1**n for n in range(2 * REACH)]
PLANNED = tuple({"lr": lr, "batch_size": 32 + 32 * (n % 2)} for n, lr in enumerate(RATES))


@pytest.fixture
def job(tmp_path):
    """job(planned) of linear probes of the digits."""

    def make(planned=PLANNED, **fields):
        base = {**BASE.to_dict(), "cache_dir": str(tmp_path / "cache"), **fields}
        return Job("s", base, (), {}, str(tmp_path / "checkpoints"), planned=planned)

    return make


@pytest.fixture
def trained(monkeypatch):
    """Sizes of the stacks that were trained, in order."""
    sizes = []

    def counting(trainer, configs):
        runs = train_heads(trainer, configs)
        sizes.extend([len(runs)] if any(runs) else [])
        return runs

    monkeypatch.setattr(head_stacks, "train_heads", counting)
    return sizes


def worker(job):
    return HeadStacks(job, run_facts)


def results_of(job, number):
    """What a worker of its own reports of a trial."""
    actor = TrialActor.__new__(TrialActor)
    actor.setup({"number": number, "values": dict(PLANNED[number])}, job)
    found = [unpack(actor.step())]
    while not found[-1]["done"]:
        found.append(unpack(actor.step()))
    actor.cleanup()
    return found


def test_trials_report_what_they_would_by_themselves(job, trained):
    stacked = {number: results_of(job(), number) for number in (0, 1, 2)}
    assert trained == [REACH // 2, REACH // 2]  # one for each batch size
    for number, found in stacked.items():
        alone = results_of(job(planned=()), number)
        numbers = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
        facts = ("epoch", "status", "best_epoch", "params_trained", "device_name", "done")
        for name in (*numbers, "best_val_accuracy", *facts):
            assert [r[name] for r in found] == [r[name] for r in alone]
        assert {r["trained_together"] for r in found} == {REACH // 2}
        assert {r["trained_together"] for r in alone} == {1}
    assert len(trained) == 2


def test_the_best_weights_are_kept_to_the_bit_alone_and_in_a_stack(job):
    for planned in (PLANNED, ()):
        results_of(job(planned), 5)
        kept = torch.load(job().checkpoint(5), weights_only=True)
        assert (kept["config"]["lr"], kept["config"]["batch_size"]) == (PLANNED[5]["lr"], 64)
        weights = {name: value.clone() for name, value in kept["model"].items()}
        if planned:
            stacked = weights
    assert stacked.keys() == weights.keys()
    for name in weights:
        assert torch.equal(stacked[name], weights[name])


def test_a_second_worker_trains_the_next_stack_instead_of_waiting(job, trained, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    original = HeadGroup.run_epoch

    def slowly(self):
        if threading.current_thread().name == "first":
            begun.set()
            assert go_on.wait(50)
        return original(self)

    monkeypatch.setattr(HeadGroup, "run_epoch", slowly)
    first = threading.Thread(target=lambda: worker(job()).run_of(0, PLANNED[0]), name="first")
    first.start()
    assert begun.wait(50)
    found = []
    second = threading.Thread(target=lambda: found.append(worker(job()).run_of(2, PLANNED[2])))
    second.start()
    file = worker(job()).folder / "00001.pt"
    for _ in range(1000):
        if file.exists():
            break
        second.join(0.05)
    assert file.exists()  # trial 1's stack, while trial 0's is still in training
    assert not found
    go_on.set()
    first.join(50)
    second.join(50)
    assert found[0] is not None
    assert found[0][0].config.lr == PLANNED[2]["lr"]
    assert trained == [REACH // 2] * 2


LARS = """
import torch
from tl_core.train.heads import train_heads
from tl_core.train.optim import OPTIMIZERS

class Lars(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * p.norm() / (p.grad.norm() + 1e-9) * p.grad

OPTIMIZERS["lars"] = lambda groups, config: Lars(groups, {"lr": config.lr})
"""


def test_an_imported_optimizer_with_norms_of_tensors_has_its_own_numbers(
    job, trained, monkeypatch, write_file
):
    """A stack would take the norm of all heads for that of each."""
    monkeypatch.setitem(OPTIMIZERS, "lars", None)  # the module's row is gone after the test
    module = read_user_module(write_file(LARS, "lars.py"))
    told = dataclasses.replace(job(optimizer="lars"), modules=(module,))
    found = results_of(told, 0)
    weights = torch.load(told.checkpoint(0), weights_only=True)["model"]
    alone = Trainer(told.config(PLANNED[0]))
    expected = [alone.run_epoch().train_loss for _ in found]
    assert [result["train_loss"] for result in found] == expected
    assert trained == []
    for name, weight in alone.best_weights.items():
        assert torch.equal(weights[name], weight)


@pytest.mark.parametrize(
    ("fields", "planned"),
    [
        ({"freeze_depth": 3}, PLANNED),
        ({"freeze_depth": 0}, PLANNED),
        ({}, ()),
        ({}, PLANNED[:1]),
        ({}, tuple({"lr": 0.01, "seed": n} for n in range(4))),
    ],
    ids=["a stage left", "nothing frozen", "a searcher that learns", "one trial", "seeds"],
)
def test_other_trials_train_by_themselves(job, trained, fields, planned):
    values = (*planned, PLANNED[0])[0]
    assert worker(job(planned, **fields)).run_of(0, values) is None
    assert trained == []


def test_a_trial_that_was_not_planned_trains_by_itself(job, trained):
    assert worker(job()).run_of(0, {**PLANNED[0], "lr": 0.5}) is None
    assert worker(job()).run_of(len(PLANNED), PLANNED[0]) is None
    assert trained == []


def test_a_head_that_cannot_be_batched_trains_by_itself(job, trained, monkeypatch):
    def no_rule(head):
        raise RuntimeError("vmap has no rule for this operation")

    monkeypatch.setattr(head_group, "logits_of", no_rule)
    monkeypatch.setattr(head_group, "EXACT", {})
    assert results_of(job(), 0)[-1]["status"] == "completed"
    assert results_of(job(), 2)[-1]["status"] == "completed"
    assert trained == []
    job().checkpoint(2).unlink()  # as if it had been stopped
    assert judge_trial(job(), 2, dict(PLANNED[2]), 1).retrained


def test_memory_that_runs_out_is_told(job, monkeypatch):
    def fail(self):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(HeadGroup, "run_epoch", fail)
    assert results_of(job(), 0)[-1]["status"] == "out_of_memory"


def test_a_planned_trial_that_cannot_be_leaves_the_others_alone(job, trained):
    planned = (*PLANNED[:4], {"lr": -1.0}, *PLANNED[4:])
    assert worker(job(planned)).run_of(0, PLANNED[0]) is not None
    assert worker(job(planned)).run_of(4, {"lr": -1.0}) is None
    assert trained == [REACH // 2]


def test_what_fails_in_the_next_stack_does_not_fail_this_trial(job, monkeypatch):
    stacks = worker(job())

    def fail(config):
        raise RuntimeError("broken")

    monkeypatch.setattr(head_stacks, "Trainer", fail)
    stacks.train_next(0)
    monkeypatch.setattr(head_stacks, "Trainer", Trainer)
    assert stacks.run_of(0, PLANNED[0]) is not None


def test_a_stopped_winner_is_trained_again_by_itself_with_the_same_numbers(job):
    reported = results_of(job(), 3)[:1]  # stopped after its first epoch
    job().checkpoint(3).unlink()
    measured = judge_trial(job(), 3, dict(PLANNED[3]), 1)
    assert measured.retrained
    (val, _) = measured.tables["evaluations"].to_pylist()
    assert val["accuracy"] == pytest.approx(reported[0]["val_accuracy"], abs=1e-6)
    assert val["loss"] == pytest.approx(reported[0]["val_loss"], rel=1e-5)


@pytest.mark.parametrize("gone", [(), (0, 1)], ids=["kept", "retrained"])
def test_three_seeds_are_judged_by_one_look_at_the_test_split(job, monkeypatch, tmp_path, gone):
    """The body that they share is a source's."""
    source = tmp_path / "source.safetensors"
    torch.manual_seed(0)
    whole = Trainer(TrainConfig(**{**BASE.to_dict(), "freeze_depth": 0}))
    save_file({k: v.contiguous() for k, v in whole.model.state_dict().items()}, source)
    sizes = []

    def counted(model):
        cut = cut_model(model)
        cut.prefix.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
        return cut

    seeds = [{"lr": 0.01, "seed": seed} for seed in range(3)]
    told = job(seeds, weights=str(source))
    for number in set(range(3)) - set(gone):
        trainer = Trainer(told.config(seeds[number]))
        trainer.run_epoch()
        save_checkpoint(told.checkpoint(number), {"model": trainer.best_weights})
    judgings = [partial(judge_trial, told, n, seeds[n], 1, votes=True) for n in range(3)]
    own = len(whole.data.train) + len(whole.data.val)
    activations = Trainer(told.config(seeds[0])).batches.probe.size_bytes  # tried once a process
    monkeypatch.setattr(features, "cut_model", counted)
    found = judge_in_turn(judgings, 1)
    assert sum(sizes) - len(whole.data.test) in (0, own)
    monkeypatch.setenv(BUDGET_VARIABLE, str((own + 1) * activations / 2**30))  # not the test split
    for judged, again in zip(found, judge_in_turn(judgings, 1), strict=True):
        assert judged.accuracy == again.accuracy
        assert np.array_equal(judged.probabilities, again.probabilities)
    assert len({judged.probabilities.tobytes() for judged in found}) == 3
    assert [judged.retrained for judged in found] == [n in gone for n in range(3)]


def test_files_of_stacks_long_past_are_deleted(job, monkeypatch):
    monkeypatch.setattr(head_stacks, "BEHIND", REACH // 2)
    stacks = worker(job())
    stacks.folder.mkdir(parents=True)
    (stacks.folder / ".123-00000.pt").touch()  # what another worker is writing
    for number in (0, 1, REACH):
        assert stacks.run_of(number, PLANNED[number]) is not None
    assert [int(path.stem) for path in stacks.folder.glob("[!.]*.pt")] == [REACH]


FRESH = [{"lr": lr, "batch_size": 32, "seed": seed} for seed in (5, 6) for lr in RATES[:3]]


@pytest.mark.parametrize("known", [PLANNED[:40], ()])
def test_fresh_runs_of_the_best_heads_are_trained_together_too(job, trained, known):
    """Each seed is a stack, whether the trials before were known in advance or not."""
    worker_of_trials = TrialActor.__new__(TrialActor)
    config = {"number": 40, "values": FRESH[0], "planned": (40, FRESH)}
    worker_of_trials.setup(config, job(known))
    for number, values in enumerate(FRESH, 40):
        worker_of_trials.reset_config({**config, "number": number, "values": values})
        found = [unpack(worker_of_trials.step()) for _ in range(2)]
        assert [result["trained_together"] for result in found] == [3, 3]
    worker_of_trials.cleanup()
    assert trained == [3, 3]
    assert worker(job(known)).run_of(44, FRESH[4]) is None


def test_fresh_runs_are_not_trained_with_runs_of_the_search(job, trained, tmp_path):
    source = tmp_path / "source.safetensors"
    whole = Trainer(TrainConfig(**{**BASE.to_dict(), "freeze_depth": 0}))
    save_file({k: v.contiguous() for k, v in whole.model.state_dict().items()}, source)
    fresh = [{**values, "seed": 3 + n % 2} for n, values in enumerate(FRESH)]
    told = job(PLANNED[:36], weights=str(source)).with_planned(36, fresh)
    run, facts = worker(told).run_of(37, fresh[1])
    assert (facts["trained_together"], trained) == (6, [6])
    assert run.config.seed == 4


def test_what_was_planned_of_the_search_stays_so(job):
    told = job(PLANNED[:40]).with_planned(40, FRESH)
    assert told.planned_values(39) == PLANNED[39]
    assert told.planned_values(40) == FRESH[0]
    assert told.planned_values(46) is None
    later = job(()).with_planned(40, FRESH)
    assert later.planned_values(39) is None
    assert later.planned_values(45) == FRESH[5]
