"""Try a model before it is trained: it is built as rows of MODELS are, and gives logits."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tl_core.config import TrainConfig
from tl_core.errors import BadInput, first_line
from tl_core.models.timm_models import PREFIX

BUILDER_TAKES = "its builder takes (config, *, channels, num_classes, image_size)"


@contextlib.contextmanager
def building(config: TrainConfig) -> Iterator[None]:
    """Raise BadInput for an error of the block, which builds the config's model."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        rule = "" if config.backbone.startswith(PREFIX) else f": {BUILDER_TAKES}"
        why = f"{type(error).__name__}: {first_line(error)}"
        raise BadInput(f"backbone={config.backbone!r} cannot be built ({why}){rule}.") from error


@contextlib.contextmanager
def built_on(device: str) -> Iterator[None]:
    """Build a model on a device; torch's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]), torch.device(device), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Draws no normal values for tensors of the meta device, which have none.

    The first such draw would import sympy, which takes half a second.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in (nn.init.normal_, Tensor.normal_):
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return function(*args, **kwargs)


def show_images(
    model: nn.Module,
    config: TrainConfig,
    shape: tuple[int, int, int],
    *,
    device: str = "cpu",
    training: bool = False,
) -> None:
    """Run a model on two black images, while it trains to the gradients.

    Args:
        model: on `device`.
        config: what it was built from.
        shape: channels, number of classes, side of the images in pixels.
        device: where the images are.
        training: whether the model is in training mode; else it computes no gradients.

    Raises:
        BadInput: it does not take such images, or does not give (2, number of classes) logits.
    """
    channels, num_classes, side = shape
    try:
        with torch.set_grad_enabled(training):
            logits = model.train(training)(torch.zeros(2, channels, side, side, device=device))
        if isinstance(logits, torch.Tensor) and logits.requires_grad:
            logits.sum().backward()
    except Exception as error:
        raise BadInput(
            f"backbone={config.backbone!r} cannot take images of image_size={side} pixels"
            f" ({first_line(error)}); choose another image_size."
        ) from error
    is_tensor = isinstance(logits, torch.Tensor)
    found = str(tuple(logits.shape)) if is_tensor else f"a {type(logits).__name__}"
    if not is_tensor or logits.shape != (2, num_classes):
        raise BadInput(
            f"backbone={config.backbone!r} gives {found} for 2 images of {num_classes} classes;"
            f" its forward returns logits of shape (2, {num_classes})."
        )
