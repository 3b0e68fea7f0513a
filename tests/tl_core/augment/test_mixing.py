import pytest
import torch

from tl_core.augment.mixing import cutmix_of, draw_cuts, draw_shares, mix, mixup


def flat_images(*values: float) -> torch.Tensor:
    """One grey image for each value, 4 × 4."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)


def test_mixup_by_hand():
    images, targets = flat_images(0.0, 1.0, 0.5), torch.eye(3)
    shares = torch.tensor([0.75, 0.5, 1.0])
    mixed, labels = mixup(images, targets, torch.tensor([1, 2, 0]), shares)
    torch.testing.assert_close(mixed[:, 0, 2, 3], torch.tensor([0.25, 0.75, 0.5]))
    expected = torch.tensor([[0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1]])
    torch.testing.assert_close(labels, expected)


def test_cutmix_by_hand():
    images, targets = flat_images(0.2, 0.9), torch.eye(2)
    boxes = torch.tensor([[0, 1, 2, 3], [2, 2, 0, 0]])
    mixed, labels = cutmix_of(torch.tensor([1, 0]), boxes, 4, 4)(images, targets)
    row, plain = [0.2, 0.9, 0.9, 0.9], [0.2] * 4
    torch.testing.assert_close(mixed[0, 0], torch.tensor([row, row, plain, plain]))
    assert torch.equal(mixed[1], images[1])
    torch.testing.assert_close(labels, torch.tensor([[10 / 16, 6 / 16], [0, 1]]))


def test_cuts_by_hand():
    # A share of 0.75 leaves a quarter of the area: a box of 4 × 2 in an image of 8 × 4.
    shares = torch.full((300,), 0.75)
    boxes = draw_cuts(shares, 8, 4, torch.Generator().manual_seed(0))
    whole = boxes[(boxes[:, 2] == 4) & (boxes[:, 3] == 2)]
    assert len(whole) > 100
    assert boxes[:, 2].max() == 4
    assert boxes[:, 3].max() == 2
    assert boxes.min() == 0
    assert (boxes[:, 0] + boxes[:, 2]).max() == 8
    assert (boxes[:, 1] + boxes[:, 3]).max() == 4
    assert set(whole[:, 0].tolist()) == {0, 1, 2, 3, 4}
    assert draw_cuts(torch.ones(5), 8, 4, torch.Generator())[:, 2:].sum() == 0


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_have_the_moments_of_beta(alpha):
    shares = draw_shares(20_000, alpha, torch.Generator().manual_seed(0))
    assert shares.dtype == torch.float32
    assert shares.mean().item() == pytest.approx(0.5, abs=0.01)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_shares_of_a_tiny_alpha_are_numbers():
    shares = draw_shares(1000, 1e-4, torch.Generator().manual_seed(0))
    assert ((shares >= 0) & (shares <= 1)).all()


ALPHAS = [
    {"mixup_alpha": 0.4},
    {"cutmix_alpha": 1.0},
    {"mixup_alpha": 0.4, "cutmix_alpha": 1.0},
]


@pytest.mark.parametrize("alphas", ALPHAS)
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_and_labels_are_mixed_in_the_same_proportion(alphas, channels):
    # Flat images whose brightness is their label's: the mean brightness must stay the label's.
    values = torch.linspace(0, 1, 32)
    images = values.view(-1, 1, 1, 1).expand(-1, channels, 8, 8)
    mixed, labels = mix(images, torch.eye(32), torch.Generator().manual_seed(1), **alphas)
    assert mixed.shape == images.shape
    torch.testing.assert_close(labels.sum(1), torch.ones(32))
    torch.testing.assert_close(mixed.mean((1, 2, 3)), labels @ values, rtol=0, atol=1e-5)
    assert len(labels.amax(1).unique()) > 10  # a share of its own for each image


@pytest.mark.parametrize("alphas", ALPHAS)
def test_the_generator_decides(alphas):
    images, targets = torch.rand(16, 3, 8, 8), torch.eye(16)
    first, again, other = (
        mix(images, targets, torch.Generator().manual_seed(seed), **alphas) for seed in (3, 3, 4)
    )
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_where_both_are_on_each_batch_takes_one():
    images, generator = flat_images(0.0, 1.0), torch.Generator().manual_seed(0)
    cuts = 0
    for _ in range(100):
        mixed, _ = mix(images, torch.eye(2), generator, mixup_alpha=5.0, cutmix_alpha=5.0)
        cuts += bool(((mixed == 0) | (mixed == 1)).all())
    assert 50 < cuts < 95  # half of the batches, and those whose partners are themselves


def test_off_returns_what_came_and_bytes_become_floats():
    images, targets = torch.rand(2, 1, 4, 4), torch.eye(2)
    same, labels = mix(images, targets, torch.Generator())
    assert torch.equal(same, images)
    assert torch.equal(labels, targets)
    white = torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)
    mixed, _ = mix(white, targets, torch.Generator(), mixup_alpha=1.0)
    torch.testing.assert_close(mixed, torch.ones(2, 1, 4, 4))


def test_mixup_blends_and_cutmix_pastes():
    images = flat_images(*[0.0, 1.0] * 20)
    blended, _ = mix(images, torch.eye(40), torch.Generator().manual_seed(0), mixup_alpha=1.0)
    between = ((blended > 0.01) & (blended < 0.99)).flatten(1)
    assert between.all(1).sum() >= 10  # about half have a partner of the other colour
    assert torch.equal(blended.amax((2, 3)), blended.amin((2, 3)))
    pasted, _ = mix(images, torch.eye(40), torch.Generator().manual_seed(0), cutmix_alpha=1.0)
    assert ((pasted == 0) | (pasted == 1)).all()
    assert (pasted.amax((2, 3)) != pasted.amin((2, 3))).sum() >= 5


def test_of_mixup_and_cutmix_each_is_chosen_half_the_time():
    images = flat_images(0.0, 1.0)
    cut = 0
    for seed in range(400):
        generator = torch.Generator().manual_seed(seed)
        mixed, _ = mix(images, torch.eye(2), generator, mixup_alpha=5.0, cutmix_alpha=5.0)
        cut += bool(((mixed == 0) | (mixed == 1)).all())
    # Half are cut; of the mixed ones half have themselves as partners and stay as they are.
    assert 260 < cut < 340
