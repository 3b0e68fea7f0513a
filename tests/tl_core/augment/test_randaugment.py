import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from tl_core.augment.randaugment import OPERATIONS, operations_of, randaugment


def pictures(batch: int, channels: int = 3, side: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, channels, side, side)
    return torch.randint(20, 220, shape, generator=generator, dtype=torch.uint8)


def apply_one(images: torch.Tensor, name: str, level: float) -> torch.Tensor:
    operations = torch.full((len(images),), OPERATIONS.index(name))
    return operations_of(images.shape, operations, torch.full((len(images),), level))(images)


def test_the_fourteen_operations_of_the_paper():
    assert len(OPERATIONS) == len(set(OPERATIONS)) == 14


def test_levels_mean_what_the_paper_says():
    images = pictures(2)
    near = {
        "brightness": vision.adjust_brightness(images, 1.45),
        "contrast": vision.adjust_contrast(images, 1.45),
        "color": vision.adjust_saturation(images, 1.45),
        "sharpness": vision.adjust_sharpness(images, 1.45),
        "posterize": vision.posterize(images, 6),
        "solarize": vision.solarize(images, 128),
        "autocontrast": vision.autocontrast(images),
        "translate-x": vision.affine(images, 0, [4, 0], 1, [0.0]),  # round(0.5 * 0.45 * 16)
        "translate-y": vision.affine(images, 0, [0, 4], 1, [0.0]),
    }
    for name, expected in near.items():
        difference = apply_one(images, name, 0.5).int() - expected.int()
        assert difference.abs().max() <= 1, name


def test_rotation_and_shear_levels_on_single_pixels():
    # 30 degrees at level 1; 12 pixels right of the centre of 25 go to (10.4, -6).
    images = torch.zeros(1, 1, 25, 25, dtype=torch.uint8)
    images[0, 0, 12, 23:25] = 1
    turned = apply_one(images, "rotate", 1.0).nonzero()[:, 2:].tolist()
    assert [6, 22] in turned or [6, 23] in turned
    # Shear of 0.3 at level 1: ten rows below the centre read 3 columns to the right.
    images = torch.zeros(1, 1, 25, 25, dtype=torch.uint8)
    images[0, 0, :, 12] = 1
    assert apply_one(images, "shear-x", 1.0)[0, 0, 22].nonzero().tolist() == [[9]]
    assert apply_one(images.mT, "shear-y", 1.0)[0, 0, :, 22].nonzero().tolist() == [[9]]
    assert apply_one(images, "shear-x", -1.0)[0, 0, 22].nonzero().tolist() == [[15]]


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"autocontrast", "equalize"}))
def test_level_zero_changes_nothing_and_level_one_does(name):
    images = pictures(2)
    assert torch.equal(apply_one(images, name, 0.0), images)
    assert torch.equal(apply_one(images, name, 1.0), images) == (name == "identity")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mixed_batch_gives_each_image_its_own_operation(channels):
    count = 3 * len(OPERATIONS)
    images = pictures(count, channels)
    generator = torch.Generator().manual_seed(1)
    operations = torch.arange(count)[torch.randperm(count, generator=generator)] % len(OPERATIONS)
    levels = torch.rand(count, generator=generator) * 2 - 1
    together = operations_of(images.shape, operations, levels)(images)
    for k in range(count):
        alone = apply_one(images[k : k + 1], OPERATIONS[operations[k]], float(levels[k]))
        assert torch.equal(together[k], alone[0]), OPERATIONS[operations[k]]


def test_steps_and_magnitude_count():
    images = pictures(64)
    assert torch.equal(randaugment(images, torch.Generator(), steps=0), images)
    weak, strong = (
        randaugment(images, torch.Generator().manual_seed(0), magnitude=m) for m in (1, 30)
    )
    error = [(result.float() - images.float()).abs().mean() for result in (weak, strong)]
    assert error[1] > 2 * error[0]


def test_every_image_draws_for_itself():
    images = pictures(1).expand(40, 3, 16, 16)
    result = randaugment(images, torch.Generator().manual_seed(0))
    assert len(result.flatten(1).unique(dim=0)) > 30


def test_floats_are_the_bytes_divided_by_255():
    images = pictures(16)
    as_bytes = randaugment(images, torch.Generator().manual_seed(0))
    as_floats = randaugment(images / 255, torch.Generator().manual_seed(0))
    assert torch.equal(as_floats, as_bytes / 255)
