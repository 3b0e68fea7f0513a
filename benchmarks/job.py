"""What the peers are told: the configurations, images and splits of one case."""

import argparse
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cases import EXAMPLE, HERE, Case, options_of

from sweep.options.sweep_options import SweepOptions
from sweep.plan.make_plan import make_plan
from tl_core.datasets import load_data
from tl_core.models.source_weights import normalization

sys.path.insert(0, str(HERE.parent))  # one space takes its base from another


def write_job(case: Case, args: argparse.Namespace, folder: Path) -> Path:
    """A job file: configurations that the project will propose, and indices of the same split.

    `every` has all of them, `configurations` those that the tutorial's pattern has time for.
    """
    plan = make_plan(options_of(case, args, folder / "unused"))
    data = load_data(plan.base)
    mean, std = normalization(plan.base, data.mean, data.std, data.channels)
    proposer = plan.proposer("bench", None)
    configurations = [proposer.propose() for _ in range(plan.trials)]
    count = case.short_peer_trials if args.short else case.peer_trials
    job = {
        "data": case.data,
        "root": args.mnist if case.data == "mnist" else cifar10_root(args, data),
        "base": {**plan.base.to_dict(), "precision": "fp32", "channels_last": False},
        "configurations": configurations[:: len(configurations) // count][:count],
        "every": configurations,
        "asha": plan.search.scheduler == "asha",
        "image_size": data.image_size,
        "native_size": 28 if case.data == "mnist" else 32,
        "flip": data.flip,
        "mean": mean,
        "std": std,
        "import": str(EXAMPLE) if case.transfer else None,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    np.savez(path.with_suffix(".npz"), train=data.train.indices, val=data.val.indices)
    return path


def cifar10_root(args: argparse.Namespace, data: Any) -> str:
    """A folder with the training images in CIFAR-10's original format, for torchvision."""
    root = args.work / "cifar10-original"
    folder = root / "cifar-10-batches-py"
    if not folder.exists():
        plan = make_plan(SweepOptions(space="ablation", dataset=args.cifar10,
                                      cache_dir=str(args.work / "cache")))  # fmt: skip
        whole = load_data(plan.base)
        images = whole.train.images
        count = images.shape[0]
        labels = np.empty(count, dtype=np.int64)
        for split in (whole.train, whole.val, whole.test):
            labels[split.indices] = split.labels
        folder.mkdir(parents=True)
        names = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
        for name, places in zip(names, np.array_split(np.arange(count), 6), strict=True):
            pixels = images.take(places).reshape(len(places), -1)
            batch = {"data": pixels, "labels": labels[places].tolist()}
            (folder / name).write_bytes(pickle.dumps(batch))
        meta = {"label_names": list(whole.classes)}
        (folder / "batches.meta").write_bytes(pickle.dumps(meta))
    return str(root)
