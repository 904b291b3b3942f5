"""The adversarial losses against their formulas in NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from gansampler import losses

# E of the discriminator's terms for real and generated images, and the generator's.
FORMULAS = {
    "least_squares": (
        lambda x: 0.5 * (x - 1) ** 2,
        lambda x: 0.5 * x**2,
        lambda x: (x - 1) ** 2,
    ),
    "hinge": (
        lambda x: np.maximum(0, 1 - x),
        lambda x: np.maximum(0, 1 + x),
        lambda x: -x,
    ),
    "non_saturating": (
        lambda x: -np.log(expit(x)),
        lambda x: -np.log(1 - expit(x)),
        lambda x: -np.log(expit(x)),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
class TestFormulas:
    def test_value(self, name):
        rng = torch.Generator().manual_seed(0)
        # A patch discriminator gives a map of scores. The batches may differ in size.
        real, fake = (
            3 * torch.randn(n, 1, 4, 5, dtype=torch.float64, generator=rng)
            for n in (3, 2)
        )
        of_real, of_fake, of_generator = FORMULAS[name]
        loss = getattr(losses, f"{name}_discriminator_loss")(real, fake)
        expected = of_real(real.numpy()).mean() + of_fake(fake.numpy()).mean()
        assert loss.shape == ()
        assert loss.item() == pytest.approx(expected, rel=1e-12)
        loss = getattr(losses, f"{name}_generator_loss")(fake)
        assert loss.shape == ()
        assert loss.item() == pytest.approx(of_generator(fake.numpy()).mean(), rel=1e-9)

    def test_gradients(self, name):
        rng = torch.Generator().manual_seed(1)
        scores = [
            torch.randn(6, dtype=torch.float64, generator=rng).requires_grad_()
            for _ in range(2)
        ]
        assert torch.autograd.gradcheck(
            getattr(losses, f"{name}_discriminator_loss"), scores
        )
        assert torch.autograd.gradcheck(
            getattr(losses, f"{name}_generator_loss"), scores[:1]
        )

    def test_gradient_is_finite_for_large_scores(self, name):
        scores = torch.tensor([-200.0, 200.0], requires_grad=True)
        loss = getattr(losses, f"{name}_discriminator_loss")(scores, scores)
        (loss + getattr(losses, f"{name}_generator_loss")(scores)).backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(scores.grad).all()


def test_non_saturating_generator_learns_from_a_confident_discriminator():
    fake = torch.tensor([-50.0], requires_grad=True)
    losses.non_saturating_generator_loss(fake).backward()
    assert fake.grad.item() == pytest.approx(-1)
