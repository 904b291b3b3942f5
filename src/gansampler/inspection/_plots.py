"""Figures of image arrays and of training histories."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from gansampler.images import ImageSequence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Entries of a history record that are not losses.
NOT_LOSSES = {"epoch", "n_steps", "seconds", "images_per_second", "lr"}
TITLES = ("real source", "synthetic target", "real target")
LABEL_WIDTH, LABEL_LINES = 14, 5


def plot_translations(
    source: Any,
    translated: npt.ArrayLike | None = None,
    target: npt.ArrayLike | None = None,
    *,
    n_columns: int = 8,
    titles: Sequence[str] | None = None,
) -> Figure:
    """Plot source images, their translations and real target images in three rows.

    Parameters
    ----------
    source : GANOverSampler or array-like
        A sampler after ``fit_resample``: its `examples_` are plotted, with three rows
        for each class that was grown. Or real images of shape (n_samples, height,
        width, n_channels), uint8 in [0, 255] or floating in [0, 1]. Images that have
        neither one nor three channels are shown as the mean of their channels.
    translated : array-like of the shape of `source`, default=None
        Translation of each image of `source`. Not used with a sampler.
    target : array-like of shape (n_target, height, width, n_channels), default=None
        Real images of the target class. Not used with a sampler.
    n_columns : int, default=8
        Largest number of images per row.
    titles : sequence of 3 str, default=None
        Titles of the rows. None means "real source", "synthetic target" and "real
        target", with the labels in place of source and target for a sampler.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure. A notebook shows it if it is the last value of a cell.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    NotFittedError
        If the sampler is not fitted.
    ValueError
        If `source` and `translated` differ in length, if the data are not images, or
        if the sampler has no examples.

    Examples
    --------
    >>> from gansampler.datasets import make_lesions
    >>> from gansampler.inspection import plot_translations
    >>> X, y = make_lesions(8, weights=(0.5, 0.5), image_size=32, random_state=0)
    >>> figure = plot_translations(X[y == "benign"], 255 - X[y == "benign"])
    >>> len(figure.axes)
    8
    """
    if hasattr(source, "fit_resample"):
        named_rows = _rows_of_sampler(source)
    else:
        named_rows = _rows_of_arrays(source, translated, target)
    if titles is not None:
        names = [titles[i % len(titles)] for i in range(len(named_rows))]
    else:
        names = [name for name, _ in named_rows]
    rows = [images for _, images in named_rows]
    n_columns = min(n_columns, max(len(row) for row in rows))
    figure = _new_figure(1.1 * n_columns + 1.3, 1.15 * len(rows))
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    for row, title, line in zip(rows, names, axes, strict=True):
        lines = textwrap.wrap(
            title, LABEL_WIDTH, max_lines=LABEL_LINES, placeholder=" ..."
        )
        line[0].set_ylabel(
            "\n".join(lines), fontsize=9, rotation=0, ha="right", va="center"
        )
        for image, ax in zip(row, line, strict=False):
            ax.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=1)
        for i, ax in enumerate(line):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if i >= len(row):
                ax.set_visible(False)
    return figure


@overload
def plot_history(history: Any) -> Figure: ...


@overload
def plot_history(history: Any, *, ax: Axes) -> Axes: ...


def plot_history(history: Any, *, ax: Axes | None = None) -> Figure | Axes:
    """Plot every loss of a training history against the epochs.

    Parameters
    ----------
    history : estimator or list of dict
        A fitted translator or classifier, or its attribute ``history_``. Or a sampler
        after ``fit_resample``: each of its translators gets a plot.
    ax : matplotlib.axes.Axes, default=None
        Axes to plot in, for one history. None makes a figure.

    Returns
    -------
    figure : matplotlib.figure.Figure or matplotlib.axes.Axes
        The figure, which a notebook shows if it is the last value of a cell; or `ax`
        if it was given.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If `history` is none of these.
    ValueError
        If the history is empty, or if `ax` is given and there are several histories.

    Examples
    --------
    >>> from gansampler.inspection import plot_history
    >>> figure = plot_history([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.4}])
    >>> len(figure.axes[0].lines)
    1
    """
    histories = _find_histories(history)
    if not histories or not all(histories.values()):
        raise ValueError(
            "`history` must have at least one epoch. Got an empty history. Fit with "
            "n_epochs of 1 or more."
        )
    if ax is not None:
        if len(histories) > 1:
            raise ValueError(
                f"`ax` is for one history. Got a sampler with {len(histories)} "
                "translators. Pass one of them, sampler.translators_[label], or leave "
                "`ax` out."
            )
        _plot_losses(ax, *histories.values())
        return ax
    figure = _new_figure(8, 1 + 3 * len(histories))
    axes = figure.subplots(len(histories), squeeze=False)[:, 0]
    for (title, records), one in zip(histories.items(), axes, strict=True):
        _plot_losses(one, records)
        one.set_title(title, fontsize=10)
    return figure


def _find_histories(history: Any) -> dict[str, Sequence[dict[str, Any]]]:
    """Return the records of a training by title."""
    is_list = isinstance(history, Sequence) and not isinstance(history, str)
    if is_list and all(isinstance(record, Mapping) for record in history):
        return {"": history}
    if hasattr(history, "history_"):
        return {type(history).__name__: history.history_}
    if hasattr(history, "translators_"):
        translators = history.translators_
        return {
            f"translator of the class {label!r}": getattr(translator, "history_", [])
            for label, translator in translators.items()
        }
    if hasattr(history, "fit"):
        check_is_fitted(history)
    raise TypeError(
        "`history` must be a fitted translator, classifier or sampler, or a list of "
        f"records. Got {type(history).__name__}. Pass the attribute `history_` of an "
        "estimator, or a step of a pipeline, pipeline[-1]."
    )


def _plot_losses(ax: Axes, records: Sequence[dict[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    names = [name for name in records[0] if name not in NOT_LOSSES]
    epochs = [record["epoch"] for record in records]
    for name in names:
        values = [record.get(name, np.nan) for record in records]
        ax.plot(epochs, values, label=name, marker="." if len(epochs) < 30 else "")
    ax.set(xlabel="epoch", ylabel="mean over the epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def _rows_of_arrays(
    source: npt.ArrayLike,
    translated: Any,
    target: npt.ArrayLike | None,
) -> list[tuple[str, np.ndarray]]:
    """Return the title and the images of each row."""
    if translated is None:
        raise ValueError(
            "`translated` must have the translation of each image. Got None. Pass "
            "arrays, plot_translations(X, translator.translate(X)), or a sampler after "
            "fit_resample, plot_translations(sampler)."
        )
    if isinstance(next(iter(translated), None), str | Real | np.generic):
        raise ValueError(
            "`translated` must have the translation of each image. Got "
            f"{len(translated)} values, which may be labels. Pass "
            "plot_translations(X, translator.translate(X)), or a sampler after "
            "fit_resample, plot_translations(sampler)."
        )
    given = [source, translated] if target is None else [source, translated, target]
    rows = [_to_plottable(images) for images in given]
    if len(rows[0]) != len(rows[1]):
        raise ValueError(
            "Each translation needs its source. Got "
            f"{len(rows[0])} sources and {len(rows[1])} translations. Pass "
            "X_resampled[sampler.sample_indices_[sampler.is_synthetic_]] as `source`."
        )
    return list(zip(TITLES, rows, strict=False))


def _rows_of_sampler(sampler: Any) -> list[tuple[str, np.ndarray]]:
    """Return the title and the images of each row, three rows for each class."""
    check_is_fitted(sampler, "sampling_strategy_")
    rows = []
    for label, examples in getattr(sampler, "examples_", {}).items():
        source, translated, target, source_labels = examples
        labels = np.unique(source_labels)
        origin = f"real {labels[0]}" if len(labels) == 1 else "real, other classes"
        rows += [
            (origin, _to_plottable(source)),
            (f"synthetic {label}", _to_plottable(translated)),
            (f"real {label}", _to_plottable(target)),
        ]
    if not rows:
        raise ValueError(
            "The sampler must have examples of images. This one has none: "
            "fit_resample was not called, no class was grown, the samples are feature "
            "rows, or the sampler comes from a pickle. Pass arrays instead, "
            "plot_translations(source, translated)."
        )
    return rows


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
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Plots require matplotlib, which is not installed. "
            "Install it with: pip install 'gansampler[plots]'"
        ) from error
    from gansampler.inspection._figure import NotebookFigure

    return NotebookFigure(figsize=(width, height), layout="constrained", dpi=150)
