"""The quality filters of a sampler: they are checked, fitted and asked."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from gansampler._serialization import comparable_params
from gansampler.images import ImageSequence
from gansampler.over_sampling._samples import Rejection
from gansampler.quality import FeatureExtractor, Verdict


class ClassFilterReport(NamedTuple):
    """What the filters did to the candidates of one class.

    Attributes
    ----------
    n_candidates : int
        Number of samples that were generated and judged.
    n_accepted : int
        Number of those that all filters accepted.
    n_rejected : dict of str -> int
        Number of candidates that each filter rejected. A candidate that several filters
        rejected counts for each of them.
    thresholds : dict of str -> float
        Threshold of each filter.
    rejections : list of Rejection
        One for each candidate and each filter that rejected it.
    """

    n_candidates: int
    n_accepted: int
    n_rejected: dict[str, int]
    thresholds: dict[str, float]
    rejections: list[Rejection]

    def __str__(self) -> str:
        lines = [f"{self.n_accepted} of {self.n_candidates} candidates accepted"]
        for name, n_rejected in self.n_rejected.items():
            lines.append(
                f"  {name}: {n_rejected} rejected, threshold "
                f"{self.thresholds[name]:.4g}"
            )
        return "\n".join(lines)


class FilterReport(dict):
    """The reports of all classes that were grown, by label, with a text for people."""

    def __str__(self) -> str:
        return "\n".join(f"{label!r}: {report}" for label, report in self.items())


def check_filters(quality_filter: Any) -> list[Any]:
    """Return the filters of a sampler as a list, or refuse them.

    Parameters
    ----------
    quality_filter : filter, list of filters or None

    Raises
    ------
    TypeError
        If an entry is no filter.
    ValueError
        If the list is empty, or if a filter has a bad parameter.
    """
    if quality_filter is None:
        return []
    is_several = isinstance(quality_filter, list | tuple)
    filters = list(quality_filter) if is_several else [quality_filter]
    rule = "`quality_filter` must be a filter, a list of filters or None."
    if not filters:
        raise ValueError(f"{rule} Got an empty list. Pass None to keep every image.")
    for part in filters:
        if isinstance(part, type) or not all(
            hasattr(part, name) for name in ("fit", "judge", "get_params")
        ):
            raise TypeError(
                f"{rule} Got {part!r}. Pass an instance, such as "
                "quality_filter=LabelFilter() of gansampler.quality."
            )
        if hasattr(part, "_validate_params"):
            part._validate_params()
    return filters


def check_scores(filters: Sequence[Any], translators: Mapping[Any, Any]) -> None:
    """Refuse a filter by scores if a translator has no discriminator."""
    for part in filters:
        for translator in translators.values():
            if _needs_scores(part) and not hasattr(translator, "realism_score"):
                raise ValueError(
                    f"{type(part).__name__} compares the `realism_score` of "
                    f"translations. {type(translator).__name__} has no discriminator, "
                    "and so no such score. Use another filter, such as LabelFilter."
                )


def describe_filters(filters: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the classes and parameters of filters, in a form for JSON."""
    described = []
    for part in filters:
        params = comparable_params(part)
        if getattr(part, "extractor", None) is not None:
            params["extractor"] = comparable_params(part.extractor)
        described.append(params)
    return described


def copy_filters(filters: Sequence[Any]) -> list[Any]:
    """Return clones of filters; those with equal extractors share one of them.

    An extractor keeps the features of the last sets of images. So the features of an
    image are computed once for all filters and for all classes.
    """
    extractors: dict[str, Any] = {}
    copies = [clone(part) for part in filters]
    for part in copies:
        if "extractor" in part.get_params(deep=False):
            extractor = part.extractor or FeatureExtractor()
            key = json.dumps(comparable_params(extractor))
            part.set_params(extractor=extractors.setdefault(key, extractor))
    return copies


class FittedFilters:
    """The filters of one class, fitted to its real images.

    Parameters
    ----------
    filters : sequence of filter
        They are copied.
    translator : BaseTranslator
        Fitted.
    source, target : ImageSequence
        The real images of the source and of the class.

    Attributes
    ----------
    thresholds : dict of str -> float
        By the name of the filter.
    """

    def __init__(
        self,
        filters: Sequence[Any],
        translator: Any,
        source: ImageSequence,
        target: ImageSequence,
    ) -> None:
        self._score = None
        if any(map(_needs_scores, filters)):
            self._score = translator.realism_score
        scores = None if self._score is None else self._score(target)
        self._filters: dict[str, Any] = {}
        for part in filters:
            name, number = type(part).__name__, 1
            while name in self._filters:
                number += 1
                name = f"{type(part).__name__}-{number}"
            # The copy has the same extractor, with its cache.
            fitted = copy.copy(part).fit(source, target, target_scores=scores)
            self._filters[name] = fitted
        self.thresholds = {
            name: float(part.threshold_) for name, part in self._filters.items()
        }

    def judge(self, samples: np.ndarray) -> dict[str, Verdict]:
        """Return the verdict of each filter on some candidates."""
        candidates = ImageSequence(samples)
        scores = None if self._score is None else self._score(samples)
        return {
            name: part.judge(candidates, scores=scores)
            for name, part in self._filters.items()
        }


def _needs_scores(part: Any) -> bool:
    return getattr(part, "needs_scores", False)
