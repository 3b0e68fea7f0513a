"""Record what a function does on a GPU as a CUDA graph, which the host launches in one call.

A step of a small network is hundreds of launches, for which the host takes longer than the GPU for
its work; a recording takes one. It does to the same tensors, by address, what was recorded.
"""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tl_core.machine.device import peak_memory_bytes

Results = tuple[Tensor, ...]
WAIT = "called a synchronizing CUDA operation"
"""What torch's warning of a wait says."""


@dataclass(frozen=True)
class Recording:
    """A recorded function, which has not run; its memory on the GPU lives as long as this."""

    graph: Any
    results: Results
    """What the function returned: the same tensors, which every run fills anew."""

    def __call__(self) -> Results:
        """Run on the current stream; the host does not wait."""
        self.graph.replay()
        return self.results


class Recorder:
    """Records functions on one GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = torch.device("cuda", _index(device))
        self.stream = _side_stream(self.device.index)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Compute on the stream of recordings, after what the current one has been given.

        A function must have run there a few times before it is recorded, so that libraries have
        made their choices and their workspaces.
        """
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            current.wait_stream(self.stream)

    def record(self, function: Callable[[], Results]) -> Recording:
        """Record what `function` does on the GPU; its Python runs once, no kernel does.

        Other threads may use the GPU meanwhile. Raises whatever the function, or torch where the
        function cannot be recorded; then the GPU's generator and memory are as before.
        """
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        generator = torch.cuda.default_generators[self.device.index]
        spare = generator.clone_state()
        capture = torch.cuda.graph(
            graph, pool=pool, stream=self.stream, capture_error_mode="thread_local"
        )
        try:
            with (
                self.aside(),
                capture,
            ):  # where ending the capture fails, `aside` leaves its stream
                results = function()
        except BaseException:
            generator.graphsafe_set_state(spare)  # the other is stuck in the capture
            _drop(graph, pool, self.device.index)
            raise
        return Recording(graph, results)

    def give_back(self) -> None:
        """Free what `aside` has left to the stream of recordings."""
        torch.cuda.empty_cache()

    def is_small(self, share: float) -> bool:
        """Whether the peak of memory in use is at most that share of the GPU's."""
        total = torch.cuda.get_device_properties(self.device).total_memory
        return peak_memory_bytes(self.device) <= share * total


@contextlib.contextmanager
def waits_noted() -> Iterator[list[str]]:
    """A list to which every wait of the host for a GPU is added, of those that torch sees."""
    noted: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield noted
        finally:
            torch.cuda.set_sync_debug_mode(before)
            noted += [text for each in found if WAIT in (text := str(each.message))]


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


@functools.cache
def _side_stream(index: int) -> torch.cuda.Stream:
    """One for all recordings of a GPU: libraries keep a workspace for every stream."""
    return torch.cuda.Stream(index)


def _drop(graph: Any, pool: Any, index: int) -> None:
    """Free a failed capture's memory; older versions of torch go on allocating to it."""
    with contextlib.suppress(Exception):
        graph.reset()
        torch._C._cuda_endAllocateToPool(index, pool)  # fails where `reset` has ended it
        torch._C._cuda_releasePool(index, pool)
    torch.cuda.empty_cache()
