"""Train and test the arms, and add one line per run to `results/`.

    python -m benchmarks.evidence.run --data FOLDER [--rulers isic ham-150]
        [--arms none CMO] [--seeds 5] [--size 64] [--classifier fine-tuned] [--part 1/2]

Runs that are in `results/` are skipped. To use several processes, give each a part.
The scores of the test images are kept as well, for paired intervals.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    roc_auc_score,
    roc_curve,
)

from benchmarks.evidence import rulers
from benchmarks.evidence.arms import (
    ARMS,
    FINE_TUNED_ONLY,
    GENERATED,
    LINEAR_ONLY,
    Task,
)
from benchmarks.evidence.classifiers import CLASSIFIERS

RESULTS = Path(__file__).with_name("results")
N_GENERATORS = 3
PACKAGES = ("gansampler", "torch", "torchvision", "timm", "scikit-learn")


def figures(y: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return the figures of a test set, rounded."""
    false_positive_rate, sensitivity, _ = roc_curve(y, scores)
    found = {
        "auc": roc_auc_score(y, scores),
        "average_precision": average_precision_score(y, scores),
        "sensitivity_at_specificity_0.8": sensitivity[false_positive_rate <= 0.2].max(),
        "brier": brier_score_loss(y, expit(scores)),
    }
    return {name: round(float(value), 5) for name, value in found.items()}


def list_runs(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the runs that are asked for. A stopped list has as many seeds of each arm.

    Parameters
    ----------
    args : Namespace

    Yields
    ------
    run : dict
    """
    excluded = LINEAR_ONLY if args.classifier == "fine-tuned" else FINE_TUNED_ONLY
    for seed in range(args.seeds):
        for arm in args.arms:
            for ruler in args.rulers:
                if arm in excluded:
                    continue
                yield {
                    "ruler": ruler,
                    "size": args.size,
                    "classifier": args.classifier,
                    "arm": arm,
                    "seed": seed,
                    "generator_seed": seed % N_GENERATORS if arm in GENERATED else None,
                }


def name_of(run: dict[str, Any]) -> str:
    """Return the name of a run, which is also that of its file."""
    arm = run["arm"].replace(":", "").replace(" ", "-")
    return f"{run['ruler']}_{run['size']}_{run['classifier']}_{arm}_{run['seed']}"


def do(run: dict[str, Any], data: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train and test; return the line of results, and scores and labels."""
    start = time.monotonic()
    # The draws of HAM10000 differ between the seeds, ISIC 2016 is always the same.
    ruler = rulers.load(run["ruler"], run["seed"], run["size"], data)
    fit, n = CLASSIFIERS[run["classifier"]]
    task = Task(
        ruler.X,
        ruler.y,
        n,
        # Not of the seed alone: arms would draw the same images otherwise.
        np.random.default_rng([run["seed"], zlib.crc32(run["arm"].encode())]),
        run["generator_seed"] or 0,
    )
    scores = fit(ARMS[run["arm"]](task), ruler.tests, run["seed"])
    tests = {name: figures(y, scores[name]) for name, (_, y) in ruler.tests.items()}
    seconds = round(time.monotonic() - start, 1)
    # With the labels, intervals can be computed without the images.
    arrays = {name: values.astype(np.float16) for name, values in scores.items()}
    labels = {f"{name} labels": y.astype(bool) for name, (_, y) in ruler.tests.items()}
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    line = run | {"tests": tests, "seconds": seconds, "versions": versions}
    return line, arrays | labels


def main() -> None:
    """Do the runs that are not done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--rulers", nargs="+", default=["isic", "ham-150"], choices=rulers.names()
    )
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--classifier", default="fine-tuned", choices=list(CLASSIFIERS))
    parser.add_argument("--part", default="1/1")
    args = parser.parse_args()
    part, n_parts = map(int, args.part.split("/"))
    (RESULTS / "scores").mkdir(parents=True, exist_ok=True)
    for run in list(list_runs(args))[part - 1 :: n_parts]:
        path = RESULTS / "scores" / f"{name_of(run)}.npz"
        if path.exists():
            continue
        line, scores = do(run, args.data)
        with (RESULTS / "runs.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        np.savez_compressed(path, allow_pickle=False, **scores)
        aucs = {name: found["auc"] for name, found in line["tests"].items()}
        print(f"{name_of(run)}: {aucs}, {line['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
