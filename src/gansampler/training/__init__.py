"""The training engine: device, precision, processes, checkpoints, progress, history.

It runs a :class:`TrainingTask` and knows no formula of any network.
"""

from gansampler.training._callbacks import Callback
from gansampler.training._group import Group
from gansampler.training._task import TrainingTask
from gansampler.training._tensorboard import TensorBoard
from gansampler.training._trainer import Trainer

__all__ = ["Callback", "Group", "TensorBoard", "Trainer", "TrainingTask"]
