"""Least-squares adversarial losses (Mao et al. 2017)."""

import torch

__all__ = ["least_squares_discriminator_loss", "least_squares_generator_loss"]


def least_squares_discriminator_loss(
    real_scores: torch.Tensor, fake_scores: torch.Tensor
) -> torch.Tensor:
    """Return ``(mean((D(real) - 1)^2) + mean(D(fake)^2)) / 2``.

    The half is CycleGAN's: it slows the discriminator relative to the generators.
    """
    return 0.5 * ((real_scores - 1).square().mean() + fake_scores.square().mean())


def least_squares_generator_loss(fake_scores: torch.Tensor) -> torch.Tensor:
    """Return ``mean((D(fake) - 1)^2)``: the generator wants fakes judged real."""
    return (fake_scores - 1).square().mean()
