"""What the commands share: the images of a folder, and the text that they show."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

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
