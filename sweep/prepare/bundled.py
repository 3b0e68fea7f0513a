"""What is used on a machine without network, where the user named neither data nor backbone.

Where CIFAR-10 or ImageNet weights of timm backbones cannot be downloaded, `digits` and the
residual CNN pretrained on `shapes` take their place, and a line is shown. What the user named is
never replaced, nor are data sets that a space compares.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from sweep.plan.plan import Plan
from sweep.results.sources import keep_model, weights_of
from sweep.results.stored import fetch_models
from sweep.terminal.loading import loading
from sweep.trial.saved_run import save_run
from tl_core.config import PRETRAINED, TrainConfig, config_from_dict
from tl_core.datasets import DownloadFailed, load_data, on_disk
from tl_core.models.hub import WeightsUnavailable, fetch_hub_weights
from tl_core.train.trainer import Trainer

DATASET = "digits"
SOURCE = "shapes-residual"
"""Name of the bundled source model under `results/models/`."""

SOURCE_CONFIG = TrainConfig(
    dataset="shapes", image_size=16, epochs=4, batch_size=64, lr=0.1, device="cpu",
    precision="fp32", threads=1,
)  # fmt: skip


def with_bundled_defaults(plan: Plan, console: Console) -> Plan:
    """The plan with bundled defaults where its own cannot be downloaded; downloads the others.

    Raises:
        DownloadFailed: a data set that the user named cannot be downloaded.
        WeightsUnavailable: the weights of a backbone that the user named cannot.
    """
    no_data = _lacks_dataset(plan, console)
    no_weights = _lacks_weights(plan)
    if not (no_data or no_weights):
        return plan
    note = _note(plan, no_data=no_data, no_weights=no_weights)
    console.print(note, style="bold yellow", highlight=False, markup=False)
    # The space's image size is for large backbones.
    changed: dict[str, str | None] = {} if "image_size" in plan.named else {"image_size": None}
    if no_data:
        changed["dataset"] = DATASET
    if no_weights:
        source = bundled_source(plan.options.results, plan.base, console)
        changed |= {"backbone": "residual", "weights": str(source)}
    return plan.with_base(changed, note)


def _lacks_dataset(plan: Plan, console: Console) -> bool:
    named = "dataset" in plan.named or plan.levels("dataset") != (plan.base.dataset,)
    if named or on_disk(plan.base):
        return False
    try:
        with loading(console) as progress:
            load_data(plan.base, progress=progress)
    except DownloadFailed:
        return True
    return False


def _lacks_weights(plan: Plan) -> bool:
    configs = [config_from_dict(values, plan.base) for values in plan.variants()]
    wanted = dict.fromkeys(c.backbone for c in configs if c.weights == PRETRAINED)
    try:
        for backbone in wanted:
            fetch_hub_weights(backbone)
    except WeightsUnavailable:
        if {"backbone", "weights"} & set(plan.named):
            raise
        return True
    return False


def _note(plan: Plan, *, no_data: bool, no_weights: bool) -> str:
    """One line: what is missing, what is used instead, and how to name another."""
    parts = []
    if no_data:
        parts.append((plan.base.dataset, f"the bundled {DATASET}", "--dataset"))
    if no_weights:
        parts.append(("ImageNet weights", "the residual CNN pretrained on shapes", "--backbone"))
    missing, serving, flags = zip(*parts, strict=True)
    return (
        f"No network for {' and '.join(missing)}: using {' and '.join(serving)} instead. "
        f"Name others with {' and '.join(flags)}."
    )


def bundled_source(results: Path, base: TrainConfig, console: Console) -> Path:
    """Weights in `results` of the base's residual CNN, trained on `shapes` now if not kept yet."""
    norm = "norm" if base.batch_norm else "no-norm"
    name = f"{SOURCE}-{base.width}x{base.depth}-{base.activation}-{base.pooling}-{norm}"
    name += "" if base.attention == "none" else f"-{base.attention}"
    fetch_models(results, name)
    path = weights_of(results, name).resolve()
    if path.exists():
        return path
    own = ("width", "depth", "activation", "batch_norm", "pooling", "attention", "cache_dir")
    config = config_from_dict({field: getattr(base, field) for field in own}, SOURCE_CONFIG)
    console.print("Pretraining the residual CNN on shapes: kept for the next sweep.")
    trainer = Trainer(config)
    while trainer.stop_reason is None:
        trainer.run_epoch()
    trainer.restore_best()
    accuracy = trainer.best_val_accuracy
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        save_run(trainer, weights, accuracy)
        keep_model(results, name, weights, val_accuracy=accuracy, test_accuracy=None, sweep=None)
    return path
