"""The estimator that says where and how networks are trained.

Layer rule: knows tasks and hooks, never a translator, a classifier or a loss.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import torch
from lightning_fabric import Fabric
from sklearn.base import BaseEstimator
from torch import nn

from gansampler._validation import NearestNameMixin, StrOptions, at_least
from gansampler.training._callbacks import Callback
from gansampler.training._checkpoint import Checkpoints, fingerprint
from gansampler.training._device import (
    convert,
    deterministic_kernels,
    is_available,
    make_fabric,
    on_gpu,
    set_up,
    to_device,
)
from gansampler.training._launch import run_in_processes
from gansampler.training._memory import (
    batch_size_for,
    explain_out_of_memory,
    map_rows,
)
from gansampler.training._process_group import join_group, launched_from_outside
from gansampler.training._progress import Progress
from gansampler.training._run import Run
from gansampler.training._state import Snapshot
from gansampler.training._task import TrainingTask

__all__ = ["Trainer"]


class Trainer(NearestNameMixin, BaseEstimator):
    """Where and how networks are trained; shared by translators and classifiers.

    It is a bag of machine settings without fitted state, so one instance can serve
    several estimators, be cloned, and be searched over
    (``translator__trainer__precision``).

    Parameters
    ----------
    accelerator : {"auto", "cpu", "cuda", "gpu", "mps"}, default="auto"
        The kind of device. ``"auto"`` takes a GPU where there is one.
    devices : int or list of int, default=1
        How many devices, or the indices of GPUs. With more than one, training is done
        by as many processes, which are started for it and each take their share of
        every batch. Under torchrun or ``fabric run`` the processes that these started
        are used, whatever `devices` says.
    precision : {"auto", "32-true", "bf16-mixed", "16-mixed", "64-true"}, \
            default="auto"
        Number format of the networks' arithmetic; weights, losses and optimisers
        stay in float32 with the mixed ones. ``"auto"`` is ``"bf16-mixed"`` where the
        processor or GPU computes in bfloat16 natively and the networks are
        convolutional, and ``"32-true"`` elsewhere. In addition, where a CPU is fast at
        8-bit integers, uint8 images are translated with them in the residual blocks.
    max_time : float or timedelta, default=None
        Training ends after the step that passes this many seconds, with a
        :class:`~gansampler.exceptions.TrainingStoppedWarning`. It holds for each
        network that is trained.
    checkpoint_dir : path-like, default=None
        Folder for checkpoints. The same call, made again after it was stopped or
        killed, goes on from the last one and ends with the same result. Each run has
        a folder of its own there, named by its settings and data, with its history as
        JSON lines. None for no checkpoints.
    checkpoint_every : float or timedelta, default=300.0
        Seconds between checkpoints; 0 for one after each step. The last two are kept.
    progress_bar : bool, default=True
        Whether estimators with ``verbose`` > 0 show a progress bar. In a log file it
        is a line now and then.
    callbacks : list of Callback, default=None
        Hooks, called in this order; of several processes, in the first one only.

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
        "precision": [
            StrOptions({"auto", "32-true", "bf16-mixed", "16-mixed", "64-true"})
        ],
        "max_time": [at_least(0, open_=True), timedelta, None],
        "checkpoint_dir": [str, os.PathLike, None],
        "checkpoint_every": [at_least(0), timedelta],
        "progress_bar": ["boolean"],
        "callbacks": [list, None],
    }

    def __init__(
        self,
        *,
        accelerator="auto",
        devices=1,
        precision="auto",
        max_time=None,
        checkpoint_dir=None,
        checkpoint_every=300.0,
        progress_bar=True,
        callbacks=None,
    ):
        self.accelerator = accelerator
        self.devices = devices
        self.precision = precision
        self.max_time = max_time
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
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
        """Run a task, or go on with one that was stopped.

        Parameters
        ----------
        task : TrainingTask
            What to train. Its networks are on the CPU again afterwards.
        n_epochs : int
            Passes over the task's batches.
        verbose : int, default=0
            0 is quiet; progress is shown from 1.
        description : str, default="training"
            Shown beside the progress; also begins the name of the run's folder in
            `checkpoint_dir`.

        Returns
        -------
        history : list of dict
            One for each epoch, with ``epoch`` (from 1), ``n_steps``, ``seconds``,
            ``images_per_second``, ``lr`` and the mean of each loss.

        Raises
        ------
        TrainingDivergedError
            If a loss is NaN or infinite for the second time.
        CheckpointError
            If a checkpoint can not be written; the one before it is whole.
        OutOfMemoryError
            If the device has too little memory.
        ProcessFailedError
            If another of several processes has failed.

        Warns
        -----
        TrainingStoppedWarning
            If `max_time` or Ctrl-C ended the run.
        TrainingRestoredWarning
            If a loss was NaN or infinite for the first time.
        CheckpointWarning
            If a checkpoint is damaged or foreign and was passed over.
        """
        n_processes = self._check()
        if n_processes == 1 or launched_from_outside():
            return self._fit_here(task, n_epochs, verbose, description).history
        snapshot = run_in_processes(
            n_processes, _fit_and_return, self, task, n_epochs, verbose, description
        )
        to_precision = self._make_fabric(task.mixed_precision).strategy.precision
        for module in task.modules.values():
            to_precision.convert_module(module.eval())
        run = Run(self, task, n_epochs, Progress(0, "", shown=False), None)
        run.resume(snapshot)
        return run.history

    def _fit_here(
        self, task: TrainingTask, n_epochs: int, verbose: int, description: str
    ) -> Run:
        fabric = self._make_fabric(task.mixed_precision)
        with (
            deterministic_kernels(fabric.device),
            join_group() as group,
            set_up(fabric, task, group),
        ):
            progress = Progress(
                n_epochs * task.n_batches,
                description,
                shown=verbose > 0 and self.progress_bar,
                unit="step",
            )
            checkpoints = self._open_checkpoints(task, n_epochs, description)
            run = Run(self, task, n_epochs, progress, checkpoints)
            latest = None
            if self.checkpoint_dir is not None:
                latest = group.from_first(checkpoints and checkpoints.read_latest())
            if latest is not None:
                run.resume(latest)
            try:
                with explain_out_of_memory(task):
                    run.loop(fabric)
            finally:
                progress.close()
        return run

    def _open_checkpoints(
        self, task: TrainingTask, n_epochs: int, description: str
    ) -> Checkpoints | None:
        if self.checkpoint_dir is None or task.process_group.rank > 0:
            return None
        shapes = {
            f"{name}.{key}": tuple(tensor.shape)
            for name, module in task.modules.items()
            for key, tensor in module.state_dict().items()
        }
        settings = {"n_epochs": n_epochs, "task": task.fingerprint()}
        checkpoints = Checkpoints(
            self.checkpoint_dir, description, fingerprint(settings, shapes)
        )
        # Weights and two moments each, whatever the optimiser.
        n_bytes = 3 * sum(
            tensor.nbytes
            for module in task.modules.values()
            for tensor in module.state_dict().values()
        )
        checkpoints.prepare(n_bytes)
        return checkpoints

    def predict(
        self,
        module: nn.Module,
        n_samples: int,
        encode: Callable[[np.ndarray], torch.Tensor],
        decode: Callable[[torch.Tensor], np.ndarray],
        *,
        n_pixels: int = 1,
        mixed_precision: bool = True,
    ) -> np.ndarray:
        """Map a network over samples, without gradients, in batches that fit.

        Parameters
        ----------
        module : Module
            On the CPU again afterwards. Where it has a method `to_int8`, which returns
            a module that computes about the same, ``precision="auto"`` takes that one
            on CPUs.
        n_samples : int
            At least one.
        encode : callable
            From row numbers, an ndarray of int, to a batch of that many.
        decode : callable
            From the network's output, on the CPU, to an array of as many rows.
        n_pixels : int, default=1
            Pixels of a sample, by which the size of the batches is chosen. They are
            halved where a GPU's memory is too small for them.
        mixed_precision : bool, default=True
            Whether ``precision="auto"`` may use half precision, or integers.

        Returns
        -------
        result : ndarray of shape (n_samples, ...)
            In the order of the rows. Each of several processes computes its share,
            and returns the whole.
        """
        self._check()
        fabric = self._make_fabric(mixed_precision)
        was_training = module.training
        module = convert(fabric, module.eval())
        network = module
        if self.precision == "auto" and mixed_precision and fabric.device.type == "cpu":
            network = getattr(module, "to_int8", lambda: module)()
        try:
            with (
                deterministic_kernels(fabric.device),
                join_group() as group,
                torch.inference_mode(),
                # One context for all batches, so that weights are cast once.
                fabric.autocast(),
            ):

                def compute(rows: np.ndarray) -> np.ndarray:
                    return decode(network(to_device(fabric, encode(rows))).cpu())

                size = batch_size_for(fabric.device, n_pixels)
                return map_rows(compute, n_samples, size, group)
        finally:
            module.cpu().train(was_training)

    def _check(self) -> int:
        """Refuse what is not to be had; return the number of processes asked for."""
        self._validate_params()
        if not is_available(self.accelerator):
            raise ValueError(
                "`accelerator` must be one that this machine has. Got "
                f"{self.accelerator!r}, which can not be used here. Pass 'auto' or "
                "'cpu'."
            )
        for callback in self.callbacks or ():
            if not isinstance(callback, Callback):
                raise TypeError(
                    "`callbacks` must hold instances of gansampler.training.Callback. "
                    f"Got {callback!r}. Derive its class from Callback."
                )
        is_list = isinstance(self.devices, list)
        n_processes = len(self.devices) if is_list else self.devices
        uses_gpu = on_gpu(self.accelerator)
        known = range(torch.cuda.device_count()) if uses_gpu else range(n_processes)
        indices = self.devices if is_list else range(n_processes)
        if (
            n_processes == 0
            or (is_list and not uses_gpu)
            or any(index not in known for index in indices)
        ):
            raise ValueError(
                "`devices` must be a number of devices, or a list that holds the "
                f"indices of GPUs. Got {self.devices!r}; this machine has "
                f"{torch.cuda.device_count()} GPUs that can be used. Pass devices=1."
            )
        return n_processes

    def _make_fabric(self, mixed_precision: bool) -> Fabric:
        return make_fabric(
            self.accelerator, self._own_device(), self.precision, mixed_precision
        )

    def _own_device(self) -> int | list[int]:
        """Return the one device of this process, as Fabric wants it."""
        local_rank = int(os.environ["LOCAL_RANK"]) if launched_from_outside() else 0
        if isinstance(self.devices, list):
            return [self.devices[local_rank % len(self.devices)]]
        return [local_rank] if on_gpu(self.accelerator) else 1


def _fit_and_return(trainer, task, n_epochs, verbose, description) -> Snapshot:
    return trainer._fit_here(task, n_epochs, verbose, description).snapshot()
