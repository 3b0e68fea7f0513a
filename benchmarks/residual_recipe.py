"""How soon does the residual CNN, trained alone by its default recipe, pass 76.4% on CIFAR-10?

76.43% test accuracy is published for such a CNN after 55 epochs. The script trains with the
Trainer, evaluates the test split after every epoch (for the curve; nothing is chosen by it) and
prints one line an epoch.

    python benchmarks/residual_recipe.py parquet:PATH_TO_CIFAR10 --epochs 4
"""

import argparse
import platform
import time

import torch

from tl_core.config import config_from_dict, parse_value
from tl_core.train.trainer import Trainer

PUBLISHED = 0.7643


def main() -> None:
    """Train and print the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    changed = dict(item.split("=", 1) for item in args.set)
    values = {name: parse_value(name, text) for name, text in changed.items()}
    base = {"dataset": args.dataset, "epochs": args.epochs, "threads": args.threads}
    trainer = Trainer(config_from_dict({**base, **values}))
    print(f"{platform.machine()}, {args.threads} threads, torch {torch.__version__}")
    print(f"{len(trainer.data.train)} training images, precision {trainer.precision}, {values}")
    print("epoch  train loss  val accuracy  test accuracy  train seconds", flush=True)
    start = time.perf_counter()
    while trainer.stop_reason is None:
        metrics = trainer.run_epoch()
        logits, labels = trainer.predict(trainer.data.test)
        test = (logits.argmax(1) == labels).float().mean().item()
        mark = "  passes the published accuracy" if test > PUBLISHED else ""
        print(
            f"{metrics.epoch:5d}  {metrics.train_loss:10.4f}  {metrics.val_accuracy:12.4f}  "
            f"{test:13.4f}  {metrics.train_seconds:13.1f}{mark}",
            flush=True,
        )
    print(f"{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
