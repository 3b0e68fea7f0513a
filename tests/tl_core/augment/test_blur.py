import math

import torch
from torchvision.transforms.v2 import functional as vision

from tl_core.augment.blur import gaussian_blur, random_blur


def test_a_point_spreads_into_the_gaussian():
    images = torch.zeros(1, 1, 5, 5)
    images[0, 0, 2, 2] = 1
    result = gaussian_blur(images, torch.tensor([1.0]), 1)[0, 0]
    side = math.exp(-0.5)
    near, centre = side / (1 + 2 * side), 1 / (1 + 2 * side)
    row = torch.tensor([0, near, centre, near, 0])
    torch.testing.assert_close(result, row[:, None] * row[None, :])


def test_agrees_with_torchvision_for_each_image():
    images = torch.rand(3, 3, 12, 9)
    sigmas = torch.tensor([0.3, 0.9, 2.5])
    result = gaussian_blur(images, sigmas, 3)
    for k, sigma in enumerate(sigmas.tolist()):
        theirs = vision.gaussian_blur(images[k], kernel_size=7, sigma=sigma)
        torch.testing.assert_close(result[k], theirs, rtol=0, atol=1e-5)


def test_a_flat_image_stays_flat_up_to_its_border():
    images = torch.full((1, 3, 4, 4), 0.7)
    torch.testing.assert_close(gaussian_blur(images, torch.tensor([2.0]), 3), images)


def test_random_blur_with_probability_none_half_and_one():
    images = torch.rand(1, 1, 8, 8).expand(200, 1, 8, 8)
    changed = {}
    for probability in (0.0, 0.5, 1.0):
        generator = torch.Generator().manual_seed(0)
        result = random_blur(images, generator, probability=probability, sigma=(0.4, 0.8))
        changed[probability] = int((result != images).flatten(1).any(1).sum())
    assert changed[0.0] == 0
    assert 70 < changed[0.5] < 130
    assert changed[1.0] == 200


def test_random_blur_draws_a_width_for_each_image():
    images = torch.rand(1, 1, 8, 8).expand(6, 1, 8, 8)
    generator = torch.Generator().manual_seed(0)
    result = random_blur(images, generator, probability=1.0, sigma=(0.4, 2.0))
    assert len(result.flatten(1).unique(dim=0)) == 6
