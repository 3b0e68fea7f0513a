"""`plain` and `plain-deep`: blocks of convolutions with max-pooling, then a three-layer head.

Block: n × (conv 3×3 → BN → activation), then max-pooling 2 where the block has it. Head: dense 512
→ activation → dropout → dense 256 → activation → dropout → dense K. Maps 1 pixel wide are not
pooled, so that every preset takes small images.

Shapes: B images, C channels, S × S pixels, K classes.
Source: Simonyan & Zisserman 2015 (stacked 3×3 convolutions); channels of `plain` as published for
CIFAR-10, the head's sizes and `plain-deep` are own choices.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models.layers import conv_layer, dense_head, initialize, norm_act_layer, pooling_layer

HEAD_UNITS = (512, 256)


@dataclass(frozen=True)
class BlockPlan:
    """Per block: channels, number of convolutions, max-pooling."""

    channels: tuple[int, ...]
    layers: tuple[int, ...]
    pool: tuple[bool, ...]


SHALLOW = BlockPlan(channels=(32, 128, 256, 512), layers=(1, 1, 1, 1), pool=(True,) * 4)
DEEP = BlockPlan(
    channels=(32, 64, 128, 256, 512, 512), layers=(2,) * 6, pool=(True,) * 5 + (False,)
)


def plan_blocks(config: TrainConfig, preset: BlockPlan) -> list[tuple[int, int, bool, bool]]:
    """(channels, layers, pool, norm) of each block, from the config's tuples or the preset's.

    With another number of blocks than the preset's, blocks without a tuple get the preset's first
    number of layers and are pooled.

    Raises:
        BadInput: two tuples of the config, or one of them and the preset, differ in length.
    """
    channels = config.channels or preset.channels
    blocks = len(channels)
    same = blocks == len(preset.channels)
    source = f"channels={channels}" if config.channels else f"the preset's channels {channels}"
    for name in ("block_layers", "block_pool", "block_norm"):
        given = getattr(config, name)
        if given is not None and len(given) != blocks:
            raise BadInput(
                f"{name}={given} has {len(given)} entries but {source} has {blocks} blocks;"
                f" give {name} one entry a block."
            )
    layers = config.block_layers or (preset.layers if same else preset.layers[:1] * blocks)
    pool = config.block_pool or (preset.pool if same else (True,) * blocks)
    norm = config.block_norm or (config.batch_norm,) * blocks
    return list(zip(channels, layers, pool, norm, strict=True))


class PlainBlock(nn.Module):
    """(B, inputs, S, S) → (B, outputs, S, S), or S // 2 with `pool`."""

    def __init__(
        self, inputs: int, outputs: int, layers: int, activation: str, *, pool: bool, norm: bool
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for number in range(layers):
            conv = conv_layer(outputs if number else inputs, outputs, 3, bias=not norm)
            halving = nn.MaxPool2d(2) if pool and number == layers - 1 else None
            norm_act = norm_act_layer(outputs, norm, activation, halving)
            self.layers.append(nn.Sequential(conv, norm_act))

    def forward(self, images: Tensor) -> Tensor:
        """The block's output; shapes as the class says."""
        return self.layers(images)


class PlainCNN(nn.Module):
    """(B, C, S, S) float → (B, K) logits; S is at least 1.

    Config: channels, block_layers, block_pool, block_norm, batch_norm, activation, dropout (in the
    head), pooling (`none` flattens, as published), init.

    Raises:
        BadInput: the config's tuples differ in length.
    """

    first_conv = "blocks.0.layers.0.0"

    def __init__(
        self,
        config: TrainConfig,
        *,
        preset: BlockPlan,
        channels: int,
        num_classes: int,
        image_size: int,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        side = image_size
        for outputs, layers, pool, norm in plan_blocks(config, preset):
            pool = pool and side >= 2
            shape = (channels, outputs, layers)
            self.blocks.append(PlainBlock(*shape, config.activation, pool=pool, norm=norm))
            channels, side = outputs, side // 2 if pool else side
        self.pool, features = pooling_layer(config.pooling, channels, side)
        self.head = dense_head(features, HEAD_UNITS, num_classes, config)
        initialize(self, config.init)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of normalized images (B, C, S, S)."""
        for block in self.blocks:
            images = block(images)
        return self.head(self.pool(images))

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Stages in timm's convention: one group a block (a convolution where fine)."""
        return {"blocks": r"^blocks\.(\d+)" if coarse else r"^blocks\.(\d+)\.layers\.(\d+)"}

    def get_classifier(self) -> nn.Module:
        """The three dense layers."""
        return self.head
