"""Write the tables and plots of `docs/evidence.md` from the runs in `results/`.

python -m benchmarks.evidence.report [--out docs/_evidence]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from benchmarks.evidence.arms import ARMS
from benchmarks.evidence.intervals import Comparison, Scores
from benchmarks.evidence.run import RESULTS, name_of

OUT = Path(__file__).parents[2] / "docs" / "_evidence"
BASELINES = ("none", "random over-sampling")
Key = tuple[str, str, int, str]


def read_runs() -> list[dict[str, Any]]:
    """Return the lines of results, each run once."""
    lines = (RESULTS / "runs.jsonl").read_text().splitlines()
    runs = {name_of(run): run for run in map(json.loads, lines)}
    return list(runs.values())


def group(
    runs: list[dict[str, Any]],
) -> dict[Key, dict[str, list[tuple[dict[str, float], Scores]]]]:
    """Return figures and scores by (test, ruler, size, classifier), and by arm."""
    tables: dict[Key, Any] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        with np.load(RESULTS / "scores" / f"{name_of(run)}.npz") as arrays:
            for test, figures in run["tests"].items():
                scores = Scores(
                    run["seed"],
                    run["generator_seed"],
                    arrays[test].astype(float),
                    arrays[f"{test} labels"],
                )
                key = test, run["ruler"], run["size"], run["classifier"]
                tables[key][run["arm"]].append((figures, scores))
    return tables


def summarise(
    arms: dict[str, list[tuple[dict[str, float], Scores]]], *, same_images: bool
) -> dict[str, dict[str, Any]]:
    """Return the figures of each arm: means over seeds, and paired intervals."""
    runs = {arm: [scores for _, scores in arms[arm]] for arm in ARMS if arm in arms}
    comparison = Comparison(runs, same_images=same_images)
    means = {
        arm: {
            name: np.mean([f[name] for f, _ in arms[arm]]) for name in arms[arm][0][0]
        }
        for arm in runs
    }
    found = {}
    for arm in runs:
        aucs = [figures["auc"] for figures, _ in arms[arm]]
        row: dict[str, Any] = means[arm] | {"n_seeds": len(aucs)}
        row["spread"] = np.std(aucs, ddof=1) if len(aucs) > 1 else np.nan
        if same_images:
            averaged = np.mean([run.scores for run in runs[arm]], axis=0)
            row["averaged"] = roc_auc_score(runs[arm][0].labels, averaged)
        for baseline in BASELINES:
            if baseline in runs and arm != baseline:
                row[f"gain over {baseline}"] = comparison.gain(arm, baseline)
        found[arm] = row
    return found


def write_table(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """Write a table in Markdown."""
    heads = ["arm", "seeds", "AUC (sd)", "gain over none", "gain over random o.-s."]
    heads += ["averaged", "AP", "sens. at spec. .8", "Brier"]
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for arm, row in rows.items():
        gains = [_show_gain(row.get(f"gain over {name}")) for name in BASELINES]
        cells = [
            arm,
            str(row["n_seeds"]),
            f"{_show(row['auc'])} ({_show(row['spread'])})",
            *gains,
            _show(row.get("averaged")),
            _show(row["average_precision"]),
            _show(row["sensitivity_at_specificity_0.8"]),
            _show(row["brier"]),
        ]
        lines.append(" | ".join(cells))
    path.write_text("".join(f"| {line} |\n" for line in lines))


def _show(value: float | None) -> str:
    if value is None or np.isnan(value):
        return ""
    return f"{value:.3f}".replace("0.", ".", 1)


def _show_gain(gain: tuple[float, float, float] | None) -> str:
    if gain is None:
        return ""
    value, low, high = (f"{x:+.3f}".replace("0.", ".", 1) for x in gain)
    excludes_zero = gain[1] > 0 or gain[2] < 0
    text = f"{value} [{low}, {high}]"
    return f"**{text}**" if excludes_zero else text


def plot(path: Path, title: str, rows: dict[str, dict[str, Any]]) -> None:
    """Plot the gains over "none" with their intervals."""
    arms = [arm for arm in rows if "gain over none" in rows[arm]]
    figure = Figure(figsize=(7, 0.8 + 0.28 * len(arms)), layout="constrained")
    axes = figure.subplots()
    for i, arm in enumerate(reversed(arms)):
        gain, low, high = rows[arm]["gain over none"]
        decided = low > 0 or high < 0
        colour = "tab:blue" if decided else "grey"
        axes.plot([low, high], [i, i], color=colour, linewidth=2)
        axes.plot(gain, i, "o", color=colour)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(arms)), list(reversed(arms)))
    axes.set_xlabel('gain in AUC over "none", with 95 % interval')
    axes.set_title(f"{title}: {rows['none']['auc']:.3f} without over-sampling")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Write everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--half", default="report", choices=("report", "choice"))
    args = parser.parse_args()
    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    for (test, ruler, size, classifier), arms in sorted(group(read_runs()).items()):
        is_choice = test.endswith("choice")
        if len(arms.get("none", ())) < 2 or is_choice != (args.half == "choice"):
            continue
        # One seed shows no spread, and has no honest interval.
        arms = {arm: runs for arm, runs in arms.items() if len(runs) > 1}
        rows = summarise(arms, same_images=ruler == "isic")
        name = f"{test}-{ruler}-{size}-{classifier}".replace(" ", "-")
        write_table(out / f"{name}.md", rows)
        plot(out / f"{name}.png", f"Ruler {test.split()[0]}, {size} px", rows)
        print(f"{name}: {len(arms)} arms")


if __name__ == "__main__":
    main()
