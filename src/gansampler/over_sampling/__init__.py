"""Over-sampling by translation, and by mixing."""

from gansampler.over_sampling._gan import GANOverSampler
from gansampler.over_sampling._minority_mix import MinorityMix

__all__ = ["GANOverSampler", "MinorityMix"]
