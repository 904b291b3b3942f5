"""The table of the images in an output folder, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gansampler.over_sampling.output._disk import replace_file
from gansampler.over_sampling.output._journal import Journal
from gansampler.over_sampling.output._names import MANIFEST_CSV, MANIFEST_JSON

__all__ = ["write_manifest"]

COLUMNS = ["path", "label", "parent", "parent_row", "translator", "seed", "score"]


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
    replace_file(folder / MANIFEST_CSV, _csv_lines(_rows(folder, classes)))
    replace_file(folder / MANIFEST_JSON, _json_lines(_rows(folder, classes), run))


def _rows(
    folder: Path, classes: Mapping[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    journal = Journal(folder)
    for name, described in classes.items():
        translator = journal.translator(name)
        for chunk in journal.chunks(name).values():
            for image in chunk.images:
                yield {
                    "path": image.path,
                    "label": described["label"],
                    "parent": image.parent,
                    "parent_row": image.parent_row,
                    "translator": translator,
                    "seed": described["seed"],
                    "score": image.score,
                }


def _csv_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _json_lines(rows: Iterator[dict[str, Any]], run: str) -> Iterator[str]:
    yield f'{{"run": {json.dumps(run)}, "images": ['
    separator = "\n"
    for row in rows:
        yield separator + json.dumps(row, ensure_ascii=False)
        separator = ",\n"
    yield "\n]}\n"
