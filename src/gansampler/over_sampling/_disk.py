"""Files that are whole or not there, and folders that may be written to."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "checksum",
    "checksum_of_file",
    "explained",
    "make_writable",
    "refuse_source_folders",
    "remove_leftovers",
    "replace_file",
    "visible_files",
    "write_image",
]

TEMPORARY = ".tmp"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def checksum(data: bytes) -> str:
    """Return a digest of the bytes of a file."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def checksum_of_file(path: Path) -> str | None:
    """Return the digest of a file's bytes, or None where there is none."""
    try:
        return checksum(path.read_bytes())
    except FileNotFoundError:
        return None


def _temporary(path: Path) -> Path:
    # One name for a process, so that one that is killed leaves one at most.
    return path.with_name(f".{os.getpid()}{TEMPORARY}")


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing; nobody else may be writing here."""
    for left in folder.glob(f".*{TEMPORARY}"):
        left.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say of a failure to write what is left, and how to go on."""
    try:
        yield
    except OSError as error:
        reason = "The disk is full" if error.errno in NO_SPACE else str(error)
        raise OSError(
            error.errno,
            f"Synthetic images are written to `output_dir`. {reason} at {str(path)!r}. "
            "The files before it are whole. Make space or give permission, and run "
            "the same call again to go on from there.",
        ) from error


def write_image(path: Path, data: bytes) -> None:
    """Write a file at once.

    Raises
    ------
    OSError
        If it can not be written; those before it are whole.
    """
    temporary = _temporary(path)
    with explained(path):
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def replace_file(path: Path, lines: Iterable[str]) -> None:
    """Write a text file at once, if it is not there with the same content.

    Paths that are no text keep their bytes.
    """
    temporary = _temporary(path)
    with explained(path):
        try:
            with temporary.open(
                "w", encoding="utf-8", errors="surrogateescape", newline=""
            ) as file:
                file.writelines(lines)
            if not path.exists() or not filecmp.cmp(path, temporary, shallow=False):
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def make_writable(folder: Path) -> None:
    """Make a folder, and see that files can be made in it."""
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
    """Refuse a folder that is in one of originals, or holds one."""
    resolved = folder.resolve()
    for source in sources:
        held = Path(source).resolve()
        if held in (resolved, *resolved.parents) or resolved in held.parents:
            raise ValueError(
                "`output_dir` must be apart from the folders of the originals, where "
                "a synthetic image would be taken for one of them. Got "
                f"{str(folder)!r}, and originals in {str(held)!r}. Pass another."
            )


def visible_files(folder: Path) -> list[str]:
    """Return the names of what a folder holds, but for hidden files."""
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]
