"""Which way trains K small CNNs fastest: loop, CUDA graphs, vmap or grouped convolutions?

step_ms     a step of all K members;  member_ms: of one
x_loop      how many times as fast as the loop of the same row group
memory_mb   peak reserved on the device
loss        mean after the timed steps: equal for all ways, to rounding (graphs: 3 steps later)
"""

import gc
import itertools
import time
from collections.abc import Callable

import torch

from on_gpu.probe_nets import (
    Members,
    Step,
    captured,
    grouped_step,
    in_turn,
    loop_steps,
    make_members,
    vmap_step,
)
from on_gpu.record import Row, Rows, Settings

Way = tuple[bool, Callable[[Members], Step]]
WAYS: dict[str, Way] = {
    "loop": (True, lambda members: in_turn(loop_steps(members))),
    "vmap": (False, vmap_step),
    "grouped": (False, grouped_step),
    "grouped, channels last": (True, grouped_step),
}
"""Way → whether the layout is channels-last, and what makes its step."""
GRAPH_WAYS: dict[str, Way] = {
    "graph": (True, lambda members: captured(in_turn(loop_steps(members)))),
    "vmap, graph": (False, lambda members: captured(vmap_step(members))),
    "grouped, graph": (False, lambda members: captured(grouped_step(members))),
    "grouped, channels last, graph": (True, lambda members: captured(grouped_step(members))),
}
WARM_UP, TIMED = 4, 10


def probes(settings: Settings, rows: Rows) -> None:
    """A row a way, for each number of members, width and precision."""
    on_gpu = settings.device == "cuda"
    ways = {**WAYS, **(GRAPH_WAYS if on_gpu else {})}
    if not on_gpu:
        rows.add(note="CUDA graphs need CUDA")
    torch.backends.cudnn.benchmark = True
    sizes = [(2, 4, 16)] if settings.tiny else [(4, 16, 128), (4, 64, 128), (16, 16, 128)]
    for (count, width, batch), bf16 in itertools.product(sizes, (False, True)):
        loop: float | None = None
        for name, (channels_last, make) in ways.items():
            about = {"K": count, "width": width, "batch": batch,
                     "precision": "bf16" if bf16 else "fp32", "way": name}  # fmt: skip
            arguments = {"bf16": bf16, "channels_last": channels_last}
            try:
                members = make_members(count, width, batch, settings.device, **arguments)
                found = measure(make, members)
            except RuntimeError as error:
                rows.add(**about, error=str(error).splitlines()[0][:120])
                continue
            loop = loop or found["step_ms"]
            rows.add(**about, **found, x_loop=loop / found["step_ms"])


def measure(make: Callable[[Members], Step], members: Members) -> Row:
    """Time and memory of one way."""
    cuda = members.images.is_cuda
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step = make(members)
    _run(step, WARM_UP, cuda)
    start = time.perf_counter()
    losses = _run(step, TIMED, cuda)
    milliseconds = 1e3 * (time.perf_counter() - start) / TIMED
    return {
        "step_ms": milliseconds,
        "member_ms": milliseconds / members.count,
        "memory_mb": torch.cuda.max_memory_reserved() / 1e6 if cuda else None,
        "loss": losses.mean().item(),
    }


def _run(step: Step, count: int, cuda: bool) -> torch.Tensor:
    losses = torch.empty(0)
    for _ in range(count):
        losses = step()
    if cuda:
        torch.cuda.synchronize()
    return losses
