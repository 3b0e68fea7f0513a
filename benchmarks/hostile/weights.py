"""Malformed weights files and checkpoints, read as sources, finished models and states."""

import functools
import io
import json
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn

from benchmarks.hostile.mutate import check_refusal, mutated
from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import build_model
from tl_core.models.saved_model import load_model
from tl_core.models.source_weights import load_source
from tl_core.train.checkpoint import load_checkpoint
from tl_core.weights.weights_file import save_weights

CONFIG = TrainConfig(width=4)
SHAPE: dict[str, Any] = {"channels": 1, "num_classes": 2, "image_size": 8}
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar")
TEXTS = (
    "null", "true", "-1", "0", "1e999", "NaN", "[]", "{}", '"x"', "[1]", '["a"]', "[[1]]",
    "9" * 5000, "[" * 9999, '{"width":1000000}', '{"depth":1000000}', '{"lr":"x"}', '{"no":1}',
    '{"backbone":"__import__(\'os\')"}', "[0.5]", "[1e300]", "100000000", '["\\u001b[2J","b"]',
)  # fmt: skip


@functools.cache
def small_model() -> nn.Module:
    """The model that the files fit."""
    return build_model(CONFIG, **SHAPE)


def weights_case(folder: Path) -> Callable[[Random], str]:
    """Cases of files in `folder`, some with pickles that would make `folder/canary`."""
    from benchmarks.hostile.kinds import Canary

    sound = folder / "sound.safetensors"
    about: dict[str, Any] = {"classes": "ab", "mean": [0.5], "std": [0.2], "image_size": 8}
    save_weights(sound, small_model(), config=CONFIG, **about)
    good, evil = sound.read_bytes(), Canary(folder)
    state = {"model": small_model().state_dict(), "epoch": 1}
    legacy = {"_use_new_zipfile_serialization": False}
    files = [
        good, good, _saved(state), _saved(state, **legacy), _saved({**state, "a": evil}),
        _saved({"state_dict": evil}, **legacy), *(pickle.dumps(evil, p) for p in (0, 2, 4)),
    ]  # fmt: skip

    def case(rng: Random) -> str:
        raw = rng.choice(files)
        if raw is good and rng.random() < 0.5:
            raw = _other_texts(good, rng)
        elif rng.random() < 0.9:
            raw = mutated(raw, rng)
        path = folder / f"case{rng.choice(SUFFIXES)}"
        path.write_bytes(raw)
        return read_as_weights(path, rng.choice(READERS))

    return case


def read_as_weights(path: Path, read: Callable[[Path], object]) -> str:
    """The outcome of one reader."""
    try:
        with warnings.catch_warnings(action="ignore"):
            read(path)
    except BadInput as refusal:
        check_refusal(refusal)
        return "refused"
    return "accepted"


def _as_source(path: Path) -> None:
    load_source(small_model(), str(path))


READERS: tuple[Callable[[Path], object], ...] = (_as_source, load_model, load_checkpoint)


def _saved(content: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def _other_texts(good: bytes, rng: Random) -> bytes:
    """The file with one to three other texts in its metadata."""
    (length,) = struct.unpack("<Q", good[:8])
    header = json.loads(good[8 : 8 + length])
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(("config", "classes", "mean", "std", "image_size", "white_levels"))
        header["__metadata__"][name] = rng.choice(TEXTS)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + good[8 + length :]
