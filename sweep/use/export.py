"""A finished model as a file for other programs, with what they need to know beside it.

    OUT/model.safetensors | model.onnx | model.pt   the model
    OUT/preprocessing.json                          from an image file to the model's input
    OUT/classes.txt                                 class names, one a line, in the logits' order;
                                                    a line break in a name is a space there

Shapes: B images, C channels, S × S pixels, K classes. The ONNX and TorchScript models map
(B, C, S, S) float32, normalized, to logits (B, K).
"""

import io
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from sweep.results.folders import writable_folder
from tl_core.errors import BadInput
from tl_core.machine.whole_file import whole_file
from tl_core.models.saved_model import SavedModel, load_model

OPSET = 18
SCALE = (
    "pixels = round(255 * min(value / white, 1)) / 255; `integers` are values of more than 8 bits;"
    " null: no training image was of that kind, and the white of an image is the smallest of 1"
    " (floats), 255, 1023, 4095, 16383, 65535 that covers its largest value"
)
"""How an image's values become pixels in [0, 1]."""


def export_model(weights: Path, form: str, out: Path) -> list[Path]:
    """Write a kept model in a format of FORMATS, its preprocessing and its classes; the files.

    Raises:
        BadInput: the format is unknown, the model cannot be read, or what the format needs is not
            installed.
        OSError: a file cannot be written; each of the others is whole, or as it was.
    """
    if form not in FORMATS:
        raise BadInput(f"--format {form}: one of {', '.join(FORMATS)}.")
    saved = load_model(weights)
    writable_folder(out, "--out")
    suffix, write = FORMATS[form]
    model = out / f"model.{suffix}"
    with whole_file(model) as temporary:
        write(saved, temporary)
    about, classes = out / "preprocessing.json", out / "classes.txt"
    with whole_file(about) as temporary:
        temporary.write_text(json.dumps(preprocessing(saved), indent=2) + "\n")
    lines = (" ".join(name.splitlines()) for name in saved.classes)
    with whole_file(classes) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [model, about, classes]


def preprocessing(saved: SavedModel) -> dict[str, object]:
    """How an image file becomes the model's input, in words and numbers."""
    return {
        "input": ["batch", saved.channels, saved.image_size, saved.image_size],
        "color": "grey" if saved.channels == 1 else "RGB",
        "transparency": "over white",
        "white": {"8-bit": 255, **asdict(saved.white_levels)},
        "scale": SCALE,
        "resize": "bilinear with antialiasing, both sides to the size",
        "range": [0.0, 1.0],
        "mean": list(saved.mean),
        "std": list(saved.std),
        "normalize": "(pixels - mean) / std, by channel",
        "output": ["batch", len(saved.classes)],
        "classes": list(saved.classes),
        "softmax": "not applied: the output are logits",
    }


def _torchscript(saved: SavedModel, path: Path) -> None:
    # torch advises other formats than the one that was asked for.
    with torch.no_grad(), warnings.catch_warnings(action="ignore", category=FutureWarning):
        traced = torch.jit.trace(saved.model, _example(saved))
        content = io.BytesIO()  # torch ends the process where it cannot write a file to its end
        torch.jit.save(traced, content)
    path.write_bytes(content.getbuffer())


def _onnx(saved: SavedModel, path: Path) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        install = "`pip install 'tl-sweep[onnx]'`"
        raise BadInput(f"--format onnx needs {error.name}, not installed; {install}.") from None
    program = torch.onnx.export(
        saved.model, (_example(saved),), input_names=["images"], output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},), opset_version=OPSET, dynamo=True,
        verbose=False,
    )  # fmt: skip
    assert program is not None
    # Beyond 2 GB the weights are a second file, which the first knows by its name.
    with TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        model = Path(folder, "model.onnx")
        program.save(str(model))
        for weights in Path(folder).glob("model.onnx.*"):
            weights.replace(path.with_name(weights.name))
        model.replace(path)


def _example(saved: SavedModel) -> torch.Tensor:
    """Two images (2, C, S, S): a batch of one would be taken for a constant."""
    return torch.zeros(2, saved.channels, saved.image_size, saved.image_size)


FORMATS: dict[str, tuple[str, Callable[[SavedModel, Path], object]]] = {
    "safetensors": ("safetensors", lambda saved, path: shutil.copyfile(saved.path, path)),
    "onnx": ("onnx", _onnx),
    "torchscript": ("pt", _torchscript),
}
"""Format → suffix, and the function that writes the file."""
