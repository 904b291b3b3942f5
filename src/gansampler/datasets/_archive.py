"""Unpack images from an untrusted ZIP archive."""

from __future__ import annotations

import hashlib
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

MAX_BYTES_PER_MEMBER = 64 * 2**20
MAX_BYTES = 4 * 2**30
BLOCK_BYTES = 2**20


def unpack_images(
    archive: Path, names: Sequence[str], folder: Path
) -> dict[str, dict[str, Any]]:
    """Unpack some files of the folder in an archive: all of them, or none on failure.

    Every member of the archive is checked before the first one is written. Members
    that are not in `names` are not written.

    Parameters
    ----------
    archive : Path
        A ZIP file, whose members are named ``<name of folder>/<name>``.
    names : sequence of str
        File names without folders.
    folder : Path
        Folder to create. Its parent must exist.

    Returns
    -------
    sums : dict of str -> dict
        "size" in bytes and "sha256" of each file, by name.

    Raises
    ------
    ValueError
        If the file is damaged or not a ZIP archive, if some of `names` are missing, or
        if the archive is suspicious: it has absolute paths, "..", links, encrypted
        members, the same name twice, or more than 64 MiB per image or 4 GiB in total.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = _check_members(file)
            wanted = [f"{folder.name}/{name}" for name in names]
            absent = [name for name in wanted if name not in members]
            if absent:
                raise ValueError(
                    f"of {len(wanted)} images {len(absent)} are not in it, "
                    f"{absent[0]} first"
                )
            with tempfile.TemporaryDirectory(
                prefix=f".{folder.name}-", dir=folder.parent
            ) as scratch:
                # Unlike the temporary folder, this one has the usual permissions.
                unpacked = Path(scratch) / folder.name
                unpacked.mkdir()
                sums = {
                    name: _write(file, members[member], unpacked / name)
                    for name, member in zip(names, wanted, strict=True)
                }
                try:
                    unpacked.rename(folder)
                except OSError:
                    # Another process may have created it meanwhile.
                    if not folder.is_dir():
                        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"it is damaged or no ZIP archive: {error}") from error
    return sums


def _check_members(file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an archive by name; refuse the archive if any is bad."""
    members: dict[str, zipfile.ZipInfo] = {}
    n_bytes = 0
    for member in file.infolist():
        flaw = _flaw(member)
        if member.filename in members:
            flaw = "is in it twice"
        if flaw:
            raise ValueError(f"its member {member.filename!r} {flaw}")
        n_bytes += member.file_size
        if n_bytes > MAX_BYTES:
            raise ValueError(f"its members have more than {MAX_BYTES} bytes")
        members[member.filename] = member
    return {name: member for name, member in members.items() if not member.is_dir()}


def _flaw(member: zipfile.ZipInfo) -> str | None:
    """Return what is wrong with a member, or None."""
    # The stored name. `filename` is cut at a null character.
    name = member.orig_filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        return "leads out of the archive's folder"
    # Archives from Windows have no file type: 0.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in a way that image archives are not"
    if member.file_size > MAX_BYTES_PER_MEMBER:
        return f"has {member.file_size} bytes"
    return None


def _write(
    file: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path
) -> dict[str, Any]:
    """Write one member, and return its size and SHA-256.

    zipfile checks the CRC-32 at the end of the member, and does not read more bytes
    than its stated size.
    """
    digest, n_bytes = hashlib.sha256(), 0
    with file.open(member) as source, path.open("xb") as target:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            n_bytes += target.write(block)
    return {"size": n_bytes, "sha256": digest.hexdigest()}
