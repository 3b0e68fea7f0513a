"""The process that trains: a Ray actor for each device, alive as long as the sweep.

How it trains is in `training.py`. It imports torch when it starts, not when this module is
imported, so that the driver can start it beside its own imports.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sweep.trial.job import Job
from sweep.trial.last_words import keep_last_words
from sweep.trial.reports import Order, Outcome
from tl_core.machine.torch_compiler import put_off_compiler

if TYPE_CHECKING:
    from sweep.trial.pulse import Pulse
    from sweep.trial.training import Training

T = TypeVar("T")


class TrainerProcess:
    """Trains the trials of a sweep on one device, measures before them and judges after them.

    Args:
        gpus: the GPU to use, as CUDA_VISIBLE_DEVICES names it, where Ray does not say; None: what
            Ray gave this process.
    """

    def __init__(self, gpus: str | None = None) -> None:
        if gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus
        import gc

        put_off_compiler()
        import sweep.trial.training  # noqa: F401

        _wake_device()
        gc.collect()
        gc.freeze()  # so collections between trials search only new objects
        self.training: Training | None = None
        self.pulse: Pulse | None = None

    def place(self) -> tuple[str, str]:
        """Ray's name of its machine, and its GPUs as CUDA_VISIBLE_DEVICES names them."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        return node, os.environ.get("CUDA_VISIBLE_DEVICES", "")

    def follow(self, desk: Any, name: str, words: str) -> None:
        """Tell a desk from now on how far the process comes.

        Args:
            desk: the actor.
            name: of this process.
            words: file for what it writes to its standard error.
        """
        from sweep.trial.pulse import Pulse

        keep_last_words(Path(words))
        self.pulse = self.pulse or Pulse(lambda taken: desk.pulse.remote(name, taken))

    def begin(self, job: Job) -> None:
        """Take the trials of this sweep from now on.

        Raises:
            BadInput: a module of the user's cannot be loaded.
        """
        from sweep.trial.training import Training

        self.training = None  # so that its memory is free
        self.training = Training(job)

    def train(self, orders: Sequence[Order], *, grouped: bool) -> Outcome:
        """As `Training.train`."""
        assert self.training is not None
        with self.pulse.beating() if self.pulse else contextlib.nullcontext():
            return self.training.train(orders, grouped=grouped)

    def drop(self, number: int) -> None:
        """Forget a trial that the driver has ended."""
        if self.training is not None:
            self.training.drop([number])

    def call(self, function: Callable[[], T]) -> T:
        """What a function returns in this process."""
        if self.training is not None:
            self.training.make_room()
        return function()


def _wake_device() -> None:
    """Make the CUDA context now, which takes seconds."""
    import torch

    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")
