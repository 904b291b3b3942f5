"""Files of fitted estimators and checkpoints, and hashes that identify parameters.

A file is in safetensors format, with JSON text in its header. It holds numbers and
text and no code, so that loading a file from a stranger is safe. A checksum detects
damage.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import cloudpickle
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gansampler.exceptions import ModelFileError

FORMAT_VERSION = 1
# Attributes of a class that may differ between two processes that define it.
NOT_CONTENT = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__annotations__",
    "__firstlineno__",
    "__static_attributes__",
    "_abc_impl",
}


def save_model(
    path: str | os.PathLike[str],
    kind: str,
    tensors: dict[str, torch.Tensor],
    state: dict[str, Any],
) -> None:
    """Write a model file atomically.

    At any time, also after a power failure, `path` is the old file or the complete
    new one: the data are on the disk before the file gets its name.

    Parameters
    ----------
    path : path-like
    kind : str
        Class of the estimator.
    tensors : dict of str -> Tensor
    state : dict
        In a form that :mod:`json` can write.
    """
    path = Path(path).expanduser()
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"A model must be saved into an existing folder. Got {str(path)!r}, and "
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
        # Only the owner can read a file of mkstemp; use the usual permissions.
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
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        # NumPy has no bfloat16, so hash the bytes.
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _flush_to_disk(path: Path) -> None:
    # Windows flushes only a file that is open for writing.
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def load_model(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a file that :func:`save_model` wrote for an estimator of class `kind`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is damaged, or holds something else.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"A saved {kind} is a file. There is none at {path}. Check the path."
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # The header comes first, so that a foreign file is named as such.
            found = _check_header(header, path, kind)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get("checksum") != _checksum(tensors, header["state"]):
            raise SafetensorError("the checksum differs")
    except SafetensorError as error:
        raise ModelFileError(
            f"A saved {kind} must be an intact safetensors file. {path} is damaged or "
            f"of another format ({error}). Save the model again."
        ) from error
    return tensors, found


def _check_header(header: dict[str, str], path: Path, kind: str) -> dict[str, Any]:
    if header.get("format") != "gansampler" or header.get("kind") != kind:
        found = header.get("kind", "something that gansampler did not save")
        raise ModelFileError(
            f"{kind}.load reads files of {kind}.save. {path} holds {found}. Pass "
            f"another file, or load it with the class that saved it."
        )
    version = int(header["format_version"])
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format version {version}; this gansampler reads up to "
            f"{FORMAT_VERSION}. Install a newer gansampler."
        )
    return json.loads(header["state"])


def params_to_json(params: dict[str, Any]) -> dict[str, Any]:
    """Return the constructor parameters that JSON can express; the others are None.

    Times become seconds. A trainer becomes None: whoever loads the model chooses the
    device. So does a random state that is not an integer.
    """
    return {name: _to_json(value, lambda _: None) for name, value in params.items()}


def comparable_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters that determine a fit, in a form that JSON can express.

    Two fits with equal results of this function and equal data are the same. `trainer`
    and `verbose` are left out. A parameter that JSON cannot express counts by its
    content, see :func:`content_hash`; a path by the content of the file. A
    `random_state` of None stays None: then two fits differ in their random numbers.
    """
    return {
        "class": type(estimator).__qualname__,
        **{
            name: _file_hash(value) or _to_json(value, content_hash)
            for name, value in estimator.get_params(deep=False).items()
            if name not in ("trainer", "verbose")
        },
    }


def _to_json(value: Any, otherwise: Callable[[Any], Any]) -> Any:
    """Return a value as JSON can express it, or `otherwise(value)`."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(key): _to_json(item, otherwise) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item, otherwise) for item in value]
    if isinstance(value, np.ndarray):
        return _to_json(value.tolist(), otherwise)
    # For scikit-learn the module numpy.random is the same as None.
    if value is None or value is np.random:
        return None
    if isinstance(value, str | int | float | bool):
        return value
    return otherwise(value)


def _file_hash(value: Any) -> str | None:
    """Return a hash of a file's content, or None if the value is not such a path."""
    if not isinstance(value, str | os.PathLike):
        return None
    try:
        with Path(value).expanduser().open("rb") as file:
            return f"file {hashlib.file_digest(file, 'blake2b').hexdigest()[:32]}"
    except (OSError, ValueError, RuntimeError):
        return None


def content_hash(value: Any) -> str:
    """Return a hash of the content of a value, which is the same in every process.

    Functions and classes that can be imported count by their name. Other ones, such
    as lambdas and those of a script, count by their code and by all that they refer
    to. A network counts by the classes and settings of its parts and its state dict; a
    random state by its state. A value that cannot be pickled counts by the name of its
    class.
    """
    buffer = io.BytesIO()
    try:
        _ContentPickler(buffer, protocol=5).dump(value)
    except Exception:
        buffer = io.BytesIO(type(value).__qualname__.encode())
    return hashlib.blake2b(buffer.getvalue(), digest_size=16).hexdigest()


class _ContentPickler(cloudpickle.Pickler):
    """A pickler whose output depends on the content of a value alone.

    Ordinary pickles also depend on which strings are one object, on the order of sets
    and on the lines of a script; cloudpickle gives classes a random number.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen: dict[int, int] = {}

    def persistent_id(self, value: Any) -> Any:
        """Return what to pickle instead of a value, or None for the value itself."""
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, set | frozenset):
            return "set", sorted(content_hash(item) for item in value)
        if isinstance(value, torch.Tensor):
            return "tensor", _checksum({"": value}, "")
        if isinstance(value, torch.nn.Module):
            parts = [(type(part), _settings(part)) for part in value.modules()]
            return "module", parts, value.state_dict()
        if isinstance(value, CodeType):
            return "code", value.co_code, *value.co_consts, *value.co_names
        if not isinstance(value, type) and hasattr(value, "get_params"):
            return "estimator", type(value), comparable_params(value)
        if not isinstance(value, type | FunctionType) or _is_importable(value):
            return None
        if id(value) in self._seen:
            return "seen", self._seen[id(value)]
        self._seen[id(value)] = len(self._seen)
        return _parts(value)


def _settings(module: torch.nn.Module) -> dict[str, Any]:
    """Return the plain public attributes of a module, such as a kernel size."""
    kinds = str | int | float | tuple | None
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, kinds) and name != "training" and name[0] != "_"
    }


def _is_importable(value: type | FunctionType) -> bool:
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value and value.__module__ != "__main__"


def _parts(value: type | FunctionType) -> tuple[Any, ...]:
    """Return what a class or function of a script consists of, and what it uses."""
    if isinstance(value, type):
        members = [item for item in vars(value).items() if item[0] not in NOT_CONTENT]
        return value.__qualname__, value.__bases__, members
    names = sorted(_global_names(value.__code__) & value.__globals__.keys())
    used = [(name, value.__globals__[name]) for name in names]
    defaults = value.__defaults__, value.__kwdefaults__
    return value.__code__, defaults, value.__closure__, used


def _global_names(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_global_names, inner))
