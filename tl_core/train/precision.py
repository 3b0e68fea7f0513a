"""Resolve `auto` precision: measure whether bf16 is faster than fp32, and remember it."""

import contextlib
import dataclasses
import json
import timeit
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tl_core.config import ARCHITECTURE, FROM_SCRATCH, TrainConfig, config_from_dict
from tl_core.datasets import ImageData
from tl_core.frozen.content import content_key
from tl_core.kernels import layer_library
from tl_core.machine.cache_folder import cache_folder
from tl_core.machine.device import autocast, resolve_device, set_arithmetic
from tl_core.machine.hardware import device_name
from tl_core.machine.user_code import digest
from tl_core.machine.whole_file import whole_file
from tl_core.models import MODELS, build_model, model_channels
from tl_core.models.timm_models import PREFIX

PHASES = ("precision", "eval_precision")
"""The fields of TrainConfig that may be `auto`: training, evaluation."""
MIN_SPEEDUP = 1.1  # bf16 must be faster by this factor, which is above the noise
TIMED_STEPS = 3
LARGEST_BATCH = 64
"""Images of a timed step on a CPU. Own choice: there a step takes the longer the more images it
has, whichever precision is faster. A GPU's time is constant until a batch fills it, so that only
the run's own batch tells."""


def resolve_precision(config: TrainConfig, data: ImageData) -> TrainConfig:
    """`measured_precision`; where measuring fails, a warning and fp32 for `auto`."""
    try:
        return measured_precision(config, data)
    except Exception as error:
        warnings.warn(
            f"the precision of {config.backbone} could not be measured ({error}): fp32",
            stacklevel=2,
        )
        return config_from_dict(dict.fromkeys(_auto(config), "fp32"), config)


def _auto(config: TrainConfig) -> list[str]:
    return [phase for phase in PHASES if getattr(config, phase) == "auto"]


def measured_precision(config: TrainConfig, data: ImageData) -> TrainConfig:
    """The config with every `auto` precision replaced by the faster of fp32 and bf16.

    Training and evaluation are measured separately, for a few steps on random images, without a
    change to the global generators. The cache folder keeps the result (`memory_file`). Errors of
    the model pass through.
    """
    config = remembered_precision(config, data)
    for phase in _auto(config):
        fp32, bf16 = (seconds_per_step(config, data, p, phase) for p in ("fp32", "bf16"))
        faster = "bf16" if fp32 > MIN_SPEEDUP * bf16 else "fp32"
        file = memory_file(config, data)
        _write(file, {**_read(file), phase: faster})
        config = config_from_dict({phase: faster}, config)
    return config


def remembered_precision(config: TrainConfig, data: ImageData) -> TrainConfig:
    """The config with `auto` replaced where this machine has measured such a run before."""
    auto = _auto(config)
    known = _read(memory_file(config, data)) if auto else {}
    return config_from_dict({phase: known[phase] for phase in auto if phase in known}, config)


def seconds_per_step(config: TrainConfig, data: ImageData, precision: str, phase: str) -> float:
    """Shortest time of a step on random images of the data's shape.

    They are as many as in a step of the run, on a CPU at most 64. `phase` is `precision` for
    forward and backward, `eval_precision` for forward alone.
    """
    config = dataclasses.replace(config, **FROM_SCRATCH)
    device = resolve_device(config.device)
    set_arithmetic(device, config.deterministic)
    if config.threads:
        torch.set_num_threads(config.threads)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        channels, side = model_channels(config, data.channels), data.image_size
        model = build_model(
            config, channels=channels, num_classes=data.num_classes, image_size=side
        ).to(device)
        images = torch.randn(_batch(config, data), channels, side, side, device=device)
        if config.channels_last:
            model = model.to(memory_format=torch.channels_last)
            images = images.contiguous(memory_format=torch.channels_last)
        model.train(phase == "precision")
        step = _train_step if phase == "precision" else _eval_step
        timer = timeit.Timer(lambda: step(model, images, precision))
        return min(timer.repeat(TIMED_STEPS + 1, number=1)[1:])


def _batch(config: TrainConfig, data: ImageData) -> int:
    """Images of a timed step: the run's batch, on a CPU at most LARGEST_BATCH."""
    own = min(config.batch_size, len(data.train))
    return own if resolve_device(config.device).type == "cuda" else min(own, LARGEST_BATCH)


def _train_step(model: nn.Module, images: Tensor, precision: str) -> None:
    model.zero_grad(set_to_none=True)
    with autocast(images.device, precision):
        logits = model(images).float()
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    loss.item()  # waits for the device


@torch.inference_mode()
def _eval_step(model: nn.Module, images: Tensor, precision: str) -> None:
    with autocast(images.device, precision):
        model(images).float().sum().item()


def memory_file(config: TrainConfig, data: ImageData) -> Path:
    """The file that keeps the precision measured for such a run."""
    device = resolve_device(config.device)
    about = {
        **{name: getattr(config, name) for name in ARCHITECTURE},
        "code": _builder_hash(config.backbone),
        "classes": data.num_classes,
        "batch": _batch(config, data),
        "image": (model_channels(config, data.channels), data.image_size),
        "channels_last": config.channels_last,
        "deterministic": config.deterministic,
        "device": device_name(device),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "native": device.type == "cpu" and layer_library() is not None,
        "threads": config.threads or torch.get_num_threads(),
        "torch": torch.__version__,
    }
    return cache_folder(config.cache_dir) / "precision" / f"{digest(about)}.json"


def _builder_hash(backbone: str) -> str:
    """Hash of the code that builds the model: a user may change it under the same name."""
    if not backbone.startswith(PREFIX):
        return content_key(MODELS[backbone].build)
    import timm

    return content_key(timm.model_entrypoint(backbone.removeprefix(PREFIX)))


def _read(file: Path) -> dict[str, str]:
    try:
        known = json.loads(file.read_text())
        return {phase: known[phase] for phase in PHASES if known.get(phase) in ("fp32", "bf16")}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(file: Path, known: dict[str, str]) -> None:
    with contextlib.suppress(OSError), whole_file(file) as temporary:  # then it is measured again
        temporary.write_text(json.dumps(known))
