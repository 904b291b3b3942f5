"""Samplers for ``torch.utils.data``; they need torch and nothing else."""

from gansampler.data._balanced_sampler import BalancedSampler

__all__ = ["BalancedSampler"]
