"""The peer: a hyperparameter sweep as Ray Tune's PyTorch tutorial shows it, and a plain loop.

A function trainable that loads its data with torchvision, transforms PIL images in a DataLoader
of two workers, trains in fp32 and reports once an epoch; ASHA; Tune's default loggers. For speed
its DataLoader workers stay between epochs, it saves no checkpoints and two trials run side by side
with a thread each; a job may name a device, the CPUs in all and a trial's share of both. The
project's own functions build model, optimizer, schedule and source weights, so both sides train
the same.

    python benchmarks/peer.py JOB.json OUT.json [--loop TRIALS]
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
import torchvision.transforms as T
from torch.utils.data import DataLoader, Subset

from tl_core.config import TrainConfig, config_from_dict
from tl_core.models import build_model
from tl_core.train.optim import SCHEDULES, build_optimizer, set_learning_rates


class CIFAR10(torchvision.datasets.CIFAR10):
    """torchvision's, on files in the original format whose pixels come from JPEG copies."""

    meta: ClassVar[dict[str, Any]] = {**torchvision.datasets.CIFAR10.meta, "md5": None}

    def _check_integrity(self) -> bool:
        return True


def data_sets(job: dict[str, Any], config: TrainConfig) -> tuple[Any, Any]:
    """Training and validation images as in the tutorial: PIL, transformed one by one."""
    size = job["image_size"]
    resize = [T.Resize((size, size))] if size != job["native_size"] else []
    finish = [T.ToTensor(), T.Normalize(job["mean"], job["std"])]
    light: list[Any] = [T.RandomHorizontalFlip()] if job["flip"] else []
    light += [T.RandomCrop(size, padding=max(1, size // 16), padding_mode="reflect")]
    augment = light if config.augmentation == "light" else []
    cls = {"mnist": torchvision.datasets.MNIST, "cifar10": CIFAR10}[job["data"]]
    train = cls(job["root"], transform=T.Compose([*resize, *augment, *finish]))
    val = cls(job["root"], transform=T.Compose([*resize, *finish]))
    return Subset(train, job["train"]), Subset(val, job["val"])


def train(values: dict[str, Any], job: dict[str, Any], report: Any) -> None:
    """Train one configuration and report each epoch."""
    if job["import"]:
        import runpy

        runpy.run_path(job["import"])
    config = config_from_dict({**job["base"], **values})
    train_set, val_set = data_sets(job, config)
    device = torch.device(job.get("device", "cpu"))
    loaders: dict[str, Any] = {"num_workers": 2, "persistent_workers": True}
    loaders |= {"pin_memory": device.type == "cuda"}
    batches = DataLoader(train_set, config.batch_size, shuffle=True, drop_last=True, **loaders)
    val_batches = DataLoader(val_set, 500, **loaders)
    torch.manual_seed(config.seed)
    model = build_model(
        config, channels=len(job["mean"]), num_classes=10, image_size=job["image_size"]
    ).to(device)
    optimizer = build_optimizer(model, config)
    best = 0.0
    for epoch in range(config.epochs):
        model.train()
        for step, (images, labels) in enumerate(batches):
            progress = epoch + step / len(batches)
            set_learning_rates(optimizer, SCHEDULES[config.schedule](progress, config))
            optimizer.zero_grad()
            images, labels = images.to(device), labels.to(device)
            loss = F.cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
            loss.backward()
            optimizer.step()
        model.eval()
        hits = total = 0
        with torch.no_grad():
            for images, labels in val_batches:
                found = model(images.to(device)).argmax(1)
                hits += (found == labels.to(device)).sum().item()
                total += len(labels)
        best = max(best, hits / total)
        report({"val_accuracy": hits / total, "best": best, "epoch": epoch + 1})


def tune_sweep(job: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """All configurations under Ray Tune."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

    def trainable(config: dict[str, Any]) -> None:
        train(config["values"], job, tune.report)

    ray.init("local", num_cpus=job.get("cpus", 2))
    clock = trial_clock()
    asha = ASHAScheduler(time_attr="epoch", max_t=job["base"]["epochs"], reduction_factor=3)
    results = tune.Tuner(
        tune.with_resources(trainable, job.get("share", {"cpu": 1})),
        param_space={"values": tune.grid_search(job["configurations"])},
        tune_config=tune.TuneConfig(
            metric="val_accuracy", mode="max",
            scheduler=asha if job["asha"] else FIFOScheduler(),
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0, callbacks=[clock]),
    ).fit()  # fmt: skip
    assert not results.errors, results.errors[0]
    return [
        {
            **r.metrics["config"]["values"],
            "best": r.metrics["best"],
            "epochs": r.metrics["epoch"],
            "seconds": clock.seconds[r.metrics["trial_id"]],
        }
        for r in results
    ]


def trial_clock() -> Any:
    """A callback whose `seconds` say how long each trial took, from its start to its end."""
    from ray.tune import Callback

    class Clock(Callback):
        def __init__(self) -> None:
            self.began: dict[str, float] = {}
            self.seconds: dict[str, float] = {}

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self.began[trial.trial_id] = time.perf_counter()

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self.seconds[trial.trial_id] = time.perf_counter() - self.began[trial.trial_id]

    return Clock()


def plain_loop(job: dict[str, Any], trials: int) -> list[dict[str, Any]]:
    """The same training function in an Optuna study, one trial after another on both cores."""
    import optuna

    torch.set_num_threads(2)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: list[dict[str, Any]] = []
    configurations = job["configurations"][:: len(job["configurations"]) // trials][:trials]

    def objective(trial: optuna.Trial) -> float:
        last: dict[str, Any] = {}

        def report(metrics: dict[str, Any]) -> None:
            last.update(metrics)
            trial.report(metrics["val_accuracy"], metrics["epoch"])
            if job["asha"] and trial.should_prune():
                raise optuna.TrialPruned

        try:
            train(configurations[trial.number], job, report)
        finally:
            found.append({"best": last["best"], "epochs": last["epoch"]})
        return float(last["best"])

    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    sampler = optuna.samplers.TPESampler(multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=sampler)
    study.optimize(objective, n_trials=trials)
    return found


def main() -> None:
    """Run the job in a file and write what came of it to another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--loop", type=int, metavar="TRIALS")
    args = parser.parse_args()
    os.environ["TL_SWEEP_KERNELS"] = "0"  # PyTorch's layers, as a script has them
    job = json.loads(args.job.read_text())
    if job["data"] == "mnist":
        torchvision.datasets.MNIST(job["root"], download=True)  # unpacks; once
    indices = np.load(args.job.with_suffix(".npz"))
    job |= {name: indices[name].tolist() for name in ("train", "val")}
    start = time.perf_counter()
    folder = args.out.parent / "ray_results"
    trials = plain_loop(job, args.loop) if args.loop else tune_sweep(job, folder)
    args.out.write_text(json.dumps({"trials": trials, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
