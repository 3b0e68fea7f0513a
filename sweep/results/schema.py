"""The columns of the three results tables: one fixed Arrow schema each, which documents itself.

Importing this module imports pyarrow; `--help` does not need it.
"""

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

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_TIME = pa.timestamp("us", tz="UTC")


def _column(name: str, kind: pa.DataType, unit: str, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"unit": unit, "description": description})


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
    _column("train_seconds", pa.float64(), "seconds", "time in training steps"),
    _column("eval_seconds", pa.float64(), "seconds", "time in validation"),
    _column(
        "images_per_second", pa.float64(), "images/second", "training images per train second"
    ),
    _column("device_memory_bytes", pa.int64(), "bytes", "peak memory on the GPU; 0 on a CPU"),
    _column(
        "host_memory_bytes",
        pa.int64(),
        "bytes",
        "largest resident memory of the process, with what earlier trials freed, up to 2 GiB",
    ),
]

_OUTCOME = [
    _column("best_val_accuracy", pa.float64(), "", "highest validation accuracy of any epoch"),
    _column("best_epoch", pa.int64(), "epochs", "epoch of best_val_accuracy, from 1"),
    _column("last_val_accuracy", pa.float64(), "", "validation accuracy of the last epoch"),
    _column("last_val_loss", pa.float64(), "nats", "validation loss of the last epoch"),
    _column("last_train_loss", pa.float64(), "nats", "training loss of the last epoch"),
    _column("epochs_trained", pa.int64(), "epochs", "epochs reported; rows in `epochs`"),
]

_PROVENANCE = [
    _column("params_total", pa.int64(), "parameters", "parameters of the model"),
    _column("params_trained", pa.int64(), "parameters", "parameters that were not frozen"),
    _column(
        "startup_seconds", pa.float64(), "seconds", "from the trial's start to its first step"
    ),
    _column(
        "trained_together",
        pa.int64(),
        "trials",
        "heads trained in one stack, whose seconds are shared out among them; 1: by itself",
    ),
    _column("device_name", pa.string(), "", "GPU or processor that trained"),
    _column("host_name", pa.string(), "", "machine that trained"),
    _column("started_at", _TIME, "UTC", "start of the trial"),
    _column("ended_at", _TIME, "UTC", "end of the trial"),
    _column("search", pa.string(), "", "searcher or design that proposed the trial"),
    _column("scheduler", pa.string(), "", "scheduler that could stop it"),
    _column("search_seed", pa.int64(), "", "seed of the searcher"),
    _column("data_fingerprint", pa.string(), "", "hash of the data set's content"),
    _column("weights_fingerprint", pa.string(), "", "hash of the source weights' content"),
    _column("sweep_version", pa.string(), "", "version of tl-sweep"),
    _column("torch_version", pa.string(), "", "version of torch"),
]

_PHASE = _column("phase", pa.string(), "", "part of the sweep: " + ", ".join(PHASES))

TRIALS = pa.schema(
    [
        _column("trial_id", pa.string(), "", "unique across sweeps: SWEEP_NUMBER"),
        _column("config_id", pa.string(), "", "hash of all that changes the numbers but the seed"),
        _column("space", pa.string(), "", "search space the sweep ran"),
        _PHASE,
        _column("status", pa.string(), "", "how it ended: " + ", ".join(STATUSES)),
        _column("error", pa.string(), "", "last line of the traceback, where there is one"),
        *_OUTCOME,
        *_COST,
        *_PROVENANCE,
        *_config_columns(),
    ]
)

EPOCHS = pa.schema(
    [
        _column("trial_id", pa.string(), "", "joins with `trials`"),
        _PHASE,
        _column("epoch", pa.int64(), "epochs", "epochs completed, from 1"),
        _column("train_loss", pa.float64(), "nats", "mean loss of the augmented training batches"),
        _column("train_accuracy", pa.float64(), "", "accuracy on the augmented training batches"),
        _column("val_loss", pa.float64(), "nats", "mean cross-entropy on the validation split"),
        _column("val_accuracy", pa.float64(), "", "accuracy on the validation split"),
        _column("lr", pa.float64(), "", "learning rate of the body at the last step"),
        *_COST,
        _column("ended_at", _TIME, "UTC", "when the epoch was reported"),
    ]
)

CLASSES = pa.schema(
    [
        _column("trial_id", pa.string(), "", "joins with `trials`: an evaluated trial"),
        _column("split", pa.string(), "", "val or test"),
        _column("class_index", pa.int64(), "", "number of the class"),
        _column("class_name", pa.string(), "", "name of the class"),
        _column("images", pa.int64(), "images", "images of the class in the split"),
        _column(
            "precision",
            pa.float64(),
            "",
            "right among those predicted as the class, 0 where none is; null where it has no"
            " images",
        ),
        _column(
            "recall",
            pa.float64(),
            "",
            "right among those of the class; null where it has no images",
        ),
        _column(
            "f1",
            pa.float64(),
            "",
            "harmonic mean of precision and recall; null where the class has no images",
        ),
        _column(
            "predicted",
            pa.list_(pa.int64()),
            "images",
            "row of the confusion matrix: images per predicted class",
        ),
        _column("split_accuracy", pa.float64(), "", "accuracy on the whole split, repeated"),
    ]
)

EVALUATIONS = pa.schema(
    [
        _column(
            "trial_id", pa.string(), "", "joins with `trials`; of several that vote, SWEEP_topK"
        ),
        _column("split", pa.string(), "", "val or test"),
        _column("members", pa.int64(), "models", "models that voted; 1: the trial alone"),
        _column("images", pa.int64(), "images", "images of the split"),
        _column("wrong", pa.int64(), "images", "images whose class is wrong"),
        _column(
            "wrong_kept",
            pa.int64(),
            "images",
            "of these, kept as pictures in `predictions`: the 100 most confident of the winner",
        ),
        _column("accuracy", pa.float64(), "", "share of images whose class is right"),
        _column(
            "top_accuracy",
            pa.float64(),
            "",
            "share whose class is among the k most probable; k is 5, or all classes but one where"
            " there are fewer than 6; null for 2 classes",
        ),
        *(
            _column(
                name,
                pa.float64(),
                "",
                f"mean of `classes.{name}` over the classes that have one",
            )
            for name in ("precision", "recall", "f1")
        ),
        _column(
            "calibration_error", pa.float64(), "", "expected calibration error, 15 equal bins"
        ),
        _column("loss", pa.float64(), "nats", "mean cross-entropy"),
    ]
)

PREDICTIONS = pa.schema(
    [
        _column("trial_id", pa.string(), "", "as in `evaluations`"),
        _column("split", pa.string(), "", "test"),
        _column("image_index", pa.int64(), "", "position of the image in the split, from 0"),
        _column("label", pa.int64(), "", "number of the right class"),
        _column("label_name", pa.string(), "", "its name"),
        _column("predicted", pa.int64(), "", "number of the predicted class"),
        _column("predicted_name", pa.string(), "", "its name"),
        _column("confidence", pa.float64(), "", "probability of the predicted class"),
        _column("label_probability", pa.float64(), "", "probability of the right class"),
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
