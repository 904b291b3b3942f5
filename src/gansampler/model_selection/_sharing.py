"""Train equal translators of several arms once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone

from gansampler._serialization import comparable_params
from gansampler.over_sampling import GANOverSampler
from gansampler.translators import BaseTranslator, make_translator

# Parameters of the sampler that determine the data of its translators.
DATA_PARAMS = ("source", "image_shape", "path_column", "on_error", "resize")


class SharedTranslators:
    """The translators of the arms of one split.

    Parameters
    ----------
    samplers : mapping of str -> sampler
        Sampler of each arm, with its seeds.

    Attributes
    ----------
    arms : list of str
        Arms that may share translators with another arm.
    """

    def __init__(self, samplers: Mapping[str, Any]) -> None:
        keys = {arm: _training_key(sampler) for arm, sampler in samplers.items()}
        counts = Counter(keys.values())
        self._keys = {
            arm: key for arm, key in keys.items() if key is not None and counts[key] > 1
        }
        self.arms = list(self._keys)
        self._labels: dict[str, list[Any]] = {}
        self._trained: dict[str, dict[str, dict[Any, BaseTranslator]]] = {}

    def plan(self, arm: str, sampler: Any, X: Any, y: np.ndarray) -> None:
        """Find the classes that an arm will grow."""
        counts = clone(sampler).fit(X, y).sampling_strategy_
        self._labels[arm] = [label for label, n_new in counts.items() if n_new]

    def ordered(self, arms: list[str]) -> list[str]:
        """Return the arms, those first that grow the most classes."""
        return sorted(arms, key=lambda arm: -len(self._labels.get(arm, ())))

    def lend(self, arm: str, sampler: Any) -> str | None:
        """Give a sampler the translators of another arm.

        Returns
        -------
        lender : str or None
            The other arm; None if no arm has trained the same translators.
        """
        if arm not in self._keys:
            return None
        labels = self._labels[arm]
        for lender, translators in self._trained.get(self._keys[arm], {}).items():
            # A sampler without a seed in its translator draws one seed per class.
            is_same = (
                set(labels) <= translators.keys()
                if _has_seed(sampler.translator)
                else labels == list(translators)
            )
            if labels and is_same:
                chosen = {label: translators[label] for label in labels}
                sampler.set_params(translator=chosen, prefit=True)
                return lender
        return None

    def keep(self, arm: str, sampler: Any) -> None:
        """Remember the translators that an arm has trained."""
        if arm in self._keys:
            trained = self._trained.setdefault(self._keys[arm], {})
            trained[arm] = sampler.translators_


def _training_key(sampler: Any) -> str | None:
    """Return a text that is equal for samplers that train equal translators.

    It is None for samplers that train none.
    """
    if not isinstance(sampler, GANOverSampler) or sampler.prefit:
        return None
    translator = sampler.translator or make_translator()
    if not isinstance(translator, BaseTranslator):
        return None
    params = comparable_params(sampler)
    names = DATA_PARAMS if _has_seed(translator) else (*DATA_PARAMS, "random_state")
    key = {name: params[name] for name in names}
    key["translator"] = comparable_params(translator)
    # Not among the parameters of the translator, but its precision and time count.
    trainer = getattr(translator, "trainer", None)
    key["trainer"] = None if trainer is None else comparable_params(trainer)
    return json.dumps(key, sort_keys=True)


def _has_seed(translator: BaseTranslator | None) -> bool:
    """Whether a translator has a seed, or does not need one."""
    if translator is None:
        return False
    return translator.get_params(deep=False).get("random_state", 0) is not None
