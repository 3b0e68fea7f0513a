"""timm's published weights: find them on this disk, or download them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
import torch

from tl_core.errors import BadInput, first_line
from tl_core.machine.network import reachable
from tl_core.models.timm_models import PREFIX, pretrained_cfg

if TYPE_CHECKING:  # timm takes a second to load, and not every sweep uses its models
    from timm.models import PretrainedCfg

HUB_FILES = ("model.safetensors", "pytorch_model.bin")


class WeightsUnavailable(BadInput):
    """Published weights are not on this disk and cannot be downloaded."""


def _on_disk(cfg: "PretrainedCfg") -> Path | None:
    if not cfg.hf_hub_id:
        path = _url_path(cfg)
        return path if path.is_file() else None
    repository, revision = _repository(cfg)
    for name in _file_names(cfg):
        found = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def fetch_hub_weights(backbone: str) -> Path:
    """The file of the published weights of `timm:NAME`, downloaded with a progress bar if need be.

    A probe of a few seconds at most finds first whether the hub can be reached.

    Raises:
        WeightsUnavailable: the hub cannot be reached or the download fails.
        BadInput: the backbone is no timm model, or has no published weights.
    """
    cfg = hub_cfg(backbone)
    found = _on_disk(cfg)
    if found is not None:
        return found
    try:
        if cfg.hf_hub_id and huggingface_hub.constants.HF_HUB_OFFLINE:
            raise OSError("offline mode is on")
        if not reachable([_probe_url(cfg)]):
            raise OSError("the hub does not answer")
        return _download(cfg)
    except Exception as error:  # the hub's clients raise many kinds
        raise WeightsUnavailable(
            f"the pretrained weights of {backbone} are not on this disk and cannot be downloaded"
            f" ({first_line(error)}); give a file with --weights FILE, or --weights none."
        ) from error


def hub_cfg(backbone: str) -> "PretrainedCfg":
    """timm's description of the published weights.

    Raises:
        BadInput: the backbone is no timm model, or has no published weights.
    """
    cfg = pretrained_cfg(backbone) if backbone.startswith(PREFIX) else None
    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        raise BadInput(
            f"weights='pretrained': {backbone} has no published weights;"
            " give a .safetensors / .pth file, or none."
        )
    return cfg


def _download(cfg: "PretrainedCfg") -> Path:
    if not cfg.hf_hub_id:
        path = _url_path(cfg)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(_url(cfg), str(path), progress=True)
        return path
    repository, revision = _repository(cfg)
    *first, last = _file_names(cfg)
    for name in first:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
        except huggingface_hub.errors.EntryNotFoundError:
            continue
    return Path(huggingface_hub.hf_hub_download(repository, last, revision=revision))


def _repository(cfg: "PretrainedCfg") -> tuple[str, str | None]:
    repository, _, revision = (cfg.hf_hub_id or "").partition("@")
    return repository, revision or None


def _file_names(cfg: "PretrainedCfg") -> tuple[str, ...]:
    name = cfg.hf_hub_filename
    if name is None:
        return HUB_FILES
    safe = name.replace("pytorch_model.bin", "model.safetensors")
    return (name,) if safe == name else (safe, name)


def _url(cfg: "PretrainedCfg") -> str:
    url = cfg.url or ""
    return url if isinstance(url, str) else url[0]


def _url_path(cfg: "PretrainedCfg") -> Path:
    name = _url(cfg) if isinstance(cfg.url, str) or cfg.url is None else cfg.url[1]
    return Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(name)


def _probe_url(cfg: "PretrainedCfg") -> str:
    if not cfg.hf_hub_id:
        return _url(cfg)
    repository, revision = _repository(cfg)
    return huggingface_hub.hf_hub_url(repository, _file_names(cfg)[0], revision=revision)
