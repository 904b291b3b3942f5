"""Files that are written as a whole or not at all, and folders that take files."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".tmp"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def checksum(data: bytes) -> str:
    """Return the hash of the bytes of a file."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def checksum_of_file(path: Path) -> str | None:
    """Return the hash of a file's bytes; None if there is no such file."""
    try:
        return checksum(path.read_bytes())
    except FileNotFoundError:
        return None


def remove_temporary_files(folder: Path) -> None:
    """Remove the files that killed processes left; no other process may be writing."""
    for path in folder.glob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Add to an OSError what remains on the disk and how to resume."""
    try:
        yield
    except OSError as error:
        reason = "The disk is full" if error.errno in NO_SPACE else str(error)
        raise OSError(
            error.errno,
            f"Synthetic images are written to `output_dir`. {reason} at {str(path)!r}. "
            "The files before it are complete. Make space or give permission, and run "
            "the same call again to resume.",
        ) from error


def write_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file as a whole, unless it has the same content already.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    # One name per process, so that a killed process leaves at most one file.
    temporary = path.with_name(f".{os.getpid()}{TEMPORARY}")
    with explain_write_errors(path):
        try:
            with temporary.open("wb") as file:
                file.writelines(parts)
            if not path.exists() or not filecmp.cmp(path, temporary, shallow=False):
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def make_writable(folder: Path) -> None:
    """Create a folder, and check that files can be written to it."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            errno.ENOTDIR,
            f"`output_dir` must be a folder. {str(folder)!r} is a file. Pass another.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(
            error.errno,
            f"`output_dir` must be a folder that can be written to. Got "
            f"{str(folder)!r} ({error.strerror}). Pass another, or give permission.",
        ) from error


def refuse_source_folders(folder: Path, sources: Iterable[str]) -> None:
    """Refuse a folder that is inside a folder of originals, or contains one."""
    resolved = folder.resolve()
    for source in sources:
        originals = Path(source).resolve()
        if originals in (resolved, *resolved.parents) or resolved in originals.parents:
            raise ValueError(
                "`output_dir` must be apart from the folders of the originals, so that "
                "synthetic images are not read as originals later. Got "
                f"{str(folder)!r}, and originals in {str(originals)!r}. Pass another."
            )


def visible_files(folder: Path) -> list[str]:
    """Return the names of the files and folders in a folder, without hidden ones."""
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]
