"""Figures of each epoch for TensorBoard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gansampler.training._callbacks import Callback

if TYPE_CHECKING:
    from gansampler.training._task import TrainingTask

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Write the figures of each epoch where TensorBoard reads them.

    It needs the package tensorboard: ``pip install "gansampler[tensorboard]"``.

    Parameters
    ----------
    log_dir : path-like
        Folder of the logs; each fit has a folder of its own there.

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
