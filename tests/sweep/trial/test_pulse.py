"""What a trainer process says while it trains."""

import threading
import time

from sweep.trial import pulse as module
from sweep.trial.pulse import Pulse
from tl_core import TrainConfig, Trainer
from tl_core.machine.progress import batches_taken


def test_the_batches_are_told_while_there_is_work(monkeypatch):
    monkeypatch.setattr(module, "PULSE_SECONDS", 0.001)
    told, came = [], threading.Event()

    def tell(taken):
        told.append(taken)
        came.set()
        raise ConnectionError("the desk is gone")

    pulse = Pulse(tell)
    time.sleep(0.02)
    assert told == []
    for _ in range(2):
        came.clear()
        with pulse.beating():
            assert came.wait(30)
    assert set(told) == {batches_taken()}


def test_batches_of_training_and_of_evaluation_count(cache):
    config = TrainConfig(
        dataset="digits", limit_train=100, batch_size=25, width=4, device="cpu", precision="fp32",
        eval_precision="fp32", cache_dir=str(cache),
    )  # fmt: skip
    trainer = Trainer(config)
    before = batches_taken()
    trainer.run_epoch()
    after_one = batches_taken()
    assert after_one - before > trainer.steps_per_epoch == 4
    trainer.evaluate(trainer.data.val)
    assert batches_taken() > after_one
