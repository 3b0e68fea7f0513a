"""The columns of the five results tables: one fixed Arrow schema each, which documents itself."""

import functools
import math
import typing

import pyarrow as pa

from tl_core.config import FIELDS, field_type

STATUSES = {
    "completed": "trained to its last epoch, or to its own early stop",
    "stopped": "ended early by the scheduler; 0 epochs where it had not started",
    "diverged": "the loss became NaN or infinite",
    "out_of_memory": "the device or the process ran out of memory",
    "failed": "an error ended it; see `error`",
    "timed_out": "it took longer than `--trial-timeout`, see `error`; or the time budget ended",
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


def _column(kind: pa.DataType, name: str, description: str, unit: str = "") -> pa.Field:
    return pa.field(name, kind, metadata={"unit": unit, "description": description})


_text = functools.partial(_column, pa.string())
_whole = functools.partial(_column, pa.int64())
_wholes = functools.partial(_column, pa.list_(pa.int64()))
_real = functools.partial(_column, pa.float64())
_time = functools.partial(_column, pa.timestamp("us", tz="UTC"), unit="UTC")


def _config_column(name: str) -> pa.Field:
    kind, about = field_type(name)[0], FIELDS[name].metadata
    is_tuple = typing.get_origin(kind) is tuple
    arrow = pa.list_(_ARROW[typing.get_args(kind)[0]]) if is_tuple else _ARROW[kind]
    return _column(arrow, name, about["description"], about["unit"])


_COST = [
    _real("train_seconds", "time in training steps", "seconds"),
    _real("eval_seconds", "time in validation", "seconds"),
    _real("images_per_second", "training images per train second", "images/second"),
    _whole("device_memory_bytes", "peak memory on the GPU; 0 on a CPU", "bytes"),
    _whole(
        "host_memory_bytes", "peak of the process, up to 2 GiB of it from earlier trials", "bytes"
    ),
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
        _real("best_val_accuracy", "highest validation accuracy of any epoch"),
        _whole("best_epoch", "epoch of best_val_accuracy, from 1", "epochs"),
        _real("last_val_accuracy", "validation accuracy of the last epoch"),
        _real("last_val_loss", "validation loss of the last epoch", "nats"),
        _real("last_train_loss", "training loss of the last epoch", "nats"),
        _whole("epochs_trained", "epochs reported; rows in `epochs`", "epochs"),
        *_COST,
        _whole("params_total", "parameters of the model", "parameters"),
        _whole("params_trained", "parameters that were not frozen", "parameters"),
        _real("startup_seconds", "setting up the run; in a group, the head's share", "seconds"),
        _whole(
            "trained_together", "most heads trained at once with it, which share time; 1: alone",
            "trials",
        ),
        _text("device_name", "GPU or processor that trained"),
        _text("host_name", "machine that trained"),
        _time("started_at", "start of the trial"),
        _time("ended_at", "end of the trial"),
        _text("search", "searcher or design that proposed the trial"),
        _text("scheduler", "scheduler that could stop it"),
        _whole("search_seed", "seed of the searcher"),
        _text("data_fingerprint", "hash of the data set's content"),
        _text("weights_fingerprint", "hash of the source weights' content"),
        _text("sweep_version", "version of tl-sweep"),
        _text("torch_version", "version of torch"),
        *map(_config_column, FIELDS),
    ]
)

EPOCHS = pa.schema(
    [
        _text("trial_id", "joins with `trials`"),
        _PHASE,
        _whole("epoch", "epochs completed, from 1", "epochs"),
        _real("train_loss", "mean loss of the augmented training batches", "nats"),
        _real("train_accuracy", "accuracy on the augmented training batches"),
        _real("val_loss", "mean cross-entropy on the validation split", "nats"),
        _real("val_accuracy", "accuracy on the validation split"),
        _real("lr", "learning rate of the body at the last step"),
        *_COST,
        _time("ended_at", "when the epoch was reported"),
    ]
)

CLASSES = pa.schema(
    [
        _text("trial_id", "joins with `trials`: an evaluated trial"),
        _text("split", "val or test"),
        _whole("class_index", "number of the class"),
        _text("class_name", "name of the class"),
        _whole("images", "images of the class in the split", "images"),
        _real("precision", "right among those predicted as it; 0 if none is, null without images"),
        _real("recall", "right among those of the class; null without images"),
        _real("f1", "harmonic mean of precision and recall; null without images"),
        _wholes("predicted", "row of the confusion matrix: images per predicted class", "images"),
        _real("split_accuracy", "accuracy on the whole split, repeated"),
    ]
)

EVALUATIONS = pa.schema(
    [
        _text("trial_id", "joins with `trials`; of several that vote, SWEEP_topK"),
        _text("split", "val or test"),
        _whole("members", "models that voted; 1: the trial alone", "models"),
        _whole("images", "images of the split", "images"),
        _whole("wrong", "images whose class is wrong", "images"),
        _whole(
            "wrong_kept", "of these, the winner's 100 most confident, in `predictions`", "images"
        ),
        _real("accuracy", "share of images whose class is right"),
        _real(
            "top_accuracy",
            "share with the class among the k = min(5, classes - 1) most probable; null if k = 1",
        ),
        *(
            _real(name, f"mean of `classes.{name}` over the classes that have one")
            for name in ("precision", "recall", "f1")
        ),
        _real("calibration_error", "expected calibration error, 15 equal bins"),
        _real("loss", "mean cross-entropy", "nats"),
    ]
)

PREDICTIONS = pa.schema(
    [
        _text("trial_id", "as in `evaluations`"),
        _text("split", "test"),
        _whole("image_index", "position of the image in the split, from 0"),
        _whole("label", "number of the right class"),
        _text("label_name", "its name"),
        _whole("predicted", "number of the predicted class"),
        _text("predicted_name", "its name"),
        _real("confidence", "probability of the predicted class"),
        _real("label_probability", "probability of the right class"),
        _wholes("top_classes", "the 5 most probable classes, in order; equal ones by number"),
        _column(
            pa.binary(),
            "image",
            "of the winner: the 100 most confident wrong ones and the first 24 others; else empty",
            "PNG",
        ),
    ]
)

SCHEMAS = {
    "trials": TRIALS, "epochs": EPOCHS, "classes": CLASSES, "evaluations": EVALUATIONS,
    "predictions": PREDICTIONS,
}  # fmt: skip


def schema_markdown(table: str) -> str:
    """The schema of one table as a Markdown table, as `results/README.md` shows it."""
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for field in SCHEMAS[table]:
        unit, description = (field.metadata[key].decode() for key in (b"unit", b"description"))
        lines.append(f"| `{field.name}` | {field.type} | {unit} | {description} |")
    return "\n".join(lines)


if __name__ == "__main__":
    for name in SCHEMAS:
        print(f"### `{name}`\n\n{schema_markdown(name)}\n")
