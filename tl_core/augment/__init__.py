"""Augmentation of whole batches: pure functions, parameters drawn per image.

A policy takes `(images, generator, flip)` and returns new images:

- `images`: (B, C, H, W) uint8 in [0, 255] or float32 in [0, 1]; C = 1 or 3 and H, W ≥ 4.
- `generator`: a CPU `torch.Generator`. Parameters are drawn on the CPU and then moved to the
  images' device, so the same seed draws the same augmentation on every device.
- `flip`: whether a horizontal flip keeps the label (it does not for digits and letters).
- the result: uint8 or float32 in [0, 1], same shape and device; the input is not changed.

`AUGMENTATIONS` maps names to policies; `normalize` follows the policy, `mix` follows
`normalize`. Call all of them outside autocast. To add a policy: one function and one row.

    from tl_core.augment import AUGMENTATIONS, horizontal_flip

    def mirror_only(images, generator, flip):
        return horizontal_flip(images, generator) if flip else images

    AUGMENTATIONS["mirror-only"] = mirror_only
"""

from tl_core.augment.blur import random_blur
from tl_core.augment.color import color_jitter
from tl_core.augment.crop import horizontal_flip, padded_crop
from tl_core.augment.erasing import random_erasing
from tl_core.augment.geometric import random_warp
from tl_core.augment.mixing import cutmix, mix, mixup
from tl_core.augment.pixels import Normalizer, normalize
from tl_core.augment.policies import AUGMENTATIONS, Policy
from tl_core.augment.randaugment import randaugment

__all__ = [
    "AUGMENTATIONS",
    "Normalizer",
    "Policy",
    "color_jitter",
    "cutmix",
    "horizontal_flip",
    "mix",
    "mixup",
    "normalize",
    "padded_crop",
    "randaugment",
    "random_blur",
    "random_erasing",
    "random_warp",
]
