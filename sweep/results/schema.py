"""The columns of the five results tables: one fixed Arrow schema each, which documents itself.

Importing this module imports pyarrow; `--help` does not need it.
"""

import math
import typing
from typing import Any

import pyarrow as pa

from tl_core.config import FIELDS, field_type

STATUSES = {
    "completed": "trained to its last epoch, or to its own early stop",
    "stopped": "ended early by the scheduler; 0 epochs where it had not started",
    "diverged": "the loss became NaN or infinite",
    "out_of_memory": "the device or the process ran out of memory",
    "failed": "an error ended it; see `error`",
    "timed_out": "the sweep's time budget ended before the trial did",
    "interrupted": "the sweep was interrupted before the trial ended",
}
PHASES = {
    "search": "of the search or design, scratch runs too; also of sweeps that do not say",
    "confirm": "of the confirmation: one of the best configurations, with a seed of its own",
}
FAILURES = ("out_of_memory", "failed", "timed_out")
"""Statuses that make the sweep's exit code 1."""
USABLE = ("completed", "stopped")
"""Statuses of trials that trained as far as the sweep meant them to."""

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def or_null(value: float) -> float | None:
    """The value for a column of numbers, in which NaN is written as null."""
    return None if math.isnan(value) else float(value)


def _column(name: str, kind: pa.DataType, unit: str, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"unit": unit, "description": description})


def _text(name: str, description: str) -> pa.Field:
    return _column(name, pa.string(), "", description)


def _whole(name: str, unit: str, description: str) -> pa.Field:
    return _column(name, pa.int64(), unit, description)


def _real(name: str, unit: str, description: str) -> pa.Field:
    return _column(name, pa.float64(), unit, description)


def _time(name: str, description: str) -> pa.Field:
    return _column(name, pa.timestamp("us", tz="UTC"), "UTC", description)


def _config_columns() -> list[pa.Field]:
    columns = []
    for name, field in FIELDS.items():
        kind: Any = field_type(name)[0]
        is_tuple = typing.get_origin(kind) is tuple
        arrow = pa.list_(_ARROW[typing.get_args(kind)[0]]) if is_tuple else _ARROW[kind]
        about = field.metadata
        columns.append(_column(name, arrow, about["unit"], about["description"]))
    return columns


_COST = [
    _real("train_seconds", "seconds", "time in training steps"),
    _real("eval_seconds", "seconds", "time in validation"),
    _real("images_per_second", "images/second", "training images per train second"),
    _whole("device_memory_bytes", "bytes", "peak memory on the GPU; 0 on a CPU"),
    _whole(
        "host_memory_bytes",
        "bytes",
        "largest resident memory of the process, with what earlier trials freed, up to 2 GiB",
    ),
]

_OUTCOME = [
    _real("best_val_accuracy", "", "highest validation accuracy of any epoch"),
    _whole("best_epoch", "epochs", "epoch of best_val_accuracy, from 1"),
    _real("last_val_accuracy", "", "validation accuracy of the last epoch"),
    _real("last_val_loss", "nats", "validation loss of the last epoch"),
    _real("last_train_loss", "nats", "training loss of the last epoch"),
    _whole("epochs_trained", "epochs", "epochs reported; rows in `epochs`"),
]

_PROVENANCE = [
    _whole("params_total", "parameters", "parameters of the model"),
    _whole("params_trained", "parameters", "parameters that were not frozen"),
    _real("startup_seconds", "seconds", "from the trial's start to its first step"),
    _whole(
        "trained_together",
        "trials",
        "heads trained in one group, whose seconds are shared out among them; 1: by itself",
    ),
    _text("device_name", "GPU or processor that trained"),
    _text("host_name", "machine that trained"),
    _time("started_at", "start of the trial"),
    _time("ended_at", "end of the trial"),
    _text("search", "searcher or design that proposed the trial"),
    _text("scheduler", "scheduler that could stop it"),
    _whole("search_seed", "", "seed of the searcher"),
    _text("data_fingerprint", "hash of the data set's content"),
    _text("weights_fingerprint", "hash of the source weights' content"),
    _text("sweep_version", "version of tl-sweep"),
    _text("torch_version", "version of torch"),
]

_PHASE = _text("phase", "part of the sweep: " + ", ".join(PHASES))

TRIALS = pa.schema(
    [
        _text("trial_id", "unique across sweeps: SWEEP_NUMBER"),
        _text("config_id", "hash of all that changes the numbers but the seed"),
        _text("space", "search space the sweep ran"),
        _PHASE,
        _text("status", "how it ended: " + ", ".join(STATUSES)),
        _text("error", "last line of the traceback, where there is one"),
        *_OUTCOME,
        *_COST,
        *_PROVENANCE,
        *_config_columns(),
    ]
)

EPOCHS = pa.schema(
    [
        _text("trial_id", "joins with `trials`"),
        _PHASE,
        _whole("epoch", "epochs", "epochs completed, from 1"),
        _real("train_loss", "nats", "mean loss of the augmented training batches"),
        _real("train_accuracy", "", "accuracy on the augmented training batches"),
        _real("val_loss", "nats", "mean cross-entropy on the validation split"),
        _real("val_accuracy", "", "accuracy on the validation split"),
        _real("lr", "", "learning rate of the body at the last step"),
        *_COST,
        _time("ended_at", "when the epoch was reported"),
    ]
)

CLASSES = pa.schema(
    [
        _text("trial_id", "joins with `trials`: an evaluated trial"),
        _text("split", "val or test"),
        _whole("class_index", "", "number of the class"),
        _text("class_name", "name of the class"),
        _whole("images", "images", "images of the class in the split"),
        _real(
            "precision",
            "",
            "right among those predicted as the class, 0 where none is; null where it has no"
            " images",
        ),
        _real("recall", "", "right among those of the class; null where it has no images"),
        _real(
            "f1", "", "harmonic mean of precision and recall; null where the class has no images"
        ),
        _column(
            "predicted",
            pa.list_(pa.int64()),
            "images",
            "row of the confusion matrix: images per predicted class",
        ),
        _real("split_accuracy", "", "accuracy on the whole split, repeated"),
    ]
)

EVALUATIONS = pa.schema(
    [
        _text("trial_id", "joins with `trials`; of several that vote, SWEEP_topK"),
        _text("split", "val or test"),
        _whole("members", "models", "models that voted; 1: the trial alone"),
        _whole("images", "images", "images of the split"),
        _whole("wrong", "images", "images whose class is wrong"),
        _whole(
            "wrong_kept",
            "images",
            "of these, kept as pictures in `predictions`: the 100 most confident of the winner",
        ),
        _real("accuracy", "", "share of images whose class is right"),
        _real(
            "top_accuracy",
            "",
            "share whose class is among the k most probable; k is 5, or all classes but one where"
            " there are fewer than 6; null for 2 classes",
        ),
        *(
            _real(name, "", f"mean of `classes.{name}` over the classes that have one")
            for name in ("precision", "recall", "f1")
        ),
        _real("calibration_error", "", "expected calibration error, 15 equal bins"),
        _real("loss", "nats", "mean cross-entropy"),
    ]
)

PREDICTIONS = pa.schema(
    [
        _text("trial_id", "as in `evaluations`"),
        _text("split", "test"),
        _whole("image_index", "", "position of the image in the split, from 0"),
        _whole("label", "", "number of the right class"),
        _text("label_name", "its name"),
        _whole("predicted", "", "number of the predicted class"),
        _text("predicted_name", "its name"),
        _real("confidence", "", "probability of the predicted class"),
        _real("label_probability", "", "probability of the right class"),
        _column(
            "top_classes",
            pa.list_(pa.int64()),
            "",
            "the 5 most probable classes, in order; equal ones by their numbers",
        ),
        _column(
            "image",
            pa.binary(),
            "PNG",
            "the image: of the winner, the 100 most confident of those it got wrong, and the first"
            " 24 others; else empty",
        ),
    ]
)

SCHEMAS = {
    "trials": TRIALS,
    "epochs": EPOCHS,
    "classes": CLASSES,
    "evaluations": EVALUATIONS,
    "predictions": PREDICTIONS,
}


def schema_markdown(table: str) -> str:
    """The schema of one table as a Markdown table, as `results/README.md` shows it."""
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for field in SCHEMAS[table]:
        about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        lines.append(
            f"| `{field.name}` | {field.type} | {about['unit']} | {about['description']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    for name in SCHEMAS:
        print(f"### `{name}`\n\n{schema_markdown(name)}\n")
