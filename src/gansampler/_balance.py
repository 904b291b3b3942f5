"""The command ``balance``: from a folder of images to a balanced folder."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gansampler import __version__
from gansampler._commands import (
    make_say,
    read_folder,
    say_end,
    wrap,
    write_report,
)

# Hidden: loaders of image folders that skip hidden files ignore them. Loaders that do
# not skip hidden folders find none after the end, when the checkpoints are removed.
CHECKPOINTS = ".checkpoints"
RECORD = ".gansampler-command.json"
SECONDS_BETWEEN_CHECKPOINTS = 60.0
PICTURE = "translations.png"
# Of the picture, in pixels.
MIN_WIDTH, FONT_SIZE, LINE, GAP = 128, 15, 22, 16


def balance_folder(args: argparse.Namespace, command: str) -> None:
    """Run the command `balance`.

    Parameters
    ----------
    args : Namespace
        The parsed options.
    command : str
        The command as it was typed, for messages.

    Raises
    ------
    ValueError, TypeError, OSError, GANSamplerError
        If the data or the options are bad.
    """
    start = time.monotonic()
    out = Path(args.out).expanduser()
    say = make_say(quiet=args.quiet)
    paths, y = read_folder(args.root, say)
    _check_folders(Path(args.root).expanduser(), out)
    request = _describe(args, paths.tolist())
    if _read_record(out) == request:
        say(
            f"{out} already has the result of this command. Nothing was done. To make "
            "it again, delete the folder."
        )
        return
    # They take seconds to import.
    from gansampler import GANOverSampler, Trainer, make_translator

    say("Ctrl-C stops this, and the same command continues it.", flush=True)
    checkpoints = out / CHECKPOINTS
    trainer = Trainer(
        checkpoint_dir=checkpoints, checkpoint_every=SECONDS_BETWEEN_CHECKPOINTS
    )
    sampler = GANOverSampler(
        sampling_strategy=args.sampling_strategy,
        translator=make_translator(args.budget, trainer=trainer),
        image_shape=(args.image_size, args.image_size, 3),
        output_dir=out,
        on_error="skip",
        random_state=args.random_state,
        verbose=int(not args.quiet),
    )
    resampled, labels = sampler.fit_resample(paths, y)
    new = sampler.is_synthetic_
    if not args.synthetic_only:
        synthetic = list(zip(resampled[new], labels[new], strict=True))
        originals = zip(resampled[~new], labels[~new], strict=True)
        _add_originals(out, list(originals), synthetic)
    if sampler.examples_:
        _draw_examples(sampler.examples_).save(out / PICTURE)
    reports = _write_reports(args, out, sampler, resampled, labels)
    is_finished = all(
        getattr(translator, "is_finished_", True)
        for translator in sampler.translators_.values()
    )
    if is_finished:
        shutil.rmtree(checkpoints, ignore_errors=True)
        (out / RECORD).write_text(json.dumps(request))
    counts = Counter(labels[~new].tolist()), Counter(labels.tolist())
    for line in _summarize(args, out, *counts, reports, is_finished=is_finished):
        say(line)
    say_end(say, start, command)


def _check_folders(root: Path, out: Path) -> None:
    if root.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(
            f"--out must be outside of ROOT, whose folders are the classes. Got {out} "
            f"and {root}. Pass another folder, such as --out balanced."
        )


def _describe(args: argparse.Namespace, paths: Sequence[str]) -> dict[str, Any]:
    """Return what the result follows from, in JSON."""
    names = (
        "budget",
        "image_size",
        "sampling_strategy",
        "random_state",
        "synthetic_only",
    )
    digest = hashlib.blake2b(digest_size=16)
    for path in map(Path, paths):
        status = path.stat()
        name = f"{path.parent.name}/{path.name}"
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    described = {name: getattr(args, name) for name in names}
    return {**described, "originals": digest.hexdigest(), "version": __version__}


def _read_record(out: Path) -> Any:
    """Return the description of the command that has finished; None before."""
    try:
        return json.loads((out / RECORD).read_text())
    except (OSError, ValueError):
        return None


def _add_originals(
    out: Path, originals: list[tuple[str, str]], synthetic: list[tuple[str, str]]
) -> None:
    """Copy the originals to the class folders."""
    taken = {os.path.normcase(Path(path).absolute()) for path, _ in synthetic}
    # The folders of synthetic images have names that are valid on every system.
    folders = {label: Path(path).parent.name for path, label in synthetic}
    for label in sorted({label for _, label in originals}):
        name, number = label, 1
        others = {other.lower() for key, other in folders.items() if key != label}
        while label not in folders and name.lower() in others:
            number += 1
            name = f"{label}-{number}"
        folder = out / folders.setdefault(label, name)
        folder.mkdir(exist_ok=True)
    for text, label in originals:
        path = Path(text).resolve()
        target = out / folders[label] / Path(text).name
        while os.path.normcase(target.absolute()) in taken:
            target = target.with_stem(f"{target.stem}-original")
        _copy(path, target)


def _copy(path: Path, target: Path) -> None:
    if target.exists():
        old, new = target.stat(), path.stat()
        if (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
            return
    # A command that is killed leaves no half of a file.
    temporary = target.with_name(f".{os.getpid()}.tmp")
    shutil.copy2(path, temporary)
    temporary.replace(target)


def _write_reports(
    args: argparse.Namespace,
    out: Path,
    sampler: Any,
    resampled: np.ndarray,
    labels: np.ndarray,
) -> list[str]:
    """Write a page about the quality of each class that grew.

    Returns
    -------
    lines : list of str
        Where the pages are, or why there are none.
    """
    new, rows = sampler.is_synthetic_, sampler.sample_indices_
    lines = []
    grown = sorted(set(labels[new].tolist()))
    label_of = dict(zip(rows[~new].tolist(), labels[~new].tolist(), strict=True))
    for label in grown:
        chosen = new & (labels == label)
        sources = sorted({label_of[row] for row in rows[chosen].tolist()})
        is_source = ~new & np.isin(labels, sources)
        number = {row: i for i, row in enumerate(rows[is_source].tolist())}
        folder = Path(resampled[chosen][0]).parent.name
        name = "report.html" if len(grown) == 1 else f"report-{folder}.html"
        try:
            write_report(
                out / name,
                resampled[is_source],
                resampled[~new & (labels == label)],
                resampled[chosen],
                parents=[number[row] for row in rows[chosen].tolist()],
                labels=(" and ".join(sources), label),
                image_shape=(args.image_size, args.image_size, 3),
                random_state=args.random_state,
                quiet=args.quiet,
            )
        except ImportError as error:
            reason = " ".join(str(error).split())
            return [f"There is no report on the quality of the images: {reason}"]
        lines.append(f"{out / name} says how good the synthetic images are.")
    return lines


def _summarize(
    args: argparse.Namespace,
    out: Path,
    before: Counter[str],
    after: Counter[str],
    reports: list[str],
    *,
    is_finished: bool,
) -> Iterator[str]:
    """Yield the lines of the summary."""
    width = max(len("class"), *map(len, after))
    yield ""
    yield f"{'class':<{width}}  before  after"
    for label in sorted(after):
        yield f"{label:<{width}}  {before[label]:>6}  {after[label]:>5}"
    n_new = after.total() - before.total()
    size = f"{args.image_size} x {args.image_size} px"
    yield ""
    text = (
        f"{out} has {n_new} synthetic images of {size} in a folder per class. The "
        "originals are not in it."
    )
    if not args.synthetic_only:
        text = (
            f"{out} has all images in a folder per class: copies of {before.total()} "
            f"originals, and {n_new} synthetic images of {size}. To train on them, "
            "load all in this size."
        )
    yield wrap(text)
    yield ""
    if n_new:
        text = f"{out / PICTURE} shows some originals above their translations."
        if is_finished and args.budget == "minutes":
            text += (
                " If these do not look like images of their class, try --budget hours "
                "and another --out."
            )
        yield wrap(text)
    yield from reports
    yield f"{out / 'manifest.csv'} lists the synthetic images with their parents."
    if not is_finished:
        text = (
            "The training was stopped at its time limit. The same command continues "
            "it and replaces the synthetic images. If they are good enough, delete "
            f"{out / CHECKPOINTS}."
        )
        yield wrap(text)


def _draw_examples(examples: Mapping[str, Any]) -> Image.Image:
    """Return a picture with sources above their translations, for each class."""
    rows: list[tuple[str, Image.Image]] = []
    for label, shown in examples.items():
        sources = ", ".join(sorted(set(shown.source_labels.tolist())))
        rows.append((f"originals: {sources}", _side_by_side(shown.source)))
        rows.append((f"translated to: {label}", _side_by_side(shown.translated)))
    font = ImageFont.load_default(FONT_SIZE)
    # The font has no other characters.
    captions = [text.encode("latin-1", "replace").decode("latin-1") for text, _ in rows]
    width = max(row.width for _, row in rows)
    width = max(width, *(GAP + int(font.getlength(text)) for text in captions))
    # A gap after each pair, but for the last one.
    height = sum(LINE + row.height for _, row in rows) + GAP * (len(examples) - 1)
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    top = 0
    for number, (text, (_, row)) in enumerate(zip(captions, rows, strict=True)):
        draw.text((2, top + 1), text, "black", font)
        picture.paste(row, (0, top + LINE))
        top += LINE + row.height + GAP * (number % 2)
    return picture


def _side_by_side(images: np.ndarray) -> Image.Image:
    """Join images of uint8 to a row; each is enlarged if it is small."""
    row = Image.fromarray(np.concatenate(list(images), axis=1))
    factor = -(-MIN_WIDTH // images.shape[2])
    size = (factor * row.width, factor * row.height)
    return row.resize(size, Image.Resampling.NEAREST)
