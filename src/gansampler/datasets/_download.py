"""Download a file over HTTP, and resume an interrupted download."""

from __future__ import annotations

import re
import time
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

TIMEOUT = 30.0  # seconds without data
BLOCK_BYTES = 2**18
# Status codes that are worth another attempt.
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}


class _BrokenTransferError(OSError):
    """The connection or the server failed; the bytes received so far are kept."""


def download(url: str, path: Path, *, n_retries: int, delay: float) -> None:
    """Download a file.

    The file appears when it is complete. Until then its bytes are in
    ``<name>.part``. The next attempt, in this call or a later one, requests the
    remaining bytes only. In a terminal, a bar shows the progress.

    Parameters
    ----------
    url : str
    path : Path
        Path of the downloaded file. Its folder must exist.
    n_retries : int
        Number of attempts after the first one.
    delay : float
        Seconds between attempts.

    Raises
    ------
    OSError
        If the server cannot be reached, refuses, or disconnects at each attempt, or
        if the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    for attempts_left in reversed(range(n_retries + 1)):
        try:
            _receive(url, part)
            break
        except _BrokenTransferError:
            if not attempts_left:
                raise
            time.sleep(delay)
    part.replace(path)


def _receive(url: str, part: Path) -> None:
    """Complete the partial file."""
    n_present = part.stat().st_size if part.exists() else 0
    response = _open(url, n_present)
    if response is None:
        return
    with response:
        # A server without support for ranges sends the whole file.
        start, total = _extent(response, n_present)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            n_bytes = _copy(response, file, start, total, part.stem)
    if total is not None and n_bytes < total:
        raise _BrokenTransferError(
            f"the connection ended after {n_bytes} of {total} bytes"
        )


def _open(url: str, n_present: int) -> HTTPResponse | None:
    """Request the bytes from `n_present` on; return None if there are no more."""
    # The length that the server states must be that of the uncompressed file.
    headers = {"Accept-Encoding": "identity"}
    if n_present:
        headers["Range"] = f"bytes={n_present}-"
    try:
        return urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        with error:
            if error.code == 416 and n_present:
                if _total_length(error.headers) == n_present:
                    return None
                # The partial file is not the beginning of this file.
                return _open(url, 0)
            if error.code in TEMPORARY:
                raise _BrokenTransferError(str(error)) from error
            raise OSError(str(error)) from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise _BrokenTransferError(str(reason) or type(error).__name__) from error


def _extent(response: HTTPResponse, n_present: int) -> tuple[int, int | None]:
    """Return the position of the first byte of the response, and the file's length."""
    if response.status != 206:
        length = response.headers.get("Content-Length")
        return 0, int(length) if length and length.isdecimal() else None
    content_range = response.headers.get("Content-Range", "")
    match = re.match(r"bytes (\d+)-", content_range)
    if match is None or int(match[1]) != n_present:
        raise OSError(
            f"the server was asked for the bytes from {n_present} on and sent "
            f"{content_range or 'bytes without Content-Range'}"
        )
    return n_present, _total_length(response.headers)


def _total_length(headers: Message) -> int | None:
    match = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _copy(
    response: HTTPResponse, file: BinaryIO, start: int, total: int | None, name: str
) -> int:
    """Write the body of the response to the file; return the position after it."""
    with tqdm(
        desc=name,
        initial=start,
        total=total,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        dynamic_ncols=True,
        disable=None,  # shown in a terminal only
    ) as bar:
        while True:
            try:
                block = response.read(BLOCK_BYTES)
            except (OSError, HTTPException) as error:
                raise _BrokenTransferError(
                    f"the connection broke ({error or type(error).__name__})"
                ) from error
            if not block:
                return file.tell()
            file.write(block)
            bar.update(len(block))
