"""Images that are in a data set twice, or in the training and the test data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gansampler.data._perceptual_hash import (
    N_BITS,
    close_pairs,
    hash_bits,
    low_frequencies,
)
from gansampler.exceptions import GANSamplerWarning
from gansampler.images import ImageSequence

__all__ = ["find_near_duplicates", "group_near_duplicates", "warn_near_duplicates"]

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]

N_ORIENTATIONS = 8
MAX_PAIRS = 10_000_000
N_SHOWN = 5


def find_near_duplicates(
    X: npt.ArrayLike | ImageSequence,
    Y: npt.ArrayLike | ImageSequence | None = None,
    *,
    max_distance: int = 24,
    any_orientation: bool = False,
    image_shape: tuple[int, int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Find images that are copies of each other, but for small changes.

    Images are compared by a perceptual hash of 256 bits, which compression, scaling,
    brightness and contrast hardly change. Pass the training data as `X` and the test
    data as `Y` to see what the two share, and one set alone to see what it holds
    twice.

    Parameters
    ----------
    X : array-like
        Images as the samplers and classifiers take them: of shape
        (n_samples, height, width, n_channels), uint8 in [0, 255] or floating in
        [0, 1]; (n_samples, height, width) for grey ones; or flattened rows with
        `image_shape`.
    Y : array-like, default=None
        Other images, likewise; they may differ from `X` in size and channels. None
        compares `X` with itself.
    max_distance : int in [0, 255], default=24
        Bits in which the hashes of near-duplicates may differ. Unrelated images
        differ in about 128, two lesions of like shape in 35 and more.
    any_orientation : bool, default=False
        If True, copies that are flipped or turned by quarters are found as well.
        It takes eight times as many comparisons.
    image_shape : tuple of (height, width, n_channels), default=None
        The shape of each image, if `X` and `Y` are flattened rows.

    Returns
    -------
    pairs : ndarray of shape (n_pairs, 2), int
        Row of `X` and row of `Y` of each pair, sorted. Without `Y`, two rows of
        `X`, the lower one first.
    distances : ndarray of shape (n_pairs,), int
        Number of bits in which the two hashes differ; at most `max_distance`.

    Raises
    ------
    ValueError
        If the data are no images or in no known form, if `max_distance` is out of
        its range, or if there are more than 10 million pairs.

    See Also
    --------
    group_near_duplicates : Groups for splitters that keep copies together.

    Notes
    -----
    The hash follows pHash [1]_: an image becomes a grey thumbnail of 32 x 32 pixels;
    of its discrete cosine transform, the 16 x 16 lowest frequencies are kept, and
    the bits are their signs. A flip changes the signs of the odd frequencies, and a
    turn swaps rows and columns, so that `any_orientation` transforms no image anew.

    The default was chosen on dermoscopic images: of 800, 99 % had a distance of at
    most 22 after JPEG compression of quality 50, 23 after a contrast of 1.3, 27
    after a brightness of 1.2, and 4 after a change of size; 2 % cut off each
    side made it 25 for half of them. Among 28 million pairs of HAM10000 one lay
    below 35, and it was a true copy. Raise `max_distance` to find cropped copies,
    and look at what is found.

    All pairs are compared, in blocks: :math:`O(n^2)` time, and memory for 1 kB an
    image besides the pairs. Images of one colour have no structure to tell them
    apart and count as copies of each other.

    References
    ----------
    .. [1] C. Zauner, "Implementation and benchmarking of perceptual image hash
       functions", diploma thesis, Upper Austria University of Applied Sciences,
       2010.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.data import find_near_duplicates
    >>> from gansampler.datasets import make_lesions
    >>> X, _ = make_lesions(6, random_state=0)
    >>> Y, _ = make_lesions(3, random_state=1)
    >>> Y[2] = X[4] * 0.9  # the same picture, darker
    >>> pairs, distances = find_near_duplicates(X, Y)
    >>> pairs
    array([[4, 2]])
    """
    _check_max_distance(max_distance)
    images = _as_images(X, image_shape)
    others = None if Y is None else _as_images(Y, image_shape)
    found: list[np.ndarray] = []
    n_found = 0
    for part in _near_pairs(images, others, max_distance, any_orientation):
        found.append(np.stack(part, axis=1))
        n_found += len(found[-1])
        if n_found > MAX_PAIRS:
            raise ValueError(
                f"At most {MAX_PAIRS} pairs of near-duplicates can be listed. Got "
                f"more, with max_distance={max_distance}. Lower `max_distance`, or "
                "look at the images: they seem to be all alike."
            )
    table = np.concatenate([np.empty((0, 3), dtype=np.intp), *found])
    # By rows, and of a pair in several orientations the closest first.
    table = table[np.lexsort(table.T[[2, 1, 0]])]
    is_first = np.ones(len(table), dtype=bool)
    is_first[1:] = (table[1:, :2] != table[:-1, :2]).any(axis=1)
    return table[is_first, :2], table[is_first, 2]


def group_near_duplicates(
    X: npt.ArrayLike | ImageSequence,
    *,
    max_distance: int = 24,
    any_orientation: bool = False,
    image_shape: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """Give near-duplicates the same group, so that a splitter keeps them together.

    Parameters
    ----------
    X : array-like
        Images, as :func:`find_near_duplicates` takes them.
    max_distance : int in [0, 255], default=24
        Bits in which the hashes of near-duplicates may differ.
    any_orientation : bool, default=False
        If True, copies that are flipped or turned by quarters count as well.
    image_shape : tuple of (height, width, n_channels), default=None
        The shape of each image, if `X` has flattened rows.

    Returns
    -------
    groups : ndarray of shape (n_samples,), int
        Number of each image's group, from 0. Two images are in one group if a chain
        of near-duplicates joins them; an image without any is a group by itself.

    Raises
    ------
    ValueError
        As :func:`find_near_duplicates`.

    See Also
    --------
    find_near_duplicates : The pairs themselves.
    sklearn.model_selection.StratifiedGroupKFold : A splitter that takes groups.

    Examples
    --------
    >>> from gansampler.data import group_near_duplicates
    >>> from gansampler.datasets import make_lesions
    >>> X, _ = make_lesions(4, random_state=0)
    >>> X[3] = X[1]
    >>> group_near_duplicates(X)
    array([0, 1, 2, 1])
    """
    images = _as_images(X, image_shape)
    pairs, _ = find_near_duplicates(
        images, max_distance=max_distance, any_orientation=any_orientation
    )
    links = coo_array(
        (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])),
        shape=(len(images), len(images)),
    )
    groups = connected_components(links, directed=False)[1]
    return groups.astype(np.intp)


def warn_near_duplicates(X_train: ImageSequence, X_test: ImageSequence) -> None:
    """Warn if test images are near-duplicates of training images.

    Parameters
    ----------
    X_train, X_test : ImageSequence
        Feature rows are passed over.

    Warns
    -----
    GANSamplerWarning
        Once, with the number of test images and the first of the pairs.
    """
    if not (X_train.is_image and X_test.is_image):
        return
    is_shared = np.zeros(len(X_test), dtype=bool)
    shown: list[str] = []
    for rows, columns, _ in _near_pairs(X_test, X_train, 24, False):
        is_shared[rows] = True
        first = zip(rows[:N_SHOWN], columns[:N_SHOWN], strict=True)
        shown += [f"({row}, {column})" for row, column in first]
    if not is_shared.any():
        return
    warnings.warn(
        f"{is_shared.sum()} of {len(X_test)} validation images are near-duplicates of "
        "training images, which makes their scores look better than they are. First "
        f"pairs (validation row, training row): {', '.join(shown[:N_SHOWN])}. Leave "
        "them out of one of the two; gansampler.data.find_near_duplicates lists them.",
        GANSamplerWarning,
        stacklevel=3,
    )


def _near_pairs(
    images: ImageSequence,
    others: ImageSequence | None,
    max_distance: int,
    any_orientation: bool,
) -> Iterator[Pairs]:
    frequencies = low_frequencies(images)
    other_frequencies = frequencies if others is None else low_frequencies(others)
    hashes = hash_bits(frequencies)
    for orientation in range(N_ORIENTATIONS if any_orientation else 1):
        if others is None and orientation == 0:
            yield from close_pairs(hashes, None, max_distance)
            continue
        turned = hash_bits(other_frequencies, orientation)
        for rows, columns, distances in close_pairs(hashes, turned, max_distance):
            # An image is no duplicate of itself, and a pair is one in either order.
            kept = slice(None) if others is not None else rows < columns
            yield rows[kept], columns[kept], distances[kept]


def _as_images(
    X: npt.ArrayLike | ImageSequence, image_shape: tuple[int, int, int] | None
) -> ImageSequence:
    images = X if isinstance(X, ImageSequence) else ImageSequence(X, image_shape)
    if not images.is_image:
        raise ValueError(
            "Near-duplicates are sought among images. Got feature rows of shape "
            f"{(len(images), *images.sample_shape)}. Pass image_shape=(height, width, "
            "n_channels) if they are flattened images."
        )
    return images


def _check_max_distance(max_distance: object) -> None:
    is_int = isinstance(max_distance, Integral) and not isinstance(max_distance, bool)
    if not (is_int and 0 <= max_distance < N_BITS):  # type: ignore[operator]
        raise ValueError(
            f"`max_distance` must be an int in [0, {N_BITS - 1}], a number of bits. "
            f"Got {max_distance!r}. The default of 24 finds compressed and resized "
            "copies."
        )
