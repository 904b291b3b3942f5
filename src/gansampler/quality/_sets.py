"""The sets of images that a quality report compares, and their features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gansampler.images import ImageSequence

# The synthetic images, and what they are compared with.
SETS = ("synthetic", "real", "untranslated", "smote", "repeated")
# Values of the images that SMOTE blends, and of the blends: 512 MiB of float32.
MAX_VALUES = 2**27
BLOCK = 64


@dataclass(frozen=True)
class Sets:
    """The images that are compared, and the features of each set.

    Attributes
    ----------
    source, target, synthetic : ImageSequence
        At most the requested number of images of each.
    parents : ndarray of int of shape (n_synthetic,) or None
        Row of `source` that each synthetic image was translated from.
    features : dict of str -> ndarray of shape (n_images, n_features)
        Of "source", "target", "synthetic" and "smote". "smote" is missing if the
        target has one image only.
    repeated : ndarray of int
        Rows of `target`, drawn with replacement.
    untranslated : ndarray of int
        Rows of `source`: the parents, or all rows if they are unknown.
    groups : dict of str -> ndarray of int
        Of "source", "target" and "synthetic". Equal images, and a parent and its
        translations, are in one group.
    n_draw : int
        Number of images of each set in a draw, so that all figures are of sets of the
        same size, and a draw has at most half of any set.
    """

    source: ImageSequence
    target: ImageSequence
    synthetic: ImageSequence
    parents: np.ndarray | None
    features: dict[str, np.ndarray]
    repeated: np.ndarray
    untranslated: np.ndarray
    groups: dict[str, np.ndarray]
    n_draw: int

    def rows(self, name: str) -> tuple[str, np.ndarray]:
        """Return of which features a compared set consists, and the rows of them."""
        if name == "repeated":
            return "target", self.repeated
        if name == "untranslated":
            return "source", self.untranslated
        key = "target" if name == "real" else name
        return key, np.arange(len(self.features.get(key, ())))

    def names(self) -> list[str]:
        """Return the names of the sets that can be compared."""
        return [name for name in SETS if len(self.rows(name)[1])]

    def draws(
        self, n_draws: int, rng: np.random.RandomState
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Yield rows of real target images, and the positions in each set drawn.

        The set "real" has the other half of the real target images.
        """
        for _ in range(n_draws):
            order = rng.permutation(len(self.target))
            reference, others = order[: self.n_draw], order[self.n_draw :]
            drawn = {"real": others[: self.n_draw]}
            for name in self.names():
                n_rows = len(self.rows(name)[1])
                if name != "real" and n_rows >= self.n_draw:
                    drawn[name] = rng.choice(n_rows, self.n_draw, replace=False)
            yield reference, drawn


def make_sets(
    source: ImageSequence,
    target: ImageSequence,
    synthetic: ImageSequence,
    parents: np.ndarray | None,
    extract: Callable[[str, Any], np.ndarray],
    max_images: int,
    rng: np.random.RandomState,
) -> Sets:
    """Draw the images that are compared, make the references, and map all to features.

    Parameters
    ----------
    source, target, synthetic : ImageSequence
        All images, of one shape.
    parents : ndarray of int of shape (n_synthetic,) or None
        Row of `source` of each synthetic image.
    extract : callable
        Takes the name of a set and its images, and returns the features.
    max_images : int
        Largest number of images of each set.
    rng : RandomState

    Returns
    -------
    sets : Sets
    """
    target = target.subset(_some_rows(len(target), max_images, rng))
    chosen = _some_rows(len(synthetic), max_images, rng)
    synthetic = synthetic.subset(chosen)
    if parents is None:
        source = source.subset(_some_rows(len(source), max_images, rng))
        untranslated = np.arange(len(source))
    else:
        # The parents come first, so that all of them are chosen.
        used, parents = np.unique(parents[chosen], return_inverse=True)
        others = np.setdiff1d(np.arange(len(source)), used)
        n_others = max(max_images - len(used), 0)
        others = others[_some_rows(len(others), n_others, rng)]
        source = source.subset(np.concatenate([used, others]))
        untranslated = np.arange(len(used))
    n_draw = min(len(target), len(synthetic), len(untranslated)) // 2
    images = {"source": source, "target": target, "synthetic": synthetic}
    features = {name: extract(name, part) for name, part in images.items()}
    blends = blend(target, 2 * n_draw, rng)
    if len(blends):
        features["smote"] = extract("smote", blends)
    return Sets(
        source,
        target,
        synthetic,
        parents,
        features,
        rng.randint(len(target), size=max(2 * n_draw, len(target))),
        untranslated,
        group_images(images, parents),
        n_draw,
    )


def blend(
    images: ImageSequence, n_blends: int, rng: np.random.RandomState
) -> np.ndarray:
    """Return new images that SMOTE interpolates between the pixels of two images.

    Parameters
    ----------
    images : ImageSequence
    n_blends : int
        Number of new images; fewer if they need too much memory.
    rng : RandomState

    Returns
    -------
    blends : ndarray of shape (n, height, width, n_channels)
        None of them if there is one image only.
    """
    n_fitting = max(2, MAX_VALUES // int(np.prod(images.sample_shape)))
    pixels = images.take(np.arange(min(len(images), n_fitting)))
    n = len(pixels)
    n_blends = min(n_blends, n_fitting)
    if n < 2 or not n_blends:
        return pixels[:0]
    # SMOTE needs a second class, which has no influence on the blends.
    rows = np.concatenate([pixels.reshape(n, -1), np.zeros((1, pixels[0].size))])
    y = np.repeat([1, 0], [n, 1])
    smote = SMOTE(
        k_neighbors=min(5, n - 1),
        sampling_strategy={1: n + n_blends},
        random_state=rng,
    )
    blends = smote.fit_resample(rows.astype(np.float32), y)[0][n + 1 :]
    if pixels.dtype == np.uint8:
        blends = np.rint(blends)
    return blends.astype(pixels.dtype).reshape(-1, *images.sample_shape)


def group_images(
    images: dict[str, ImageSequence], parents: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return groups of equal images, and of parents with their translations.

    Parameters
    ----------
    images : dict of str -> ImageSequence
        "source", "target" and "synthetic".
    parents : ndarray of int or None
        Row of the source of each synthetic image.

    Returns
    -------
    groups : dict of str -> ndarray of int
    """
    digests = [digest for part in images.values() for digest in _digests(part)]
    first: dict[bytes, int] = {}
    same = [first.setdefault(digest, i) for i, digest in enumerate(digests)]
    n = len(digests)
    starts = np.cumsum([0, *(len(part) for part in images.values())])
    begin, end = [np.arange(n)], [np.array(same)]
    if parents is not None:
        begin.append(np.arange(starts[2], starts[3]))
        end.append(starts[0] + parents)
    links = (np.concatenate(begin), np.concatenate(end))
    graph = coo_array((np.ones(len(links[0]), dtype=bool), links), shape=(n, n))
    groups = connected_components(graph, directed=False)[1]
    return {
        name: groups[start:stop]
        for name, start, stop in zip(images, starts[:-1], starts[1:], strict=True)
    }


def _digests(images: ImageSequence) -> Iterator[bytes]:
    for start in range(0, len(images), BLOCK):
        for image in images.take(np.arange(start, min(start + BLOCK, len(images)))):
            yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _some_rows(n: int, n_most: int, rng: np.random.RandomState) -> np.ndarray:
    """Return all rows, or some that are drawn at random, in their order."""
    return np.arange(n) if n <= n_most else np.sort(rng.permutation(n)[:n_most])
