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
    real, fake = check_features(real_features, fake_features, 2, "A kernel distance")
    within = [_mean_of_pairs(features) for features in (real, fake)]
    return float(sum(within) - 2 * _kernel(real, fake).mean())


def frechet_distance(
    real_features: npt.ArrayLike, fake_features: npt.ArrayLike
) -> float:
    r"""Return the Fréchet distance between real and generated images.

    With the features of an Inception network, it is known as FID [1]_. Both sets are
    described by their mean :math:`\mu` and their covariance :math:`\Sigma`:

    .. math::
        \lVert \mu_r - \mu_f \rVert^2
        + \operatorname{tr}(\Sigma_r + \Sigma_f - 2 (\Sigma_r \Sigma_f)^{1/2})

    Parameters
    ----------
    real_features : array-like of shape (n_real, n_features)
        Features of real images, such as those of a :class:`FeatureExtractor`.
    fake_features : array-like of shape (n_fake, n_features)
        Features of generated images.

    Returns
    -------
    distance : float
        At least 0. Its scale depends on the network.

    Raises
    ------
    ValueError
        If a set has fewer than two images, or if the features have different lengths.

    See Also
    --------
    kernel_distance : An unbiased distance, for few images.

    Notes
    -----
    The distance of few images is too large, because their covariance is uncertain. It
    is usually computed from 10,000 images or more. Compare only distances between sets
    of the same numbers of images.

    With centred features :math:`A` and :math:`B`, the trace of the square root is the
    sum of the singular values of
    :math:`A B^\top / \sqrt{(n_r - 1)(n_f - 1)}`, so that no square root of a matrix
    is computed, and covariances without full rank need no correction.

    References
    ----------
    .. [1] M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, "GANs
       trained by a two time-scale update rule converge to a local Nash equilibrium",
       NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.quality import frechet_distance
    >>> features = np.random.default_rng(0).normal(size=(200, 16))
    >>> round(frechet_distance(features, features + 0.5), 6)
    4.0
    """
    real, fake = check_features(real_features, fake_features, 2, "A Fréchet distance")
    distance = float(((real.mean(0) - fake.mean(0)) ** 2).sum())
    roots = []
    for features in (real, fake):
        centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
        distance += float((centred**2).sum())
        # The factor R of a QR decomposition has the same covariance and fewer rows.
        if len(centred) > centred.shape[1]:
            centred = np.asarray(np.linalg.qr(centred, mode="r"))
        roots.append(centred)
    distance -= 2 * float(np.linalg.norm(roots[0] @ roots[1].T, "nuc"))
    # Rounding errors are the only negative ones.
    return max(distance, 0.0)


def check_features(
    real_features: npt.ArrayLike,
    fake_features: npt.ArrayLike,
    n_needed: int,
    what: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return both sets of features in float64.

    Parameters
    ----------
    real_features, fake_features : array-like of shape (n_images, n_features)
        The two sets.
    n_needed : int
        Smallest number of images of each set.
    what : str
        What needs them, for the error.

    Raises
    ------
    ValueError
        If a set has too few images, or if the features have different lengths.
    """
    real = np.asarray(real_features, dtype=np.float64)
    fake = np.asarray(fake_features, dtype=np.float64)
    shapes = f"Got shapes {real.shape} and {fake.shape}."
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            "Both sets must have shape (n_images, n_features), with features of the "
            f"same network. {shapes} Map images to features with FeatureExtractor."
        )
    if min(len(real), len(fake)) < n_needed:
        number = "two" if n_needed == 2 else n_needed
        raise ValueError(
            f"{what} needs at least {number} images of each set. {shapes} Add images."
        )
    return real, fake


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return polynomial_kernel(x, y, degree=3, coef0=1)


def _mean_of_pairs(features: np.ndarray) -> float:
    """Return the mean kernel value of two different samples."""
    kernel = _kernel(features, features)
    n = len(features)
    return (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
