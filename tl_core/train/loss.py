"""The training loss: cross-entropy with the labels, and distillation from a teacher.

Shapes: B images, C channels, S × S pixels, K classes.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tl_core.batches.batches import Batches
from tl_core.config import TrainConfig
from tl_core.train.teacher import Teacher


class Loss:
    """The loss of one run; a teacher answers in `eval_precision`.

    Raises:
        BadInput: the teacher cannot be read or knows other classes.
    """

    def __init__(self, config: TrainConfig, batches: Batches, eval_precision: str) -> None:
        self.config = config
        self.class_weights = _class_weights(config, batches)
        self.teacher = Teacher(config.teacher, batches, eval_precision) if config.teacher else None

    def __call__(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch; logits and targets as in `label_loss`.

        `images` (B, C, S, S) are as the model saw them; activations where there is no teacher.
        """
        config = self.config
        of_labels = label_loss(logits, targets, self.class_weights, config.label_smoothing)
        if self.teacher is None:
            return of_labels
        wanted, share = self.teacher.logits(images), config.distill_share
        of_teacher = distillation(logits, wanted, config.distill_temperature)
        return (1 - share) * of_labels + share * of_teacher


def label_loss(
    logits: Tensor, targets: Tensor, class_weights: Tensor | None, smoothing: float
) -> Tensor:
    """Mean cross-entropy of a batch; with class weights, the mean by the images' weights.

    Smoothing stays inside an image's term, so what minimizes the term is the image's own target
    whatever the weights. `F.cross_entropy` weights smoothing's share of the other classes too:
    past a ratio of weights its minimum is at the heaviest class (pytorch#104776).

    Args:
        logits: (B, K) float.
        targets: (B,) int64 labels, or (B, K) shares of classes.
        class_weights: (K,) float, or None.
        smoothing: share of each target that is spread evenly over the classes.
    """
    if class_weights is None:
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)
    each = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    weights = image_weights(targets, class_weights)
    return (each * weights).sum() / weights.sum()


def image_weights(targets: Tensor, class_weights: Tensor) -> Tensor:
    """(B,) weight of each image: that of its class, of a mixed image the mean by its shares."""
    if targets.ndim == 1:
        return class_weights[targets]
    return targets.to(class_weights.dtype) @ class_weights


def distillation(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ model) at temperature T, mean over images; both are logits (B, K).

    Source: Hinton, Vinyals & Dean 2015 "Distilling the Knowledge in a Neural Network".
    """
    own = F.log_softmax(logits / temperature, dim=1)
    wanted = F.log_softmax(teacher / temperature, dim=1)
    return temperature**2 * F.kl_div(own, wanted, reduction="batchmean", log_target=True)


def _class_weights(config: TrainConfig, batches: Batches) -> Tensor | None:
    if config.class_weights == "none":
        return None
    train, classes = batches.data.train, batches.data.num_classes
    counts = np.bincount(train.labels, minlength=classes).clip(min=1)
    weights = len(train) / (classes * counts)
    return torch.tensor(weights, dtype=torch.float32, device=batches.device)
