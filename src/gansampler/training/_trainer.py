"""The estimator that says where and how networks are trained.

Layer rule: knows tasks and hooks, never a translator, a classifier or a loss.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from sklearn.base import BaseEstimator
from torch import nn

from gansampler._validation import StrOptions, at_least
from gansampler.training._run import Run, set_up
from gansampler.training._task import TrainingTask

__all__ = ["Trainer"]


class Trainer(BaseEstimator):
    """Where and how networks are trained; shared by translators and classifiers.

    It is a bag of machine settings without fitted state, so one instance can serve
    several estimators, be cloned, and be searched over
    (``translator__trainer__precision``).

    Parameters
    ----------
    accelerator : {"auto", "cpu", "cuda", "gpu", "mps"}, default="auto"
        The kind of device. ``"auto"`` takes a GPU where there is one.
    devices : int or list of int, default=1
        One device: ``1``, or a list that holds the index of one GPU.
    strategy : {"auto"}, default="auto"
        How work is spread over devices.
    precision : {"auto", "32-true", "bf16-mixed", "16-mixed", "64-true"}, \
            default="auto"
        Number format of the networks' arithmetic; weights, losses and optimisers
        stay in float32 with the mixed ones. ``"auto"`` is ``"bf16-mixed"`` where the
        processor or GPU computes in bfloat16 natively and the networks are
        convolutional, and ``"32-true"`` elsewhere.
    max_time : float or timedelta, default=None
        Training ends after the step that passes this many seconds, with a
        :class:`~gansampler.exceptions.TrainingStoppedWarning`. It holds for each
        network that is trained.
    progress_bar : bool, default=True
        Whether estimators with ``verbose`` > 0 show a progress bar. In a log file it
        is a line now and then.
    callbacks : list of Callback, default=None
        Hooks, called in this order.

    See Also
    --------
    gansampler.training.TrainingTask : What a trainer runs.
    gansampler.training.Callback : The hooks.

    Examples
    --------
    >>> from gansampler import CycleGAN, Trainer
    >>> translator = CycleGAN(trainer=Trainer(accelerator="cpu", max_time=600))
    >>> translator.get_params()["trainer__max_time"]
    600
    """

    _parameter_constraints: dict = {
        "accelerator": [StrOptions({"auto", "cpu", "cuda", "gpu", "mps"})],
        "devices": [at_least(1, int), list],
        "strategy": [StrOptions({"auto"})],
        "precision": [
            StrOptions({"auto", "32-true", "bf16-mixed", "16-mixed", "64-true"})
        ],
        "max_time": [at_least(0, open_=True), timedelta, None],
        "progress_bar": ["boolean"],
        "callbacks": [list, None],
    }

    def __init__(
        self,
        *,
        accelerator="auto",
        devices=1,
        strategy="auto",
        precision="auto",
        max_time=None,
        progress_bar=True,
        callbacks=None,
    ):
        self.accelerator = accelerator
        self.devices = devices
        self.strategy = strategy
        self.precision = precision
        self.max_time = max_time
        self.progress_bar = progress_bar
        self.callbacks = callbacks

    def fit(
        self,
        task: TrainingTask,
        *,
        n_epochs: int,
        verbose: int = 0,
        description: str = "training",
    ) -> list[dict[str, float]]:
        """Run a task.

        Parameters
        ----------
        task : TrainingTask
            What to train. Its networks are on the CPU again afterwards.
        n_epochs : int
            Passes over the task's batches.
        verbose : int, default=0
            0 is quiet; progress is shown from 1.
        description : str, default="training"
            Shown beside the progress.

        Returns
        -------
        history : list of dict
            One for each epoch, with ``epoch`` (from 1), ``n_steps``, ``seconds``,
            ``images_per_second``, ``lr`` and the mean of each loss.

        Raises
        ------
        TrainingDivergedError
            If a loss is NaN or infinite.

        Warns
        -----
        TrainingStoppedWarning
            If `max_time` ended the run.
        """
        fabric = self._make_fabric(task.mixed_precision)
        with _deterministic_kernels(fabric.device), set_up(fabric, task):
            run = Run(self, task, n_epochs, verbose, description)
            try:
                run.loop(fabric)
            finally:
                run.close()
        return run.history

    def predict(
        self,
        module: nn.Module,
        batches: Iterable[torch.Tensor],
        *,
        mixed_precision: bool = True,
    ) -> Iterator[torch.Tensor]:
        """Map a network over batches, without gradients.

        Parameters
        ----------
        module : Module
            On the CPU again when the last batch has been taken.
        batches : iterable of Tensor
        mixed_precision : bool, default=True
            Whether ``precision="auto"`` may use half precision.

        Yields
        ------
        output : Tensor
            On the CPU, in the order of the batches.
        """
        fabric = self._make_fabric(mixed_precision)
        was_training = module.training
        module.eval()
        with _deterministic_kernels(fabric.device):
            wrapped = fabric.setup_module(module)
            try:
                for batch in batches:
                    with torch.inference_mode():
                        output = wrapped(fabric.to_device(batch)).cpu()
                    yield output
            finally:
                module.cpu().train(was_training)

    def _make_fabric(self, mixed_precision: bool) -> Fabric:
        self._validate_params()
        if self.devices != 1 and not (
            isinstance(self.devices, list) and len(self.devices) == 1
        ):
            raise ValueError(
                "`devices` must be 1, or a list that holds the index of one GPU. "
                f"Got {self.devices!r}. Training on several devices at once is not "
                "available in this version."
            )
        precision = self.precision
        with _quiet_fabric():
            if precision == "auto":
                device = Fabric(
                    accelerator=self.accelerator, devices=self.devices
                ).device
                precision = _auto_precision(device) if mixed_precision else "32-true"
            return Fabric(
                accelerator=self.accelerator,
                devices=self.devices,
                strategy=self.strategy,
                precision=precision,
            )


@contextlib.contextmanager
def _deterministic_kernels(device: torch.device) -> Iterator[None]:
    """Make cuDNN choose the same kernel twice, and leave its setting as it was."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=True
    ):
        yield


@contextlib.contextmanager
def _quiet_fabric() -> Iterator[None]:
    """Keep Fabric's announcements of its own choices off the user's screen."""
    logger = logging.getLogger("lightning_fabric.utilities.rank_zero")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled


def _auto_precision(device: torch.device) -> str:
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        native = any(
            capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "arm_bf16")
        )
    else:
        native = False
    return "bf16-mixed" if native else "32-true"
