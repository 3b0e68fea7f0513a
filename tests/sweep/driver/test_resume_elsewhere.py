"""A sweep whose driver was lost with its machine is resumed from another only by force."""

import pytest

from sweep.driver.resuming import taken
from sweep.results.manifest import begin_sweep
from tl_core.errors import BadInput


@pytest.fixture
def lost(manifest, tmp_path):
    """The results folder of a sweep whose driver, on another machine, has no heartbeat."""
    made = manifest(status="running", host="node-7", machine="another", pid=1)
    begin_sweep(tmp_path, made)
    (tmp_path / "runs" / made.name / "alive").unlink()
    return tmp_path


def test_a_silent_driver_elsewhere_may_be_alive(lost):
    with (
        pytest.raises(BadInput, match=r"process 1 on node-7, .* or use --force where it is gone"),
        taken(lost, "s1"),
    ):
        pass


def test_force_says_that_it_is_gone(lost):
    with taken(lost, "s1", force=True) as manifest:
        assert manifest.state() == "silent"


def test_force_does_not_take_a_sweep_that_gives_signs_of_life(lost):
    (lost / "runs" / "s1" / "alive").touch()
    with pytest.raises(BadInput, match="is running"), taken(lost, "s1", force=True):
        pass
