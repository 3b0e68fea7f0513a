"""Linear probes of the digits, alone and as groups of heads."""

import pytest
from safetensors.torch import save_file

from tl_core import TrainConfig, Trainer
from tl_core.heads.head_group import HeadGroup

FIELDS = {
    "width": 4, "depth": 1, "freeze_depth": 4, "epochs": 3, "threads": 1, "device": "cpu",
    "precision": "fp32", "eval_precision": "fp32", "augmentation": "none", "batch_size": 32,
}  # fmt: skip


@pytest.fixture
def probe(tmp_path):
    """probe(**fields) → a linear probe of the digits with a feature cache of this test's own."""

    def make(**fields):
        return TrainConfig(**{**FIELDS, "cache_dir": str(tmp_path), **fields})

    return make


@pytest.fixture
def source(tmp_path, probe, few_digits):
    """Weights of the whole model, so that runs of other seeds have the same body."""
    path = tmp_path / "source.safetensors"
    state = Trainer(probe(freeze_depth=0), few_digits).model.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return str(path)


def _row(metrics):
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
    return tuple(getattr(metrics, name) for name in names)


@pytest.fixture
def numbers():
    """numbers(run) → losses, accuracies and rate of every epoch that is left."""

    def trained(run):
        found = []
        while run.stop_reason is None:
            found.append(_row(run.run_epoch()))
        return found

    return trained


@pytest.fixture
def train_group():
    """train_group(trainer, configs) → each run and its `numbers`, trained as one group."""

    def trained(trainer, configs):
        group = HeadGroup(trainer)
        for seed in {config.seed for config in configs} - {trainer.config.seed}:
            config = next(config for config in configs if config.seed == seed)
            group.add_seed(Trainer(config, trainer.data))
        members = [group.join(config) for config in configs]
        found = {member: [] for member in members}
        while group.members:
            seated = list(group.members)
            for member, metrics in zip(seated, group.run_epoch(), strict=True):
                found[member].append(_row(metrics))
                if member.stop_reason:
                    group.leave(member)
        return list(found.items())

    return trained
