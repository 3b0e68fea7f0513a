"""How accurate is one run at width 64 after 16 epochs on all images, and how long does it take?"""

import time

import torch

from on_gpu.record import Rows, Settings
from tl_core import TrainConfig, Trainer
from tl_core.datasets import load_data

RECIPE = {"width": 64, "epochs": 16, "batch_size": 512, "lr": 0.4}
TINY = {"width": 8, "epochs": 2, "batch_size": 64, "lr": 0.1}


def accuracy(settings: Settings, rows: Rows) -> None:
    """A row an epoch, then the test split with the last epoch's weights."""
    config = TrainConfig(
        dataset=settings.dataset, cache_dir=settings.cache, device=settings.device,
        threads=settings.threads,
        **(TINY if settings.tiny else RECIPE),
    )  # fmt: skip
    data = load_data(config)
    start = time.perf_counter()
    trainer = Trainer(config, data)
    about = {"precision": trainer.precision, "eval": trainer.eval_precision}
    rows.add(**{k: getattr(config, k) for k in RECIPE}, augment=config.augmentation, **about,
             startup_s=time.perf_counter() - start)  # fmt: skip
    while trainer.stop_reason is None:
        epoch = trainer.run_epoch()
        rows.add(epoch=epoch.epoch, train_loss=epoch.train_loss, val_accuracy=epoch.val_accuracy,
                 train_s=epoch.train_seconds, eval_s=epoch.eval_seconds)  # fmt: skip
    seconds = time.perf_counter() - start
    logits, labels = trainer.predict(data.test)
    hits = (logits.argmax(1) == labels).float().mean().item()
    memory = torch.cuda.max_memory_allocated() / 1e6 if settings.device == "cuda" else None
    rows.add(test_accuracy=hits, images=len(labels), seconds=seconds, memory_mb=memory)
