"""What every row of AUGMENTATIONS must keep, also one that is added."""

import pytest
import torch

from tests.tl_core.no_waits import NoWaits
from tl_core.augment import AUGMENTATIONS, Change, Normalizer, mix, policies

CHANGING = sorted(set(AUGMENTATIONS) - {"none"})


def batch(channels: int = 3, height: int = 32, width: int = 32, count: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, height, width)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def run(name: str, images: torch.Tensor, seed: int = 0, flip: bool = True) -> torch.Tensor:
    return AUGMENTATIONS[name](images, torch.Generator().manual_seed(seed), flip)


def test_the_names_that_the_configuration_documents():
    assert {"none", "light", "standard", "photo"} <= set(AUGMENTATIONS)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 8), (32, 32), (12, 20)])
@pytest.mark.parametrize("as_float", [False, True])
def test_shape_type_and_range(name, channels, height, width, as_float):
    images = batch(channels, height, width)
    images = images / 255 if as_float else images
    before = images.clone()
    result = run(name, images)
    assert result.shape == images.shape
    assert result.dtype in ((torch.float32,) if as_float else (torch.uint8, torch.float32))
    if result.dtype == torch.float32:
        assert result.min() >= 0
        assert result.max() <= 1
    assert torch.equal(images, before)
    normalize = Normalizer(torch.full((channels,), 0.5), torch.ones(channels))
    assert normalize(result).abs().max() <= 0.5


@pytest.mark.parametrize("name", ["none", "light", "standard"])
def test_bytes_stay_bytes_where_no_interpolation_needs_floats(name):
    assert run(name, batch()).dtype == torch.uint8


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_seed_decides_and_torch_own_generator_is_left_alone(name):
    images, state = batch(), torch.get_rng_state()
    first, again, other = run(name, images, 5), run(name, images, 5), run(name, images, 6)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "none")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_batch_and_a_single_image(name, count):
    for seed in range(10):
        assert run(name, batch(count=count), seed).shape == (count, 3, 32, 32)


@pytest.mark.parametrize("name", CHANGING)
def test_every_image_draws_for_itself(name):
    images = batch(count=1).expand(24, 3, 32, 32)
    assert len(run(name, images).flatten(1).unique(dim=0)) > 15


PARTS = {
    "light": ("draw_crop",),
    "standard": ("draw_crop", "draw_randaugment", "draw_erasing"),
    "photo": ("draw_warp", "draw_blur", "draw_jitter"),
}
SHARES = {"draw_erasing": (0.15, 0.35), "draw_blur": (0.35, 0.65)}


@pytest.mark.parametrize(("name", "part"), [(n, p) for n, parts in PARTS.items() for p in parts])
def test_each_part_of_a_policy_alone_changes_its_share_of_the_images(name, part, monkeypatch):
    for other in set(PARTS[name]) - {part}:
        monkeypatch.setattr(policies, other, lambda *_, **__: Change(lambda images: images))
    images = batch(count=200) / 255
    changed = (run(name, images, flip=False) - images).abs().flatten(1).amax(1) > 1e-3
    low, high = SHARES.get(part, (0.7, 1.0))
    assert low <= changed.double().mean() <= high


@pytest.mark.parametrize("name", ["light", "photo"])
def test_without_flips_left_stays_left(name):
    images = torch.full((200, 1, 32, 32), 60, dtype=torch.uint8)
    images[:, :, :, :16] = 180
    kept, flipped = (run(name, images, flip=flip).float() for flip in (False, True))
    assert (kept[:, 0, 16, 8] > kept[:, 0, 16, 23]).all()
    assert 60 < (flipped[:, 0, 16, 8] > flipped[:, 0, 16, 23]).sum() < 140


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_pictures_remain_recognizable(name):
    """An augmented image is nearer to its own original than to the next one, on average."""
    ramp = torch.linspace(0, 255, 32)
    along_x, along_y = ramp.expand(32, 32), ramp.view(32, 1).expand(32, 32)
    kinds = torch.stack((along_x, along_y, 255 - along_y))
    images = kinds.repeat(16, 1, 1)[:, None].to(torch.uint8)
    result = run(name, images, flip=False).float()
    flat = (result - result.mean((2, 3), keepdim=True)).flatten(1)
    centred = (kinds - kinds.mean((1, 2), keepdim=True)).flatten(1)
    nearest = (flat @ centred.T).argmax(1)
    assert (nearest == torch.arange(48) % 3).float().mean() > 0.8


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gpu_gives_what_the_cpu_gives(name, channels):
    images = batch(channels)
    on_cpu, on_gpu = run(name, images), run(name, images.cuda())
    assert on_gpu.device.type == "cuda"
    difference = (on_cpu.double() - on_gpu.cpu().double()).abs()
    one_level = 1 if on_cpu.dtype == torch.uint8 else 1 / 255
    assert (difference <= one_level).double().mean() > 0.999


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_no_policy_waits_for_a_device(name):
    """On the device that holds no values, so that it can be tried anywhere."""
    images = torch.zeros(16, 3, 32, 32, dtype=torch.uint8, device="meta")
    with NoWaits():
        augmented = AUGMENTATIONS[name](images, torch.Generator().manual_seed(0), True)
    assert augmented.device.type == "meta"
    with NoWaits(), pytest.raises(AssertionError, match="blocking"):
        torch.zeros(2).to("meta")


@pytest.mark.parametrize("alphas", [(0.2, 0.0), (0.0, 1.0)], ids=["mixup", "cutmix"])
def test_mixing_does_not_wait_for_a_device(alphas):
    images = torch.zeros(16, 3, 32, 32, device="meta")
    targets = torch.zeros(16, 4, device="meta")
    generator = torch.Generator().manual_seed(0)
    with NoWaits():
        mix(images, targets, generator, mixup_alpha=alphas[0], cutmix_alpha=alphas[1])
