"""The contrastive loss against its formula in NumPy."""

import math

import numpy as np
import pytest
import torch

from gansampler.losses import patch_contrastive_loss


def reference(query, key, temperature):
    losses = []
    for queries, keys in zip(query, key, strict=True):
        for i, q in enumerate(queries):
            cosines = [
                np.dot(q, k) / (np.linalg.norm(q) * np.linalg.norm(k)) for k in keys
            ]
            odds = np.exp(np.array(cosines, np.longdouble) / temperature)
            losses.append(-np.log(odds[i] / odds.sum()))
    return float(np.mean(losses))


def pair(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, dtype=dtype, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("temperature", [0.07, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 2, 3), (3, 16, 5), (2, 7, 256), (4, 1, 8)])
def test_is_the_formula(shape, temperature):
    query, key = pair(*shape)
    expected = reference(query.numpy(), key.numpy(), temperature)
    actual = patch_contrastive_loss(query, key, temperature)
    assert actual.shape == ()
    assert actual.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_gradients():
    query, key = (tensor.requires_grad_() for tensor in pair(2, 5, 4))
    assert torch.autograd.gradcheck(patch_contrastive_loss, (query, key))


def test_negatives_come_from_the_same_image():
    query, key = pair(3, 6, 4)
    alone = [patch_contrastive_loss(query[i : i + 1], key[i : i + 1]) for i in range(3)]
    together = patch_contrastive_loss(query, key)
    torch.testing.assert_close(together, torch.stack(alone).mean())


def test_length_of_features_does_not_matter():
    query, key = pair(2, 6, 4)
    torch.testing.assert_close(
        patch_contrastive_loss(query, key), patch_contrastive_loss(3 * query, 0.2 * key)
    )


def test_smallest_and_largest_values():
    """Equal patches give the logarithm of their number, orthogonal patches about 0."""
    alike = torch.ones(2, 10, 4)
    assert patch_contrastive_loss(alike, alike).item() == pytest.approx(math.log(10))
    orthogonal = torch.eye(10).repeat(2, 1, 1)
    assert patch_contrastive_loss(orthogonal, orthogonal).item() < 1e-4
    swapped = orthogonal.flip(1)
    assert patch_contrastive_loss(orthogonal, swapped).item() == pytest.approx(
        1 / 0.07, 1e-3
    )


def test_stays_finite_for_rows_of_zeros():
    query, key = (tensor.float() for tensor in pair(1, 4, 3))
    query[0, 0] = key[0, 1] = 0
    query.requires_grad_()
    loss = patch_contrastive_loss(query, key)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(query.grad).all()
