"""The best weights so far, also where the sweep's folder takes no file."""

import pytest
import torch

from sweep.results.folders import run_folder
from sweep.results.manifest import write_manifest
from sweep.results.tables import write_rows
from sweep.use.unjudged import FILE, best_so_far
from tl_core.config import TrainConfig
from tl_core.models.saved_model import load_model
from tl_core.train.checkpoint import save_checkpoint
from tl_core.train.trainer import Trainer
from tl_core.weights import weights_file

TRAINED = {"dataset": "digits", "width": 4, "epochs": 1, "precision": "fp32", "limit_train": 50}


@pytest.fixture
def interrupted(tmp_path, manifest, trial_row):
    """The folder of an interrupted sweep that kept the weights of its trial, and these."""
    write_manifest(tmp_path, manifest(status="interrupted"))
    row = trial_row(0, 0.5, **TRAINED)
    write_rows(tmp_path, "trials", "s1", [row])
    trainer = Trainer(TrainConfig(**TRAINED))
    state = {"model": trainer.model.state_dict(), "val_accuracy": 0.5}
    folder = run_folder(tmp_path, "s1")
    save_checkpoint(folder / "checkpoints" / f"{row['trial_id']}.pt", state)
    return folder, state["model"]


def same(weights, state):
    loaded = load_model(weights).model.state_dict()
    return all(torch.equal(loaded[name], value) for name, value in state.items())


def test_they_lie_in_the_sweeps_folder(tmp_path, interrupted):
    folder, state = interrupted
    weights, trial_id = best_so_far(tmp_path, "s1")
    assert (weights, trial_id) == (folder / FILE, "s1_00000")
    assert same(weights, state)


@pytest.mark.parametrize("number", [30, 28])
def test_a_folder_that_takes_no_file_is_left_as_it_is(
    tmp_path, interrupted, monkeypatch, call, number
):
    folder, state = interrupted
    before = sorted(folder.rglob("*"))
    save = weights_file.save_file

    def denied(tensors, path, **named):
        if folder in path.parents:
            reason = f"I/O error: … (os error {number})"
            raise weights_file.SafetensorError(f"Error while serializing: {reason}")
        save(tensors, path, **named)

    monkeypatch.setattr(weights_file, "save_file", denied)
    weights, trial_id = best_so_far(tmp_path, "s1")
    assert trial_id == "s1_00000"
    assert folder not in weights.parents
    assert same(weights, state)
    code, _, err = call("export", "s1", "--out", tmp_path / "out", "--results", tmp_path)
    assert (code, err) == (0, "")
    assert same(tmp_path / "out" / "model.safetensors", state)
    assert sorted(folder.rglob("*")) == before
