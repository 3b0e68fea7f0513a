"""What an error that ended a trial means, and what is kept of it."""

import traceback

import torch

from sweep.faults import last_line
from sweep.trial.reports import Order, Report, failure
from sweep.trial.time_limit import OverTime, over_time


def failure_of(error: BaseException, order: Order, epochs: int, facts: Report) -> Report:
    """The last report of a trial that an error ended.

    Args:
        epochs: that it had trained.
        facts: columns as far as known.
    """
    if isinstance(error, OverTime):
        return failure("timed_out", over_time(order.timeout, epochs), facts, error.stack)
    told = "".join(traceback.format_exception(error))
    return failure(failure_status(error), last_line(error), facts, told)


def failure_status(error: BaseException) -> str:
    """`out_of_memory` for errors of torch and Python when memory is short, else `failed`."""
    short = isinstance(error, torch.OutOfMemoryError) or host_memory_short(error)
    return "out_of_memory" if short else "failed"


def host_memory_short(error: BaseException) -> bool:
    """Whether it is the machine's memory, or this process's share of it, that is short."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def broken_device() -> str:
    """What keeps this process's GPU from any further work, such as a failed assertion in a kernel;
    empty where nothing does."""
    if not torch.cuda.is_initialized():
        return ""
    try:
        torch.cuda.synchronize()
    except Exception as error:
        return last_line(error)
    return ""
