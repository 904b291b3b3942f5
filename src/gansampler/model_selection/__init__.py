"""Find out by cross-validation whether over-sampling helps on the user's data."""

from gansampler.model_selection._compare import compare_samplers
from gansampler.model_selection._comparison import Difference, SamplerComparison
from gansampler.model_selection._two_stage import TwoStageClassifier

__all__ = [
    "Difference",
    "SamplerComparison",
    "TwoStageClassifier",
    "compare_samplers",
]
