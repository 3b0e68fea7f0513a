"""`baseline`: two convolutions of 32 and 64 channels with max-pooling, dense 128, the classes.

Shapes: B images, C channels, S × S pixels, K classes.
Source: the usual introductory CNN, a reference for transfer learning.
"""

from torch import Tensor, nn

from tl_core.config import TrainConfig
from tl_core.models.layers import conv_layer, dense_head, initialize, norm_act_layer, pooling_layer

CHANNELS = (32, 64)
HEAD_UNITS = (128,)


class BaselineCNN(nn.Module):
    """(B, C, S, S) float → (B, K) logits, S at least 4.

    Config: activation, batch_norm, dropout (in the head), pooling (`none` flattens, as is usual
    for this model), init.
    """

    first_conv = "convs.0.0"

    def __init__(
        self, config: TrainConfig, *, channels: int, num_classes: int, image_size: int
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential()
        for outputs in CHANNELS:
            conv = conv_layer(channels, outputs, 3, bias=not config.batch_norm)
            norm_act = norm_act_layer(outputs, config.batch_norm, config.activation)
            self.convs.append(nn.Sequential(conv, norm_act, nn.MaxPool2d(2)))
            channels, image_size = outputs, image_size // 2
        self.pool, features = pooling_layer(config.pooling, channels, image_size)
        self.head = dense_head(features, HEAD_UNITS, num_classes, config)
        initialize(self, config.init)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of normalized images (B, C, S, S)."""
        return self.head(self.pool(self.convs(images)))

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Stages in timm's convention: one group a convolution."""
        return {"convs": r"^convs\.(\d+)"}

    def get_classifier(self) -> nn.Module:
        """The dense layers."""
        return self.head
