import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from tl_core.augment import geometric
from tl_core.augment.geometric import random_warp, warp_bilinear, warp_nearest


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def image(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows)[None, None]


@pytest.mark.parametrize("warp", [warp_nearest, warp_bilinear])
def test_a_quarter_turn_is_counter_clockwise(warp):
    images = torch.rand(1, 3, 5, 5)
    turned = warp(images, geometric.rotation(numbers(90)))
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)))


@pytest.mark.parametrize("warp", [warp_nearest, warp_bilinear])
def test_translation_by_whole_pixels_lets_black_in(warp):
    images = image([[0.1, 0.2, 0.3, 0.4]] * 4).expand(2, 1, 4, 4)
    moved = warp(images, geometric.translation(numbers(1, 0), numbers(0, -2)))
    torch.testing.assert_close(moved[0], image([[0, 0.1, 0.2, 0.3]] * 4)[0])
    still, black = [0.1, 0.2, 0.3, 0.4], [0.0] * 4
    torch.testing.assert_close(moved[1], image([still, still, black, black])[0])


def test_translation_by_half_a_pixel_averages_neighbours():
    images = image([[0.2, 0.4, 0.8, 0.0]] * 4)
    moved = warp_bilinear(images, geometric.translation(numbers(0.5), numbers(0)))
    torch.testing.assert_close(moved[0, 0, 1], numbers(0.1, 0.3, 0.6, 0.4))


def test_scaling_by_two_repeats_the_middle():
    # Columns at -1.5, -0.5, 0.5, 1.5 read -0.75, -0.25, 0.25, 0.75: pixels 1, 1, 2, 2.
    images = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    scaled = warp_nearest(images, geometric.scaling(numbers(2)))
    assert scaled.dtype == torch.uint8
    assert scaled[0, 0].tolist() == [[5, 5, 6, 6], [5, 5, 6, 6], [9, 9, 10, 10], [9, 9, 10, 10]]


def test_shear_by_hand():
    images = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    along_x = warp_nearest(images, geometric.shear(numbers(1), numbers(0)))
    assert along_x[0, 0].tolist() == [[0, 1, 2], [4, 5, 6], [8, 9, 0]]
    along_y = warp_nearest(images, geometric.shear(numbers(0), numbers(1)))
    assert along_y[0, 0].tolist() == [[0, 2, 6], [1, 5, 9], [4, 8, 0]]


def test_perspective_by_hand():
    # W = 4: the last column, 1.5 from the centre, has w = 1 + 0.4 * 2 * 1.5 / 4 = 1.3.
    x, y = geometric.source_offsets(geometric.perspective(numbers(0.4), numbers(0), 4, 4), 4, 4)
    torch.testing.assert_close(x[0, 0], numbers(-1.5 / 0.7, -0.5 / 0.9, 0.5 / 1.1, 1.5 / 1.3))
    torch.testing.assert_close(y[0, 0], numbers(-1.5 / 0.7, -1.5 / 0.9, -1.5 / 1.1, -1.5 / 1.3))
    x, y = geometric.source_offsets(geometric.perspective(numbers(0), numbers(0.4), 4, 4), 4, 4)
    torch.testing.assert_close(y[0, :, 0], numbers(-1.5 / 0.7, -0.5 / 0.9, 0.5 / 1.1, 1.5 / 1.3))


def test_bilinear_rotation_agrees_with_torchvision():
    images = torch.rand(2, 3, 9, 13)
    ours = warp_bilinear(images, geometric.rotation(numbers(25, -40)))
    for k, degrees in enumerate((25.0, -40.0)):
        theirs = vision.rotate(images[k], degrees, InterpolationMode.BILINEAR)
        torch.testing.assert_close(ours[k], theirs, rtol=0, atol=1e-5)


def test_nearest_warp_keeps_bytes_and_equals_the_float_warp():
    images = torch.randint(256, (4, 3, 8, 6), dtype=torch.uint8)
    matrices = geometric.rotation(numbers(10, 33, -70, 180))
    as_floats = warp_nearest(images.float(), matrices)
    assert torch.equal(warp_nearest(images, matrices), as_floats.to(torch.uint8))


def test_random_warp_without_ranges_changes_nothing():
    images = torch.rand(3, 1, 8, 8)
    still = random_warp(
        images, torch.Generator(), degrees=0, shift=0, scale=(1, 1), slant=0, tilt=0
    )
    torch.testing.assert_close(still, images)


@pytest.mark.parametrize(
    "ranges",
    [{"degrees": 30.0}, {"shift": 0.3}, {"scale": (0.5, 1.5)}, {"slant": 0.3}, {"tilt": 0.4}],
)
def test_each_range_of_random_warp_counts_and_is_drawn_per_image(ranges):
    off = {"degrees": 0.0, "shift": 0.0, "scale": (1.0, 1.0), "slant": 0.0, "tilt": 0.0}
    images = torch.rand(1, 1, 8, 8).expand(6, 1, 8, 8)
    warped = random_warp(images, torch.Generator().manual_seed(0), **(off | ranges))
    assert len(warped.flatten(1).unique(dim=0)) == 6


def dots(height: int, width: int, count: int) -> torch.Tensor:
    """Images (count, 1, height, width) with a white square of 3 x 3 pixels in the centre."""
    images = torch.zeros(count, 1, height, width)
    row, column = height // 2, width // 2
    images[:, :, row - 1 : row + 2, column - 1 : column + 2] = 1
    return images


def centre(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the white of each image lies: (n,) pixels to the right and down from the centre."""
    rows, columns = (torch.arange(side) - side // 2 for side in images.shape[2:])
    white = images.sum((1, 2, 3))
    return (images.sum((1, 2)) @ columns.float()) / white, (
        images.sum((1, 3)) @ rows.float()
    ) / white


def test_random_warp_moves_by_a_share_of_the_width_and_of_the_height():
    """The first draw of an image, in [-1, 1), times `shift` times W goes to the right."""
    still = {"degrees": 0, "scale": (1, 1), "slant": 0, "tilt": 0}
    draws = torch.rand(8, 300, generator=torch.Generator().manual_seed(3)) * 2 - 1
    moved = random_warp(
        dots(21, 41, 300), torch.Generator().manual_seed(3), shift=0.25, **still
    )  # fmt: skip
    right, down = centre(moved)
    torch.testing.assert_close(right, draws[0] * 0.25 * 41, rtol=0, atol=1e-3)
    torch.testing.assert_close(down, draws[1] * 0.25 * 21, rtol=0, atol=1e-3)
    for found, most in ((right, 10.25), (down, 5.25)):
        assert -most < found.min() < -0.9 * most
        assert 0.9 * most < found.max() < most
    assert torch.corrcoef(torch.stack((right, down)))[0, 1].abs() < 0.2


def turned(d):
    return geometric.rotation(d[6] * 30)


def scaled(d):
    return geometric.scaling(0.9 + d[7] * 0.4)  # from 0.5 to 1.3


def slanted(d):
    return geometric.shear(d[2] * 0.3, d[3] * 0.3)


def tilted(d):
    return geometric.perspective(d[4] * 0.4, d[5] * 0.4, 12, 8)


def all_at_once(d):
    moved = geometric.translation(d[0] * 0.2 * 8, d[1] * 0.2 * 12)
    return moved @ turned(d) @ scaled(d) @ slanted(d) @ tilted(d)


@pytest.mark.parametrize(
    ("names", "matrices"),
    [
        (["degrees"], turned), (["scale"], scaled), (["slant"], slanted), (["tilt"], tilted),
        (["degrees", "shift", "scale", "slant", "tilt"], all_at_once),
    ],
)  # fmt: skip
def test_random_warp_draws_each_range_from_end_to_end(names, matrices):
    ranges = {"degrees": 30, "shift": 0.2, "scale": (0.5, 1.3), "slant": 0.3, "tilt": 0.4}
    off = {"degrees": 0, "shift": 0, "scale": (1, 1), "slant": 0, "tilt": 0}
    images = torch.rand(5, 2, 12, 8)
    draws = torch.rand(8, 5, generator=torch.Generator().manual_seed(1)) * 2 - 1
    warped = random_warp(
        images, torch.Generator().manual_seed(1), **(off | {n: ranges[n] for n in names})
    )
    torch.testing.assert_close(warped, warp_bilinear(images, matrices(draws)))


def test_random_warp_by_default():
    """15 degrees, a tenth, 0.85 to 1.15, a tenth and 0.15."""
    images = torch.rand(5, 2, 12, 8)
    given = {"degrees": 15, "shift": 0.1, "scale": (0.85, 1.15), "slant": 0.1, "tilt": 0.15}
    default, same = (
        random_warp(images, torch.Generator().manual_seed(1), **ranges) for ranges in ({}, given)
    )
    assert torch.equal(default, same)
