"""Fitted estimators and checkpoints on disk: each one safetensors file, and JSON in it.

Nothing in such a file is code: whoever changes one can change numbers, and cannot
make loading it run anything. A checksum tells a damaged file from a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gansampler.exceptions import ModelFileError

__all__ = ["comparable_params", "load_model", "params_to_json", "save_model"]

FORMAT_VERSION = 1


def save_model(
    path: str | os.PathLike[str],
    kind: str,
    tensors: dict[str, torch.Tensor],
    state: dict[str, Any],
) -> None:
    """Write a model file atomically: `path` holds the old file or the whole new one.

    That holds for a loss of power, too: the file is on the disk before it is named.

    Parameters
    ----------
    path : path-like
    kind : str
        Class of the estimator.
    tensors : dict of str -> Tensor
    state : dict
        JSON-able.
    """
    path = Path(path).expanduser()
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Models are saved into an existing folder. Got {str(path)!r}, and "
            f"{str(path.parent)!r} is no folder. Create it first."
        )
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        contiguous = {
            name: t.detach().cpu().contiguous() for name, t in tensors.items()
        }
        text = json.dumps(state)
        header = {
            "format": "gansampler",
            "format_version": str(FORMAT_VERSION),
            "kind": kind,
            "state": text,
            "checksum": _checksum(contiguous, text),
        }
        save_file(contiguous, temporary, metadata=header)
        # mkstemp makes files that only their owner can read.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        _flush_to_disk(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _checksum(tensors: Mapping[str, torch.Tensor], text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        # NumPy has no bfloat16; bytes are bytes.
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def load_model(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a file that :func:`save_model` wrote for an estimator of this class.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is damaged, or holds something else.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"A saved {kind} is one file. There is none at {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # The header comes first, so that a foreign file is named as such.
            found = _check_header(header, path, kind)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get("checksum") != _checksum(tensors, header["state"]):
            raise SafetensorError("the checksum is another")
    except SafetensorError as error:
        raise ModelFileError(
            f"A saved {kind} is a whole safetensors file. {path} is damaged or of "
            f"another format ({error}). Save the model again."
        ) from error
    return tensors, found


def _check_header(header: dict[str, str], path: Path, kind: str) -> dict[str, Any]:
    if header.get("format") != "gansampler" or header.get("kind") != kind:
        what = header.get("kind", "something that gansampler did not save")
        raise ModelFileError(
            f"{kind}.load reads what {kind}.save wrote. {path} holds {what}."
        )
    version = int(header["format_version"])
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format version {version}; this gansampler reads up to "
            f"{FORMAT_VERSION}. Install a newer gansampler."
        )
    return json.loads(header["state"])


def params_to_json(params: dict[str, Any]) -> dict[str, Any]:
    """Return constructor parameters in JSON-able form.

    A random state that is no integer becomes None: its position in its stream is of
    no use to a fitted model. Times become seconds. Nested estimators are left out;
    they say where to compute, which is for the loading side to choose.
    """
    return {name: _jsonable(value) for name, value in params.items()}


def comparable_params(estimator: Any) -> dict[str, Any]:
    """Return what makes two fits of an estimator the same, in JSON-able form.

    Not where it computes and what it shows; and a `random_state` only if it is an
    integer. Of functions and modules it is the name, and the modules' settings.
    """
    params = estimator.get_params(deep=False)
    for name in ("trainer", "verbose"):
        params.pop(name, None)
    if not isinstance(params.get("random_state"), int | np.integer):
        params.pop("random_state", None)
    return {
        "class": type(estimator).__qualname__,
        **{
            name: repr(value)
            if isinstance(value, torch.nn.Module)
            else getattr(value, "__qualname__", None) or _jsonable(value)
            for name, value in params.items()
        },
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return None
