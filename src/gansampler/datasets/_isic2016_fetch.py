"""Task 3 of the ISIC 2016 challenge, downloaded from its server."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from sklearn.datasets import get_data_home

from gansampler._validation import at_least
from gansampler.datasets._archive import unpack_images
from gansampler.datasets._download import download
from gansampler.datasets._files import check_image_size
from gansampler.datasets._isic2016 import (
    load_isic2016,
    read_ground_truth,
    split_stem,
)

_ADDRESS = "https://isic-archive.s3.amazonaws.com/challenges/2016/"
# Number of images, and of malignant images, as stated by the challenge.
_COUNTS = {"train": (900, 173), "test": (379, 75)}
# The challenge publishes no checksums. These are of its files as of 2026; those of the
# test files are unknown.
_SHA256 = {
    "ISBI2016_ISIC_Part3_Training_Data.zip": (
        "d78bd1de08511b514e58784c91fd2d8dab24e407cafd023a7debbceb9155ffb2"
    ),
    "ISBI2016_ISIC_Part3_Training_GroundTruth.csv": (
        "0ffadd63b7cec650cddfbe5df54d1d3167453fe6004c2bbf05824184b0c4d405"
    ),
}
_MAX_NAMED = 5

# The "size" in bytes and the "sha256" of a file.
FileRecord = dict[str, Any]


def fetch_isic2016(
    *,
    data_home: str | os.PathLike[str] | None = None,
    split: str = "train",
    image_size: int | tuple[int, int] | None = 256,
    as_paths: bool = False,
    download_if_missing: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Load the images of ISIC 2016, task 3; download them first if necessary.

    ==============   ===========================
    Samples          900 train, 379 test
    Classes          benign, malignant
    Malignant        173 train, 75 test
    Download         602 MB train, 232 MB test
    ==============   ===========================

    Parameters
    ----------
    data_home : path-like, default=None
        Folder for downloaded data sets. The files are stored in its sub-folder
        ``isic2016``. None means the folder of scikit-learn: the environment variable
        SCIKIT_LEARN_DATA, or ``~/scikit_learn_data``.
    split : {"train", "test"}, default="train"
        Which part to load. Only this part is downloaded.
    image_size : int, tuple (height, width) or None, default=256
        Size in pixels that the images are resized to (bicubic, antialiased; the
        aspect ratio is not kept). The sizes of the files differ, so that None is
        useful only with ``as_paths=True``.
    as_paths : bool, default=False
        If True, return the paths and decode nothing. `image_size` is then ignored.
    download_if_missing : bool, default=True
        If False, raise an error if the data are not in the folder.
    n_retries : int, default=3
        Number of attempts after the first one, for each file.
    delay : float, default=1.0
        Seconds between attempts.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, 3), uint8
        RGB images in [0, 255]. With ``as_paths=True``, ndarray of str of shape
        (n_samples,) with their paths.
    y : ndarray of str of shape (n_samples,)
        "benign" or "malignant".

    Raises
    ------
    OSError
        If the data cannot be downloaded, if the downloaded files are not those of the
        data set, or if files have changed since they were downloaded. The message says
        which files to download by hand and where to put them.
    FileNotFoundError
        If the folder of images exists and some images are missing.
    ValueError
        If `split`, `image_size`, `n_retries` or `delay` is invalid.

    See Also
    --------
    load_isic2016 : Load the images, or some of them, from any folder.

    Notes
    -----
    The files are downloaded from the addresses on the site of the challenge [1]_. An
    interrupted download is resumed, in the same call or in the next one. Files that
    you put into ``<data_home>/isic2016`` are used: the ground truth, and the archive or
    its unpacked folder.

    The challenge publishes no checksums. The two training files must have the SHA-256
    that they had in 2026; for the test files none is known. For all files, these are
    verified: the length that the server states; the CRC-32 of each image in the
    archive; the number of images, and of malignant images, in the ground truth; and
    that the archive contains all images. These checks find errors of the transfer. They
    cannot prove that the test files are the same as in 2016. The SHA-256 of each file
    is then written to a manifest (JSON) in the same folder, and every later call
    compares the files with it.

    All members of an archive are checked before the first one is written. An archive
    with absolute paths, "..", links or very large members is refused. Only the images
    that the ground truth lists are unpacked, into a folder that appears when it is
    complete. A downloaded archive is then deleted.

    The images are in the public domain (CC0).

    References
    ----------
    .. [1] https://challenge.isic-archive.com/data/#2016
    .. [2] D. Gutman, N. C. F. Codella, E. Celebi, B. Helba, M. Marchetti, N. Mishra
       and A. Halpern, "Skin lesion analysis toward melanoma detection: a challenge
       at the International Symposium on Biomedical Imaging (ISBI) 2016, hosted by
       the International Skin Imaging Collaboration (ISIC)", arXiv:1605.01397, 2016.

    Examples
    --------
    >>> from gansampler.datasets import fetch_isic2016
    >>> X, y = fetch_isic2016(image_size=64)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (900, 64, 64, 3)
    """
    stem = split_stem(split)
    check_image_size(image_size)
    _check_attempts(n_retries, delay)
    root = Path(get_data_home(data_home)) / "isic2016"
    root.mkdir(exist_ok=True)
    manifest = root / f"{stem}_Manifest.json"
    if manifest.exists():
        _check_files(root, manifest)
    else:
        # One process downloads; the others wait and then find the files.
        with filelock.FileLock(root / f".{stem}.lock"):
            if not manifest.exists():
                _fetch_split(
                    root, split, manifest, download_if_missing, n_retries, delay
                )
    return load_isic2016(root, split=split, image_size=image_size, as_paths=as_paths)


def _fetch_split(
    root: Path,
    split: str,
    manifest: Path,
    download_if_missing: bool,
    n_retries: int,
    delay: float,
) -> None:
    """Download the missing files, unpack them, and write the manifest."""
    stem = split_stem(split)
    truth = root / f"{stem}_GroundTruth.csv"
    folder = root / f"{stem}_Data"
    archive = root / f"{stem}_Data.zip"
    is_missing = {
        truth: not truth.exists(),
        archive: not (folder.exists() or archive.exists()),
    }
    missing = [path for path, is_absent in is_missing.items() if is_absent]
    if missing and not download_if_missing:
        raise _missing_files(missing, "`download_if_missing` is False")
    downloaded = {}
    if truth in missing:
        downloaded[truth.name] = _fetch(truth, missing, n_retries, delay)
    names = _check_truth(truth, split, truth in missing)
    if archive in missing:
        downloaded[archive.name] = _fetch(archive, missing, n_retries, delay)
    if not folder.exists():
        records = _unpack(archive, names, folder, archive in missing)
    else:
        load_isic2016(root, split=split, as_paths=True)  # checks for missing images
        records = {name: _record_of(folder / name) for name in names}
    files = {f"{folder.name}/{name}": known for name, known in records.items()}
    _write_manifest(manifest, files | {truth.name: _record_of(truth)}, downloaded)


def _check_attempts(n_retries: object, delay: object) -> None:
    if isinstance(n_retries, bool) or not at_least(0, int).is_satisfied_by(n_retries):
        raise ValueError(
            f"`n_retries` must be an int, 0 or more. Got {n_retries!r}. Pass 0 for a "
            "single attempt."
        )
    is_delay = at_least(0, float, below=np.inf).is_satisfied_by(delay)
    if isinstance(delay, bool) or not is_delay:
        raise ValueError(
            f"`delay` must be a number of seconds, 0 or more. Got {delay!r}."
        )


def _fetch(path: Path, missing: list[Path], n_retries: int, delay: float) -> FileRecord:
    try:
        download(_ADDRESS + path.name, path, n_retries=n_retries, delay=delay)
    except OSError as error:
        still_missing = [p for p in missing if not p.exists()]
        raise _missing_files(
            still_missing, f"downloading {path.name}: {error}"
        ) from error
    known = _record_of(path)
    expected = _SHA256.get(path.name, known["sha256"])
    if known["sha256"] != expected:
        raise _wrong_file(
            path, f"its SHA-256 is {known['sha256']}, not {expected}", True
        )
    return known


def _missing_files(missing: list[Path], reason: str) -> OSError:
    addresses = " and ".join(_ADDRESS + path.name for path in missing)
    return OSError(
        f"The ISIC 2016 data are not in {missing[0].parent} and could not be fetched "
        f"({reason}). Call again with a connection, which resumes the download; "
        f"or download by hand {addresses} and put "
        f"{'it' if len(missing) == 1 else 'them'}, as downloaded, into that folder."
    )


def _wrong_file(path: Path, reason: object, was_downloaded: bool) -> OSError:
    if was_downloaded:
        path.unlink(missing_ok=True)
    remedy = (
        "It was deleted: call again to download it again"
        if was_downloaded
        else f"Replace it by {_ADDRESS}{path.name}, or delete it to download it again"
    )
    return OSError(
        f"{path} must be the file that the challenge published, but {reason}. {remedy}."
    )


def _check_truth(truth: Path, split: str, was_downloaded: bool) -> list[str]:
    """Return the names of the image files; check that the ground truth is complete."""
    try:
        stems, labels = read_ground_truth(truth)
    except ValueError as error:
        raise _wrong_file(truth, f"it is not: {error}", was_downloaded) from error
    counts = len(set(stems)), labels.count("malignant")
    if counts != _COUNTS[split]:
        raise _wrong_file(
            truth,
            f"it lists {counts[0]} images, {counts[1]} of them malignant, instead of "
            f"{_COUNTS[split][0]} and {_COUNTS[split][1]}; load_isic2016 loads parts",
            was_downloaded,
        )
    strange = [stem for stem in stems if not re.fullmatch(r"[\w-]+", stem)]
    if strange:
        raise _wrong_file(truth, f"it names an image {strange[0]!r}", was_downloaded)
    return [f"{stem}.jpg" for stem in stems]


def _unpack(
    archive: Path, names: list[str], folder: Path, was_downloaded: bool
) -> dict[str, FileRecord]:
    try:
        records = unpack_images(archive, names, folder)
    except ValueError as error:
        raise _wrong_file(archive, error, was_downloaded) from error
    if was_downloaded:
        archive.unlink()
    return records


def _record_of(path: Path) -> FileRecord:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"size": file.tell(), "sha256": digest}


def _write_manifest(
    manifest: Path, files: dict[str, FileRecord], downloaded: dict[str, FileRecord]
) -> None:
    content = {
        "files": files,
        "downloaded": {_ADDRESS + name: known for name, known in downloaded.items()},
    }
    part = manifest.with_name(f"{manifest.name}.part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(manifest)


def _check_files(root: Path, manifest: Path) -> None:
    """Compare the files with the manifest."""
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        known = {name: dict(f) for name, f in files.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise OSError(
            f"{manifest} must be the list of the downloaded files, and is damaged. "
            f"Delete it, or delete {root} to download the files again."
        ) from error
    changed = [
        name
        for name, was in known.items()
        if not (root / name).is_file() or _record_of(root / name) != was
    ]
    if changed:
        named = ", ".join(changed[:_MAX_NAMED])
        raise OSError(
            f"{len(changed)} of {len(known)} files in {root} have changed since they "
            f"were downloaded: {named}{', ...' if len(changed) > _MAX_NAMED else ''}. "
            "Delete that folder and call again to download them again; if they were "
            "changed on purpose, load them with load_isic2016, or delete "
            f"{manifest.name}."
        )
