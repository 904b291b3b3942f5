"""A filter whose verdicts are known, for tests in this process and in others."""

from typing import ClassVar

import numpy as np

from gansampler.quality import BaseFilter


class MeanFilter(BaseFilter):
    """Accept candidates that are at least as bright as the real target images."""

    _rule = "mean {figure} is below {threshold}"
    _parameter_constraints: dict = {"least": "no_validation"}
    # What the last fit has seen.
    fitted_to: ClassVar[tuple] = ()

    def __init__(self, *, least=None):
        self.least = least

    def _fit(self, source, target, target_scores):
        MeanFilter.fitted_to = tuple(
            part.take(np.arange(len(part))) for part in (source, target)
        )
        lowest = self._compute(target, None).min()
        self.threshold_ = float(lowest if self.least is None else self.least)

    def _compute(self, candidates, scores):
        samples = candidates.take(np.arange(len(candidates)))
        return samples.reshape(len(samples), -1).mean(axis=1)

    def _passes(self, figures):
        return figures >= self.threshold_
