"""A folder of checkpoints of one run: written atomically, checked when read.

A run has a folder of its own, whose name tells its settings and data, so that one
`checkpoint_dir` serves every fit of a program, and the same call finds its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

from gansampler._serialization import load_model, save_model
from gansampler.exceptions import CheckpointError, CheckpointWarning, ModelFileError
from gansampler.training._state import Snapshot

__all__ = ["Checkpoints", "fingerprint"]

KIND = "checkpoint"
KEPT = 2
FINGERPRINT_CHARACTERS = 16
# Two that are kept, and one that is being written.
SPACE_FACTOR = 3
STALE_SECONDS = 60


def fingerprint(settings: dict[str, Any], tensors: dict[str, tuple]) -> str:
    """Return a short hash of a run's settings, data and shapes of networks."""
    text = json.dumps([settings, tensors], sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode()).hexdigest()
    return digest[:FINGERPRINT_CHARACTERS]


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    root : path-like
        The `checkpoint_dir` of the trainer.
    name : str
        What is trained.
    fingerprint : str
    """

    def __init__(self, root: str | os.PathLike[str], name: str, fingerprint: str):
        self.fingerprint = fingerprint
        self.folder = Path(root).expanduser() / f"{name}-{fingerprint}"

    def prepare(self, n_bytes: int) -> None:
        """Refuse a folder that can not be written to, before any work is done."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".probe-{os.getpid()}"
            probe.write_bytes(b"gansampler")
            probe.unlink()
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise CheckpointError(
                "`checkpoint_dir` must be a folder that can be written to. Got "
                f"{str(self.folder.parent)!r} ({error}). Choose another one, or None."
            ) from error
        held = sum(file.stat().st_size for file in self._files())
        needed = SPACE_FACTOR * n_bytes - held
        if free < needed:
            raise CheckpointError(
                f"Checkpoints of this run need {needed / 1e6:.0f} MB on the disk. "
                f"{str(self.folder)!r} has {free / 1e6:.0f} MB. Make space, or choose "
                "another `checkpoint_dir`."
            )
        for left in self.folder.glob(".*"):
            # Of a process that was killed while it wrote.
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink(missing_ok=True)

    def write(self, snapshot: Snapshot, n_steps: int) -> None:
        """Write a state after so many steps, and remove all but the latest two."""
        packed = {"fingerprint": self.fingerprint, "run": snapshot.packed}
        path = self.folder / f"step-{n_steps:010d}.safetensors"
        try:
            save_model(path, KIND, snapshot.tensors, packed)
        except Exception as error:
            raise CheckpointError(
                f"A checkpoint must be written to {str(path)!r}. That failed: {error}. "
                "Those before it are whole. Make space or give permission, and run "
                "the same call again to go on from there."
            ) from error
        for old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)

    def read_latest(self) -> Snapshot | None:
        """Return the latest state that is whole and of this run, or None."""
        for path in reversed(self._files()):
            try:
                tensors, packed = load_model(path, KIND)
                if packed["fingerprint"] != self.fingerprint:
                    raise ModelFileError(
                        f"{path} is of a run with other settings or data."
                    )
                return Snapshot(packed["run"], tensors)
            except (ModelFileError, OSError, LookupError, ValueError) as error:
                warnings.warn(
                    f"A checkpoint is passed over, and the one before it is used. "
                    f"{error}",
                    CheckpointWarning,
                    stacklevel=2,
                )
        return None

    def write_history(self, history: list[dict[str, float]]) -> None:
        """Write the history as JSON lines, one for each epoch, beside the files."""
        lines = [json.dumps(record) + "\n" for record in history]
        temporary = self.folder / f".history-{os.getpid()}"
        try:
            temporary.write_text("".join(lines))
            temporary.replace(self.folder / "history.jsonl")
        except OSError as error:
            raise CheckpointError(
                f"The history must be written to {str(self.folder)!r}. That failed: "
                f"{error}. Make space or give permission, and run the same call again."
            ) from error

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"))
