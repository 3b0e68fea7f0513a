"""The usual names of splits."""

import pytest

from tl_core.datasets import TEST, TRAIN, VAL
from tl_core.datasets.readers.split_names import part_of, parts_in, without_split


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (TRAIN, "train Train TRAIN training Training trn train_set trainset training_set "
                "TrainingSet train2017 train-images Training_Data TRAIN_DATA dataset_train"),
        (VAL, "val Val valid VALID validation Validation dev Dev val2017 valset images_val"),
        (TEST, "test Test testing Testing TESTING tst test_set testset test1 eval evaluation "
               "holdout hold_out TestData"),
    ],
)  # fmt: skip
def test_usual_names_in_any_case(part, names):
    assert {name: part_of(name) for name in names.split()} == dict.fromkeys(names.split(), part)


def test_names_that_only_look_alike():
    names = [
        "cat", "trains", "trainer", "invalid", "contest", "latest", "devil", "value", "tester",
        "0", "data", "set", "é",
    ]  # fmt: skip
    assert {name: part_of(name) for name in names} == dict.fromkeys(names)
    assert not any(parts_in(name) for name in names)


def test_words_of_a_name():
    assert parts_in("cifar10-train-00000-of-00002") == {TRAIN}
    assert parts_in("trainA") == parts_in("seg_train") == {TRAIN}
    assert parts_in("train_test") == {TRAIN, TEST}
    assert part_of("trainA") is part_of("seg_train") is None
    assert without_split("seg_train") == without_split("seg_test") == "seg"
