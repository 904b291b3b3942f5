"""What is done in a call of the sampler, once its input is checked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

from gansampler._validation import spawn_seeds, to_python_scalar
from gansampler.images import ImageSequence
from gansampler.over_sampling._generation import Chunk, draw_sources, generate
from gansampler.over_sampling._plan import check_translator, fit_translator, make_plan
from gansampler.over_sampling._sinks import (
    ArraySink,
    FileSink,
    from_first_process,
    open_file_sink,
)

if TYPE_CHECKING:
    from gansampler.over_sampling._gan import GANOverSampler

__all__ = ["resample"]


def resample(
    sampler: GANOverSampler, X: np.ndarray | ImageSequence, y: np.ndarray
) -> tuple[np.ndarray | list[str], np.ndarray]:
    """Train a translator for each class to be grown, and have it make what is missing.

    Sets the fitted attributes of the sampler.

    Parameters
    ----------
    sampler : GANOverSampler
        With its `sampling_strategy_`.
    X : ndarray, or ImageSequence of files or of a data set
    y : ndarray of shape (n_samples,)

    Returns
    -------
    X_resampled : ndarray or list of str
        `X` and the synthetic samples; from an ImageSequence the latter alone, or the
        paths of their files.
    y_resampled : ndarray of shape (n_samples_new,)
    """
    images = (
        X if isinstance(X, ImageSequence) else ImageSequence(X, sampler.image_shape)
    )
    plan = make_plan(y, sampler.sampling_strategy_, sampler.source)
    check_translator(sampler, images, plan)
    n_held, n_made = len(images), sum(sampler.sampling_strategy_[k] for k in plan)
    rng = check_random_state(sampler.random_state)
    seeds = {label: spawn_seeds(rng, 2) for label in plan}
    draw_seeds = {label: seed for label, (_, seed) in seeds.items()}
    X_resampled: np.ndarray | list[str]
    sink: FileSink | ArraySink
    if sampler.output_dir is not None:
        sink = open_file_sink(sampler, images, y, draw_seeds)
        X_resampled = sink.paths
    elif isinstance(X, ImageSequence):
        X_resampled = np.empty((n_made, *images.sample_shape), dtype=images.dtype)
        sink = ArraySink(X_resampled, draw_seeds)
    else:
        X_resampled = np.empty((n_held + n_made, *X.shape[1:]), dtype=X.dtype)
        X_resampled[:n_held] = X
        made = X_resampled[n_held:].reshape(-1, *images.sample_shape)
        sink = ArraySink(made, draw_seeds)

    sampler.translators_ = {}
    labels, parents = [y], [np.arange(n_held)]
    for label, (source_rows, target_rows) in plan.items():
        source, target = images.subset(source_rows), images.subset(target_rows)
        translator = fit_translator(sampler, label, source, target, seeds[label][0])
        # Processes that compute together must draw alike.
        seed = from_first_process(sink.seed(label))
        chosen = draw_sources(len(source), sampler.sampling_strategy_[label], seed)
        make = partial(
            _make,
            translator,
            source,
            chosen,
            seed,
            to_python_scalar(label),
            sampler.verbose,
        )
        sink.put(label, translator, source_rows[chosen], make)
        sampler.translators_[label] = translator
        labels.append(np.full(len(chosen), label, dtype=y.dtype))
        parents.append(source_rows[chosen])
    sink.finish()
    sampler.sample_indices_ = images.rows[np.concatenate(parents)]
    sampler.is_synthetic_ = np.arange(n_held + n_made) >= n_held
    return X_resampled, np.concatenate(labels)


def _make(translator, source, chosen, seed, label, verbose, held) -> Iterable[Chunk]:
    return generate(
        translator, source, chosen, seed=seed, label=label, held=held, verbose=verbose
    )
