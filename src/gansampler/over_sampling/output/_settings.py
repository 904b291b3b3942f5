"""The settings of a run in JSON: all that the synthetic images follow from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from safetensors.torch import save
from torch import nn

from gansampler._serialization import comparable_params
from gansampler._validation import to_python_scalar
from gansampler.images import ImageSequence
from gansampler.over_sampling._plan import ClassPlan


class RunIdentity(NamedTuple):
    """What the synthetic images of a sampler follow from, beside the data.

    Attributes
    ----------
    settings : dict
        JSON-able.
    is_repeatable : bool
        Whether a second call gives equal images.
    continues_training : bool
        Whether a second call continues the training of the translators.
    """

    settings: dict[str, Any]
    is_repeatable: bool = True
    continues_training: bool = False


def identify_translators(
    translator: Any, *, prefit: bool, is_seeded: bool
) -> RunIdentity:
    """Return what translations follow from.

    Parameters
    ----------
    translator : BaseTranslator or mapping of label -> BaseTranslator
    prefit : bool
        Whether translators are fitted. Then their networks are settings, too.
    is_seeded : bool
        Whether the sampler gives translators their seeds.

    Returns
    -------
    run : RunIdentity
        The number of epochs has an entry of its own among the settings, because a run
        with more epochs can continue another one.
    """
    by_label = translator if isinstance(translator, Mapping) else {"": translator}
    settings = {
        "translator": {
            str(to_json(label)): _describe(translator, prefit)
            for label, translator in by_label.items()
        },
        "n_epochs": None if prefit else getattr(translator, "n_epochs", None),
        "prefit": bool(prefit),
    }
    return RunIdentity(
        settings,
        is_repeatable=prefit or is_seeded or has_seed(translator),
        continues_training=not prefit and has_checkpoints(translator),
    )


def run_settings(
    images: ImageSequence,
    y: np.ndarray,
    plan: Sequence[ClassPlan],
    *,
    run: RunIdentity,
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
    plan : sequence of ClassPlan
    run : RunIdentity
    source, output_format, random_state : object
        The parameters of the sampler. A random state that is no integer is None.

    Returns
    -------
    settings : dict
        JSON-able.
    """
    is_integer = isinstance(random_state, int | np.integer)
    return {
        "format": 3,
        "X": images.fingerprint(),
        "y": to_json(y),
        "sampling_strategy": [[to_json(label), int(n)] for label, n, *_ in plan],
        "source": to_json(source),
        "output_format": output_format,
        "random_state": to_python_scalar(random_state) if is_integer else None,
        **run.settings,
    }


def _describe(translator: Any, prefit: bool) -> Any:
    """Return the class and the parameters of a translator, and its fitted networks."""
    described: Any = type(translator).__name__
    if hasattr(translator, "get_params"):
        described = comparable_params(translator)
    if not prefit:
        if isinstance(described, dict):
            described.pop("n_epochs", None)
        return described
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().clone().contiguous()
        for name, network in sorted(vars(translator).items())
        if isinstance(network, nn.Module)
        for key, tensor in network.state_dict().items()
    }
    return [described, hashlib.blake2b(save(tensors), digest_size=16).hexdigest()]


def has_seed(translator: Any) -> bool:
    """Whether a translator is trained to the same networks again, without our seed."""
    params = translator.get_params() if hasattr(translator, "get_params") else {}
    return params.get("random_state") is not None or has_checkpoints(translator)


def has_checkpoints(translator: Any) -> bool:
    """Whether the training of a translator is continued by the next call."""
    params = translator.get_params() if hasattr(translator, "get_params") else {}
    return any(
        name.endswith("checkpoint_dir") and value is not None
        for name, value in params.items()
    )


def fingerprint(settings: dict[str, Any]) -> str:
    """Return a short name for settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def to_json(value: object) -> Any:
    """Return a label as JSON can store it, or the digest of an array of labels."""
    value = to_python_scalar(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        # The width of a string array is no part of its content.
        data = value.tolist() if value.dtype.kind in "OUT" else value.tobytes()
        return hashlib.blake2b(repr(data).encode(), digest_size=16).hexdigest()
    return str(value)
