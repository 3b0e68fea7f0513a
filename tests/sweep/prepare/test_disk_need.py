"""How much disk a sweep may need, and what is said of it."""

import pytest

from sweep.plan.make_plan import make_plan
from sweep.prepare import disk_need as module
from sweep.prepare.disk_need import ABOUT, DiskNeed, check_space, disk_need
from sweep.prepare.trial_shapes import trial_shapes
from tl_core import BadInput, TrainConfig
from tl_core.models import build_model, tensor_bytes
from tl_core.models.freezing import freeze

BASE = "BASE = TrainConfig(dataset='digits', width=8, image_size=64, threads=1{more})\n"


@pytest.fixture
def needed(options, write_file):
    """needed(text, more=, **options) → what that space's sweep may need."""

    def find(text, more="", **fields):
        plan = make_plan(options(space=write_file(BASE.format(more=more) + text), **fields))
        return disk_need(plan, trial_shapes(plan))

    return find


def weights_of(**fields):
    """Bytes of a model's tensors, built with weights."""
    model = build_model(TrainConfig(**{"width": 8, "image_size": 64, **fields}), **ABOUT)
    return sum(tensor.nbytes for tensor in model.state_dict().values())


@pytest.mark.parametrize("backbone", ["plain", "residual"])
def test_a_model_counts_without_its_weights(backbone):
    config = TrainConfig(width=8, backbone=backbone)
    whole, moving = tensor_bytes(config, **ABOUT)
    assert whole == moving == weights_of(backbone=backbone)


def test_frozen_stages_are_written_once():
    config = TrainConfig(width=8, freeze_depth=2)
    whole, moving = tensor_bytes(config, **ABOUT)
    model = build_model(config, **ABOUT)
    freeze(model, 2)
    frozen = sum(p.nbytes for p in model.parameters() if not p.requires_grad)
    assert 0 < frozen <= whole - moving < whole


def test_the_best_of_a_search_and_the_states_of_live_trials_count(needed):
    weights = weights_of()
    found = needed("SEARCH = 'grid'\nSPACE = {'lr': Choice(*range(1, 21))}", cpus=2)
    assert found.total == 6 * weights + (2 + 1) * 4 * weights + weights
    assert found.largest == 4 * weights


def test_the_largest_model_counts(needed):
    found = needed("SEARCH = 'grid'\nSPACE = {'width': Choice(8, 16)}", cpus=1)
    assert found.largest == 4 * weights_of(width=16)


def test_a_model_that_cannot_be_built_needs_nothing(needed):
    assert needed("SEARCH = 'grid'\nSPACE = {'lr': Choice(0.1)}", ", freeze_depth=99").total == 0


@pytest.mark.parametrize(
    ("total", "free", "said"),
    [
        (10**8, 10**9, None),
        (2 * 10**9, 10**11, r"may need 2\.0 GB in .*results.*, where 100\.0 GB are free\.$"),
        (10**8, 10**7, r"may need 100\.0 MB .*, where 10\.0 MB are free; trials wait where"),
    ],
)
def test_a_need_is_said_where_it_is_large_or_more_than_is_free(
    tmp_path, monkeypatch, total, free, said
):
    monkeypatch.setattr(module, "free_bytes", lambda folder: free)
    line = DiskNeed(total, 1).line(tmp_path / "results")
    if said is None:
        assert line is None
    else:
        with pytest.raises(ValueError, match=said):
            raise ValueError(line)


def test_a_disk_without_space_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda folder: 10**8)
    with pytest.raises(BadInput, match=r"--results .*: 100\.0 MB are free .* 200\.0 MB"):
        check_space(tmp_path, "--results")
