"""Which trials train nothing but a head, and which of them may train as a group.

`tl_core/heads/heads.py` has the rule, `sweep/engine/queue.py` forms the groups.
"""

import dataclasses

from sweep.configurations.model_limits import model_limits
from tl_core.config import TrainConfig
from tl_core.frozen.features import sees_images_again
from tl_core.heads.heads import shared_config
from tl_core.machine.user_code import digest
from tl_core.train.optim import optimizer_spec


def trains_a_head(config: TrainConfig) -> bool:
    """Whether all stages are frozen and the run sees the same images again.

    False also where the model cannot be built, which its trial will say.
    """
    if config.freeze_depth == 0 or config.unfreeze_epochs or not sees_images_again(config):
        return False
    try:
        return config.freeze_depth == model_limits(config)("stages", {})
    except Exception:  # also an error in a user's code
        return False


def group_key(config: TrainConfig) -> str | None:
    """Equal for trials that may train as a group; None for one that trains alone.

    A trainer process decides in the end, since it has the model at hand.
    """
    if not trains_a_head(config) or optimizer_spec(config.optimizer).stacked is None:
        return None
    return digest(dataclasses.asdict(shared_config(config)))
