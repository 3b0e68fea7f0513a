"""Load source weights into a model, and find the normalization they were trained with."""

import functools
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tl_core.config import PRETRAINED, TrainConfig
from tl_core.errors import BadInput, UnsoundWeights
from tl_core.models.dense_head import replace_head
from tl_core.models.hub import fetch_hub_weights, hub_cfg
from tl_core.models.stages import head_parameters
from tl_core.models.timm_models import PREFIX, create_timm_model, pretrained_cfg
from tl_core.weights.key_matching import choose_tensors, fits
from tl_core.weights.weights_file import (
    TORCH_SUFFIXES,
    read_metadata,
    read_state_dicts,
    weights_path,
)

# Names that timm's modules give to the function that turns other writers' names and sizes into the
# model's. A name missing here only leaves tensors of such files in `Loaded.unexpected`.
TIMM_FILTERS = ("checkpoint_filter_fn", "pretrained_filter_fn", "_filter_fn")

ADAPTABLE = (1, 3)
"""Numbers of channels from which a source's first convolution can be adapted."""

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation, a value per channel each."""


@dataclass(frozen=True)
class Loaded:
    """Tensors of source weights that were not copied unchanged, and their keys in the file."""

    missing: tuple[str, ...] = ()
    """Tensors of the model that kept their initial values, such as a head of other classes."""
    unexpected: tuple[str, ...] = ()
    """Tensors of the file that the model lacks by name or shape."""
    adapted: tuple[str, ...] = ()
    """First convolutions that were adapted to the images' number of channels."""
    wrapper: str = ""
    """Keys of the file above the tensors, such as `state_dict`; empty: none."""
    prefix: str = ""
    """Prefix removed from their names, such as `module.`; empty: none."""
    aside: tuple[str, ...] = ()
    """Other sets of tensors in the file that fit too, such as `model` beside `ema`."""


def load_source(
    model: nn.Module, weights: str, input_adapt: str = "sum", classes: Sequence[str] | None = None
) -> Loaded:
    """Copy into the model every tensor of a weights file that fits by name and shape.

    Keys above the tensors and a prefix of their names are removed (`choose_tensors`). The first
    convolution is adapted to the model's number of channels: to one by the sum over channels, or
    the mean if `input_adapt` is `mean`, from one by repetition divided by the number. The head is
    copied whole or not at all, and not if the file names other classes than `classes`.

    Raises:
        BadInput: the file is missing or damaged, holds code, or fits nothing of the model's body;
            or tensors that fit have NaN or infinite values.
    """
    state_dicts = read_state_dicts(weights_path(weights))
    own, head = model.state_dict(), head_parameters(model)
    body = {name: own[name] for name, _ in model.named_parameters() if name not in head}
    found = choose_tensors(state_dicts, body, lambda ts: _in_timm_names(model, ts), weights)
    source, adapted = _adapt_first_convs(model, weights, found.tensors, input_adapt)
    fitting = {n: t for n, t in source.items() if n in own and fits(t, own[n])}
    known = read_metadata(weights).classes
    others = classes is not None and known is not None and tuple(classes) != tuple(known)
    if others or not head <= fitting.keys():
        fitting = {name: tensor for name, tensor in fitting.items() if name not in head}
    if not any(name in fitting for name in body):
        raise BadInput(_misfit(model, weights, source, list(body)))
    _check_finite(weights, fitting, own)
    model.load_state_dict(fitting, strict=False)
    return Loaded(
        missing=tuple(name for name in own if name not in fitting),
        unexpected=tuple(name for name in source if name not in fitting),
        adapted=tuple(name for name in adapted if name in fitting),
        wrapper=found.wrapper,
        prefix=found.prefix,
        aside=found.aside,
    )


def load_hub_weights(
    config: TrainConfig, *, channels: int, num_classes: int, image_size: int
) -> nn.Module:
    """The timm model with its published weights, downloaded if need be; `loaded` is a `Loaded`.

    Raises:
        WeightsUnavailable: they are not on this disk and cannot be downloaded.
        BadInput: there are no published weights, they do not fit, or have NaN or infinite values.
    """
    cfg = hub_cfg(config.backbone)
    file = str(fetch_hub_weights(config.backbone))
    if Path(file).suffix in TORCH_SUFFIXES:
        read_state_dicts(Path(file))  # raises where timm would run code in it
    shape = {"channels": channels, "num_classes": num_classes, "image_size": image_size}
    model = create_timm_model(config, **shape, pretrained_file=file)
    if config.head_units is not None:
        replace_head(model, config, num_classes)
    new_head = config.head_units is not None or num_classes != cfg.num_classes
    head = head_parameters(model) if new_head else ()
    own = model.state_dict()
    _check_finite(file, {n: t for n, t in own.items() if n not in head}, own)
    convs = _first_convs(model) if channels != cfg.input_size[0] else []
    if channels == 1 and config.input_adapt == "mean":  # timm takes the sum
        for name in convs:
            with torch.no_grad():
                model.get_parameter(f"{name}.weight").div_(cfg.input_size[0])
    loaded = Loaded(
        missing=tuple(n for n in own if n in head),
        adapted=tuple(f"{name}.weight" for name in convs),
    )
    model.loaded = loaded  # type: ignore[assignment]
    return model


def normalization(
    config: TrainConfig, data_mean: Sequence[float], data_std: Sequence[float], channels: int
) -> Normalization:
    """Mean and standard deviation per channel, of [0, 1] pixels.

    The config's own come first, then those of the source weights (from their file, else timm's for
    the backbone), then the training split's. Three values become one by their mean, one becomes
    three by repetition.

    Raises:
        BadInput: the number of values is not `channels`.
    """
    if config.mean is not None and config.std is not None:
        mean, std = config.mean, config.std
    else:
        mean, std = _weights_normalization(config) or (tuple(data_mean), tuple(data_std))
    return _for_channels("mean", mean, channels), _for_channels("std", std, channels)


def weights_fingerprint(config: TrainConfig) -> str | None:
    """Hash of the source weights' file, the hub's name of `pretrained`, None for random weights.

    Raises:
        BadInput: there is no such file, or the backbone has no published weights.
    """
    if config.weights is None:
        return None
    if config.weights == PRETRAINED:
        cfg = hub_cfg(config.backbone)
        return f"hub:{cfg.hf_hub_id or cfg.url}"
    return file_fingerprint(config.weights)


def file_fingerprint(weights: str) -> str:
    """Hash of a weights file's content, 16 hexadecimal digits.

    Raises:
        BadInput: there is no such file.
    """
    path = weights_path(weights).resolve()
    status = path.stat()
    return _file_hash(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _file_hash(path: Path, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8))
    return digest.hexdigest()


def _in_timm_names(model: nn.Module, source: dict[str, Tensor]) -> dict[str, Tensor]:
    """The source through timm's own filter: renamed, position embeddings resized."""
    names = [cls.__module__ for cls in type(model).__mro__ if cls.__module__.startswith("timm.")]
    modules = [sys.modules.get(name) for name in names]
    found = [getattr(module, name, None) for module in modules for name in TIMM_FILTERS]
    function = next((one for one in found if one is not None), None)
    if function is None:
        return source
    for arguments in ((dict(source), model), (dict(source),)):
        try:
            return dict(function(*arguments))
        except TypeError:  # timm's older filters take the tensors alone
            continue
        except Exception:  # a file of another architecture
            break
    return source


def _first_convs(model: nn.Module) -> list[str]:
    cfg = getattr(model, "pretrained_cfg", None) or {}
    names = getattr(model, "first_conv", None) or cfg.get("first_conv") or []
    return [names] if isinstance(names, str) else list(names)


def _adapt_first_convs(
    model: nn.Module, weights: str, source: dict[str, Tensor], input_adapt: str
) -> tuple[dict[str, Tensor], list[str]]:
    """The source with first convolutions for the model's channels, and their names."""
    adapted: dict[str, Tensor] = {}
    parameters = dict(model.named_parameters())
    for name in (f"{conv}.weight" for conv in _first_convs(model)):
        there, here = source.get(name), parameters.get(name)
        if there is None or here is None or there.ndim != 4 or here.ndim != 4:
            continue
        own, wanted = there.shape[1], here.shape[1]
        if own != wanted:
            if own not in ADAPTABLE:
                raise BadInput(
                    f"weights={weights!r} are for images of {own} channels, the model takes"
                    f" {wanted}; give a source of grey or RGB images."
                )
            new = _with_channels(there, wanted)
            adapted[name] = new / own if input_adapt == "mean" and wanted == 1 else new
    return {**source, **adapted}, list(adapted)


@torch.no_grad()
def _with_channels(weight: Tensor, channels: int) -> Tensor:
    """A convolution (O, C, K, L) for `channels`: summed to one, else repeated and scaled."""
    own = weight.shape[1]
    if channels == 1:
        return weight.float().sum(1, keepdim=True).to(weight.dtype)
    repeated = weight.float().repeat(1, -(-channels // own), 1, 1)[:, :channels]
    return (repeated * (own / channels)).to(weight.dtype)


def _check_finite(weights: str, fitting: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """Raise UnsoundWeights for values that are NaN or infinite in the model's dtype."""
    counts = {n: int((~t.to(own[n].dtype).isfinite()).sum()) for n, t in fitting.items()}
    broken = [name for name, count in counts.items() if count]
    if broken:
        name = broken[0]
        more = f", and {len(broken) - 1} more tensors have such" if len(broken) > 1 else ""
        raise UnsoundWeights(
            f"weights={weights!r} are NaN or infinite in {counts[name]} of"
            f" {fitting[name].numel()} values of {name}{more}; give those of a sound run."
        )


def _misfit(model: nn.Module, weights: str, source: dict[str, Tensor], body: list[str]) -> str:
    own = dict(model.named_parameters())
    shared = [name for name in body if name in source]
    if shared:
        there, here = source[shared[0]], own[shared[0]]
        alike = there.shape == here.shape
        in_file, in_model = ((t.dtype if alike else tuple(t.shape)) for t in (there, here))
        reason = f"{shared[0]} is {in_file} in the file and {in_model} in the model"
    else:
        reason = f"its tensors have other names ({next(iter(source))}, not {body[0]})"
    made = read_metadata(weights).config or {}
    keys = [key for key in ("backbone", "width", "depth", "channels") if made.get(key) is not None]
    hint = " (" + ", ".join(f"{key}={made[key]}" for key in keys) + ")" if keys else ""
    return (
        f"weights={weights!r} fits nothing of {type(model).__name__}: {reason};"
        f" choose the backbone and settings it was made with{hint}."
    )


def _weights_normalization(config: TrainConfig) -> Normalization | None:
    if config.weights is None:
        return None
    if config.weights != PRETRAINED:
        about = read_metadata(config.weights)
        if about.mean and about.std:
            return about.mean, about.std
    cfg = pretrained_cfg(config.backbone) if config.backbone.startswith(PREFIX) else None
    return None if cfg is None else (tuple(cfg.mean), tuple(cfg.std))


def _for_channels(name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) == channels:
        return values
    if channels == 1 and len(values) == 3:
        return (sum(values) / 3,)
    if len(values) == 1:
        return values * channels
    raise BadInput(
        f"{name}={values} has {len(values)} values but the images have {channels} channels;"
        f" give {channels}, or 1 for all."
    )
