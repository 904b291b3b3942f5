"""Run a function in several processes of this machine.

The processes are fresh interpreters that never run the caller's script, so that this
works from a plain script without a guard, from a test and from a notebook. Arrays go
to them by memory-mapped files, of which all processes share one copy.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import torch

from gansampler.exceptions import ProcessFailedError

__all__ = ["run_in_processes", "run_worker"]

CALL, RESULT, ERROR = "call", "result", "error"
START = "from gansampler.training._launch import run_worker; run_worker()"
SECONDS_BETWEEN_LOOKS = 0.05
# After one process has failed, so that its fellows can say the same.
SECONDS_TO_END = 5.0


def run_in_processes(n_processes: int, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in each of several processes; return what the first returns.

    Raises
    ------
    Exception
        What a process has raised, with its traceback as a note; all others are ended.
    ProcessFailedError
        If a process ended without a word.
    """
    with tempfile.TemporaryDirectory(prefix="gansampler-") as name:
        folder = Path(name)
        _write(folder / CALL, (function, args))
        processes = _start(n_processes, folder)
        try:
            _watch(processes, folder)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        result, caught = _read(folder / RESULT)
        for message, category in caught:
            warnings.warn(message, category, stacklevel=3)
        return result


def _start(n_processes: int, folder: Path) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    n_threads = max(1, torch.get_num_threads() // n_processes)
    shared = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(n_processes),
        "OMP_NUM_THREADS": str(n_threads),
        # Where the caller finds its modules.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", START, str(folder)]
    return [
        subprocess.Popen(
            command, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(n_processes)
    ]


def _watch(processes: list[subprocess.Popen], folder: Path) -> None:
    """Wait for all; where one fails, raise what it raised."""
    while True:
        try:
            codes = [process.poll() for process in processes]
        except KeyboardInterrupt:
            # The processes have heard it too, and stop after their step.
            continue
        failed = [rank for rank, code in enumerate(codes) if code not in (None, 0)]
        if failed:
            # A signal ended the first one that matters; others lost it and gave up.
            rank = min(failed, key=lambda rank: codes[rank] or 0)
            _raise_error_of(rank, codes[rank], folder)
        if all(code == 0 for code in codes):
            return
        try:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            continue


def _raise_error_of(rank: int, code: int | None, folder: Path) -> None:
    end = time.monotonic() + SECONDS_TO_END
    while True:
        told = [_read(path) for path in sorted(folder.glob(f"{ERROR}-*"))]
        # What happened first is no loss of a connection.
        for error, text in told:
            if not isinstance(error, ProcessFailedError):
                error.add_note(f"In one of several processes:\n{text}")
                raise error
        if time.monotonic() > end:
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    raise ProcessFailedError(
        f"Each of the processes that train together must end well. Process {rank} "
        f"ended with exit status {code} and no message; it may have been killed, for "
        "memory for example."
    )


def _write(path: Path, value: Any) -> None:
    """Write a value; each large buffer of it becomes a file to be mapped."""
    buffers: list[pickle.PickleBuffer] = []
    data = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    for i, buffer in enumerate(buffers):
        path.with_name(f"{path.name}.buffer-{i}").write_bytes(buffer.raw())
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _read(path: Path) -> Any:
    buffers = []
    for i in range(len(list(path.parent.glob(f"{path.name}.buffer-*")))):
        with path.with_name(f"{path.name}.buffer-{i}").open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            buffers.append(
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if size else b""
            )
    return pickle.loads(path.read_bytes(), buffers=buffers)


def run_worker() -> None:
    """Be one of the processes."""
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function, args = _read(folder / CALL)
            result = function(*args)
        if rank == 0:
            told = [(str(w.message), w.category) for w in caught if _is_ours(w)]
            _write(folder / RESULT, (result, told))
    except BaseException as error:
        text = traceback.format_exc()
        try:
            _write(folder / f"{ERROR}-{rank}", (error, text))
        except Exception:
            told_error = ProcessFailedError(f"{type(error).__name__}: {error}")
            _write(folder / f"{ERROR}-{rank}", (told_error, text))
        sys.exit(1)


def _is_ours(warning: warnings.WarningMessage) -> bool:
    return warning.category.__module__.startswith("gansampler")
