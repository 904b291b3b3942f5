"""The table of an output folder's images, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gansampler.over_sampling._disk import replace_file
from gansampler.over_sampling._journal import Journal

__all__ = ["write_manifest"]

COLUMNS = ["path", "label", "parent", "parent_row", "translator", "seed", "score"]


def write_manifest(folder: Path, header: dict[str, Any], run: str) -> None:
    """Write ``manifest.csv`` and ``manifest.json`` from the journal, row by row.

    Parameters
    ----------
    folder : Path
    header : dict
        What the journal was begun with.
    run : str
        Fingerprint of the run.
    """
    replace_file(folder / "manifest.csv", _csv_lines(_rows(folder, header)))
    replace_file(folder / "manifest.json", _json_lines(_rows(folder, header), run))


def _rows(folder: Path, header: dict[str, Any]) -> Iterator[dict[str, Any]]:
    journal = Journal(folder)
    for name, described in header["classes"].items():
        records = journal.records(name)
        translators = (r["translator"] for r in records if "translator" in r)
        common = {"translator": next(translators), "seed": described["seed"]}
        for record in journal.chunks(name).values():
            for path, parent, row, *_, score in record["images"]:
                yield {
                    "path": path,
                    "label": described["label"],
                    "parent": parent,
                    "parent_row": row,
                    **common,
                    "score": score,
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
