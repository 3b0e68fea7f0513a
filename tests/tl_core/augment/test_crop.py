import torch

from tl_core.augment.crop import crop_of, flip_of, horizontal_flip, padded_crop


def numbered(batch: int = 1, channels: int = 1, side: int = 3) -> torch.Tensor:
    """Every pixel has its own value, counted from 1."""
    count = batch * channels * side * side
    return torch.arange(1, count + 1, dtype=torch.uint8).view(batch, channels, side, side)


def test_flip_mirrors_only_the_chosen_image():
    images = numbered(batch=2)
    result = flip_of(len(images), torch.tensor([1]))(images)
    assert result.dtype == torch.uint8
    assert torch.equal(result[0], images[0])
    assert result[1, 0].tolist() == [[12, 11, 10], [15, 14, 13], [18, 17, 16]]


def test_flip_with_probability_one_none_and_half():
    images = numbered().expand(200, 1, 3, 3)
    mirrored = images.flip(3)
    assert torch.equal(horizontal_flip(images, torch.Generator(), 1.0), mirrored)
    assert torch.equal(horizontal_flip(images, torch.Generator(), 0.0), images)
    flipped = horizontal_flip(images, torch.Generator().manual_seed(0)) == mirrored
    assert 70 < flipped.all(3).all(2).sum() < 130


def test_crop_by_hand():
    # Padding 1: a start of (1, 1) moves nothing, (0, 1) brings the row reflected above into view.
    images = numbered().expand(4, 1, 3, 3)
    tops, lefts = torch.tensor([1, 0, 2, 1]), torch.tensor([1, 1, 0, 2])
    result = crop_of(images.shape, tops, lefts, (1, 1))(images)
    assert result.dtype == torch.uint8
    assert result[0, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert result[1, 0].tolist() == [[4, 5, 6], [1, 2, 3], [4, 5, 6]]
    assert result[2, 0].tolist() == [[5, 4, 5], [8, 7, 8], [5, 4, 5]]
    assert result[3, 0].tolist() == [[2, 3, 2], [5, 6, 5], [8, 9, 8]]


def test_crop_keeps_images_and_channels_apart():
    images = numbered(batch=2, channels=3)
    result = crop_of(images.shape, torch.tensor([0, 2]), torch.tensor([1, 1]), (1, 1))(images)
    for channel in range(3):
        assert torch.equal(result[0, channel, 1:], images[0, channel, :2])
        assert torch.equal(result[1, channel, :2], images[1, channel, 1:])
        assert torch.equal(result[0, channel, 0], images[0, channel, 1])
        assert torch.equal(result[1, channel, 2], images[1, channel, 1])


def test_crop_of_floats_wide_images_and_channels_last():
    images = torch.rand(2, 3, 4, 6).to(memory_format=torch.channels_last)
    result = crop_of(images.shape, torch.tensor([1, 2]), torch.tensor([3, 2]), (1, 2))(images)
    assert torch.equal(result[0, :, :, :5], images[0, :, :, 1:])
    assert torch.equal(result[1, :, :3], images[1, :, 1:])


def test_padded_crop_moves_by_up_to_a_sixteenth_in_each_direction():
    images = torch.zeros(500, 1, 32, 16, dtype=torch.uint8)
    images[:, :, 16, 8] = 1
    moved = padded_crop(images, torch.Generator().manual_seed(0)).nonzero()
    assert set(moved[:, 2].tolist()) == set(range(14, 19))
    assert set(moved[:, 3].tolist()) == set(range(7, 10))


def test_padded_crop_of_a_given_padding():
    images = torch.zeros(100, 1, 8, 8, dtype=torch.uint8)
    images[:, :, 4, 4] = 1
    moved = padded_crop(images, torch.Generator().manual_seed(0), (0, 2)).nonzero()
    assert set(moved[:, 2].tolist()) == {4}
    assert set(moved[:, 3].tolist()) == {2, 3, 4, 5, 6}


def test_padded_crop_of_small_and_wide_images():
    images = torch.zeros(300, 1, 8, 48, dtype=torch.uint8)
    images[:, :, 4, 24] = 1
    moved = padded_crop(images, torch.Generator().manual_seed(0)).nonzero()
    assert set(moved[:, 2].tolist()) == {3, 4, 5}
    assert set(moved[:, 3].tolist()) == set(range(21, 28))
