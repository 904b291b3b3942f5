"""What the commands share: the images of a folder, and the text that they show."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gansampler.quality import QualityReport

COLUMNS = 80

Say = Callable[..., None]


def make_say(*, quiet: bool) -> Say:
    """Return a function that prints, or one that does nothing."""
    return _say_nothing if quiet else print


def read_folder(root: str, say: Say) -> tuple[np.ndarray, np.ndarray]:
    """Return the paths of the images and their labels, and show how many there are.

    Raises
    ------
    ValueError, OSError
        If the folder is not one of images, or if a class has one image only.
    """
    say(f"Reading {root} ...", flush=True)
    # It takes seconds to import, so that the line above comes first.
    from gansampler.datasets import load_image_folder

    paths, y = load_image_folder(root, as_paths=True)
    counts = Counter(y.tolist())
    for label, count in counts.items():
        if count < 2:
            raise ValueError(
                f"Every class must have at least 2 images. Class {label!r} has one. "
                "Add images, or move the folder elsewhere."
            )
    found = ", ".join(f"{count} {label}" for label, count in counts.items())
    say(f"{len(y)} images: {found}")
    return paths, y


def write_report(
    out: Path,
    source: Sequence[Any],
    target: Sequence[Any],
    synthetic: Sequence[Any],
    *,
    parents: Sequence[int] | np.ndarray | None,
    labels: tuple[str, str],
    image_shape: tuple[int, int, int],
    random_state: int,
    quiet: bool,
) -> QualityReport:
    """Write the page about the quality of synthetic images.

    Parameters
    ----------
    out : Path
        File to write.
    source, target, synthetic : sequence of path-like
        Images. Those that cannot be read are left out, with a warning.
    parents : sequence of int or None
        Number of the parent of each synthetic image in `source`.
    labels : tuple of two str
        Names of the source and of the target class.
    image_shape : tuple of (height, width, n_channels)
        Shape to which all images are resized.
    random_state : int
    quiet : bool
        Whether to hide the progress.

    Returns
    -------
    report : QualityReport

    Raises
    ------
    ImportError
        If the pretrained weights are not installed.
    """
    # They take seconds to import.
    from gansampler.backbones import build_backbone
    from gansampler.images import ImageSequence
    from gansampler.quality import FeatureExtractor, quality_report

    extractor = FeatureExtractor()
    # Missing weights are found before the images are read.
    build_backbone(extractor.backbone, weights=extractor.weights)
    opened = [
        ImageSequence(list(map(str, paths)), image_shape, on_error="skip")
        for paths in (source, target, synthetic)
    ]
    rows = None
    if parents is not None:
        row_of = np.full(len(source), -1)
        row_of[opened[0].rows] = np.arange(len(opened[0]))
        rows = row_of[np.asarray(parents)[opened[2].rows]]
        # The parent of an image may be one of those that cannot be read.
        rows = None if (rows < 0).any() else rows
    report = quality_report(
        *opened,
        parents=rows,
        labels=labels,
        extractor=extractor,
        random_state=random_state,
        verbose=int(not quiet),
    )
    report.to_html(out)
    return report


def say_end(say: Say, start: float, command: str) -> None:
    """Show how long a command took, and the command."""
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    say(f"This took {minutes} min {seconds} s. The command was")
    say(f"  {command}")


def wrap(text: str) -> str:
    """Return a text in lines; paths stay whole."""
    return textwrap.fill(text, COLUMNS, break_on_hyphens=False, break_long_words=False)


def _say_nothing(*args: object, **kwargs: object) -> None:
    pass
