import threading

import pytest

from tl_core.machine.network import reachable

NO_SERVER = ["http://127.0.0.1:9/nothing"]


def test_probe_gives_up_at_once_where_nothing_listens() -> None:
    assert not reachable(NO_SERVER, seconds=600)  # the test's own time limit is 60 seconds


def test_probe_does_not_wait_for_a_slow_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*args: object, **options: object) -> None:
        release.wait()
        raise OSError("at last")

    monkeypatch.setattr("urllib.request.urlopen", hang)
    assert not reachable(NO_SERVER, seconds=0.2)
    release.set()


def test_probe_takes_any_answer_of_any_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    import email.message
    import urllib.error
    import urllib.request

    def answer(request: urllib.request.Request, timeout: float) -> None:
        if "good" not in request.full_url:
            raise OSError("no route")
        raise urllib.error.HTTPError(
            request.full_url, 403, "no HEAD", email.message.Message(), None
        )

    monkeypatch.setattr("urllib.request.urlopen", answer)
    assert reachable(["http://bad.example/", "http://good.example/"], seconds=50)
    assert not reachable(["http://bad.example/"])


def test_no_address_is_no_network() -> None:
    assert not reachable(["not an address"], seconds=600)
