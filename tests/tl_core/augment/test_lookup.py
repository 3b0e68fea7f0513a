import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from tl_core.augment import lookup


def image(*values: int) -> torch.Tensor:
    """One grey image, 4 × 4, from 16 values."""
    return torch.tensor(values, dtype=torch.uint8).view(1, 1, 4, 4)


def photo_like(batch: int = 3, side: int = 64) -> torch.Tensor:
    """Low contrast, and each channel with a range of its own."""
    noise = torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    low, span = torch.tensor([20.0, 60, 90]), torch.tensor([200.0, 120, 70])
    return (low.view(3, 1, 1) + noise * span.view(3, 1, 1)).to(torch.uint8)


def test_look_up_uses_the_table_of_each_image_and_channel():
    images = torch.tensor([[0, 1], [2, 0]], dtype=torch.uint8).view(2, 1, 1, 2).repeat(1, 2, 1, 1)
    tables = torch.zeros(2, 2, 256, dtype=torch.uint8)
    tables[:, :, 0] = torch.tensor([[10, 20], [30, 40]])
    tables[:, :, 1:3] = 99
    result = lookup.look_up(images, tables)
    assert result.tolist() == [[[[10, 99]], [[20, 99]]], [[[99, 30]], [[99, 40]]]]


def test_brightness_by_hand():
    images = image(0, 10, 100, 200, *[50] * 12).expand(2, 1, 4, 4)
    tables = lookup.brightness_table(torch.tensor([0.5, 1.5]))
    result = lookup.look_up(images, tables)
    assert result[:, 0, 0].tolist() == [[0, 5, 50, 100], [0, 15, 150, 255]]


def test_contrast_by_hand():
    images = image(*[60] * 8, *[140] * 8).expand(2, 1, 4, 4)  # mean 100
    tables = lookup.contrast_table(images, torch.tensor([0.5, 2.0]))
    result = lookup.look_up(images, tables)
    assert result[:, 0, :, 0].tolist() == [[80, 80, 120, 120], [20, 20, 180, 180]]


def test_autocontrast_by_hand():
    images = image(50, 75, 100, 150, *[50] * 12)
    result = lookup.look_up(images, lookup.autocontrast_table(images))
    assert result[0, 0, 0].tolist() == [0, 64, 128, 255]  # 255 * 25 / 100 = 63.75


def test_equalize_by_hand():
    # Cumulative counts 4, 8, 16: (4 - 4) / 12, (8 - 4) / 12 and (16 - 4) / 12 of 255.
    images = image(*[10] * 4, *[20] * 4, *[30] * 8)
    result = lookup.look_up(images, lookup.equalize_table(images))
    assert result[0, 0].tolist() == [[0] * 4, [85] * 4, [255] * 4, [255] * 4]


@pytest.mark.parametrize("table", [lookup.autocontrast_table, lookup.equalize_table])
def test_a_flat_image_stays(table):
    images = image(*[77] * 16)
    assert torch.equal(lookup.look_up(images, table(images)), images)


@pytest.mark.parametrize("bits", [0, 1, 4, 7, 8])
def test_posterize_agrees_with_torchvision(bits):
    images = photo_like(1)
    tables = lookup.posterize_table(torch.tensor([bits])).expand(1, 3, 256)
    assert torch.equal(lookup.look_up(images, tables), vision.posterize(images, bits))


@pytest.mark.parametrize("threshold", [0.0, 100.5, 128.0, 255.0])
def test_solarize_agrees_with_torchvision(threshold):
    images = photo_like(1)
    tables = lookup.solarize_table(torch.tensor([threshold])).expand(1, 3, 256)
    assert torch.equal(lookup.look_up(images, tables), vision.solarize(images, threshold))


@pytest.mark.parametrize(
    ("table", "theirs"),
    [
        (lambda images, factors: lookup.brightness_table(factors), vision.adjust_brightness),
        (lookup.contrast_table, vision.adjust_contrast),
    ],
)
def test_factors_agree_with_torchvision_up_to_rounding(table, theirs):
    images, factors = photo_like(), (0.3, 1.0, 1.6)
    tables = table(images, torch.tensor(factors)).expand(-1, 3, -1)
    result = lookup.look_up(images, tables)
    for k, factor in enumerate(factors):
        difference = result[k].int() - theirs(images[k], factor).int()
        assert difference.abs().max() <= 1


@pytest.mark.parametrize(
    ("table", "theirs", "tolerance"),
    [
        (lookup.autocontrast_table, vision.autocontrast, 1),
        (lookup.equalize_table, vision.equalize, 5),  # its step is a whole number of pixels
    ],
)
def test_histogram_operations_agree_with_torchvision(table, theirs, tolerance):
    images = photo_like(side=200)
    result = lookup.look_up(images, table(images))
    assert (result.int() - theirs(images).int()).abs().max() <= tolerance
    assert result.float().std() > images.float().std()
