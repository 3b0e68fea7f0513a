"""Classify images with what a sweep or `pretrain` found.

from sweep import predict
frame = predict("my-sweep", ["photos/"])
"""

import glob
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd

from sweep.options.sweep_options import RESULTS
from sweep.results.folders import run_folder, weights_file
from sweep.results.manifest import FILE
from sweep.results.sources import list_models, weights_of
from sweep.results.stored import fetch_models, fetch_weights
from sweep.store.location import results_folder, shown_results
from sweep.use.unjudged import best_so_far
from tl_core.datasets.readers.left_aside import LeftAside
from tl_core.datasets.readers.tree import Tree, is_hidden
from tl_core.errors import BadInput
from tl_core.machine.user_path import expanded, storable
from tl_core.predictor import Predictor


def predict(
    name: str,
    images: str | Path | Iterable[str | Path],
    *,
    results: str | Path = RESULTS,
    top: int = 1,
    top_k: int = 1,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
    note: Callable[[str], object] = warnings.warn,
) -> pd.DataFrame:
    """Classify image files.

    Args:
        name: a sweep (its winner), a model of `sources`, or a weights file of ours.
        images: files, folders (searched for images, subfolders too, hidden ones not), and globs;
            one of them, or several.
        top: models that vote, of a sweep that kept the weights of so many (`--keep-top`).
        top_k: classes to name for each image.
        device: auto, cpu, cuda or cuda:N.
        progress: called as progress(done, total).
        note: called with a line on each kind of thing that was left aside.

    Returns:
        One row an image: path, class, confidence in [0, 1], top_classes, top_confidences, error
        (why the file could not be read) and remark (what is doubtful of how it was read), None
        where there is none. Bytes of a path that are no UTF-8 are written `\\xe9`.

    Raises:
        BadInput: there is no such model, or no image at all.
    """
    weights = model_files(results_folder(results), name, top, note)
    predictor = Predictor(*weights, device=device, top=top_k)
    files = image_files(images, note)
    rows = []
    for done, found in enumerate(predictor(files), start=1):
        row: dict[str, object] = {
            "path": storable(str(found.path)),
            "class": next(iter(found.classes), None),
            "confidence": next(iter(found.confidences), None),
            "top_classes": list(found.classes),
            "top_confidences": list(found.confidences),
            "error": found.error,
            "remark": found.remark,
        }
        rows.append(row)
        progress(done, len(files))
    # As objects, in which None stays None beside texts.
    return pd.DataFrame(rows, dtype=object).astype({"path": "str", "confidence": "float64"})


def model_files(
    results: Path, name: str, top: int = 1, note: Callable[[str], object] = warnings.warn
) -> list[Path]:
    """The weights that `name` stands for, the best first.

    Of a sweep that was interrupted these are the best so far, of which `note` is told.

    Raises:
        BadInput: there is no such sweep or model, or it kept fewer weights.
    """
    fetch_weights(results, name)
    folder = run_folder(results, name)
    if os.path.isfile(folder / FILE):  # False for a name that is too long, too
        return _of_sweep(results, folder, name, top, note)
    fetch_models(results, name)
    path = weights_of(results, name)
    path = path if os.path.isfile(path) else expanded(name)
    if not os.path.isfile(path):
        known = ", ".join(model.name for model in list_models(results)) or "none yet"
        raise BadInput(
            f"{name}: no sweep, model ({known}) or weights file of this name in"
            f" {shown_results(results)}; `list` and `sources` show what there is."
        )
    if top > 1:
        raise BadInput(f"--top {top}: {name} is one model; only a sweep has several.")
    return [path]


def _of_sweep(
    results: Path, folder: Path, name: str, top: int, note: Callable[[str], object]
) -> list[Path]:
    files = [weights_file(folder, place) for place in range(top)]
    kept = sum(file.is_file() for file in files)
    if kept == 0 and (found := best_so_far(results, name)) is not None:
        note(
            f"{name} is not finished: {found[1]} is the best so far by validation, and nothing has"
            f" judged it. `resume {name}` goes on."
        )
        return [found[0]]
    if kept == 0:
        raise BadInput(f"{name} has no winner's weights; `show {name}` tells how it went.")
    if kept < top:
        raise BadInput(
            f"--top {top}: {name} kept the weights of {kept}; run a sweep with --keep-top {top}."
        )
    return files


def image_files(
    images: str | Path | Iterable[str | Path], note: Callable[[str], object] = warnings.warn
) -> list[Path]:
    """Files, those in folders, and those that globs match, in order, each real file once.

    A file that is not there is in the list, too: reading it reports that.

    Raises:
        BadInput: nothing is left, or a folder cannot be listed.
    """
    given = [images] if isinstance(images, str | os.PathLike) else list(images)
    aside = LeftAside()
    found: dict[object, Path] = {}
    for image in map(str, given):
        file = None
        for file in _files(image, aside):
            if str(found.setdefault(_identity(file), file)) != str(file):
                aside.add("further names of files that are used", str(file))
        if file is None:
            aside.add("folders and globs without an image", image)
    for line in aside.lines():
        note(f"left aside: {storable(line)}")
    if not found:
        where = ", ".join(map(str, given)) or "nothing"
        raise BadInput(f"no images in {where}; give files, or folders or globs of them.")
    return list(found.values())


def _identity(file: Path) -> object:
    """Equal for all names of one file; the path where there is no such file."""
    try:
        status = file.stat()
    except (OSError, ValueError):  # too long, or with a NUL
        return file
    return status.st_dev, status.st_ino


def _files(text: str, aside: LeftAside) -> Iterator[Path]:
    path = Path(os.path.expanduser(text))  # a name such as ~x.png stays as it is
    there = os.path.exists(path)
    if os.path.isdir(path):
        yield from _in_folder(path, aside)
    elif not there and "**" in path.parts:
        yield from _below(path, aside)
    elif not there and glob.has_magic(text):
        for match in map(Path, sorted(glob.glob(str(path)))):
            if any(is_hidden(part) and part not in path.parts for part in match.parts):
                aside.add("hidden or thumbnail names", str(match))
            elif match.is_dir():
                yield from _in_folder(match, aside)
            elif match.exists():
                yield match
            else:
                aside.add("broken links", str(match))
    else:
        yield path


def _in_folder(folder: Path, aside: LeftAside) -> Iterator[Path]:
    tree = Tree(str(folder))
    files, _ = tree.below(tree.root)
    yield from (Path(file.path) for file in tree.images_among(files))
    tree.aside.pass_on(aside)


def _below(pattern: Path, aside: LeftAside) -> Iterator[Path]:
    """Files that a pattern with `**` matches; each folder is walked once, unlike by `glob`."""
    first = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    base, wanted = Path(*pattern.parts[:first]), pattern.parts[first:]
    if base.is_dir():
        for file in _in_folder(base, aside):
            if _matches(file.relative_to(base).parts, wanted):
                yield file


def _matches(parts: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether the parts of a path match those of a pattern; `**` matches any number."""
    if not parts or not wanted:
        return not parts and set(wanted) <= {"**"}
    if wanted[0] == "**":
        return _matches(parts[1:], wanted) or _matches(parts, wanted[1:])
    return fnmatch(parts[0], wanted[0]) and _matches(parts[1:], wanted[1:])
