"""The table of the images in an output folder, as CSV and as JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gansampler.over_sampling._samples import Rejection
from gansampler.over_sampling.output._disk import write_file
from gansampler.over_sampling.output._journal import Journal
from gansampler.over_sampling.output._names import (
    MANIFEST_CSV,
    MANIFEST_JSON,
    REJECTED_CSV,
)

COLUMNS = [
    "path",
    "label",
    "parent",
    "parent_row",
    "translator",
    "finished",
    "seed",
    "score",
]
# Of mixtures.
FURTHER_COLUMNS = ["context", "context_row", "share"]


def write_manifest(
    folder: Path, classes: Mapping[str, dict[str, Any]], run: str
) -> None:
    """Write ``manifest.csv`` and ``manifest.json`` from the journal, row by row.

    Parameters
    ----------
    folder : Path
    classes : mapping of str -> dict
        ``label`` and ``seed`` of each class folder.
    run : str
        Fingerprint of the run.
    """
    lines = {
        MANIFEST_CSV: _csv_lines(_rows(folder, classes)),
        MANIFEST_JSON: _json_lines(_rows(folder, classes), run),
    }
    for name, text in lines.items():
        # Paths that are not valid text keep their bytes.
        parts = (line.encode(errors="surrogateescape") for line in text)
        write_file(folder / name, parts)


def write_rejected(
    folder: Path, rejections: Sequence[tuple[object, Rejection]]
) -> None:
    """Write ``rejected.csv``, the candidates that quality filters rejected.

    Parameters
    ----------
    folder : Path
    rejections : sequence of tuple (label, Rejection)
    """
    rows = ({"label": label} | found._asdict() for label, found in rejections)
    text = _csv_lines(rows, ["label", *Rejection._fields])
    write_file(
        folder / REJECTED_CSV,
        (line.encode(errors="surrogateescape") for line in text),
    )


def _rows(
    folder: Path, classes: Mapping[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    journal = Journal(folder)
    for name, described in classes.items():
        translator = journal.translator(name)
        if translator is None:
            continue
        for chunk in journal.chunks(name).values():
            for image in chunk.images:
                row = {
                    "path": image.path,
                    "label": described["label"],
                    "parent": image.parent,
                    "parent_row": image.parent_row,
                    "translator": translator.translator,
                    # False if the training of the translator was stopped.
                    "finished": translator.finished,
                    "seed": described["seed"],
                    "score": image.score,
                }
                if image.share is not None:
                    row |= {name: getattr(image, name) for name in FURTHER_COLUMNS}
                yield row


def _csv_lines(
    rows: Iterator[dict[str, Any]], columns: Sequence[str] = COLUMNS
) -> Iterator[str]:
    # A writer returns what the method `write` of its file returns: the line.
    lines: Any = SimpleNamespace(write=str)
    first = next(rows, None)
    columns = columns if first is None else list(first)
    writer = csv.DictWriter(lines, columns, lineterminator="\n")
    yield writer.writeheader()
    if first is not None:
        yield writer.writerow(first)
    for row in rows:
        yield writer.writerow(row)


def _json_lines(rows: Iterator[dict[str, Any]], run: str) -> Iterator[str]:
    yield f'{{"run": {json.dumps(run)}, "images": ['
    separator = "\n"
    for row in rows:
        yield separator + json.dumps(row, ensure_ascii=False)
        separator = ",\n"
    yield "\n]}\n"
