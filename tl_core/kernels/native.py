"""Layers of any model that are run otherwise on a CPU, most by functions of `tl_core.kernels`.

They have first derivatives, as training needs; PyTorch's own have higher ones, and are known to
`torch.func` and `torch.jit.script`: TL_SWEEP_KERNELS=0 before the process starts leaves them be.
"""

import sys

from torch import nn

from tl_core.kernels import layer_library
from tl_core.kernels.grey_conv import GreyConv, takes_grey
from tl_core.kernels.max_pool import MaxPool, pools_two
from tl_core.kernels.norm_act import NormAct


def use_native_layers(model: nn.Module) -> None:
    """Turn batch normalization, max-pooling and convolutions of grey images into ours, in place.

    Names of tensors, numbers (to rounding) and settings stay; subclasses are left as they are.
    Without native functions nothing is changed.
    """
    if layer_library() is None:
        return
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = NormAct
            module.act = nn.Identity()
        elif type(module) is nn.MaxPool2d and pools_two(module):
            module.__class__ = MaxPool
        elif type(module) is nn.Conv2d and takes_grey(module):
            module.__class__ = GreyConv
    if "timm.layers" in sys.modules:  # else no layer of its can be there
        from tl_core.kernels.timm_norms import use_native_timm_norms

        use_native_timm_norms(model)
