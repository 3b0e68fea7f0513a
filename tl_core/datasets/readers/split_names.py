"""The usual names of splits, for folders and Parquet files alike.

Case, digits, separators and words such as `set` or `images` do not matter: `Training`, `test_set`,
`val2017` and `TrainData` are splits. `eval` is a test split, as in Hugging Face's `datasets`.
"""

import re

from tl_core.datasets.records import TEST, TRAIN, VAL

_WORDS = {
    TRAIN: ("train", "training", "trn"),
    VAL: ("val", "valid", "validation", "validate", "dev", "development"),
    TEST: ("test", "tests", "testing", "tst", "eval", "evaluation", "holdout", "heldout"),
}
PART_NAMES = {TRAIN: "train", VAL: "val", TEST: "test"}
_PART_OF = {word: part for part, words in _WORDS.items() for word in words}
_FILLERS = {
    "set", "data", "dataset", "image", "images", "img", "imgs", "split", "folder", "of", "files",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")


def part_of(name: str) -> int | None:
    """TRAIN, VAL or TEST if the whole name is that of a split; None if it is not."""
    words = _words(name)
    joined = "".join(word for word in words if word not in _FILLERS)
    if joined in _PART_OF:
        return _PART_OF[joined]
    stems = (joined.removesuffix(filler) for filler in _FILLERS if joined.endswith(filler))
    return next((_PART_OF[stem] for stem in stems if stem in _PART_OF), None)


def parts_in(name: str) -> set[int]:
    """Every split that a word of the name stands for: `cifar-train` → {TRAIN}."""
    whole = part_of(name)
    found = {_PART_OF[word] for word in _words(name) if word in _PART_OF}
    return found if whole is None else found | {whole}


def without_split(name: str) -> str:
    """The name's words without those of splits: what `seg_train` and `seg_test` share."""
    return " ".join(word for word in _words(name) if word not in _PART_OF)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
