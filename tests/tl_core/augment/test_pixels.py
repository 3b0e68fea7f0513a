import torch

from tl_core.augment.pixels import (
    Normalizer,
    box_mask,
    box_sides,
    replace_images,
    replacements,
    to_float,
    to_uint8,
)


def test_normalize_bytes_by_hand():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    result = Normalizer(torch.tensor([0.2]), torch.tensor([0.4]))(images)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.flatten(), torch.tensor([-0.5, 0.0, 2.0]))


def test_normalize_floats_channel_by_channel_and_leaves_the_input():
    images = torch.full((2, 3, 4, 4), 0.5)
    result = Normalizer(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.5, 1.0, 0.25]))(images)
    torch.testing.assert_close(result[1, :, 2, 3], torch.tensor([1.0, 0.0, -2.0]))
    assert (images == 0.5).all()


def test_normalize_gives_the_same_for_bytes_and_their_floats():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    normalize = Normalizer(torch.tensor([0.4914]), torch.tensor([0.247]))
    torch.testing.assert_close(
        normalize(images), normalize(to_float(images)), rtol=1e-5, atol=1e-6
    )


def test_bytes_to_floats_and_back():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    floats = to_float(images)
    assert floats.min() == 0
    assert floats.max() == 1
    assert torch.equal(to_uint8(floats), images)
    assert to_uint8(torch.tensor([0.6 / 255, 0.4 / 255])).tolist() == [1, 0]


def test_replace_images():
    images = torch.zeros(3, 1, 2, 2)
    new = torch.tensor([5.0, 7.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    result = replace_images(images, replacements(3, torch.tensor([2, 0])), new)
    assert result.mean((1, 2, 3)).tolist() == [7.0, 0.0, 5.0]
    assert images.sum() == 0


def test_box_mask_by_hand():
    mask = box_mask(*box_sides(torch.tensor([[1, 2, 2, 1], [0, 0, 4, 4], [3, 1, 0, 2]]), 4, 4))
    assert mask.shape == (3, 1, 4, 4)
    assert mask[0, 0].nonzero().tolist() == [[1, 2], [2, 2]]
    assert mask[1].all()
    assert not mask[2].any()
