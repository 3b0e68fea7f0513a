"""Imported into a sweep: every run trains on images, as if no activations could be kept."""

from tl_core.train import trainer

trainer.feature_batches = lambda *args: None
