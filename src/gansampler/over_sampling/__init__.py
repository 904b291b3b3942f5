"""Over-sampling by translation."""

from gansampler.over_sampling._gan import GANOverSampler

__all__ = ["GANOverSampler"]
