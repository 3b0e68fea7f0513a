from io import StringIO

import pytest
from rich.console import Console

from sweep.report.listing import datasets_table, models_table, size, sweeps_table
from sweep.results.catalog import Entry
from tl_core.datasets import DATASETS
from tl_core.errors import BadInput
from tl_core.models import MODELS


def lines(table):
    console = Console(width=80, file=StringIO())
    console.print(table)
    shown = console.file.getvalue().splitlines()
    assert max(map(len, shown)) <= 80
    return [line.split() for line in shown]


def test_sizes():
    shown = {0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 * 2**20: "5.0 MiB"}
    shown |= {2**30: "1.0 GiB", 3 * 2**40: "3072.0 GiB"}
    assert {number: size(number) for number in shown} == shown


def test_a_sweep_a_line(manifest):
    shown = lines(
        sweeps_table(
            [
                Entry(
                    "ablation-20260102-030405", manifest(), 27, 0.98765, 3 * 2**20,
                    best_of=9, test_accuracy=0.97,
                ),
                Entry("s2", manifest(status="timed_out"), 1, float("nan"), 512),
                Entry(
                    "s3", manifest(status="running", pid=2**22 + 1), 0, 0.5, 0,
                    confirmed=True, best_of=9,
                ),
                Entry(
                    "s4", manifest(trials_planned=None), 2, 0.5, 0, problems=("x",), best_of=2,
                ),
                Entry("s5", None, 3, 0.5, 0, ("y",), best_of=1),
            ]
        )
    )  # fmt: skip
    assert [" | ".join(line) for line in shown] == [
        "sweep | state | trials | test | best | val | of | n | disk",
        "ablation-20260102-030405 | finished | 27/6 | 0.9700 | 0.9877 | of | 9 | 3.0 | MiB",
        "s2 | timed | out | 1/6 | – | – | 512 | B",
        "s3 | died | 0/6 | – | 0.5000 | fresh | 0 | B",
        "s4 | damaged | 2 | – | 0.5000 | of | 2 | 0 | B",
        "s5 | damaged | 3 | – | 0.5000 | of | 1 | 0 | B",
    ]


def test_a_long_name_is_not_cut(manifest):
    name = "a" + "-very" * 30
    shown = lines(sweeps_table([Entry(name, manifest(), 6, 0.5, 0, best_of=3)]))
    assert "".join(line[0] for line in shown[1:]) == name
    assert shown[1][1:] == ["finished", "6/6", "–", "0.5000", "of", "3", "0", "B"]


def test_every_data_set_is_listed():
    first = [line[0] for line in lines(datasets_table())]
    for name in DATASETS:
        assert (f"{name}:PATH" if name in ("folder", "parquet") else name) in first


def test_our_own_models_are_listed():
    first = [line[0] for line in lines(models_table(None))]
    assert {*MODELS, "timm:NAME"} <= set(first)


@pytest.mark.parametrize("pattern", ["test_resnet*", "timm:test_resnet*"])
def test_models_of_timm_by_pattern(pattern):
    shown = {line[0]: line[1:] for line in lines(models_table(pattern))[1:]}
    assert shown["timm:test_resnet.r160_in1k"] == ["pretrained", "weights"]
    assert shown["timm:test_resnet"] == []
    assert all(name.startswith("timm:test_resnet") for name in shown)


def test_a_pattern_of_none():
    with pytest.raises(BadInput, match="no timm model matches 'zzz"):
        models_table("zzz*")
