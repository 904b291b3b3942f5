"""The training engine: device, precision, processes, checkpoints, progress, history.

It runs a :class:`TrainingTask` and does not know the formula of any network.
"""

from gansampler.training._callbacks import Callback, SavePictures, TensorBoard
from gansampler.training._process_group import (
    ProcessGroup,
    join_group,
    launched_from_outside,
)
from gansampler.training._progress import Progress
from gansampler.training._task import TrainingTask
from gansampler.training._trainer import Trainer

__all__ = [
    "Callback",
    "ProcessGroup",
    "Progress",
    "SavePictures",
    "TensorBoard",
    "Trainer",
    "TrainingTask",
    "join_group",
    "launched_from_outside",
]
