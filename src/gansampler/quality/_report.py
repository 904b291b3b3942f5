"""The quality report: how good synthetic images are, in figures, words and pictures."""

from __future__ import annotations

import dataclasses
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from gansampler.images import ImageSequence
from gansampler.quality._features import FeatureExtractor
from gansampler.quality._figures import N_DRAWS, QualityFigure, measure
from gansampler.quality._page import make_page
from gansampler.quality._pictures import Pictures, make_pictures
from gansampler.quality._sets import make_sets
from gansampler.quality._tables import make_table
from gansampler.quality._verdicts import judge, summarize
from gansampler.training import Progress

DOING = {
    "source": "features of the real source images",
    "target": "features of the real target images",
    "synthetic": "features of the synthetic images",
    "smote": "features of the blends",
}


@dataclasses.dataclass(frozen=True)
class QualityReport:
    """How good synthetic images are, from :func:`quality_report`.

    ``print(report)`` shows a table, and a notebook shows the page of :meth:`to_html`.

    Attributes
    ----------
    figures : dict of str -> QualityFigure
        Values, explanations and verdicts: "kernel_distance", "frechet_distance",
        "precision", "density", "detector_auc", "target_share", "recall", "coverage",
        "diversity", "target_copies" and "source_copies".
    summary : list of str
        The result in sentences, the most important one first.
    labels : tuple of two str
        Names of the source and of the target class.
    n_images : dict of str -> int
        Number of images that were compared: "source", "target" and "synthetic".
    n_draw : int
        Number of images of each set in each draw.

    See Also
    --------
    quality_report : Computes the report.

    Examples
    --------
    >>> from gansampler.datasets import make_lesions
    >>> from gansampler.quality import FeatureExtractor, quality_report
    >>> X, y = make_lesions(60, weights=(0.5, 0.5), image_size=32, random_state=0)
    >>> benign, malignant = X[y == "benign"], X[y == "malignant"]
    >>> extractor = FeatureExtractor("squeezenet1_1", weights=None, min_side=32)
    >>> report = quality_report(
    ...     benign, malignant, 255 - benign, extractor=extractor, random_state=0
    ... )
    >>> report.figures["kernel_distance"].status
    'worse'
    """

    figures: dict[str, QualityFigure]
    summary: list[str]
    labels: tuple[str, str]
    n_images: dict[str, int]
    n_draw: int
    _pictures: Pictures = dataclasses.field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return figures and summary as Python objects that JSON can hold.

        Returns
        -------
        report : dict
            All attributes. Intervals and labels are lists.
        """
        figures = {name: dataclasses.asdict(f) for name, f in self.figures.items()}
        for figure in figures.values():
            bounds = figure["intervals"].items()
            figure["intervals"] = {name: list(pair) for name, pair in bounds}
        return {
            "figures": figures,
            "summary": list(self.summary),
            "labels": list(self.labels),
            "n_images": dict(self.n_images),
            "n_draw": self.n_draw,
        }

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML file that contains all its pictures.

        Parameters
        ----------
        path : path-like
            File to write. An existing file is replaced.
        """
        Path(path).write_text(self._page(), encoding="utf-8")

    def _page(self) -> str:
        return make_page(
            self.figures,
            self.summary,
            self.labels,
            self.n_images,
            self.n_draw,
            self._pictures,
        )

    def _repr_html_(self) -> str:
        # The style of the page does not reach out of its frame.
        return (
            f'<iframe srcdoc="{escape(self._page())}" title="Quality report" '
            'style="width: 100%; height: 44rem; border: 1px solid #8886"></iframe>'
        )

    def __str__(self) -> str:
        return make_table(self.figures, self.summary, self.labels, self.n_images)


def quality_report(
    real_source: Any,
    real_target: Any,
    synthetic: Any,
    *,
    parents: npt.ArrayLike | None = None,
    labels: tuple[str, str] = ("source", "target"),
    image_shape: tuple[int, int, int] | None = None,
    extractor: FeatureExtractor | None = None,
    max_images: int = 1000,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> QualityReport:
    """Measure how good synthetic images are, and compare them with references.

    Parameters
    ----------
    real_source : array-like
        Real images that are translated, usually of the majority class: an array of
        shape (n_samples, height, width, n_channels), uint8 in [0, 255] or floating in
        [0, 1], or any other form of :class:`~gansampler.images.ImageSequence`.
    real_target : array-like
        Real images of the class of the synthetic images, at least two.
    synthetic : array-like
        Synthetic images of the target class.
    parents : array-like of int of shape (n_synthetic,), default=None
        Row of `real_source` from which each synthetic image was translated. With None,
        the pictures do not show what was changed.
    labels : tuple of two str, default=("source", "target")
        Names of the source and of the target class.
    image_shape : tuple of (height, width, n_channels), default=None
        Shape of each image, for paths, which are resized to it, and for flattened
        images.
    extractor : FeatureExtractor, default=None
        Maps images to features. None means ``FeatureExtractor()``, whose weights are
        in the extra ``pretrained``.
    max_images : int, default=1000
        At most this many images of each set are used, drawn at random.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. Pass an int for a reproducible report.
    verbose : int, default=0
        1 shows the progress.

    Returns
    -------
    report : QualityReport
        ``print(report)`` shows a table, and ``report.to_html("report.html")`` writes a
        page with explanations and pictures.

    Raises
    ------
    ImportError
        If the weights of the default extractor are not installed.
    ValueError
        If the images have different shapes, if the source or the target has fewer than
        two images, or if `parents` does not fit to the images.

    See Also
    --------
    gansampler.compare_samplers : Whether the synthetic images help a classifier.

    Notes
    -----
    The figures of the synthetic images are compared with those of four references:

    - real images: one half of the real target images against the other one;
    - untranslated images: the parents, or all source images if they are unknown;
    - blends: SMOTE [1]_ on the pixels of the target images;
    - repeated images: target images that are drawn with replacement, which is what
      random over-sampling adds.

    All sets are compared in 20 draws. In each draw, random halves of the real target
    images are taken. One half is the reference for all sets; the other half is the set
    of real images. From every other set, the same number of images is drawn, so that
    figures that depend on it, such as the Fréchet distance, can be compared. The value
    of a figure is its mean. The interval has the middle 95 % of the draws. Differences
    are compared draw by draw, and called clear if the middle 95 % of them are on one
    side of 0. As half of the images are left out in each draw, the spread is about that
    of new images of the whole number.

    Shares of near-duplicates, and of images taken for the target class, are those of
    all images. The classifier of source and target is cross-fitted: it judges no image
    that it was trained on, and no translation of one if `parents` is given. The
    detector of synthetic images is cross-validated, and equal images, and translations
    of one parent, are in the same fold. Blends are judged by classifiers that may have
    seen one of the images that they consist of.

    The figures say how images look to one pretrained network. They do not say whether
    the images help a classifier.

    References
    ----------
    .. [1] N. V. Chawla, K. W. Bowyer, L. O. Hall, W. P. Kegelmeyer, "SMOTE: synthetic
       minority over-sampling technique", Journal of Artificial Intelligence Research,
       16, 321-357, 2002.

    Examples
    --------
    >>> from gansampler.datasets import make_lesions
    >>> from gansampler.quality import FeatureExtractor, quality_report
    >>> X, y = make_lesions(60, weights=(0.5, 0.5), image_size=32, random_state=0)
    >>> extractor = FeatureExtractor("squeezenet1_1", weights=None, min_side=32)
    >>> report = quality_report(
    ...     X[y == "benign"],
    ...     X[y == "malignant"],
    ...     X[y == "malignant"],
    ...     extractor=extractor,
    ...     random_state=0,
    ... )
    >>> report.figures["target_copies"].values["synthetic"]
    1.0
    """
    source, target, new = _open(real_source, real_target, synthetic, image_shape)
    rows = _check_parents(parents, len(new), len(source))
    if max_images < 4:
        raise ValueError(
            f"`max_images` must be an int >= 4. Got {max_images!r}. Pass 1000, for "
            "example."
        )
    rng = check_random_state(random_state)
    extractor = FeatureExtractor() if extractor is None else extractor
    progress = Progress(
        len(DOING) + N_DRAWS,
        "quality report",
        shown=verbose > 0,
        unit="steps",
        estimates=False,
    )

    def extract(name: str, images: Any) -> np.ndarray:
        progress.note({DOING[name]: ""})
        features = extractor.transform(images)
        progress.update(1)
        return features

    def count_draw() -> None:
        progress.note({"comparing sets": ""})
        progress.update(1)

    try:
        sets = make_sets(source, target, new, rows, extract, max_images, rng)
        measured = measure(sets, rng, count_draw)
        pictures = make_pictures(sets, measured)
    finally:
        progress.close()
    names = _name(labels[0]), _name(labels[1])
    n_images = {
        "source": len(sets.source),
        "target": len(sets.target),
        "synthetic": len(sets.synthetic),
    }
    figures = judge(measured, sets.n_draw, *names)
    summary = summarize(figures, n_images, sets.n_draw, *names)
    return QualityReport(figures, summary, names, n_images, sets.n_draw, pictures)


def _open(
    real_source: Any, real_target: Any, synthetic: Any, image_shape: Any
) -> list[ImageSequence]:
    named = {
        "real_source": real_source,
        "real_target": real_target,
        "synthetic": synthetic,
    }
    opened = {
        name: X if isinstance(X, ImageSequence) else ImageSequence(X, image_shape)
        for name, X in named.items()
    }
    for name, images in opened.items():
        needed = 1 if name == "synthetic" else 2
        if len(images) < needed:
            raise ValueError(
                f"`{name}` must have at least {needed} images. Got {len(images)}. Add "
                "images."
            )
    shapes = {name: images.sample_shape for name, images in opened.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(
            "All images must have one shape: a network sees other details in images of "
            f"another size. Got {found}. Resize them, or pass paths and image_shape="
            f"{shapes['synthetic']}."
        )
    return list(opened.values())


def _name(label: object) -> str:
    """Return the name of a class as it can stand before "images"."""
    text = str(label)
    return text if text.strip("0123456789.-") else f"class {text}"


def _check_parents(
    parents: npt.ArrayLike | None, n_synthetic: int, n_source: int
) -> np.ndarray | None:
    if parents is None:
        return None
    rows = np.asarray(parents)
    if (
        rows.shape != (n_synthetic,)
        or rows.dtype.kind not in "iu"
        or not ((rows >= 0) & (rows < n_source)).all()
    ):
        raise ValueError(
            "`parents` must have one row of `real_source` for each synthetic image: "
            f"{n_synthetic} ints from 0 to {n_source - 1}. Got shape {rows.shape} "
            f"and dtype {rows.dtype}. Pass sampler.sample_indices_ of the synthetic "
            "images, as rows of `real_source`."
        )
    return rows
