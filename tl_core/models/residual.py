"""`residual`: a stem, three stages of residual blocks (width × 1, 2, 4 channels), a head.

Block: conv 3×3 → BN → activation → dropout2d → conv 3×3 → BN → attention, plus the shortcut (1×1
conv → BN where the shape changes), activation. The first and the second stage end with
max-pooling, which halves the sides.

Shapes: B images, C channels, S × S pixels, K classes.
Source: He et al. 2016 "Deep residual learning for image recognition"; ELU: Clevert et al. 2016.
"""

from torch import Tensor, nn

from tl_core.config import TrainConfig
from tl_core.models.layers import (
    ACTIVATIONS,
    AttendAct,
    conv_layer,
    dropout_layer,
    initialize,
    norm_act_layer,
    pooling_layer,
)

STAGE_FACTORS = (1, 2, 4)


class ResidualBlock(nn.Module):
    """(B, inputs, S, S) → (B, outputs, S, S); with `halve` the output's sides are ceil(S / 2).

    Max-pooling halves the sides (own choice): as fast as strided convolutions in the next block,
    and the 1×1 shortcut sees every pixel. The last BN does not start at gamma 0 as in deep
    networks (own choice): gamma 0 cost 7 points of accuracy after two short epochs.
    """

    def __init__(self, inputs: int, outputs: int, config: TrainConfig, *, halve: bool) -> None:
        super().__init__()
        bias = not config.batch_norm
        self.conv1 = conv_layer(inputs, outputs, 3, bias=bias)
        self.norm1 = norm_act_layer(outputs, config.batch_norm, config.activation)
        self.drop = dropout_layer(config.dropout, spatial=True)
        self.conv2 = conv_layer(outputs, outputs, 3, bias=bias)
        halving = nn.MaxPool2d(2, ceil_mode=True) if halve else nn.Identity()
        self.attend: AttendAct | None = None
        if config.attention == "none":
            self.norm2 = norm_act_layer(outputs, config.batch_norm, config.activation, halving)
        else:
            self.norm2 = norm_act_layer(outputs, config.batch_norm)
            self.attend = AttendAct(outputs, ACTIVATIONS[config.activation](), halving)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            projection = conv_layer(inputs, outputs, 1, bias=bias)
            self.shortcut = nn.Sequential(projection, norm_act_layer(outputs, config.batch_norm))

    def forward(self, images: Tensor) -> Tensor:
        """The block's output; shapes as the class says."""
        inner = self.conv2(self.drop(self.norm1(self.conv1(images))))
        shortcut = self.shortcut(images)
        if self.attend is None:
            return self.norm2(inner, shortcut)
        return self.attend(self.norm2(inner), shortcut)


class ResidualCNN(nn.Module):
    """(B, C, S, S) float → (B, K) logits. S matters only if pooling is `none`.

    Config: width, depth, activation, batch_norm (off: convolutions have biases instead), dropout,
    attention, pooling, init. Width 64 is the published 64, 128, 256.
    """

    first_conv = "stem.0"

    def __init__(
        self, config: TrainConfig, *, channels: int, num_classes: int, image_size: int
    ) -> None:
        super().__init__()
        bias = not config.batch_norm
        self.stem = nn.Sequential(
            conv_layer(channels, config.width, 3, bias=bias),
            norm_act_layer(config.width, config.batch_norm, config.activation),
        )
        self.stages = nn.Sequential()
        width, side = config.width, image_size
        for number, factor in enumerate(STAGE_FACTORS):
            outputs = config.width * factor
            halve = number < len(STAGE_FACTORS) - 1
            self.stages.append(_stage(width, outputs, config, halve=halve))
            width, side = outputs, -(-side // 2) if halve else side
        self.pool, features = pooling_layer(config.pooling, width, side)
        self.head = nn.Linear(features, num_classes)
        initialize(self, config.init)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of normalized images (B, C, S, S)."""
        return self.head(self.pool(self.stages(self.stem(images))))

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Stages in timm's convention: the stem, then one group a stage (a block where fine)."""
        stages = r"^stages\.(\d+)" if coarse else r"^stages\.(\d+)\.(\d+)"
        return {"stem": r"^stem", "stages": stages}

    def get_classifier(self) -> nn.Module:
        """The dense layer of the classes."""
        return self.head


def _stage(inputs: int, outputs: int, config: TrainConfig, *, halve: bool) -> nn.Sequential:
    blocks = nn.Sequential()
    for left in reversed(range(config.depth)):
        blocks.append(ResidualBlock(inputs, outputs, config, halve=halve and left == 0))
        inputs = outputs
    return blocks
