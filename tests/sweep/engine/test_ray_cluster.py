import threading

import pytest
import ray

from sweep.engine.ray_cluster import ray_cluster
from sweep.ray_internals import Answer
from sweep.start import authentication
from tl_core.errors import BadInput


def cluster(tmp_path, address=None):
    return ray_cluster(address=address, cpus=2, gpus=0, log=tmp_path / "runs" / "ray.log")


def test_a_ray_of_our_own_is_stopped_even_after_an_error(tmp_path, calls):
    with pytest.raises(KeyError), cluster(tmp_path):
        raise KeyError
    assert [name for name, _ in calls] == ["init", "engine ends", "shutdown"]
    how = calls[0][1]
    assert (how["address"], how["num_cpus"], how["num_gpus"]) == ("local", 2, 0)
    assert how["include_dashboard"] is False


def test_a_ray_that_was_there_is_used_and_left(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with cluster(tmp_path) as engine:
        assert not engine.owned  # other work may run on it
    assert [name for name, _ in calls] == ["engine ends"]


def test_sweeps_in_two_threads_have_ray_one_after_the_other(tmp_path, calls):
    entered = threading.Event()

    def second():
        with cluster(tmp_path):
            entered.set()

    with cluster(tmp_path):
        other = threading.Thread(target=second)
        other.start()
        assert not entered.wait(0.2)
    other.join()
    assert [name for name, _ in calls] == ["init", "engine ends", "shutdown"] * 2


def test_a_cluster_is_joined_without_asking_for_processors(tmp_path, calls, monkeypatch):
    answers = iter([Answer.OPEN, Answer.CLOSED])  # to the token of this process, then to none
    monkeypatch.setattr(authentication, "answer_of", lambda *asked: next(answers))
    with cluster(tmp_path, "10.0.0.1:6379") as engine:
        assert not engine.owned
    assert calls[0][1]["address"] == "10.0.0.1:6379"
    assert "num_cpus" not in calls[0][1]


def test_where_no_cluster_answers_one_line_says_so(tmp_path, calls, monkeypatch):
    def refuse(**how):
        raise ConnectionError("Could not find any running Ray instance.\nMore words.")

    monkeypatch.setattr(ray, "init", refuse)
    joined = cluster(tmp_path, "auto")
    with pytest.raises(BadInput, match="--address auto: no Ray cluster") as caught:
        joined.__enter__()
    assert "Could not find any running Ray instance" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert calls == []


def test_where_ray_does_not_start_one_line_says_so(tmp_path, calls, monkeypatch):
    def fail(**how):
        raise Exception("The current node timed out during startup.\nMore words.")

    monkeypatch.setattr(ray, "init", fail)
    own = cluster(tmp_path)
    with pytest.raises(BadInput, match=r"^Ray does not start.*timed out.*/logs") as caught:
        own.__enter__()
    assert "More words" not in str(caught.value)
    assert calls == []


def test_an_address_where_nothing_listens_is_refused_before_ray_tries(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("Ray was asked"))
    with (
        pytest.raises(BadInput, match=r"--address 127.0.0.1:1: no Ray cluster .*refused"),
        cluster(tmp_path, "127.0.0.1:1"),
    ):
        pass
