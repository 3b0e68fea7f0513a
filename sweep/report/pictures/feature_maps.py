"""Feature maps of a layer before and after training, `maps-LAYER.png` beside the pictures.

Their numbers are in `maps-LAYER.parquet`, one row an image, time and channel.

Shapes: n images, C channels of the images, M maps of the layer, h × w positions.
"""

import difflib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from sweep.report.summary import SweepResult
from sweep.results.tables import read_table
from tl_core.augment import Normalizer
from tl_core.datasets.images.decode import decode
from tl_core.errors import BadInput
from tl_core.machine.whole_file import whole_file
from tl_core.models import build_model
from tl_core.models.saved_model import SavedModel, load_model
from tl_core.train.checkpoint import seed_everything

IMAGES = 3
MAPS = 8
TIMES = ("before", "after")


def draw_feature_maps(result: SweepResult, layer: str) -> Path:
    """Draw the outputs of a layer of the winner for a few test images, before and after training.

    Before training the model has the source's weights, or the random ones of its seed.

    `layer` is the name of a module, as in `named_modules`, whose output is (B, M, h, w).

    Raises:
        BadInput: there is no winner, no such layer, or its output is no feature maps.
    """
    winner = result.manifest.winner
    if winner is None or winner["weights"] is None:
        raise BadInput(f"{result.name} has no winner's weights, so there is nothing to show.")
    saved = load_model(winner["weights"])
    images = _images(result, winner["trial_id"], saved)
    seen = Normalizer(*torch.tensor([saved.mean, saved.std]))(images)
    models = (_before(saved), saved.model)
    maps = {n: layer_output(model, layer, seen) for n, model in zip(TIMES, models, strict=True)}
    folder = result.run_folder / "pictures"
    picture = folder / f"maps-{layer}.png"
    with whole_file(folder / f"maps-{layer}.parquet") as temporary:
        pq.write_table(_table(maps), temporary, compression="zstd")
    with whole_file(picture) as temporary:
        _figure(images, maps, layer).savefig(temporary, dpi=150, bbox_inches="tight")
    plt.close("all")
    return picture


def _images(result: SweepResult, trial_id: str, saved: SavedModel) -> Tensor:
    """The first test images that were kept of the winner: (n, C, S, S) uint8."""
    rows = read_table(result.folder, "predictions", result.name)
    rows = rows[(rows["trial_id"] == trial_id) & rows["image"].notna()]
    kept = [decode(raw, saved.channels, saved.image_size) for raw in rows["image"].head(IMAGES)]
    return torch.from_numpy(np.stack(kept))


def _before(saved: SavedModel) -> nn.Module:
    """The model as its training began."""
    seed_everything(saved.config.seed)
    return build_model(
        saved.config, channels=saved.channels, num_classes=len(saved.classes),
        image_size=saved.image_size, classes=saved.classes,
    ).eval()  # fmt: skip


def layer_output(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    """A layer's output (n, M, h, w) float32 for normalized images (n, C, S, S).

    Raises:
        BadInput: there is no such layer, or its output has other dimensions.
    """
    modules = dict(model.named_modules())
    if layer not in modules:
        near = difflib.get_close_matches(layer, modules, n=3) or list(modules)[1:4]
        raise BadInput(f"--layer {layer}: no layer has this name; such as {', '.join(near)}.")
    found: list[Tensor] = []
    hook = modules[layer].register_forward_hook(lambda *call: found.append(call[2]))
    try:
        with torch.no_grad():
            model(images)
    finally:
        hook.remove()
    if not found or not isinstance(found[0], Tensor) or found[0].ndim != 4:
        raise BadInput(f"--layer {layer}: its output are no feature maps; take a convolution.")
    return found[0].float()


def _table(maps: dict[str, Tensor]) -> pa.Table:
    rows = [
        (when, image, channel, *plane.shape, plane.flatten().tolist())
        for when in TIMES
        for image, planes in enumerate(maps[when])
        for channel, plane in enumerate(planes)
    ]
    names = ["when", "image", "channel", "height", "width", "values"]
    return pa.table([pa.array(column) for column in zip(*rows, strict=True)], names)


def _figure(images: Tensor, maps: dict[str, Tensor], layer: str) -> plt.Figure:
    """Two lines an image, before and after: the image, then the first maps."""
    plt.switch_backend("agg")
    shown, lines = min(MAPS, maps["after"].shape[1]), 2 * len(images)
    size = (1.3 * (shown + 1), 1.45 * lines)
    figure, grid = plt.subplots(lines, shown + 1, figsize=size, layout="constrained")
    for axes in np.ravel(grid):
        axes.axis("off")
    for number, image in enumerate(images):
        for line, when in enumerate(TIMES):
            row = grid[2 * number + line]
            row[0].imshow(image.permute(1, 2, 0).squeeze(-1), cmap="gray")
            row[0].set_title(when, fontsize=8)
            for channel in range(shown):
                row[channel + 1].imshow(maps[when][number, channel], cmap="viridis")
    figure.suptitle(layer)
    return figure
