"""Augmentation of whole batches: pure functions, parameters drawn per image.

A policy takes `(images, generator, flip)` and returns new images:

- `images`: (B, C, H, W) uint8 in [0, 255] or float32 in [0, 1]; C = 1 or 3 and H, W ≥ 4.
- `generator`: a CPU `torch.Generator`. Parameters are drawn on the CPU and then moved to the
  images' device, so the same seed draws the same augmentation on every device. The host does not
  wait for these copies: a GPU computes what came before meanwhile.
- `flip`: whether a horizontal flip keeps the label (it does not for digits and letters).
- the result: uint8 or float32 in [0, 1], same shape and device; the input is not changed.

The operations of which policies are made take `images` and `generator` likewise. Each has a
`draw_…` beside it, which takes the images' shape and returns a `Change`: the parameters, and what
they do. A `Policy` is made of these, so that the parameters of many batches are drawn and copied
to a GPU in advance. `Normalizer` follows the policy, `mix` follows `Normalizer`. Call all of them
outside autocast. To add a policy: one function and one row.

    from tl_core.augment import AUGMENTATIONS, Policy
    from tl_core.augment.crop import draw_flip

    def mirror_only(shape, generator, flip):
        return [draw_flip(shape, generator)] if flip else []

    AUGMENTATIONS["mirror-only"] = Policy(mirror_only)

A plain function is a row too; its parameters are drawn in the step that uses them:

    from tl_core.augment.crop import horizontal_flip

    def mirror_only(images, generator, flip):
        return horizontal_flip(images, generator) if flip else images

    AUGMENTATIONS["mirror-only"] = mirror_only
"""

from tl_core.augment.change import Change, Policy
from tl_core.augment.mixing import draw_mix, mix
from tl_core.augment.pixels import Normalizer
from tl_core.augment.policies import AUGMENTATIONS

__all__ = ["AUGMENTATIONS", "Change", "Normalizer", "Policy", "draw_mix", "mix"]
