"""Distances between two sets of features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics.pairwise import polynomial_kernel


def kernel_distance(
    real_features: npt.ArrayLike, fake_features: npt.ArrayLike
) -> float:
    r"""Return the kernel distance between real and generated images.

    With the features of an Inception network, it is known as KID [1]_. It is the
    squared maximum mean discrepancy with the kernel
    :math:`k(x, y) = (x \cdot y / d + 1)^3` for features of length `d`:

    .. math::
        \frac{1}{m (m - 1)} \sum_{i \neq j} k(x_i, x_j)
        + \frac{1}{n (n - 1)} \sum_{i \neq j} k(y_i, y_j)
        - \frac{2}{m n} \sum_{i, j} k(x_i, y_j)

    The estimate is unbiased, also for few images. So it can be negative. The Fréchet
    distance (FID) is strongly biased below some thousand images.

    Parameters
    ----------
    real_features : array-like of shape (n_real, n_features)
        Features of real images, such as those of a :class:`FeatureExtractor`.
    fake_features : array-like of shape (n_fake, n_features)
        Features of generated images.

    Returns
    -------
    distance : float
        About 0 for two samples of the same distribution. Its scale depends on the
        network: compare only distances between features of one network.

    Raises
    ------
    ValueError
        If a set has fewer than two images, or if the features have different lengths.

    References
    ----------
    .. [1] M. Bińkowski, D. J. Sutherland, M. Arbel, A. Gretton, "Demystifying MMD
       GANs", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.quality import kernel_distance
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 200, 16))
    >>> round(kernel_distance(a, b), 1), kernel_distance(a, b + 1) > 1
    (0.0, True)
    """
    real = np.asarray(real_features, dtype=np.float64)
    fake = np.asarray(fake_features, dtype=np.float64)
    shapes = f"Got shapes {real.shape} and {fake.shape}."
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            "Both sets must have shape (n_images, n_features), with features of the "
            f"same network. {shapes} Map images to features with FeatureExtractor."
        )
    if min(len(real), len(fake)) < 2:
        raise ValueError(
            f"A kernel distance needs at least two images of each set. {shapes}"
        )
    within = [_mean_of_pairs(features) for features in (real, fake)]
    return float(sum(within) - 2 * _kernel(real, fake).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return polynomial_kernel(x, y, degree=3, coef0=1)


def _mean_of_pairs(features: np.ndarray) -> float:
    """Return the mean kernel value of two different samples."""
    kernel = _kernel(features, features)
    n = len(features)
    return (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
