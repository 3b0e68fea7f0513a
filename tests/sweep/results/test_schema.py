from pathlib import Path

import pyarrow as pa
import pytest

import sweep
from sweep.results.schema import (
    CLASSES,
    EPOCHS,
    FAILURES,
    SCHEMAS,
    STATUSES,
    TRIALS,
    schema_markdown,
)
from sweep.trial.reports import NO_METRICS, STATUS_OF_STOP
from tl_core.config import FIELDS, TrainConfig

README = Path(sweep.__file__).parents[1] / "results" / "README.md"


def test_every_field_of_the_configuration_is_a_column_of_trials():
    assert set(FIELDS) <= set(TRIALS.names)
    types = {"lr": pa.float64(), "epochs": pa.int64(), "batch_norm": pa.bool_()}
    types |= {"backbone": pa.string(), "channels": pa.list_(pa.int64()), "flip": pa.bool_()}
    assert {name: TRIALS.field(name).type for name in types} == types


def test_every_configuration_can_be_written():
    odd = TrainConfig(channels=(8, 16), block_pool=(True, False), mean=(0.5,), std=(0.25,))
    for config in (TrainConfig(), odd):
        fields = pa.schema([TRIALS.field(name) for name in FIELDS])
        (back,) = pa.Table.from_pylist([config.to_dict()], schema=fields).to_pylist()
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in back.items()}
        assert TrainConfig(**lists) == config


def test_every_metric_of_an_epoch_is_a_column_of_epochs():
    assert set(NO_METRICS.__dataclass_fields__) <= set(EPOCHS.names)


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_says_what_it_means(table):
    for field in SCHEMAS[table]:
        assert field.metadata[b"description"].strip(), field.name
        assert b"unit" in field.metadata
        if field.name.endswith("_bytes"):
            assert field.metadata[b"unit"] == b"bytes"
        if field.name.endswith("_seconds"):
            assert field.metadata[b"unit"] == b"seconds"
    assert len(set(SCHEMAS[table].names)) == len(SCHEMAS[table])


def test_the_tables_join_on_the_trial():
    for schema in (TRIALS, EPOCHS, CLASSES):
        assert schema.field("trial_id").type == pa.string()


def test_every_way_to_end_is_a_status():
    assert set(STATUS_OF_STOP.values()) <= set(STATUSES)
    assert set(FAILURES) == {"out_of_memory", "failed", "timed_out"}
    assert set(FAILURES) <= set(STATUSES)
    status = TRIALS.field("status").metadata[b"description"].decode()
    assert all(name in status for name in STATUSES)


def test_the_schema_in_markdown():
    lines = schema_markdown("trials").splitlines()
    assert lines[:2] == ["| column | type | unit | meaning |", "|---|---|---|---|"]
    assert len(lines) == 2 + len(TRIALS)
    assert "| `lr` | double |  | peak learning rate |" in lines
    assert "| `train_seconds` | double | seconds | time in training steps |" in lines
    for name in SCHEMAS:  # a | in a cell would end it
        assert {line.count("|") for line in schema_markdown(name).splitlines()} == {5}


@pytest.mark.parametrize("table", SCHEMAS)
def test_the_readme_of_the_results_has_the_schema(table):
    assert schema_markdown(table) in README.read_text(encoding="utf-8")
