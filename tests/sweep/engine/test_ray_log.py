"""Where Ray's log goes while a sweep runs."""

import logging
import warnings
from pathlib import Path

import pytest

from sweep.engine.ray_cluster import logs_to


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_ray_logs_to_the_file_and_the_logger_is_put_back(tmp_path, capsys, caplog, level):
    from ray._private import worker

    logger = logging.getLogger("ray")
    caplog.set_level(level, logger="ray")
    before = (logger.propagate, list(logger.handlers), worker.print_to_stdstream)
    file = tmp_path / "runs" / "ray.log"
    shown = []

    def talk():
        logging.getLogger("ray.tune").warning("a banner")
        worker.print_to_stdstream({"pid": 7, "lines": ["a worker died"]}, ignore_prefix=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.warn_explicit("old", FutureWarning, "ray.py", 1, module="ray.tune")
            warnings.warn_explicit("new", UserWarning, "raytrace.py", 1, module="raytrace")
        shown.extend(caught)
        raise KeyError

    with pytest.raises(KeyError), logs_to(file):
        talk()
    assert (logger.propagate, list(logger.handlers), worker.print_to_stdstream) == before
    assert logger.level == level
    assert [str(warning.message) for warning in shown] == ["new"]
    logger.warning("after")
    text = file.read_text()
    assert "WARNING ray.tune: a banner" in text
    assert "7: a worker died" in text
    assert "after" not in text
    assert "a banner" not in "".join(capsys.readouterr())


def test_a_log_on_a_full_disk_ends_nothing():
    """`/dev/full` takes no byte, and says so as late as when it is closed."""
    with logs_to(Path("/dev/full")):
        logging.getLogger("ray.tune").warning("a banner")
