"""How two sets of features overlap, by the distances to nearest neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import pairwise_distances

from gansampler.quality._distances import check_features


def precision_recall(
    real_features: npt.ArrayLike,
    fake_features: npt.ArrayLike,
    *,
    n_neighbors: int = 5,
) -> tuple[float, float]:
    """Return the precision and the recall of generated images.

    A ball around each image reaches to its `n_neighbors`-th nearest neighbour within
    its set. The precision is the share of the generated images in a ball of a real
    image, and the recall is the share of the real images in a ball of a generated
    image [1]_.

    Parameters
    ----------
    real_features : array-like of shape (n_real, n_features)
        Features of real images, such as those of a :class:`FeatureExtractor`.
    fake_features : array-like of shape (n_fake, n_features)
        Features of generated images.
    n_neighbors : int, default=5
        The neighbour that is at the surface of a ball.

    Returns
    -------
    precision : float
        In [0, 1]. It is high if the generated images look real, even if they are all
        the same.
    recall : float
        In [0, 1]. It is high if the generated images are as varied as the real ones.

    Raises
    ------
    ValueError
        If a set does not have more than `n_neighbors` images, if `n_neighbors` is less
        than 1, or if the features have different lengths.

    See Also
    --------
    density_coverage : Two figures that single outliers influence less.

    Notes
    -----
    Both figures depend on the numbers of images. Compare only sets of equal numbers.

    References
    ----------
    .. [1] T. Kynkäänniemi, T. Karras, S. Laine, J. Lehtinen, T. Aila, "Improved
       precision and recall metric for assessing generative models", NeurIPS 2019.

    Examples
    --------
    Many generated images that are almost the same have a low recall:

    >>> import numpy as np
    >>> from gansampler.quality import precision_recall
    >>> rng = np.random.default_rng(0)
    >>> real = rng.normal(size=(200, 4))
    >>> precision_recall(real, rng.normal(0, 0.01, size=(200, 4)))
    (1.0, 0.0)
    """
    real, fake, n_neighbors = _check(real_features, fake_features, n_neighbors)
    between = pairwise_distances(real, fake)
    in_real = between <= _radii(real, n_neighbors)[:, None]
    in_fake = between <= _radii(fake, n_neighbors)
    return float(in_real.any(0).mean()), float(in_fake.any(1).mean())


def density_coverage(
    real_features: npt.ArrayLike,
    fake_features: npt.ArrayLike,
    *,
    n_neighbors: int = 5,
) -> tuple[float, float]:
    """Return the density and the coverage of generated images.

    A ball around each real image reaches to its `n_neighbors`-th nearest neighbour
    among the real images. The density is the number of balls that contain a generated
    image, on average and divided by `n_neighbors`. The coverage is the share of the
    balls that contain a generated image [1]_.

    Parameters
    ----------
    real_features : array-like of shape (n_real, n_features)
        Features of real images, such as those of a :class:`FeatureExtractor`.
    fake_features : array-like of shape (n_fake, n_features)
        Features of generated images.
    n_neighbors : int, default=5
        The neighbour that is at the surface of a ball.

    Returns
    -------
    density : float
        At least 0. About 1 for two samples of the same distribution, and more for
        images that are all close to the centre of the real ones.
    coverage : float
        In [0, 1].

    Raises
    ------
    ValueError
        If a set does not have more than `n_neighbors` images, if `n_neighbors` is less
        than 1, or if the features have different lengths.

    See Also
    --------
    precision_recall : The figures that these improve on.

    References
    ----------
    .. [1] M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo, "Reliable fidelity and
       diversity metrics for generative models", ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.quality import density_coverage
    >>> rng = np.random.default_rng(0)
    >>> real, far = rng.normal(size=(200, 4)), rng.normal(9, 1, size=(200, 4))
    >>> density_coverage(real, far)
    (0.0, 0.0)
    """
    real, fake, n_neighbors = _check(real_features, fake_features, n_neighbors)
    is_inside = pairwise_distances(real, fake) <= _radii(real, n_neighbors)[:, None]
    return float(is_inside.sum(0).mean() / n_neighbors), float(is_inside.any(1).mean())


def nearest_others(features: np.ndarray) -> np.ndarray:
    """Return the distance of each image to the nearest other one of its set."""
    return _radii(np.asarray(features, dtype=np.float64), 1)


def _check(
    real_features: npt.ArrayLike, fake_features: npt.ArrayLike, n_neighbors: int
) -> tuple[np.ndarray, np.ndarray, int]:
    if n_neighbors < 1:
        raise ValueError(
            f"`n_neighbors` must be an int >= 1. Got {n_neighbors!r}. Pass 5, for "
            "example."
        )
    what = f"This figure with n_neighbors={n_neighbors}"
    real, fake = check_features(real_features, fake_features, n_neighbors + 1, what)
    return real, fake, int(n_neighbors)


def _radii(features: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Return the distance of each image to a neighbour; the image itself is no. 0."""
    distances = pairwise_distances(features)
    return np.partition(distances, n_neighbors, axis=1)[:, n_neighbors]
