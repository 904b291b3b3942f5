"""Compare over-samplers on the user's data, by cross-validation."""

from gansampler.model_selection._compare import compare_samplers
from gansampler.model_selection._comparison import Difference, SamplerComparison

__all__ = ["Difference", "SamplerComparison", "compare_samplers"]
