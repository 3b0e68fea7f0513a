"""A user's row of DATASETS: lists serve as labels, and what is wrong is said in one line."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tl_core import BadInput, TrainConfig
from tl_core.datasets import DATASETS, TEST, TRAIN, DatasetSpec, ImageData, Records, load_data

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)
LABELS = [0, 1] * 20
CLASSES = ("new", "full")

Load = Callable[[object], ImageData]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """load(read) → the data set that a row with that `read` gives."""

    def loaded(read: object) -> ImageData:
        monkeypatch.setitem(DATASETS, "mine", DatasetSpec(read=read, about="mine"))
        return load_data(TrainConfig(dataset="mine"))

    return loaded


def test_lists_serve_as_labels_and_parts(load: Load) -> None:
    parts = [TRAIN] * 30 + [TEST] * 10
    data = load(lambda request: Records(IMAGES, LABELS, CLASSES, parts))
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 10)
    np.testing.assert_array_equal(data.test.labels, LABELS[30:])


def test_what_is_read_from_files_may_be_missing(load: Load) -> None:
    """Errors of the machine pass as they are: the command line tells a full disk by them."""

    def read(request: object) -> Records:
        raise FileNotFoundError("no such leaf")

    with pytest.raises(FileNotFoundError, match="no such leaf"):
        load(read)


MUST = r"dataset='mine': read\(request\) must return Records"
WRONG = {
    "no argument": (lambda: Records(IMAGES, LABELS, CLASSES), rf"{MUST} \(it raises TypeError: "),
    "a tuple": (lambda request: (IMAGES, LABELS), rf"{MUST} \(it returns a tuple\)"),
    "an error": (lambda request: None.labels, rf"{MUST} \(it raises AttributeError: "),
    "no function": ("read", rf"{MUST} \(it raises TypeError: "),
    "uneven labels": (
        lambda request: Records(IMAGES, [[0]] * 39 + [[0, 1]], CLASSES),
        rf"{MUST} \(it raises ValueError: ",
    ),
    "names as labels": (
        lambda request: Records(IMAGES, ["new", "full"] * 20, CLASSES),
        "dataset='mine': Labels must be whole numbers, one for each image; they are <U4",
    ),
    "one-hot labels": (
        lambda request: Records(IMAGES, np.eye(2, dtype=int)[LABELS], CLASSES),
        r"Labels must be whole numbers, .* they are int64 of shape \(40, 2\)",
    ),
    "Pillow's images": (
        lambda request: Records([Image.fromarray(i) for i in IMAGES], LABELS, CLASSES),
        "An image is given as Image; it must be the bytes of an image file, or a uint8 array",
    ),
    "flat images": (
        lambda request: Records([i.ravel() for i in IMAGES], LABELS, CLASSES),
        r"An image is given as array, uint8 of shape \(36,\); it must be",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_row_is_said_in_one_line(load: Load, case: str) -> None:
    read, says = WRONG[case]
    with pytest.raises(BadInput, match=says) as caught:
        load(read)
    assert "\n" not in str(caught.value)
