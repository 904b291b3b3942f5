"""Figures of image arrays and of training histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gansampler.images import ImageSequence

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Entries of a history record that are not losses.
NOT_LOSSES = {"epoch", "n_steps", "seconds", "images_per_second", "lr"}


def plot_translations(
    source: npt.ArrayLike,
    translated: npt.ArrayLike,
    target: npt.ArrayLike | None = None,
    *,
    n_columns: int = 8,
    titles: Sequence[str] = ("real source", "synthetic target", "real target"),
) -> Figure:
    """Plot source images, their translations and real target images in three rows.

    Parameters
    ----------
    source : array-like of shape (n_samples, height, width, n_channels)
        Real images, uint8 in [0, 255] or floating in [0, 1]. Images that have neither
        one nor three channels are shown as the mean of their channels.
    translated : array-like of the shape of `source`
        Translation of each image of `source`.
    target : array-like of shape (n_target, height, width, n_channels), default=None
        Real images of the target class.
    n_columns : int, default=8
        Number of images per row.
    titles : sequence of str
        Title of each row.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `source` and `translated` differ in length, or if the data are not images.

    Examples
    --------
    >>> from gansampler.datasets import make_lesions
    >>> from gansampler.inspection import plot_translations
    >>> X, y = make_lesions(8, weights=(0.5, 0.5), image_size=32, random_state=0)
    >>> figure = plot_translations(X[y == "benign"], 255 - X[y == "benign"])
    >>> len(figure.axes)
    8
    """
    rows = [_to_plottable(domain) for domain in (source, translated)]
    if len(rows[0]) != len(rows[1]):
        raise ValueError(
            "Each translation needs its source. Got "
            f"{len(rows[0])} sources and {len(rows[1])} translations. Pass "
            "X_resampled[sampler.sample_indices_[sampler.is_synthetic_]] as `source`."
        )
    if target is not None:
        rows.append(_to_plottable(target))
    n_columns = min(n_columns, max(len(row) for row in rows))
    figure = _new_figure(1.1 * n_columns + 0.3, 1.2 * len(rows))
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    for row, title, line in zip(rows, titles, axes, strict=False):
        line[0].set_ylabel(title, fontsize=9)
        for image, ax in zip(row, line, strict=False):
            ax.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0)
        for i, ax in enumerate(line):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if i >= len(row):
                ax.set_visible(False)
    return figure


def plot_history(history: Sequence[dict[str, Any]]) -> Figure:
    """Plot every loss of a training history against the epochs.

    Parameters
    ----------
    history : list of dict
        The attribute ``history_`` of a fitted translator or classifier.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the history is empty.

    Examples
    --------
    >>> from gansampler.inspection import plot_history
    >>> figure = plot_history([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.4}])
    >>> len(figure.axes[0].lines)
    1
    """
    if not history:
        raise ValueError(
            "`history` must have at least one epoch. Got an empty history. Fit with "
            "n_epochs of 1 or more."
        )
    figure = _new_figure(7, 4)
    from matplotlib.ticker import MaxNLocator

    ax = figure.subplots()
    names = [name for name in history[0] if name not in NOT_LOSSES]
    epochs = [record["epoch"] for record in history]
    for name in names:
        values = [record.get(name, np.nan) for record in history]
        ax.plot(epochs, values, label=name, marker="." if len(epochs) < 30 else "")
    ax.set(xlabel="epoch", ylabel="mean over the epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _to_plottable(X: npt.ArrayLike) -> np.ndarray:
    images = ImageSequence(X)
    if not images.is_image:
        raise ValueError(
            "Images must have the shape (n_samples, height, width, n_channels). Got "
            f"feature rows of {images.n_channels} values. Reshape flattened images."
        )
    array = images.take(np.arange(len(images)))
    if array.dtype == np.uint8:
        array = array / 255
    array = array.astype(np.float32)
    return array if array.shape[-1] == 3 else array.mean(axis=-1)


def _new_figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Plots require matplotlib, which is not installed. "
            "Install it with: pip install 'gansampler[plots]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained", dpi=150)
