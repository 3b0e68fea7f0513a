"""Training steps of a run on a GPU as a CUDA graph: the host launches each in one call.

The first steps run as they would without a graph, on another stream; then the step is recorded,
once, and replayed with other batches and rates. What cannot be recorded runs as before.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tl_core.batches.batches import Batch
from tl_core.errors import first_line
from tl_core.machine.cuda_graph import Recorder, Recording, waits_noted
from tl_core.train.checkpoint import rng_state
from tl_core.train.optim import optimizer_spec, set_learning_rates
from tl_core.train.training_step import TrainingStep

WARM_UP = 3
"""Steps before the recording. Source: `torch.cuda.make_graphed_callables`."""
MOST_MEMORY = 0.25
"""A recorded step keeps its memory. Runs that take more than this share of the GPU's, which also
keep a GPU busy without a graph, have none. Own choice."""


def recorded(step: TrainingStep, model: nn.Module) -> "TrainingStep | StepGraph":
    """The step of that model, which is recorded if its run's settings allow it."""
    return StepGraph(step, model, Recorder(step.device)) if recordable(step) else step


def recordable(step: TrainingStep) -> bool:
    """Whether a step may be recorded, as far as its run's settings tell."""
    config = step.config
    return (
        step.device.type == "cuda"
        and step.precision != "fp16"  # the loss scaler decides on the host
        and not config.deterministic
        and config.teacher is None
        and optimizer_spec(config.optimizer).recordable
    )


class StepGraph:
    """`step`, recorded after its first calls.

    Whoever replaces parameters, optimizer state or the model's mode needs a new one. The results
    are valid until the next call.

    Attributes:
        refusal: why the step is not recorded, None where it is or may yet be.
    """

    def __init__(self, step: TrainingStep, model: nn.Module, recorder: Recorder) -> None:
        self.step, self.model, self.recorder = step, model, recorder
        self.loss_sum, self.correct = step.loss_sum, step.correct
        self.start_epoch = step.start_epoch
        self.refusal: str | None = None
        self.recording: Recording | None = None
        self._warmed = 0

    def __call__(self, batch: Batch, rate_factor: float) -> tuple[Tensor, Tensor]:
        """As `TrainingStep`; the recording makes the host wait once."""
        if self.recording is None and self.refusal is None:
            if self._warmed < WARM_UP:
                return self._warm_up(batch, rate_factor)
            self._record(batch, rate_factor)
        if self.recording is None or not _alike(batch, self._batch):
            return self.step(batch, rate_factor)
        _copy(batch, self._batch)
        self._rate_factor.fill_(rate_factor)
        mean, hits = self.recording()
        set_learning_rates(self.step.optimizer, rate_factor)  # numbers, as without a recording
        return mean, hits

    def _warm_up(self, batch: Batch, rate_factor: float) -> tuple[Tensor, Tensor]:
        self._warmed += 1
        with self.recorder.aside():
            if self._warmed < WARM_UP:
                return self.step(batch, rate_factor)
            before = _host_state(self.model)
            with waits_noted() as waits:
                results = self.step(batch, rate_factor)
        if waits:
            self._refuse(f"the host waits in a step: {waits[0]}")
        elif _host_state(self.model) != before:
            self._refuse("a step changes what the host may decide by")
        elif not self.recorder.is_small(MOST_MEMORY):
            self._refuse("a step takes too much of the GPU's memory")
        return results

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self.recorder.give_back()

    def _record(self, batch: Batch, rate_factor: float) -> None:
        self._batch = _buffers(batch)
        self._rate_factor = torch.ones((), device=batch.images.device)
        try:
            with _for_recording(self.step.optimizer):
                self.recording = self.recorder.record(
                    lambda: self.step(self._batch, self._rate_factor)
                )
        except Exception as error:  # torch's, or whatever a user's model makes of it
            self._refuse(first_line(error))
            del self._batch, self._rate_factor


@contextlib.contextmanager
def _for_recording(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Let torch's optimizers be recorded: counts of steps on the device, `capturable` groups."""
    for parameter, state in optimizer.state.items():
        if "step" in state and state["step"].device != parameter.device:
            count = state["step"].item()
            state["step"] = torch.full_like(state["step"], count, device=parameter.device)
    groups = [group for group in optimizer.param_groups if "capturable" in group]
    before = [group["capturable"] for group in groups]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group, own in zip(groups, before, strict=True):
            group["capturable"] = own


def _host_state(model: nn.Module) -> list[Any]:
    """What Python code of a model may decide by: global generators and plain attributes."""
    drawn = rng_state()
    plain = [
        {name: value for name, value in vars(module).items() if isinstance(value, int | float)}
        for module in model.modules()
    ]
    return [drawn["torch"].tolist(), drawn["python"], drawn["numpy"], plain]


def _buffers(batch: Batch) -> Batch:
    """Tensors like a batch's; labels that are the targets too stay one."""
    images, labels = torch.empty_like(batch.images), torch.empty_like(batch.labels)
    own = batch.targets is not batch.labels
    return Batch(images, labels, torch.empty_like(batch.targets) if own else labels)


def _copy(batch: Batch, buffers: Batch) -> None:
    buffers.images.copy_(batch.images)
    buffers.labels.copy_(batch.labels)
    if buffers.targets is not buffers.labels:
        buffers.targets.copy_(batch.targets)


def _alike(batch: Batch, buffers: Batch) -> bool:
    pairs = zip(batch, buffers, strict=True)
    return all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)
