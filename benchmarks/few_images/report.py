"""Print `results.jsonl` as a table.

    python -m benchmarks.few_images.report [--seconds 480]

The last column shows whether the kernel distance to the training images, by which a
generator is chosen, orders the generators of a run as the distance to images of the
test set does.
"""

from __future__ import annotations

import argparse
import json
from itertools import groupby
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.few_images.run import RESULTS

COLUMNS = {
    "n_steps": ("steps", "{:.0f}"),
    "kid": ("kernel distance", "{:.3f}"),
    "last": ("of the last generator", "{:.3f}"),
    "detector_auc": ("detector", "{:.3f}"),
    "p_malignant": ("found malignant", "{:.3f}"),
    "correlation": ("rank correlation", "{:.2f}"),
}


def add_evaluations(line: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the figures of its evaluations; some have none."""
    if not line["evaluations"]:
        return line | {"last": np.nan, "correlation": np.nan}
    chosen_by, on_test = np.transpose(line["evaluations"])
    correlation = spearmanr(chosen_by, on_test).statistic
    return line | {"last": on_test[-1], "correlation": correlation}


def to_table(lines: list[dict[str, Any]]) -> str:
    """Return a Markdown table, with one row per settings; all seeds are shown."""
    names = [name for name, _ in COLUMNS.values()]
    rows = [["settings", *names], ["---"] * (1 + len(names))]
    lines = sorted(lines, key=lambda line: (line["settings"], line["seed"]))
    groups = {
        name: list(group) for name, group in groupby(lines, lambda x: x["settings"])
    }
    distances = {name: np.mean([x["kid"] for x in groups[name]]) for name in groups}
    for name in sorted(groups, key=lambda name: distances[name]):
        cells = [
            ", ".join(text.format(line[key]) for line in groups[name])
            for key, (_, text) in COLUMNS.items()
        ]
        rows.append([name, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=480)
    args = parser.parse_args()
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    chosen = [line for line in lines if line["seconds"] == args.seconds]
    print(to_table([add_evaluations(line) for line in chosen]))


if __name__ == "__main__":
    main()
