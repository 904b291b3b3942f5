"""The estimator that decides where and how networks are trained.

Layer rule: knows tasks and callbacks, never a translator, a classifier or a loss.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from sklearn.base import BaseEstimator
from torch import nn

from gansampler._validation import (
    NearestNameMixin,
    StrOptions,
    at_least,
    explain_arguments,
    preserved_rng,
)
from gansampler.training._callbacks import Callback
from gansampler.training._checkpoint import Checkpoints, identify_run
from gansampler.training._device import (
    deterministic_kernels,
    is_available,
    make_fabric,
    on_gpu,
    placed,
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
from gansampler.training._state import (
    Snapshot,
    capture_random,
    restore,
    restore_random,
)
from gansampler.training._task import TrainingTask


@explain_arguments
class Trainer(NearestNameMixin, BaseEstimator):
    """Where and how networks are trained: device, precision, processes, checkpoints.

    A trainer has settings and no fitted state. So one instance can serve several
    translators and classifiers, can be cloned, and can be part of a grid search
    (``translator__trainer__precision``).

    Parameters
    ----------
    accelerator : {"auto", "cpu", "cuda", "gpu", "mps"}, default="auto"
        Kind of device. ``"auto"`` uses a GPU if there is one.
    devices : int or list of int, default=1
        Number of devices, or the indices of GPUs. With more than one, `fit` starts one
        process per device, and each computes its share of every batch. If the program
        was started by torchrun or ``fabric run``, it uses their processes instead.
    precision : {"auto", "32-true", "bf16-mixed", "16-mixed", "64-true"}, \
            default="auto"
        Number format in which the networks compute. With the mixed ones, weights,
        losses and optimisers stay in float32. ``"auto"`` is ``"bf16-mixed"`` if the
        processor or GPU computes in bfloat16 natively and the networks are
        convolutional, and ``"32-true"`` otherwise. The weights of fitted networks are
        in the format that they had before, also with ``"64-true"``.
    max_time : float or timedelta, default=None
        Time limit in seconds for each network. Training stops after the step that
        exceeds it, with a :class:`~gansampler.exceptions.TrainingStoppedWarning`.
    checkpoint_dir : path-like, default=None
        Folder for checkpoints. If a run was stopped or killed, the same call resumes
        it from the latest checkpoint and gives the same result. A run with more
        epochs continues from the latest checkpoint of one with fewer epochs. Each run
        has its own subfolder, named by a hash of its settings, data and initial
        weights and by its number of epochs, with its history as JSON lines. None
        writes no checkpoints: then each call trains anew.
    checkpoint_every : float or timedelta, default=300.0
        Seconds between checkpoints; 0 writes one after each step. The latest two are
        kept.
    progress_bar : bool, default=True
        Whether estimators with ``verbose`` > 0 show a progress bar. In a log file, it
        is a line every 15 seconds, and later every minute.
    callbacks : list of Callback, default=None
        They are called in this order and, of several processes, in the first one only.

    See Also
    --------
    gansampler.training.TrainingTask : What a trainer runs.
    gansampler.training.Callback : Hooks into a run.

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
    _other_names: ClassVar = {"device": "accelerator", "gpus": "devices"}

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
        """Run a task, or resume a run that was stopped.

        The global random generators of Python, NumPy and torch are restored
        afterwards. Fits in several threads run one after the other, because they
        share these generators.

        Parameters
        ----------
        task : TrainingTask
            What to train. Afterwards its networks are on the CPU.
        n_epochs : int
            Number of passes over the batches of the task.
        verbose : int, default=0
            0 is silent; 1 shows progress.
        description : str, default="training"
            Shown with the progress. The name of the run's folder in `checkpoint_dir`
            starts with it.

        Returns
        -------
        history : list of dict
            One entry per epoch, with ``epoch`` (from 1), ``n_steps``, ``seconds``,
            ``images_per_second``, ``lr`` and the mean of each loss.

        Raises
        ------
        TrainingDivergedError
            If a weight is NaN or infinite before the first step, or if a loss is so
            for the second time.
        CheckpointError
            If a checkpoint cannot be written. The earlier ones are undamaged.
        OutOfMemoryError
            If the device has too little memory.
        ProcessFailedError
            If another of several processes failed.

        Warns
        -----
        TrainingStoppedWarning
            If `max_time` or Ctrl-C ended the run.
        LongTrainingWarning
            If the first steps show that training will take more than an hour. There
            is no such warning if `max_time` is less than this, nor in processes that
            another one has started.
        TrainingRestoredWarning
            If a loss was NaN or infinite for the first time.
        CheckpointWarning
            If the run was already finished and is not trained again, if it continues
            one with fewer epochs, or if a checkpoint is damaged or from another run
            and is skipped.
        """
        n_processes = self._check()
        call = task, n_epochs, verbose, description
        with preserved_rng():
            if n_processes == 1 or launched_from_outside():
                run = self._fit(*call)
                task.finished = run.finished
                return run.history
            random_state = capture_random(on_gpu(self.accelerator))
            snapshot = run_in_processes(
                n_processes, _fit_in_process, self, random_state, *call
            )
            state = snapshot.unpack()
            restore(task, state["task"])
            task.finished = state["finished"]
        for module in task.modules.values():
            module.eval()
        return state["history"]

    def _fit(
        self, task: TrainingTask, n_epochs: int, verbose: int, description: str
    ) -> Run:
        """Run a task in this process."""
        fabric = self._make_fabric(task.mixed_precision)
        with deterministic_kernels(fabric.device), join_group() as group:
            checkpoints = None
            if group.rank == 0 and self.checkpoint_dir is not None:
                checkpoints = self._open_checkpoints(task, n_epochs, description)
            max_seconds = _seconds(self.max_time)
            progress = Progress(
                n_epochs * task.n_batches,
                description,
                shown=verbose > 0 and self.progress_bar,
                unit="step",
                max_seconds=max_seconds,
            )
            with set_up(fabric, task, group):
                run = Run(
                    task,
                    n_epochs,
                    fabric,
                    callbacks=self.callbacks or [],
                    max_seconds=max_seconds,
                    seconds_between_snapshots=_seconds(self.checkpoint_every),
                    progress=progress,
                    checkpoints=checkpoints,
                )
                run.start_together()
                try:
                    with explain_out_of_memory(task):
                        run.loop()
                finally:
                    progress.close()
        return run

    def _open_checkpoints(
        self, task: TrainingTask, n_epochs: int, description: str
    ) -> Checkpoints:
        identity = identify_run(task.fingerprint(), task.modules)
        checkpoints = Checkpoints(
            os.fspath(self.checkpoint_dir), description, identity, n_epochs
        )
        # Weights, and two moments of each in the optimiser.
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
        """Apply a network to samples, without gradients, in batches that fit.

        Several processes divide the rows. In a callback, which the first process alone
        calls, it computes all of them.

        Parameters
        ----------
        module : Module
            Afterwards its device, number format and mode are as before.
        n_samples : int
            At least one.
        encode : callable
            Takes row numbers, an ndarray of int, and returns a batch of these rows.
        decode : callable
            Takes the network's output, on the CPU, and returns an array with as many
            rows.
        n_pixels : int, default=1
            Number of pixels of a sample, which determines the size of the batches.
            Batches that exceed a GPU's memory are halved.
        mixed_precision : bool, default=True
            Whether ``precision="auto"`` may use half precision.

        Returns
        -------
        result : ndarray of shape (n_samples, ...)
            In the order of the rows, and the same in all processes.
        """
        self._check()
        fabric = self._make_fabric(mixed_precision)
        with (
            deterministic_kernels(fabric.device),
            join_group() as group,
            placed(fabric, module),
            torch.inference_mode(),
            # One context for all batches, so that weights are cast once.
            fabric.autocast(),
        ):
            module.eval()
            # As in a callback of a run with "64-true", whatever this trainer has.
            is_double = any(p.dtype == torch.float64 for p in module.parameters())

            def compute(rows: np.ndarray) -> np.ndarray:
                batch = to_device(fabric, encode(rows))
                return decode(module(batch.double() if is_double else batch).cpu())

            size = batch_size_for(fabric.device, n_pixels)
            return map_rows(compute, n_samples, size, group)

    def _check(self) -> int:
        """Check the parameters; return the number of processes."""
        self._validate_params()
        if not is_available(self.accelerator):
            raise ValueError(
                "`accelerator` must be one that this machine has. Got "
                f"{self.accelerator!r}, which cannot be used here. Pass 'auto' or "
                "'cpu'."
            )
        for callback in self.callbacks or ():
            if not isinstance(callback, Callback):
                raise TypeError(
                    "`callbacks` must be instances of gansampler.training.Callback. "
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
                "`devices` must be a number of devices, or a list of indices of GPUs. "
                f"Got {self.devices!r}, and {torch.cuda.device_count()} GPUs can be "
                "used. Pass devices=1."
            )
        return n_processes

    def _make_fabric(self, mixed_precision: bool) -> Fabric:
        return make_fabric(
            self.accelerator,
            self._device_of_this_process(),
            self.precision,
            mixed_precision,
        )

    def _device_of_this_process(self) -> int | list[int]:
        """Return the one device of this process, in the form that Fabric takes."""
        local_rank = int(os.environ["LOCAL_RANK"]) if launched_from_outside() else 0
        if isinstance(self.devices, list):
            return [self.devices[local_rank % len(self.devices)]]
        return [local_rank] if on_gpu(self.accelerator) else 1


def _fit_in_process(
    trainer: Trainer, random_state: dict[str, Any], *call: Any
) -> Snapshot:
    restore_random(random_state)
    return trainer._fit(*call).snapshot()


def _seconds(limit: float | timedelta | None) -> float:
    if limit is None:
        return math.inf
    return limit.total_seconds() if isinstance(limit, timedelta) else float(limit)
