"""TrainConfig: everything that decides what one training run does, flat and frozen.

Its field names are the search-space keys, the `--set` keys and the Parquet columns. `--help` and
the results schema read each field's description, unit and range from its metadata.
"""

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tl_core.errors import BadInput, near_names
from tl_core.settings import checked, parse_text, setting

ACTIVATIONS = ("elu", "relu", "gelu", "silu")
POOLINGS = ("avg", "max", "none")
INITS = ("default", "he", "xavier")
ATTENTIONS = ("none", "se")
INPUT_ADAPTATIONS = ("sum", "mean", "repeat")
CLASS_WEIGHTS = ("none", "balanced")
SAMPLINGS = ("shuffled", "balanced")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run: data, model, transfer, optimization and run settings.

    NumPy's and torch's scalars and arrays are taken as the plain values they hold.

    Raises:
        BadInput: a value has the wrong type or is outside its field's rule.
    """

    # Data
    dataset: str = setting(
        "digits", "data set: a name from `datasets`, folder:PATH or parquet:PATH"
    )
    data_dir: str | None = setting(
        None, "folder for downloaded data sets (None: `downloads` in the cache)", identity=False
    )
    cache_dir: str | None = setting(
        None, "cache folder (None: $TL_SWEEP_CACHE or ~/.cache/tl-sweep)", identity=False
    )
    image_size: int | None = setting(
        None,
        "side to which images are resized (None: the data set's own)",
        unit="pixels",
        low=4,
        high=16384,
    )
    limit_train: int | None = setting(
        None, "training images to use, stratified (None: all)", unit="images", low=1
    )
    validation_fraction: float = setting(
        0.1, "share of the training split held out for validation", above=0, high=0.5
    )
    split_seed: int = setting(0, "seed of the train / validation / test split", low=0)
    augmentation: str = setting("light", "augmentation policy: a name from AUGMENTATIONS")
    cached_views: int = setting(
        0, "augmented views of each image, reused (0: new ones each epoch)", unit="views", low=0
    )
    flip: bool | None = setting(
        None, "horizontal flips in augmentation (None: by data set; off for digits)"
    )
    sampling: str = setting(
        "shuffled",
        "order of training images; balanced draws every class equally often, with repeats",
        choices=SAMPLINGS,
    )
    mixup: float = setting(0.0, "alpha of mixup's Beta distribution (0: off)", low=0)
    cutmix: float = setting(0.0, "alpha of CutMix's Beta distribution (0: off)", low=0)

    # Model
    backbone: str = setting("residual", "model: a name from `models`, or timm:NAME")
    weights: str | None = setting(
        None, "source weights (None: random): `pretrained` (timm's), a .safetensors or .pth file"
    )
    mean: tuple[float, ...] | None = setting(
        None,
        "normalization mean per channel (None: the weights' own, else the training split's)",
        unit="of [0, 1] pixels",
    )
    std: tuple[float, ...] | None = setting(
        None, "normalization standard deviation per channel, like mean", unit="of [0, 1] pixels"
    )
    model_args: str = setting("", "further arguments of a timm model: KEY=VALUE,KEY=VALUE")
    width: int = setting(40, "channels of the residual CNN's first stage", unit="channels", low=1)
    depth: int = setting(1, "residual blocks per stage", unit="blocks", low=1)
    activation: str = setting("elu", "activation of our own models", choices=ACTIVATIONS)
    batch_norm: bool = setting(True, "batch normalization in our own models")
    dropout: float = setting(0.0, "dropout rate (0: off)", low=0, high=0.95)
    pooling: str = setting("avg", "pooling before the head of our own models", choices=POOLINGS)
    channels: tuple[int, ...] | None = setting(
        None, "channels per block of the plain CNN (None: its preset)", unit="channels", low=1
    )
    block_layers: tuple[int, ...] | None = setting(
        None, "convolutions per block of the plain CNN (None: its preset)", low=1
    )
    block_pool: tuple[bool, ...] | None = setting(
        None, "max-pooling after each block of the plain CNN (None: its preset)"
    )
    block_norm: tuple[bool, ...] | None = setting(
        None, "batch normalization per block of the plain CNN (None: batch_norm for all)"
    )
    attention: str = setting(
        "none", "se: squeeze-and-excitation in the residual CNN's blocks", choices=ATTENTIONS
    )
    init: str = setting("default", "initialization of our own models", choices=INITS)

    head_units: int | None = setting(
        None, "a head of one hidden ReLU layer (None: the model's own head)", unit="units", low=1
    )
    head_dropout: float = setting(0.0, "dropout after that layer (0: off)", low=0, high=0.95)

    # Transfer
    strategy: str | None = setting(
        None,
        "name of a way of transfer; it decides nothing (None: by weights and freeze_depth)",
        identity=False,
    )
    input_adapt: str = setting(
        "sum",
        "grey images in a model of 3 channels: its first filters' sum or mean, or images repeated",
        choices=INPUT_ADAPTATIONS,
    )
    freeze_depth: int = setting(
        0, "frozen stages from the input (0: none; all: a linear probe)", unit="stages", low=0
    )
    unfreeze_epochs: int | None = setting(
        None,
        "epochs after which one more frozen stage trains, from the head's side (None: never)",
        unit="epochs",
        low=1,
    )
    head_lr_ratio: float = setting(1.0, "learning rate of the head divided by the body's", above=0)
    layer_lr_decay: float = setting(
        1.0, "learning rate of a stage divided by that of the next", above=0, high=1
    )
    l2_sp: float = setting(
        0.0, "decay of the body to its source weights, in place of weight_decay (0: off)", low=0
    )
    teacher: str | None = setting(
        None, "weights of a finished larger model to learn from (None: labels alone)"
    )
    distill_share: float = setting(
        0.5, "share of the teacher's answers in the loss; the labels have the rest", low=0, high=1
    )
    distill_temperature: float = setting(
        4.0, "temperature that softens the teacher's and the model's answers", above=0
    )

    # Optimization
    optimizer: str = setting("sgd", "optimizer: a name from OPTIMIZERS")
    lr: float = setting(0.2, "peak learning rate", above=0)
    momentum: float | None = setting(0.9, "momentum of SGD and RMSprop", low=0, high=0.999)
    nesterov: bool = setting(True, "Nesterov momentum in SGD")
    weight_decay: float = setting(5e-4, "weight decay", low=0)
    batch_size: int = setting(128, "images per optimizer step", unit="images", low=1)
    epochs: int = setting(10, "passes over the training split, at most", unit="epochs", low=1)
    schedule: str = setting("onecycle", "learning-rate schedule: a name from SCHEDULES")
    warmup_epochs: float = setting(
        0.0, "linear warmup before step, cosine and constant schedules", unit="epochs", low=0
    )
    step_epochs: int = setting(
        10, "epochs between two drops of the step schedule", unit="epochs", low=1
    )
    decay_factor: float = setting(
        0.1, "factor of each drop in the step and plateau schedules", above=0, high=1
    )
    plateau_patience: int = setting(
        3, "epochs without lower val_loss before the plateau schedule drops", unit="epochs", low=0
    )
    label_smoothing: float = setting(0.1, "label smoothing", low=0, high=0.9)
    class_weights: str = setting(
        "none", "loss weights: balanced gives rare classes more", choices=CLASS_WEIGHTS
    )
    clip_norm: float | None = setting(None, "largest gradient norm (None: no clipping)", above=0)
    patience: int | None = setting(
        None, "stop after this many epochs without a better val_accuracy", unit="epochs", low=1
    )
    target_accuracy: float | None = setting(
        None, "stop when val_accuracy reaches this", above=0, high=1
    )

    # Run
    seed: int = setting(
        0,
        "seed of initialization, order, augmentation and dropout",
        low=0,
        high=2**63 - 1,
        identity=False,
    )
    precision: str = setting(
        "auto", "arithmetic of training; auto measures which is faster", choices=PRECISIONS
    )
    eval_precision: str = setting(
        "auto",
        "arithmetic of evaluation and of frozen stages kept as features; auto measures",
        choices=PRECISIONS,
    )
    channels_last: bool = setting(True, "channels-last memory layout")
    deterministic: bool = setting(
        False,
        "on a GPU, the same numbers each time: no TF32, no choice of algorithms by speed",
        identity=False,
    )
    device: str = setting("auto", "auto, cpu, cuda or cuda:N", identity=False)
    threads: int | None = setting(
        None, "CPU threads of torch (None: torch's default)", unit="threads", low=1, identity=False
    )
    eval_batch_size: int | None = setting(
        None,
        "images per evaluation step (None: 128 on a CPU, 1024 on a GPU)",
        unit="images",
        low=1,
        identity=False,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = checked(field, *field_type(field.name), getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        if (self.mean is None) != (self.std is None):
            given, missing = ("mean", "std") if self.std is None else ("std", "mean")
            raise BadInput(f"{given} is set but {missing} is not; give both or neither.")
        if self.std is not None and min(self.std) <= 0:
            raise BadInput(f"std={self.std}: every standard deviation must be greater than 0.")
        if self.l2_sp > 0 and self.weights is None:
            raise BadInput(
                f"l2_sp={self.l2_sp} pulls towards source weights, but weights is none; give"
                " weights, or l2_sp=0."
            )

    def to_dict(self) -> dict[str, Any]:
        """Field name → plain value (tuples stay tuples), in field order."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


PRETRAINED = "pretrained"
"""`weights` that stands for those that timm publishes."""
SCRATCH = "scratch"
"""Strategy of every run without source weights that has no other name."""
FROM_SCRATCH: dict[str, Any] = {
    "weights": None, "teacher": None, "freeze_depth": 0, "unfreeze_epochs": None,
    "head_lr_ratio": 1.0, "layer_lr_decay": 1.0, "l2_sp": 0.0,
}  # fmt: skip
"""Values that make any configuration a scratch run."""

STRUCTURE_FIELDS = (
    "backbone", "model_args", "width", "depth", "channels", "block_layers", "block_pool",
    "block_norm",
)  # fmt: skip
"""Fields that decide a model's stages; trials that agree in these share what was measured."""
ARCHITECTURE = (*STRUCTURE_FIELDS, "batch_norm", "activation", "pooling", "attention")
"""Fields that decide which tensors a model has and what they mean: a source's must be the same."""

FIELDS: dict[str, "dataclasses.Field[Any]"] = {f.name: f for f in dataclasses.fields(TrainConfig)}
_HINTS: dict[str, Any] = typing.get_type_hints(TrainConfig)


def field_type(name: str) -> tuple[Any, bool]:
    """The type of a field's value and whether None is allowed: `int | None` → (int, True)."""
    hint = _HINTS[name]
    if isinstance(hint, types.UnionType):
        inner = [part for part in typing.get_args(hint) if part is not types.NoneType]
        return inner[0], True
    return hint, False


def allowed(name: str) -> str:
    """The rule of a field in a few characters: `0 … 0.95`, `> 0`, `avg, max, none`."""
    rule = FIELDS[name].metadata
    if rule["choices"]:
        return ", ".join(rule["choices"])
    upper = f" … {rule['high']}" if rule["high"] is not None else ""
    if rule["above"] is not None:
        return f"> {rule['above']}{upper}"
    if rule["low"] is not None:
        return f"{rule['low']}{upper}" if upper else f"≥ {rule['low']}"
    return "true, false" if field_type(name)[0] is bool else ""


def config_from_dict(values: Mapping[str, Any], base: TrainConfig | None = None) -> TrainConfig:
    """`base` with `values` replaced; lists, as JSON and Parquet give them, become tuples.

    Raises:
        BadInput: a key is no field of TrainConfig, or a value breaks its rule.
    """
    for name in values:
        check_field_name(name)
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return dataclasses.replace(base or default_config(), **given)


@functools.cache
def default_config() -> TrainConfig:
    """TrainConfig(), whose fields are checked once."""
    return TrainConfig()


def transfer_strategy(config: TrainConfig, stage_count: int) -> str:
    """The strategy by weights and freezing: scratch, probe, partial, progressive or full."""
    if config.weights is None:
        return SCRATCH
    if config.freeze_depth == 0:
        return "full"
    if config.unfreeze_epochs is not None:
        return "progressive"
    return "probe" if config.freeze_depth >= stage_count else "partial"


def check_field_name(name: str) -> None:
    """Raise BadInput, with the nearest names, where `name` is no field of TrainConfig."""
    if name not in FIELDS:
        hint = near_names(name, FIELDS, f"one of {', '.join(FIELDS)}.")
        raise BadInput(f"{name!r} is no field of TrainConfig; {hint}")


def parse_value(name: str, text: str) -> Any:
    """The value that `--set NAME=TEXT` means, by the field's type.

    `none` gives None where the field allows it; a tuple is written `1,2,3`.

    Raises:
        BadInput: the name is unknown or the text is no such value.
    """
    check_field_name(name)
    return parse_text(name, *field_type(name), text)


def config_id(
    config: TrainConfig, *, data: str, weights: str | None = None, teacher: str | None = None
) -> str:
    """12 hexadecimal digits from all that changes the numbers, except the seed: repeats share it.

    `data`, `weights` and `teacher` are fingerprints of the content behind the config's names and
    paths; without a file of weights or a teacher the config's own value counts.
    """
    values = {k: v for k, v in config.to_dict().items() if FIELDS[k].metadata["identity"]}
    values["dataset"] = data
    values |= {"weights": weights or config.weights, "teacher": teacher or config.teacher}
    text = json.dumps(values, sort_keys=True, default=list)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
