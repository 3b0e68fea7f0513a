"""Data sets: one row of `DATASETS` each, decoded once per machine, split, served in batches.

    from tl_core import TrainConfig
    from tl_core.datasets import load_data

    data = load_data(TrainConfig(dataset="folder:/data/leaves", image_size=96))
    data.train.batch(np.arange(32))      # (32, C, 96, 96) uint8 tensor

Images of one data set are all grey (1 channel) or all RGB (3): grey only if every image is
grey. They are resized to a square of `image_size` pixels, bilinear with antialiasing, without
keeping the aspect ratio. Where `image_size` is None, the data set's own size is kept; a folder
or Parquet file whose images are not all squares of one size is resized to 224 pixels.

Images of more than 8 bits are scaled to 8 by a white level that the training split decides
(`ImageData.white_levels`). `ImageData.notes` says how, and what else is odd about the files.

A row is simple to add, here or in a module given by `--import`:

    from tl_core.datasets import DATASETS, DatasetSpec, Records

    def read_moons(request):                    # request.data_dir, request.path
        images = np.load("/data/moons.npy")     # uint8, (N, H, W) grey or (N, H, W, 3) RGB
        labels = np.load("/data/labels.npy")    # (N,) whole numbers from 0
        return Records(images=images, labels=labels, classes=("new", "half", "full"))

    DATASETS["moons"] = DatasetSpec(read=read_moons, about="phases of the moon", flip=True)

`Records` says what else may be given: encoded image files instead of arrays, and the splits.
`DatasetSpec.files` makes later processes start faster.
"""

from tl_core.datasets.describe import describe_data, describe_dataset
from tl_core.datasets.image_data import ImageData, Split
from tl_core.datasets.load import check_dataset, load_data, on_disk
from tl_core.datasets.readers.published import DownloadFailed
from tl_core.datasets.records import TEST, TRAIN, VAL, Contents, DatasetSpec, Records, Request
from tl_core.datasets.table import DATASETS

__all__ = [
    "DATASETS", "TEST", "TRAIN", "VAL", "Contents", "DatasetSpec", "DownloadFailed", "ImageData",
    "Records", "Request", "Split", "check_dataset", "describe_data", "describe_dataset",
    "load_data", "on_disk",
]  # fmt: skip
