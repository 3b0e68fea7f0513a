"""Signals that end a command: who has them, before, while and after Ray takes one."""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from sweep.signals import NUMBERS, sigterm_kept, take, to_the_end


@pytest.fixture(autouse=True)
def put_back():
    """The handlers that there were."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_what_nohup_ignores_stays_ignored():
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    take(signal.default_int_handler)
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_other_is_taken(number):
    signal.signal(number, signal.SIG_DFL)
    take(signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_a_handler_in_c_of_which_python_does_not_know_goes_in_any_thread():
    def start(file):
        with sigterm_kept():
            faulthandler.register(signal.SIGTERM, file)

    take(signal.default_int_handler)
    with open(os.devnull, "w") as file:
        thread = threading.Thread(target=start, args=(file,))
        thread.start()
        thread.join()
        try:
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        finally:
            faulthandler.unregister(signal.SIGTERM)


def test_a_handler_in_python_is_an_interrupt_and_goes():
    def start():
        with sigterm_kept():
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
            os.kill(os.getpid(), signal.SIGTERM)

    take(signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        start()
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_a_block_comes_to_its_end_before_an_interrupt():
    done = []

    def work():
        with to_the_end():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(True)

    take(signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [True]
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_a_second_signal_ends_the_block_and_the_process():
    code = (
        "import os, signal\n"
        "from sweep.signals import to_the_end\n"
        "with to_the_end():\n"
        "    for _ in range(2):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (130, "")


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_before_a_sweep_begins_leaves_no_process(tmp_path, number):
    """Ray starts while data are loaded; a terminal sends signals to a whole group of processes."""
    command = [sys.executable, "-m", "sweep", "ablation", "--dataset", "digits", "--cpus", "1",
               "--results", str(tmp_path)]  # fmt: skip
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the command inherits it
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        driver = psutil.Process(process.pid)
        while not any(each.name() == "raylet" for each in driver.children(recursive=True)):
            assert process.poll() is None
            time.sleep(0.05)
        started = driver.children(recursive=True)
        os.killpg(process.pid, number)
        output, _ = process.communicate()
    assert (process.returncode, output.splitlines()[-1]) == (130, "Interrupted.")
    assert "Traceback" not in output
    _, left = psutil.wait_procs(started, timeout=20)
    assert not left
