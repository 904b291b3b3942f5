"""The training engine: device, precision, time limit, progress, history.

It runs a :class:`TrainingTask` and knows no formula of any network.
"""

from gansampler.training._callbacks import Callback
from gansampler.training._task import TrainingTask
from gansampler.training._trainer import Trainer

__all__ = ["Callback", "Trainer", "TrainingTask"]
