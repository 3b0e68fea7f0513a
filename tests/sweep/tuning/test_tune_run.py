"""What a run of Tune leaves behind."""

import signal
import threading

import pytest

from sweep.tuning.tune_run import signals_kept


def taken(*arguments):
    """A handler that swallows a signal, as Tune's does."""


@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1"])
@pytest.mark.parametrize("error", [None, ValueError("x")])
def test_the_next_ctrl_c_is_not_swallowed(name, error):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    try:
        with signals_kept():
            signal.signal(number, taken)
            if error is not None:
                raise error
    except ValueError:
        pass
    assert signal.getsignal(number) is before is not taken


def test_another_thread_has_no_signals_to_keep():
    ended = []

    def run():
        with signals_kept():
            ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ended == [True]
