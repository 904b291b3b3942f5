"""How good a translator is during its training: figures after some of the epochs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gansampler.images import ImageSequence
from gansampler.quality import FeatureExtractor, kernel_distance
from gansampler.translators._monitors import measure

# The first epoch that ends this many steps after the last evaluation is evaluated.
STEPS_BETWEEN_EVALUATIONS = 100
# A discriminator's own network would find realistic what deceives it.
BACKBONE = "efficientnet_lite1"
# For the monitors, and for the kernel distance.
N_WATCHED, N_COMPARED = 64, 250


class Evaluation:
    """Translate some source images, and compare them with target images.

    Parameters
    ----------
    source, target : ImageSequence
        The training images of both domains.
    seed : int
        Seed of the choice of images. All evaluations use the same ones.
    distance : bool
        Whether to compute the kernel distance.
    """

    def __init__(
        self,
        source: ImageSequence,
        target: ImageSequence,
        seed: int,
        *,
        distance: bool,
    ) -> None:
        self.source, self.target = source, target
        self.features = FeatureExtractor(BACKBONE) if distance else None
        rng = np.random.default_rng(seed)
        # Random rows: files are often sorted.
        self._rows = rng.permutation(len(source)), rng.permutation(len(target))
        self._n_steps = 0
        self._target_features: np.ndarray | None = None
        self._distance_of_sources = 0.0

    def is_due(self, n_steps: int) -> bool:
        """Count the steps of an epoch; return whether it should be evaluated."""
        self._n_steps += n_steps
        if self._n_steps < STEPS_BETWEEN_EVALUATIONS:
            return False
        self._n_steps = 0
        return True

    def __call__(
        self, translate: Callable[[np.ndarray], np.ndarray]
    ) -> dict[str, float]:
        """Return the figures of :func:`measure`, and kernel distances.

        Parameters
        ----------
        translate : callable
            Translates images of shape (n, height, width, n_channels).

        Returns
        -------
        figures : dict of str -> float
            ``"kernel_distance"`` is that of the translations to the target images, and
            ``"kernel_distance_of_sources"`` that of the source images.
        """
        n = N_WATCHED if self.features is None else N_COMPARED
        source, target = (
            images.take(rows[:n])
            for images, rows in zip((self.source, self.target), self._rows, strict=True)
        )
        translated = translate(source)
        figures = measure(
            _to_unit_range(source[:N_WATCHED]),
            _to_unit_range(translated[:N_WATCHED]),
            _to_unit_range(target[:N_WATCHED]),
        )
        if self.features is not None:
            figures |= self._distances(self.features, source, target, translated)
        return figures

    def _distances(
        self,
        features: FeatureExtractor,
        source: np.ndarray,
        target: np.ndarray,
        translated: np.ndarray,
    ) -> dict[str, float]:
        if self._target_features is None:
            self._target_features = features.transform(target)
            self._distance_of_sources = kernel_distance(
                self._target_features, features.transform(source)
            )
        return {
            "kernel_distance": kernel_distance(
                self._target_features, features.transform(translated)
            ),
            "kernel_distance_of_sources": self._distance_of_sources,
        }

    def state_dict(self) -> int:
        """Return the number of steps since the last evaluation."""
        return self._n_steps

    def load_state_dict(self, state: int) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._n_steps = state


def _to_unit_range(images: np.ndarray) -> np.ndarray:
    """Return images of shape (n, height, width, n_channels) in [0, 1]."""
    images = images.reshape(*images.shape[:3], -1)
    return images / 255.0 if images.dtype == np.uint8 else images
