"""Errors of one cause."""

import pytest

from sweep.results.causes import cause_of


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("OutOfMemoryError: 2.50 GiB are too many", "OutOfMemoryError: 20 GiB are too many"),
        ("OSError: /data/a/1.png is cut off", "OSError: /home/me/my-data/b_2.jpeg is cut off"),
        ("RuntimeError: at 0x7f01ab", "RuntimeError: at 0xdeadbeef"),
        ("ValueError: lr=-1.0 in f (a.py, line 7)", "ValueError: lr=-2e-05 in f (a.py, line 9)"),
    ],
)
def test_numbers_addresses_and_paths_make_no_difference(first, second):
    assert cause_of(first) == cause_of(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("RuntimeError: a", "ValueError: a"),
        ("SIGSEGV", "SIGKILL"),
        ("BadInput: backbone='resnet18'", "BadInput: backbone='resnet34'"),
        ("KeyError: and/or", "KeyError: and"),
    ],
)
def test_other_words_do(first, second):
    assert cause_of(first) != cause_of(second)
