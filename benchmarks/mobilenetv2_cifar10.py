"""MobileNetV2 on CIFAR-10: frozen features, fine-tuned, and a small CNN from scratch.

    python benchmarks/mobilenetv2_cifar10.py DATASET WEIGHTS [--epochs 4] [--limit-train N]

DATASET is the data set, such as cifar10 or parquet:PATH; WEIGHTS a .safetensors file with ImageNet
weights of `mobilenetv2_100` in TensorFlow's padding, trained on pixels normalized by 0.5 and 0.5.
It prints the tables and writes rows and pictures, with curves, to `--results`.
"""

import argparse
from pathlib import Path

from rich.console import Console

from sweep import run
from sweep.faults import Faults
from sweep.report.pictures.sweep_pictures import draw
from sweep.report.tables import print_result

SETTINGS = {
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "model_args": "pad_type=same",
    "cached_views": 2,  # activations of frozen stages are computed once for each view
}


def main() -> None:
    """Run the study and show what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("weights")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--limit-train")
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    result = run(
        "mobilenetv2_cifar10",
        dataset=args.dataset,
        source=args.weights,
        backbone="timm:mobilenetv2_100",
        epochs=args.epochs,
        limit_train=args.limit_train,
        set=SETTINGS,
        scratch=False,
        results=args.results,
    )
    print_result(result, Console())
    for file in draw(result, Faults()):
        print(file)


if __name__ == "__main__":
    main()
