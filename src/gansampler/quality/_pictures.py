"""The pictures of a quality report: images as data URIs, and a map of the features."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA

from gansampler.images import ImageSequence
from gansampler.quality._figures import Measurements
from gansampler.quality._sets import Sets

# Images that are shown of each kind, points of each set on the map, and the largest
# side of an image in pixels.
N_SHOWN = 6
N_POINTS = 300
MAX_SIDE = 112


class Translation(NamedTuple):
    """A synthetic image, and what was changed in its parent; None if it is unknown."""

    source: str | None
    synthetic: str
    difference: str | None
    realism: float


class Pair(NamedTuple):
    """A synthetic image and the nearest real ones; `is_near` tells near-duplicates."""

    synthetic: str
    target: str
    source: str
    is_near: bool


class Pictures(NamedTuple):
    """All pictures of a report.

    Attributes
    ----------
    closest, farthest : list of Translation
        By the distance to the nearest real target image.
    pairs : list of Pair
        The synthetic images that are closest to a real target image.
    points : dict of str -> ndarray of shape (n_points, 2)
        Of "source", "target" and "synthetic": their first two principal components.
    explained : float
        Share of the variance of the real images that these components have.
    """

    closest: list[Translation]
    farthest: list[Translation]
    pairs: list[Pair]
    points: dict[str, np.ndarray]
    explained: float


def make_pictures(sets: Sets, measured: Measurements) -> Pictures:
    """Return the pictures of a report."""
    order = np.argsort(measured.realism, kind="stable")
    n_shown = min(N_SHOWN, -(-len(order) // 2))
    closest, farthest = order[:n_shown], order[n_shown:][::-1][:n_shown]
    near_first = order[:N_SHOWN]
    targets = sets.target.take(measured.nearest["target"][near_first])
    sources = sets.source.take(measured.nearest["source"][near_first])
    synthetic = sets.synthetic.take(near_first)
    is_near = measured.near["target"][near_first]
    pairs = [
        Pair(encode(image), encode(target), encode(source), bool(near))
        for image, target, source, near in zip(
            synthetic, targets, sources, is_near, strict=True
        )
    ]
    points, explained = _project(sets)
    return Pictures(
        _translations(sets, measured, closest),
        _translations(sets, measured, farthest),
        pairs,
        points,
        explained,
    )


def encode(image: np.ndarray) -> str:
    """Return an image as the URI of a PNG file.

    Parameters
    ----------
    image : ndarray of shape (height, width, n_channels)
        uint8, or floating in [0, 1]. Other than 1, 3 or 4 channels are averaged.
    """
    pixels = _as_uint8(image)
    if pixels.shape[2] not in (1, 3, 4):
        pixels = np.rint(pixels.mean(2, keepdims=True)).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _translations(
    sets: Sets, measured: Measurements, rows: np.ndarray
) -> list[Translation]:
    shown = []
    for row, image in zip(rows, _take(sets.synthetic, rows), strict=True):
        source = difference = None
        if sets.parents is not None:
            parent = sets.source.take([sets.parents[row]])[0]
            source, difference = encode(parent), encode(_difference(parent, image))
        realism = float(measured.realism[row])
        shown.append(Translation(source, encode(image), difference, realism))
    return shown


def _take(images: ImageSequence, rows: np.ndarray) -> np.ndarray:
    return images.take(rows) if len(rows) else np.empty((0, *images.sample_shape))


def _difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the change of the colours; grey is no change."""
    change = _as_uint8(after).astype(int) - _as_uint8(before)
    # Without the alpha of RGB images with transparency.
    return np.clip(128 + change[..., :3], 0, 255).astype(np.uint8)


def _as_uint8(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _project(sets: Sets) -> tuple[dict[str, np.ndarray], float]:
    """Return some points of each set on a map, and the share of the variance."""
    names = ("source", "target", "synthetic")
    parts = {name: sets.features[name][:N_POINTS] for name in names}
    real = np.concatenate([parts["source"], parts["target"]]).astype(float)
    with np.errstate(invalid="ignore"):  # equal images have no variance
        pca = PCA(2, svd_solver="full").fit(real)
    points = {name: pca.transform(part) for name, part in parts.items()}
    return points, float(np.nan_to_num(pca.explained_variance_ratio_).sum())
