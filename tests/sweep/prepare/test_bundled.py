from io import StringIO

import pytest
from rich.console import Console
from safetensors.torch import load_file

from sweep.plan.make_plan import make_plan
from sweep.prepare import bundled
from sweep.prepare.bundled import bundled_source, with_bundled_defaults
from sweep.results.sources import list_models
from tl_core.config import TrainConfig
from tl_core.datasets import DownloadFailed
from tl_core.models.hub import WeightsUnavailable
from tl_core.train.trainer import Trainer
from tl_core.weights.weights_file import read_metadata


class World:
    """What is on disk and what the network gives; `asked` holds what was loaded or fetched."""

    def __init__(self, monkeypatch):
        self.data_on_disk = self.weights_on_disk = False
        self.network = False
        self.asked = []
        monkeypatch.setattr(bundled, "on_disk", lambda config: self.data_on_disk)
        monkeypatch.setattr(bundled, "load_data", self.load_data)
        monkeypatch.setattr(bundled, "fetch_hub_weights", self.fetch)
        monkeypatch.setattr(bundled, "bundled_source", lambda *rest: "/kept/source.safetensors")

    def load_data(self, config, progress=None):
        self.asked.append(config.dataset)
        if not self.network:
            raise DownloadFailed(f"{config.dataset} cannot be downloaded")

    def fetch(self, backbone):
        if self.weights_on_disk:
            return
        self.asked.append(backbone)
        if not self.network:
            raise WeightsUnavailable(f"{backbone} cannot be downloaded")


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


@pytest.fixture
def settle(options, page):
    """settle(space, **options) → the plan after its defaults are settled."""
    return lambda space, **fields: with_bundled_defaults(make_plan(options(space, **fields)), page)


TRANSFER_BACKBONES = [
    "timm:resnet18.a1_in1k",
    "timm:mobilenetv3_small_100.lamb_in1k",
    "timm:efficientnet_lite0.ra_in1k",
]


def test_data_sets_that_a_space_compares_stay(world, settle, write_file):
    base = "BASE = TrainConfig(dataset='folder:/not/there')\nSEARCH = 'grid'\n"
    plan = settle(write_file(base + "SPACE = {'dataset': Choice('shapes', 'cifar10')}"))
    assert plan.levels("dataset") == ("shapes", "cifar10")
    assert world.asked == []


def test_without_network_the_bundled_ones_serve(world, settle):
    plan = settle("transfer")
    assert plan.base.dataset == "digits"
    assert plan.base.image_size is None  # the digits' own
    assert (plan.base.backbone, plan.base.weights) == ("residual", "/kept/source.safetensors")
    assert "backbone" not in plan.free
    assert "lr" in plan.free
    (note,) = plan.notes
    assert note == (
        "No network for cifar10 and ImageNet weights: using the bundled digits and the residual "
        "CNN pretrained on shapes instead. Name others with --dataset and --backbone."
    )


def test_what_is_on_disk_is_used(world, settle, options):
    world.data_on_disk = world.weights_on_disk = True
    plan = settle("transfer")
    assert plan == make_plan(options("transfer"))
    assert world.asked == []


def test_what_can_be_downloaded_is(world, settle, options):
    world.network = True
    plan = settle("transfer")
    assert plan == make_plan(options("transfer"))
    assert world.asked == ["cifar10", *TRANSFER_BACKBONES]


def test_a_named_data_set_is_never_replaced(world, settle):
    world.weights_on_disk = True
    for fields in ({"dataset": "cifar10"}, {"settings": ("dataset=cifar10",)}):
        plan = settle("transfer", **fields)
        assert plan.base.dataset == "cifar10"
        assert plan.notes == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"backbone": TRANSFER_BACKBONES[1]},
        {"settings": (f"backbone={TRANSFER_BACKBONES[1]}",)},
        {"source": "pretrained"},
    ],
)
def test_a_named_backbone_is_never_replaced(world, settle, fields):
    world.data_on_disk = True
    with pytest.raises(WeightsUnavailable, match="cannot be downloaded"):
        settle("transfer", **fields)
    if "backbone" in fields:
        assert world.asked == [TRANSFER_BACKBONES[1]]


def test_a_named_image_size_stays(world, settle):
    plan = settle("ablation", settings=("image_size=16",))
    assert (plan.base.dataset, plan.base.image_size) == ("digits", 16)


def test_random_weights_need_no_hub(world, settle):
    world.data_on_disk = True
    assert settle("transfer", source="none").base.backbone == TRANSFER_BACKBONES[0]
    assert settle("ablation").base.weights is None
    assert world.asked == []


def test_the_count_of_trials_stays(world, settle):
    plan = settle("transfer")
    assert plan.trials == 32 + plan.scratch > 32
    assert settle("ablation").trials == 45


@pytest.fixture
def trained(monkeypatch):
    """Every config that `bundled_source` trains: on 100 digits, which load faster than shapes."""
    made = []

    class Counted(Trainer):
        def __init__(self, config):
            made.append(config)
            super().__init__(config)

    tiny = TrainConfig(
        dataset="digits", epochs=1, batch_size=50, limit_train=100, lr=0.1, threads=1,
        eval_batch_size=50,
    )  # fmt: skip
    monkeypatch.setattr(bundled, "SOURCE_CONFIG", tiny)
    monkeypatch.setattr(bundled, "Trainer", Counted)
    return made


def test_the_source_is_trained_once_and_kept(trained, tmp_path):
    base = TrainConfig(
        width=4,
        activation="relu",
        precision="fp32",
        eval_precision="fp32",
        threads=1,
        cache_dir=str(tmp_path / "cache"),
    )
    out = Console(file=StringIO(), width=80)
    path = bundled_source(tmp_path / "results", base, out)
    assert bundled_source(tmp_path / "results", base, out) == path
    (model,) = list_models(tmp_path / "results")
    assert (model.name, model.image_size) == (path.parent.name, 8)
    assert len(trained) == 1
    assert out.file.getvalue().count("Pretraining the residual CNN on shapes") == 1
    assert path.is_relative_to(tmp_path / "results" / "models")
    about = read_metadata(path)
    assert about.classes == tuple("0123456789")
    assert (about.config["width"], about.config["activation"]) == (4, "relu")
    assert 0 < about.accuracy <= 1
    assert about.white_levels == {"integers": None, "floats": None}
    assert load_file(path)["stem.0.weight"].shape == (4, 1, 3, 3)


def test_another_network_has_a_source_of_its_own(trained, tmp_path, page):
    base = {"precision": "fp32", "eval_precision": "fp32", "cache_dir": str(tmp_path / "cache")}
    shapes = [{"width": 4}, {"width": 5}, {"width": 4, "batch_norm": False}]
    paths = [bundled_source(tmp_path, TrainConfig(**base, **shape), page) for shape in shapes]
    assert len(set(paths)) == len(trained) == 3
    norms = [any("running_mean" in name for name in load_file(path)) for path in paths]
    assert norms == [True, True, False]
