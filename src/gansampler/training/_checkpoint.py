"""The checkpoint files of one run: written atomically, checked when read.

Each run has its own folder in the trainer's `checkpoint_dir`. The name of the folder
identifies the run, so that the same call finds its files again. The number of epochs is
the last part of the name, so that a longer run finds the files of shorter ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from gansampler._serialization import content_hash, load_model, save_model
from gansampler.exceptions import CheckpointError, CheckpointWarning, ModelFileError
from gansampler.training._state import Snapshot

KIND = "checkpoint"
N_KEPT = 2
N_CHARACTERS_OF_HASH = 16
# The kept ones, and the one that is being written.
SPACE_FACTOR = N_KEPT + 1
SECONDS_UNTIL_STALE = 60


def identify_run(settings: dict[str, Any], modules: Mapping[str, nn.Module]) -> str:
    """Return a hash of settings, shapes of the networks and their initial weights.

    The number of epochs is no setting: a longer run continues a shorter one. The
    weights are left out if the settings have a ``random_state`` of None: then each call
    draws other ones, and still continues its run.
    """
    states = {name: module.state_dict() for name, module in modules.items()}
    weights: Any = content_hash(states)
    if None in _random_states(settings):
        weights = [
            [name, key, tuple(tensor.shape)]
            for name, state in states.items()
            for key, tensor in state.items()
        ]
    text = json.dumps([settings, weights], sort_keys=True, default=content_hash)
    return hashlib.blake2b(text.encode()).hexdigest()[:N_CHARACTERS_OF_HASH]


def _random_states(settings: Any) -> Iterator[Any]:
    """Yield each entry ``random_state`` in nested dicts and lists."""
    if isinstance(settings, dict):
        if "random_state" in settings:
            yield settings["random_state"]
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for item in settings:
            yield from _random_states(item)


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    root : path-like
        The `checkpoint_dir` of the trainer.
    name : str
        What is trained.
    identity : str
        What :func:`identify_run` returned.
    n_epochs : int
        Length of the run.
    """

    def __init__(
        self, root: str | os.PathLike[str], name: str, identity: str, n_epochs: int
    ) -> None:
        self.name, self.identity, self.n_epochs = name, identity, n_epochs
        folder = f"{name}-{identity}-{n_epochs}-epochs"
        self.folder = Path(root).expanduser() / folder

    def prepare(self, n_bytes: int) -> None:
        """Check, before any training, that the folder can be written to."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".probe-{os.getpid()}"
            probe.write_bytes(b"gansampler")
            probe.unlink(missing_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise CheckpointError(
                "`checkpoint_dir` must be a folder that can be written to. Got "
                f"{str(self.folder.parent)!r} ({error}). Choose another one, or None."
            ) from error
        for path in self.folder.glob(".*"):
            # Another process may remove files at the same time.
            with contextlib.suppress(FileNotFoundError):
                # A process that was killed while it wrote leaves such files.
                if time.time() - path.stat().st_mtime > SECONDS_UNTIL_STALE:
                    path.unlink()
        present = 0
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                present += path.stat().st_size
        needed = SPACE_FACTOR * n_bytes - present
        if free < needed:
            raise CheckpointError(
                f"Checkpoints of this run need {needed / 1e6:.0f} MB on the disk. "
                f"{str(self.folder)!r} has {free / 1e6:.0f} MB. Free some space, or "
                "choose another `checkpoint_dir`."
            )

    def write(self, snapshot: Snapshot, n_steps: int) -> None:
        """Write the state after `n_steps` steps, and remove all but the latest two."""
        packed = {"identity": self.identity, "run": snapshot.packed}
        path = self.folder / f"step-{n_steps:010d}.safetensors"
        with _explain_failure(path):
            save_model(path, KIND, snapshot.tensors, packed)
        for old in self._files()[:-N_KEPT]:
            old.unlink(missing_ok=True)

    def read_latest(self) -> Snapshot | None:
        """Return the latest undamaged state of this run, or None."""
        for path in reversed(self._files()):
            try:
                tensors, packed = load_model(path, KIND)
                if packed["identity"] != self.identity:
                    raise ModelFileError(
                        f"{path} is of a run with other settings or data."
                    )
                return Snapshot(packed["run"], tensors)
            except FileNotFoundError:
                # Another process has removed it, perhaps because there are newer ones.
                if self._files()[-1:] > [path]:
                    return self.read_latest()
            except (ModelFileError, OSError, LookupError, ValueError) as error:
                warnings.warn(
                    f"A checkpoint cannot be used and is skipped. {error} The one "
                    "before it is used, if there is one.",
                    CheckpointWarning,
                    stacklevel=2,
                )
        return None

    def find_shorter(self) -> list[Checkpoints]:
        """Return the runs of fewer epochs that this one can continue, longest first."""
        root = self.folder.parent
        pattern = re.compile(rf"{re.escape(self.name)}-{self.identity}-(\d+)-epochs")
        matches = (pattern.fullmatch(path.name) for path in root.iterdir())
        lengths = (int(match[1]) for match in matches if match)
        runs = [
            Checkpoints(root, self.name, self.identity, n_epochs)
            for n_epochs in lengths
            if n_epochs < self.n_epochs
        ]
        begun = [run for run in runs if run._files()]
        return sorted(begun, key=lambda run: run._files()[-1].name, reverse=True)

    def write_history(self, history: list[dict[str, float]]) -> None:
        """Write the history as JSON lines, one per epoch, into the same folder."""
        path = self.folder / "history.jsonl"
        temporary = self.folder / f".history-{os.getpid()}"
        with _explain_failure(path):
            temporary.write_text("".join(json.dumps(r) + "\n" for r in history))
            temporary.replace(path)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"))


@contextlib.contextmanager
def _explain_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise CheckpointError(
            f"Training must be able to write {str(path)!r}. That failed: {error}. The "
            "earlier checkpoints are undamaged. Free some space or give permission, "
            "and make the same call again to resume the run."
        ) from error
