"""The settings of a run in JSON: all that the synthetic images follow from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import nn

from gansampler._serialization import comparable_params
from gansampler._validation import to_python_scalar
from gansampler.images import ImageSequence
from gansampler.translators import CycleGAN

__all__ = ["fingerprint", "is_repeatable", "run_settings", "to_json"]


def run_settings(
    images: ImageSequence,
    y: np.ndarray,
    n_new: Mapping[Any, int],
    *,
    translator: Any,
    prefit: bool,
    source: object,
    output_format: str,
    random_state: object,
) -> dict[str, Any]:
    """Return the settings of a run. Runs with equal settings give equal images.

    Parameters
    ----------
    images : ImageSequence
        The originals.
    y : ndarray of shape (n_samples,)
        Their labels.
    n_new : mapping of label -> int
        Number of synthetic images per class.
    translator : BaseTranslator or mapping of label -> BaseTranslator
    prefit : bool
        Whether translators are fitted. Then their networks are settings, too.
    source, output_format, random_state : object
        The parameters of the sampler. A random state that is no integer is None.

    Returns
    -------
    settings : dict
        JSON-able.
    """
    by_label = translator if isinstance(translator, Mapping) else {"": translator}
    has_seed = isinstance(random_state, int | np.integer)
    return {
        "format": 2,
        "X": images.fingerprint(),
        "y": to_json(y),
        "sampling_strategy": [[to_json(label), int(n)] for label, n in n_new.items()],
        "translator": {
            str(to_python_scalar(label)): _describe(translator, prefit)
            for label, translator in by_label.items()
        },
        "source": to_json(source),
        "prefit": bool(prefit),
        "output_format": output_format,
        "random_state": int(random_state) if has_seed else None,  # type: ignore[call-overload]
    }


def _describe(translator: Any, prefit: bool) -> Any:
    """Return the class and the parameters of a translator, and its fitted networks."""
    translator = CycleGAN() if translator is None else translator
    described: Any = type(translator).__name__
    if hasattr(translator, "get_params"):
        described = to_json(comparable_params(translator))
    if not prefit:
        return described
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().clone().contiguous()
        for name, network in sorted(vars(translator).items())
        if isinstance(network, nn.Module)
        for key, tensor in network.state_dict().items()
    }
    return [described, hashlib.blake2b(save(tensors), digest_size=16).hexdigest()]


def is_repeatable(translator: Any, *, prefit: bool, random_state: object) -> bool:
    """Whether another run with these values gives the same translators."""
    if prefit or random_state is not None:
        return True
    params = translator.get_params() if hasattr(translator, "get_params") else {}
    return params.get("random_state") is not None or any(
        name.endswith("checkpoint_dir") and value is not None
        for name, value in params.items()
    )


def fingerprint(settings: dict[str, Any]) -> str:
    """Return a short name for settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def to_json(value: object) -> Any:
    """Return a parameter or a label as JSON can store it.

    Arrays become a digest, and other objects the name of their type.
    """
    value = to_python_scalar(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        # The width of a string array is no part of its content.
        data = value.tolist() if value.dtype.kind in "OUT" else value.tobytes()
        return hashlib.blake2b(repr(data).encode(), digest_size=16).hexdigest()
    if isinstance(value, dict):
        return {
            str(to_python_scalar(key)): to_json(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return getattr(value, "__name__", type(value).__name__)
