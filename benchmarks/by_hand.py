"""The peer of the transfer cases that an engineer writes by hand: features once, then heads.

One process. Images are read and resized once and kept in memory. For each freeze depth, the frozen
stages turn all of them into features once; then one configuration after another trains what is
not frozen on these, in a plain loop. Depth 0 trains the whole model. Convolutions run channels
last and on both cores; a head's steps are too small to share and run on one.
The project's own functions build model, optimizer, schedule and source weights, so both sides
train the same.

    python benchmarks/by_hand.py JOB.json OUT.json
"""

import argparse
import copy
import json
import os
import runpy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import functional as TF

from benchmarks.peer import CIFAR10
from tl_core.config import TrainConfig, config_from_dict
from tl_core.models import build_model
from tl_core.train.optim import SCHEDULES, build_optimizer, set_learning_rates


@dataclass
class Split:
    """A split in memory: (N, …) float32 images or features, (N,) int64 labels."""

    inputs: torch.Tensor
    labels: torch.Tensor


def read_splits(job: dict[str, Any]) -> list[Split]:
    """Training and validation images, (N, 3, H, W), normalized, channels last."""
    data, size = CIFAR10(job["root"]), job["image_size"]
    labels = torch.tensor(data.targets)
    splits = []
    for places in (job["train"], job["val"]):
        pixels = torch.from_numpy(data.data[places]).permute(0, 3, 1, 2)
        images = TF.resize(pixels, [size, size], antialias=True).float() / 255
        images = TF.normalize(images, job["mean"], job["std"], inplace=True)
        splits.append(Split(images.to(memory_format=torch.channels_last), labels[places]))
    return splits


def cut_model(job: dict[str, Any], config: TrainConfig) -> tuple[nn.Module, nn.Module]:
    """The model with source weights as two: its frozen layers, and those left to train."""
    torch.manual_seed(config.seed)
    shape = {"channels": len(job["mean"]), "num_classes": 10, "image_size": job["image_size"]}
    model = build_model(config, **shape).to(memory_format=torch.channels_last)
    layers = list(model.as_sequential())  # timm's
    trained = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
    first = trained.index(True)
    return nn.Sequential(*layers[:first]), nn.Sequential(*layers[first:])


@torch.no_grad()
def features(frozen: nn.Module, split: Split) -> Split:
    """What the frozen layers make of all images of a split."""
    frozen.eval()
    found = [frozen(images) for images in split.inputs.split(128)]
    return Split(torch.cat(found), split.labels)


def train(model: nn.Module, config: TrainConfig, train_split: Split, val_split: Split) -> float:
    """Train every layer of the model; the best validation accuracy of its epochs."""
    torch.manual_seed(config.seed)
    optimizer = build_optimizer(model, config)
    steps = len(train_split.labels) // config.batch_size
    best = 0.0
    for epoch in range(config.epochs):
        model.train()
        order = torch.randperm(len(train_split.labels))
        for step, places in enumerate(order.split(config.batch_size)[:steps]):
            progress = epoch + step / steps
            set_learning_rates(optimizer, SCHEDULES[config.schedule](progress, config))
            optimizer.zero_grad()
            logits, labels = model(train_split.inputs[places]), train_split.labels[places]
            loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
            loss.backward()
            optimizer.step()
        best = max(best, accuracy(model, val_split))
    return best


@torch.no_grad()
def accuracy(model: nn.Module, split: Split) -> float:
    """Share of a split that the model gets right."""
    model.eval()
    found = torch.cat([model(inputs).argmax(1) for inputs in split.inputs.split(500)])
    return (found == split.labels).float().mean().item()


def sweep(job: dict[str, Any], threads: int) -> list[dict[str, Any]]:
    """All configurations, one after another; the first trial of a depth computes its features."""
    configs = [config_from_dict({**job["base"], **values}) for values in job["every"]]
    # Features stay the same without augmentation, and the first weights with one seed.
    assert {(c.augmentation, c.dropout, c.seed) for c in configs} == {("none", 0.0, 0)}
    splits = read_splits(job)
    by_depth: dict[int, tuple[nn.Module, list[Split]]] = {}
    trials = []
    for config, values in zip(configs, job["every"], strict=True):
        start, depth = time.perf_counter(), config.freeze_depth
        if depth not in by_depth:
            torch.set_num_threads(threads)
            frozen, rest = cut_model(job, config)
            by_depth[depth] = rest, [features(frozen, split) for split in splits]
        rest, of_depth = by_depth[depth]
        torch.set_num_threads(threads if of_depth[0].inputs.ndim == 4 else 1)
        best = train(copy.deepcopy(rest), config, *of_depth)
        seconds = time.perf_counter() - start
        trials.append({**values, "best": best, "epochs": config.epochs, "seconds": seconds})
    return trials


def main() -> None:
    """Run the job in a file and write what came of it to another."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("job", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2, help="of convolutions (default 2)")
    args = parser.parse_args()
    os.environ["TL_SWEEP_KERNELS"] = "0"  # PyTorch's layers, as a script has them
    job = json.loads(args.job.read_text())
    indices = np.load(args.job.with_suffix(".npz"))
    job |= {name: indices[name].tolist() for name in ("train", "val")}
    runpy.run_path(job["import"])  # registers the model
    args.out.write_text(json.dumps({"trials": sweep(job, args.threads)}))


if __name__ == "__main__":
    main()
