"""The command ``report``: how good the synthetic images of a folder are."""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

from PIL import Image

from gansampler._commands import make_say, say_end, wrap, write_report

MANIFEST = "manifest.csv"


def report_folders(args: argparse.Namespace, command: str) -> None:
    """Run the command `report`.

    Parameters
    ----------
    args : Namespace
        The parsed options.
    command : str
        The command as it was typed, for messages.

    Raises
    ------
    ValueError, TypeError, OSError
        If the data or the options are bad.
    ImportError
        If the pretrained weights are not installed.
    """
    start = time.monotonic()
    say = make_say(quiet=args.quiet)
    out = Path(args.out).expanduser()
    if out.is_dir():
        raise ValueError(
            f"--out must be the file to write. Got the folder {out}. Pass --out "
            f"{out / 'report.html'}."
        )
    if not out.parent.is_dir():
        raise ValueError(
            f"--out must be a file in an existing folder. Got {out}. Create "
            f"{out.parent} first."
        )
    folders = {
        option: Path(getattr(args, option)).expanduser()
        for option in ("source", "target", "synthetic")
    }
    source, target, synthetic = (
        _image_files(folder, f"--{option}") for option, folder in folders.items()
    )
    listed = _read_manifest(folders["synthetic"])
    parents = None
    if listed:
        new = [path for path in synthetic if path.name in listed]
        if len(new) < len(synthetic):
            say(
                wrap(
                    f"{folders['synthetic'].parent / MANIFEST} lists {len(new)} of the "
                    f"{len(synthetic)} images in {folders['synthetic']} as synthetic. "
                    "The others are left out."
                )
            )
        synthetic = new
        parents = _find_parents([listed[path.name] for path in new], source)
    say(
        f"{len(synthetic)} synthetic images, {len(target)} real images of the target, "
        f"and {len(source)} of the source",
        flush=True,
    )
    width = height = args.image_size
    if args.image_size is None:
        with Image.open(synthetic[0]) as image:
            width, height = image.size
    report = write_report(
        out,
        source,
        target,
        synthetic,
        parents=parents,
        labels=(folders["source"].resolve().name, folders["target"].resolve().name),
        image_shape=(height, width, 3),
        random_state=args.random_state,
        quiet=args.quiet,
    )
    say()
    # The result, which is not left out.
    make_say(quiet=False)(report)
    say()
    say(wrap(f"{out} explains this, with pictures. Open it in a browser."))
    say_end(say, start, command)


def _image_files(folder: Path, option: str) -> list[Path]:
    """Return the images of a folder, sorted by name."""
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise NotADirectoryError(
            f"{option} must be a folder of images. Got {folder}, which {state}."
        )
    formats = Image.registered_extensions()
    extensions = {name for name, kind in formats.items() if kind in Image.OPEN}
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in extensions
        and not path.name.startswith(".")
        and path.is_file()
    )
    if not paths:
        raise ValueError(
            f"{option} must be a folder of images. There is none in {folder}. Pass the "
            "folder of one class, such as photos/benign."
        )
    return paths


def _read_manifest(folder: Path) -> dict[str, str]:
    """Return the parents of the synthetic images that `balance` wrote to a folder.

    Returns
    -------
    parents : dict of str -> str
        Path of the parent by the name of the image. Empty without a manifest.
    """
    folder = folder.resolve()
    try:
        with (folder.parent / MANIFEST).open(newline="", encoding="utf-8") as file:
            rows = [(Path(row["path"]), row["parent"]) for row in csv.DictReader(file)]
    except (FileNotFoundError, KeyError, TypeError, UnicodeDecodeError):
        return {}
    return {
        path.name: parent for path, parent in rows if path.parent.name == folder.name
    }


def _find_parents(parents: list[str], source: list[Path]) -> list[int] | None:
    """Return the number of each parent in the source; None if one is not there."""
    rows = {path.name: row for row, path in enumerate(source)}
    names = [Path(parent).name for parent in parents]
    return [rows[name] for name in names] if rows.keys() >= set(names) else None
