"""Source models by name: the weights of each, and their description.

    results/models/NAME/weights.safetensors   weights, config, classes and normalization
    results/models/NAME/model.json            that, accuracies and origin, in words

Importing this module imports no torch.
"""

import json
import os
import re
import shutil
import typing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sweep.results.folders import check_length, model_folder
from sweep.results.json_fields import checked_fields
from sweep.results.manifest import read_manifest
from sweep.store.location import shown_results, url_of
from tl_core.config import PRETRAINED
from tl_core.errors import BadInput
from tl_core.machine.plain_file import read_text
from tl_core.machine.user_path import absolute, expanded
from tl_core.machine.whole_file import whole_file

WEIGHTS = "weights.safetensors"
ABOUT = "model.json"
SAME_AS_PRETRAINED = ("imagenet", PRETRAINED)
"""What the published weights of a timm backbone are called on the command line."""


@dataclass(frozen=True)
class SourceModel:
    """A named model; plain values only.

    Attributes:
        config: field → value of the TrainConfig that trained it.
        classes: names in the order of the logits.
        mean, std: normalization per channel, of [0, 1] pixels.
        image_size: in pixels.
        val_accuracy, test_accuracy: in [0, 1]; None where it was not measured.
        sweep: the sweep that it was the winner of.
        made_at: ISO time in UTC.
    """

    name: str
    config: dict[str, object]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int
    val_accuracy: float | None
    test_accuracy: float | None
    sweep: str | None
    made_at: str


def weights_of(results: Path, name: str) -> Path:
    """The weights file of a named model."""
    return model_folder(results, name) / WEIGHTS


def find_source(text: str, results: Path, option: str = "--source") -> str | None:
    """What `weights` becomes: a path, `pretrained`, or None for random weights.

    `text` is a named model, a .safetensors / .pth file, imagenet (or pretrained), or none.

    Raises:
        BadInput: it is nothing of these.
    """
    if text.lower() == "none":
        return None
    if text.lower() in SAME_AS_PRETRAINED:
        return PRETRAINED
    named = weights_of(results, text)
    if is_name := re.fullmatch(r"[\w.-]+", text) is not None:
        _fetch(results, text)
    if is_name and os.path.isfile(named):
        return str(absolute(named))
    path = expanded(text)
    if os.path.isfile(path) or path.suffix:
        return str(absolute(path))
    names = ", ".join(model.name for model in list_models(results)) or "none yet"
    raise BadInput(
        f"{option} {text}: no such model in {shown_results(results)}/models ({names}); give one of them,"
        " a .safetensors / .pth file, imagenet or none."
    )


def list_models(results: Path) -> list[SourceModel]:
    """Every named model that can be used, oldest first."""
    return sorted(_models(results)[0], key=lambda model: model.made_at)


def damaged_models(results: Path) -> list[str]:
    """A line on each named model of which something is damaged or gone."""
    return _models(results)[1]


def _fetch(results: Path, name: str | None = None) -> set[str]:
    """What `fetch_models` does; it loads pyarrow, which an ordinary folder does not need."""
    if url_of(results) is None:
        return set()
    from sweep.results.stored import fetch_models

    return fetch_models(results, name)


def _models(results: Path) -> tuple[list[SourceModel], list[str]]:
    found, problems = [], []
    stored = _fetch(results)
    for folder in sorted(model_folder(results).glob("[!.]*")):
        if not folder.is_dir():
            continue
        try:
            weights = weights_of(results, folder.name)
            if weights.relative_to(results).as_posix() not in stored:
                weights.stat()
            found.append(_read(folder))
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or error
            problems.append(f"{folder} is damaged ({reason}); remove it, or keep the model anew.")
    return found, problems


def _read(folder: Path) -> SourceModel:
    """The description in a model's file; an OSError or ValueError says what is damaged."""
    about = json.loads(read_text(folder / ABOUT))
    unknown = dict.fromkeys(("val_accuracy", "test_accuracy", "sweep"))
    missing = {"name": "", "made_at": "", **unknown}
    known = checked_fields(about, typing.get_type_hints(SourceModel), missing)
    return SourceModel(**{**known, "name": folder.name})


def check_model_name(name: str) -> None:
    """Refuse a name that could not be told from a path or an option.

    Raises:
        BadInput: it has other characters, or means something else.
    """
    if not re.fullmatch(r"[A-Za-z][\w.-]*", name) or Path(name).suffix in (".safetensors", ".pth"):
        raise BadInput(f"--name {name!r}: a letter, then letters, digits, -, _ and . only.")
    check_length(name)
    if name.lower() in (*SAME_AS_PRETRAINED, "none"):
        raise BadInput(f"--name {name}: as a source this means something else; take another.")


def keep_model(
    results: Path,
    name: str,
    weights: Path,
    *,
    val_accuracy: float | None,
    test_accuracy: float | None,
    sweep: str | None,
) -> SourceModel:
    """Keep a weights file of ours under a name, whole, in the place of an older one.

    Raises:
        BadInput: the name is none, or the file does not say how it was made.
    """
    from sweep.results.stored import send_folder
    from tl_core.models.saved_model import described_weights

    check_model_name(name)
    about = described_weights(weights)
    model = SourceModel(
        name=name,
        config=about.config,
        classes=about.classes,
        mean=about.mean,
        std=about.std,
        image_size=about.image_size,
        val_accuracy=val_accuracy,
        test_accuracy=test_accuracy,
        sweep=sweep,
        made_at=datetime.now(UTC).isoformat(),
    )
    with whole_file(weights_of(results, name)) as partial:
        shutil.copyfile(weights, partial)
    with whole_file(model_folder(results, name) / ABOUT) as partial:
        partial.write_text(json.dumps(asdict(model), indent=2))
    send_folder(results, model_folder(results, name))
    return model


def keep_winner(results: Path, sweep: str, name: str | None = None) -> SourceModel:
    """Keep a sweep's winner as a source model; unless named, after its data and backbone.

    Raises:
        BadInput: there is no such sweep, or it has no winner's weights.
    """
    from tl_core.models.saved_model import described_weights

    from sweep.results.stored import fetch_names, fetch_weights

    fetch_names(results)
    fetch_weights(results, sweep)
    winner = read_manifest(results, sweep).winner
    if winner is None or winner["weights"] is None or not Path(winner["weights"]).is_file():
        raise BadInput(f"{sweep} has no winner's weights; `show {sweep}` tells how it went.")
    weights = Path(winner["weights"])
    if name is None:
        config = described_weights(weights).config
        stem = Path(str(config["dataset"]).rpartition(":")[2]).name
        name = f"{stem}-{str(config['backbone']).removeprefix('timm:')}"
    accuracies = {field: winner[field] for field in ("val_accuracy", "test_accuracy")}
    return keep_model(results, name, weights, **accuracies, sweep=sweep)
