import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from tl_core.augment import color
from tl_core.augment.color import color_jitter


def pixel(*channels: float) -> torch.Tensor:
    """One image of one colour, 4 × 4."""
    return torch.tensor(channels).view(1, -1, 1, 1).expand(1, -1, 4, 4)


def test_luminance_by_hand():
    assert color.luminance(pixel(1.0, 0.0, 0.0))[0, 0, 0, 0] == pytest.approx(0.299)
    assert color.luminance(pixel(0.0, 1.0, 0.5))[0, 0, 0, 0] == pytest.approx(0.587 + 0.057)
    assert color.luminance(pixel(0.3))[0, 0, 0, 0] == pytest.approx(0.3)


def test_brightness_by_hand_with_a_factor_for_each_image():
    images = pixel(0.2, 0.4, 0.8).expand(3, 3, 4, 4)
    result = color.adjust_brightness(images, torch.tensor([0.5, 2.0, 0.0]))
    torch.testing.assert_close(result[0, :, 0, 0], torch.tensor([0.1, 0.2, 0.4]))
    torch.testing.assert_close(result[1, :, 0, 0], torch.tensor([0.4, 0.8, 1.0]))
    assert result[2].abs().max() == 0


def test_contrast_by_hand():
    images = torch.tensor([0.4, 0.6]).view(1, 1, 1, 2).expand(3, 1, 4, 2)
    result = color.adjust_contrast(images, torch.tensor([2.0, 0.0, 0.5]))
    expected = torch.tensor([[0.3, 0.7], [0.5, 0.5], [0.45, 0.55]])
    torch.testing.assert_close(result[:, 0, 0], expected)


def test_saturation_by_hand():
    images = pixel(1.0, 0.0, 0.0).expand(2, 3, 4, 4)
    result = color.adjust_saturation(images, torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(result[0, :, 0, 0], torch.tensor([0.299, 0.299, 0.299]))
    torch.testing.assert_close(result[1, :, 0, 0], torch.tensor([0.6495, 0.1495, 0.1495]))


def test_a_third_of_a_turn_of_hue_makes_red_green_green_blue_and_blue_red():
    images = torch.cat([pixel(0.9, 0.1, 0.1), pixel(0.0, 1.0, 0.0), pixel(0.2, 0.2, 0.7)])
    result = color.adjust_hue(images, torch.full((3,), 1 / 3))[:, :, 2, 1]
    expected = torch.tensor([[0.1, 0.9, 0.1], [0, 0, 1], [0.7, 0.2, 0.2]])
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_hue_leaves_grey_alone():
    images = torch.cat([pixel(0.5, 0.5, 0.5), pixel(0.0, 0.0, 0.0), pixel(1.0, 1.0, 1.0)])
    assert torch.equal(color.adjust_hue(images, torch.tensor([0.3, -0.5, 0.5])), images)


def test_sharpness_by_hand():
    images = torch.zeros(2, 1, 3, 3)
    images[:, :, 1, 1] = 0.65
    result = color.adjust_sharpness(images, torch.tensor([0.0, 2.0]))
    assert result[0, 0, 1, 1] == pytest.approx(0.65 * 5 / 13)  # the whole of PIL's SMOOTH
    assert result[1, 0, 1, 1] == 1  # 0.65 + 0.4, clamped
    assert result[:, :, 0].abs().max() == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "values"),
    [
        (color.adjust_brightness, vision.adjust_brightness, (0.4, 1.0, 1.7)),
        (color.adjust_contrast, vision.adjust_contrast, (0.4, 1.0, 1.7)),
        (color.adjust_saturation, vision.adjust_saturation, (0.4, 1.0, 1.7)),
        (color.adjust_sharpness, vision.adjust_sharpness, (0.4, 1.0, 1.7)),
        (color.adjust_hue, vision.adjust_hue, (-0.5, -0.07, 0.2)),
    ],
)
def test_agrees_with_torchvision(ours, theirs, values):
    images = torch.rand(3, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    result = ours(images, torch.tensor(values))
    for k, value in enumerate(values):
        torch.testing.assert_close(result[k], theirs(images[k], value), rtol=0, atol=2e-3)


@pytest.mark.parametrize("adjust", [color.adjust_saturation, color.adjust_hue])
def test_grey_images_have_no_colour_to_change(adjust):
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(adjust(images, torch.tensor([0.2, 0.4])), images)


def test_jitter_without_ranges_changes_nothing():
    images = torch.rand(2, 3, 4, 4)
    result = color_jitter(images, torch.Generator(), brightness=0, contrast=0, saturation=0, hue=0)
    torch.testing.assert_close(result, images)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_each_range_of_jitter_counts_and_is_drawn_per_image(name):
    ranges = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0} | {name: 0.4}
    images = torch.rand(1, 3, 4, 4).expand(6, 3, 4, 4)
    result = color_jitter(images, torch.Generator().manual_seed(0), **ranges)
    assert len(result.flatten(1).unique(dim=0)) == 6


def test_jitter_draws_brightness_within_its_range():
    images = pixel(0.5).expand(500, 1, 4, 4)
    generator = torch.Generator().manual_seed(0)
    result = color_jitter(images, generator, brightness=0.2, contrast=0)[:, 0, 0, 0]
    assert 0.4 <= result.min() < 0.41
    assert 0.59 < result.max() <= 0.6
