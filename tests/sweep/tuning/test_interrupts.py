"""What the first, the second and the third signal do, and what they leave behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from sweep.signals import NUMBERS
from sweep.tuning.interrupts import KEPT, Interrupts


def taken(*arguments):
    """A handler that swallows a signal, as Tune's does."""


@pytest.fixture(autouse=True)
def heeded():
    """What started the tests may have had SIGHUP ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def interrupts():
    """Handled while the test runs."""
    found = Interrupts()
    with found.handled():
        yield found


def interrupt(number=signal.SIGINT):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", KEPT)
@pytest.mark.parametrize("error", [None, ValueError("x")])
def test_handlers_are_as_before(number, error):
    before = signal.getsignal(number)
    try:
        with Interrupts().handled():
            signal.signal(number, taken)
            if error is not None:
                raise error
    except ValueError:
        pass
    assert signal.getsignal(number) is before is not taken


def test_another_thread_has_no_signals():
    ended = []

    def run():
        interrupts = Interrupts()
        with interrupts.handled():
            interrupts.end_softly(lambda: None)
            ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ended == [True]


@pytest.mark.parametrize("number", NUMBERS)
def test_where_no_trials_run_each_signal_is_an_interrupt(interrupts, number):
    with pytest.raises(KeyboardInterrupt):
        interrupt(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_while_trials_run_the_first_ends_them_as_tune_does_and_the_second_interrupts(
    interrupts, number
):
    heard = []
    signal.signal(signal.SIGINT, lambda *about: heard.append("Tune"))
    interrupts.end_softly(lambda: heard.append("engine"))
    interrupt(number)
    assert heard == ["engine", "Tune"]
    assert interrupts.in_haste == (number != signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupt(number)
    assert interrupts.in_haste


def test_rows_are_written_to_the_end_before_an_interrupt(interrupts):
    written = []

    def write(inner):
        with interrupts.deferred():
            with inner:
                interrupt()
            written.append(True)

    for inner in (contextlib.nullcontext(), interrupts.deferred()):
        interrupts.heard = 0
        with pytest.raises(KeyboardInterrupt):
            write(inner)
    assert written == [True, True]


def test_the_third_ends_the_process():
    code = (
        "import os, signal\n"
        "from sweep.tuning.interrupts import Interrupts\n"
        "interrupts = Interrupts()\n"
        "with interrupts.handled(), interrupts.deferred():\n"
        "    for _ in range(3):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (130, "")
