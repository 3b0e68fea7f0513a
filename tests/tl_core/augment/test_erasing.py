import torch

from tl_core.augment.erasing import draw_boxes, erase, random_erasing
from tl_core.augment.pixels import box_mask, box_sides


def test_erase_by_hand():
    images = torch.full((2, 3, 4, 4), 200, dtype=torch.uint8)
    fill = torch.full((2, 3, 4, 4), 7, dtype=torch.uint8)
    boxes = torch.tensor([[0, 1, 2, 3], [3, 3, 1, 1]])
    result = erase(images, box_mask(*box_sides(boxes, 4, 4)), fill)
    assert result.dtype == torch.uint8
    assert result[0, 2].tolist() == [[200, 7, 7, 7]] * 2 + [[200] * 4] * 2
    assert (result[1] == 7).nonzero().tolist() == [[0, 3, 3], [1, 3, 3], [2, 3, 3]]


def test_boxes_have_the_area_and_ratio_asked_for():
    boxes = draw_boxes(
        500, 1000, 1000, torch.Generator().manual_seed(0), (0.02, 0.1), 0.5
    ).double()
    top, left, tall, wide = boxes.unbind(1)
    area, ratio = tall * wide / 1e6, tall / wide
    assert 0.0199 < area.min() < 0.022
    assert 0.098 < area.max() < 0.1005
    assert 0.495 < ratio.min() < 0.52
    assert 1.95 < ratio.max() < 2.02
    assert top.min() >= 0
    assert (top + tall).max() <= 1000
    assert (left + wide).max() <= 1000
    assert top.max() > 700  # not all in one corner
    assert left.max() > 700


def test_a_box_that_does_not_fit_is_cut_to_the_image():
    boxes = draw_boxes(200, 4, 16, torch.Generator().manual_seed(0), (0.9, 1.0), 0.3)
    assert (boxes[:, 0] + boxes[:, 2]).max() == 4
    assert (boxes[:, 1] + boxes[:, 3]).max() <= 16
    assert boxes[:, 2:].min() >= 1


def test_erases_the_share_of_images_asked_for_each_elsewhere():
    images = torch.zeros(400, 1, 16, 16, dtype=torch.uint8)
    result = random_erasing(images, torch.Generator().manual_seed(0), probability=0.25)
    touched = (result != 0).flatten(1).any(1)
    assert 70 < touched.sum() < 130
    boxes = (result[touched] != 0).flatten(1)
    assert len(boxes.unique(dim=0)) > 60
    assert torch.equal(random_erasing(images, torch.Generator(), probability=0), images)


def test_the_noise_is_uniform_and_differs_between_channels():
    images = torch.zeros(64, 3, 16, 16, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    result = random_erasing(images, generator, probability=1.0, area=(1.0, 1.0), aspect=1.0)
    counts = result.flatten().bincount(minlength=256).float()  # 192 expected for each value
    assert counts.min() > 120
    assert counts.max() < 270
    assert not torch.equal(result[:, 0], result[:, 1])


def test_floats_are_filled_within_their_range():
    images = torch.full((32, 1, 8, 8), 0.5)
    generator = torch.Generator().manual_seed(0)
    result = random_erasing(images, generator, probability=1.0, area=(0.3, 0.3))
    assert result.dtype == torch.float32
    assert result.min() >= 0
    assert 0.9 < result.max() <= 1
    assert ((result == 0.5).flatten(1).sum(1) > 30).all()
