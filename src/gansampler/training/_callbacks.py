"""Hooks into the engine, and those for TensorBoard and for sample pictures."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from gansampler.training._progress import in_notebook
from gansampler.training._task import TrainingTask

# Number of images in a picture.
N_IMAGES = 8


class Callback:
    """Base class of callbacks. All hooks do nothing unless they are overridden.

    Pass instances to :class:`Trainer`. Of several processes, only the first one calls
    them. With ``Trainer(devices=2)`` that is another process than the caller's, which
    gets a copy of the callback.

    A hook may translate and predict with the networks that are being trained:
    afterwards they are in the same state as before.

    Examples
    --------
    >>> from gansampler.training import Callback
    >>> class StopWhenGood(Callback):
    ...     def on_epoch_end(self, task, record):
    ...         return record["loss"] < 0.1
    """

    def __sklearn_clone__(self) -> Callback:
        """Return this callback itself, so that the caller's object sees the run."""
        return self

    def on_fit_start(self, task: TrainingTask, n_epochs: int) -> None:
        """Run before the first step."""

    def on_step_end(self, task: TrainingTask, epoch: int, step: int) -> None:
        """Run after each step. `epoch` and `step` count from 1."""

    def on_epoch_end(self, task: TrainingTask, record: dict[str, float]) -> bool | None:
        """Run after each epoch, with its entry in the history. True ends the run."""

    def on_fit_end(self, task: TrainingTask, history: list[dict[str, float]]) -> None:
        """Run at the end, also if the run stopped early or raised an error."""


class TensorBoard(Callback):
    """Write the history for TensorBoard, after each epoch.

    It needs the package tensorboard: ``pip install "gansampler[tensorboard]"``.

    Parameters
    ----------
    log_dir : path-like
        Folder of the logs. Each fit gets its own subfolder.

    Examples
    --------
    >>> from gansampler import Trainer
    >>> from gansampler.training import TensorBoard
    >>> trainer = Trainer(callbacks=[TensorBoard("runs")])
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self.log_dir = log_dir

    def on_fit_start(self, task: TrainingTask, n_epochs: int) -> None:
        """Open a log.

        Raises
        ------
        ImportError
            If tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "The TensorBoard callback needs the package tensorboard, which is not "
                'installed. Run: pip install "gansampler[tensorboard]"'
            ) from error
        root = Path(self.log_dir).expanduser()
        number = 1
        while (folder := root / f"fit-{number}").exists():
            number += 1
        self._writer = SummaryWriter(str(folder))

    def on_epoch_end(self, task: TrainingTask, record: dict[str, float]) -> None:
        """Write the figures of an epoch."""
        for name, value in record.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(record["epoch"]))
        self._writer.flush()

    def on_fit_end(self, task: TrainingTask, history: list[dict[str, float]]) -> None:
        """Close the log."""
        self._writer.close()


class SavePictures(Callback):
    """Translate the same few images after each epoch and save them as one picture.

    The picture shows the source images in the upper row and their translations in the
    lower row. Its name has the number of the epoch: ``epoch-0005.png``. A later fit
    overwrites the pictures of an earlier one. A notebook shows the latest picture
    below the cell, and replaces it after the next epoch.

    Parameters
    ----------
    path : path-like
        Folder of the pictures. It is created if necessary.
    X : array-like of shape (n_samples, height, width, n_channels)
        Source images, uint8 in [0, 255] or floating in [0, 1], of the shape that is
        trained with; also (n_samples, height, width). Grey, RGB or RGBA. The first
        eight of them are translated.
    every : int, default=1
        Number of epochs between two pictures.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler import Trainer
    >>> from gansampler.training import SavePictures
    >>> sources = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    >>> trainer = Trainer(callbacks=[SavePictures("pictures", sources, every=5)])
    """

    def __init__(
        self, path: str | os.PathLike[str], X: npt.ArrayLike, every: int = 1
    ) -> None:
        self.path, self.X, self.every = path, X, every
        self._display: Any = None

    def on_fit_start(self, task: TrainingTask, n_epochs: int) -> None:
        """Check the images, and create the folder.

        Raises
        ------
        ValueError
            If `X` is not an array of at least one image, or `every` is below 1.
        """
        shape = np.shape(self.X)
        is_grey = len(shape) == 3
        if 0 in shape or not (is_grey or (len(shape) == 4 and shape[3] in (1, 3, 4))):
            raise ValueError(
                "`X` of SavePictures must be an array of images of shape (n_samples, "
                "height, width, n_channels), with at least one image and 1, 3 or 4 "
                f"channels. Got shape {shape}. Pass a few source images."
            )
        if self.every < 1:
            raise ValueError(
                f"`every` of SavePictures must be at least 1. Got {self.every}. Pass "
                "every=1 for a picture after each epoch."
            )
        Path(self.path).expanduser().mkdir(parents=True, exist_ok=True)
        # Each fit has a picture of its own in the notebook.
        self._display = None

    def on_epoch_end(self, task: TrainingTask, record: dict[str, float]) -> None:
        """Save a picture, and show it in a notebook."""
        epoch = int(record["epoch"])
        if epoch % self.every:
            return
        sources = np.asarray(self.X)[:N_IMAGES]
        rows = [_side_by_side(images) for images in (sources, task.translate(sources))]
        path = Path(self.path).expanduser() / f"epoch-{epoch:04d}.png"
        Image.fromarray(np.concatenate(rows)).save(path)
        if not in_notebook():
            return
        module = import_module("IPython.display")
        # Of a PIL image, IPython would store a JPEG too.
        picture = module.Image(data=path.read_bytes(), format="png")
        if self._display is None:
            self._display = module.display(picture, display_id=True)
        else:
            self._display.update(picture)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes without the place in the notebook."""
        return {**vars(self), "_display": None}


def _side_by_side(images: np.ndarray) -> np.ndarray:
    """Join images to a row of uint8, of shape (height, width[, n_channels])."""
    if images.dtype != np.uint8:
        images = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    return np.concatenate(list(images), axis=1)
