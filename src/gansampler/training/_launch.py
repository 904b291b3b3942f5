"""Run a function in several processes of this machine.

The processes are new interpreters that do not run the caller's script. So this works
from a script without a ``__main__`` guard, from a test and from a notebook. Arrays are
passed in memory-mapped files, and all processes share one copy.
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

CALL, RESULT, ERROR = "call", "result", "error"
START = "from gansampler.training._launch import run_worker; run_worker()"
SECONDS_BETWEEN_CHECKS = 0.05
# After one process has failed, the others get this time to report errors.
SECONDS_TO_END = 5.0


def run_in_processes(n_processes: int, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in each of several processes; return what the first returns.

    Raises
    ------
    Exception
        What a process raised, with its traceback as a note. All others are ended.
    ProcessFailedError
        If a process ended without a message.
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
        # The caller's modules must be importable.
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
    """Wait for all processes; if one fails, raise its error."""
    while True:
        try:
            codes = [process.poll() for process in processes]
        except KeyboardInterrupt:
            # The processes get Ctrl-C too, and stop after their step.
            continue
        failed = [rank for rank, code in enumerate(codes) if code not in (None, 0)]
        if failed:
            # One that was killed by a signal is the cause; others lost the connection.
            rank = min(failed, key=lambda rank: codes[rank] or 0)
            _raise_error_of(rank, codes[rank], folder)
        if all(code == 0 for code in codes):
            return
        try:
            time.sleep(SECONDS_BETWEEN_CHECKS)
        except KeyboardInterrupt:
            continue


def _raise_error_of(rank: int, code: int | None, folder: Path) -> None:
    end = time.monotonic() + SECONDS_TO_END
    while True:
        errors = [_read(path) for path in sorted(folder.glob(f"{ERROR}-*"))]
        # A lost connection is never the cause.
        for error, text in errors:
            if not isinstance(error, ProcessFailedError):
                error.add_note(f"In one of several processes:\n{text}")
                raise error
        if time.monotonic() > end:
            break
        time.sleep(SECONDS_BETWEEN_CHECKS)
    raise ProcessFailedError(
        f"All processes of a run must work until its end. Process {rank} ended with "
        f"exit status {code} and no message; it may have been killed, for example "
        "because memory was short. Lower the batch size or `devices`, and try again."
    )


def _write(path: Path, value: Any) -> None:
    """Write a value; each large buffer in it becomes a file that can be mapped."""
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
    """Call the function in one of the processes, and write its result or error."""
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function, args = _read(folder / CALL)
            result = function(*args)
        if rank == 0:
            passed_on = [
                (str(warning.message), warning.category)
                for warning in caught
                if warning.category.__module__.startswith("gansampler")
            ]
            _write(folder / RESULT, (result, passed_on))
    except BaseException as error:
        text = traceback.format_exc()
        try:
            _write(folder / f"{ERROR}-{rank}", (error, text))
        except Exception:
            # It cannot be pickled.
            substitute = ProcessFailedError(f"{type(error).__name__}: {error}")
            _write(folder / f"{ERROR}-{rank}", (substitute, text))
        sys.exit(1)
