"""In place of Ray and the engine: what is started and ended of them is written down."""

from types import SimpleNamespace

import pytest
import ray

from sweep.ray_internals import Answer
from sweep.start import authentication, ray_start


class Engine:
    """In place of the engine: what is started and ended of it."""

    def __init__(self, *, owned, made=None):
        self.owned, self.made = owned, [] if made is None else made
        self.started = []
        self.processes = SimpleNamespace(
            start=lambda count, on_gpus: self.started.append((count, on_gpus))
        )

    def shut_down(self):
        self.made.append(("engine ends", {}))


@pytest.fixture
def calls(monkeypatch):
    """Ray's start and stop and the engine's end, written down and not done."""
    made = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **how: made.append(("init", how)))
    monkeypatch.setattr(ray, "shutdown", lambda: made.append(("shutdown", {})))
    found = SimpleNamespace(gcs_address="10.0.0.1:6379")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: found)
    monkeypatch.setattr(ray_start, "_listens", lambda address: address != "auto")
    monkeypatch.setattr(authentication, "answer_of", lambda *asked: Answer.CLOSED)
    monkeypatch.setattr(
        "sweep.engine.engine.Engine", lambda *, owned: Engine(owned=owned, made=made)
    )
    return made
