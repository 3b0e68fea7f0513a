"""timm's own layer of normalization and activation, run by the native functions."""

from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from tl_core.kernels.norm_act import norm_act


class TimmNormAct(BatchNormAct2d):
    """act(norm(x)), (B, C, H, W) → the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        """The activation of x normalized."""
        return norm_act(self, x, self.act)


def use_native_timm_norms(model: nn.Module) -> None:
    """Turn timm's layers into these, in place; subclasses and those with dropout stay."""
    for module in model.modules():
        if type(module) is BatchNormAct2d and isinstance(module.drop, nn.Identity):
            module.__class__ = TimmNormAct
