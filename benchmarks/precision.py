"""Does low precision cost quality? Loss curves and KID of bfloat16 and float32.

    python benchmarks/precision.py [--folder ham10000_128] [--seeds 4] [--epochs 8]
        [--json F] [--figure F]

CycleGAN is trained from the same seeds in both precisions, and translates in the
precision of its training. Held-out images of the minority class are compared with
translations of held-out images of the majority class by the kernel distance (KID;
Binkowski et al. 2018): the unbiased squared maximum mean discrepancy with the kernel
(x . y / d + 1)^3. The features are those of a classifier that was trained on the
training images only. The result is not comparable with KID of Inception features.

The folder holds `images/` and `labels.csv` with image_id and target. Without a folder,
drawn lesions are used.
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from gansampler import CycleGAN, Trainer, TransferClassifier
from gansampler.datasets import make_lesions
from gansampler.images import ImageSequence
from gansampler.quality import kernel_distance

PRECISIONS = ("32-true", "bf16-mixed")
SIDE = 32
N_TRAIN, N_HELD_OUT = 400, 250
SHOWN_LOSSES = ("adversarial_st", "cycle_source", "discriminator_t")


def load(folder: Path | None) -> dict[str, np.ndarray]:
    """Return training and held-out images of both classes."""
    n = N_TRAIN + N_HELD_OUT
    rng = np.random.default_rng(0)
    if folder is None:
        X, y = make_lesions(2 * n, weights=(0.5, 0.5), image_size=SIDE, random_state=0)
        domains = {0: X[y == "benign"], 1: X[y == "malignant"]}
    else:
        table = pd.read_csv(folder / "labels.csv")
        domains = {}
        for target in (0, 1):
            names = table.image_id[table.target == target].to_numpy()
            names = rng.permutation(names)[:n]
            paths = [str(folder / "images" / f"{name}.jpg") for name in names]
            images = ImageSequence(paths, (SIDE, SIDE, 3))
            domains[target] = images.take(np.arange(len(paths)))
    return {
        "source": domains[0][:N_TRAIN],
        "target": domains[1][:N_TRAIN],
        "held_out_source": domains[0][N_TRAIN:n],
        "held_out_target": domains[1][N_TRAIN:n],
    }


def train_features(data: dict[str, np.ndarray]) -> TransferClassifier:
    """Train the classifier whose features are compared."""
    X = np.concatenate([data["source"], data["target"]])
    y = np.repeat([0, 1], [len(data["source"]), len(data["target"])])
    return TransferClassifier(
        "shufflenet_v2_x0_5", weights=None, lr=1e-3, n_epochs=15, random_state=0
    ).fit(X, y)


def run(data: dict[str, np.ndarray], precision: str, seed: int, n_epochs: int) -> Any:
    """Train one translator; return it and the duration in seconds."""
    start = time.perf_counter()
    model = CycleGAN(
        ngf=16,
        ndf=16,
        n_blocks=3,
        horizontal_flip=True,
        n_epochs=n_epochs,
        batch_size=4,
        random_state=seed,
        trainer=Trainer(accelerator="cpu", precision=precision),
    ).fit(data["source"], data["target"])
    return model, time.perf_counter() - start


def difference_in_steps(model: CycleGAN, data: dict[str, np.ndarray]) -> float:
    """Return the mean difference of one model's translations in both precisions."""
    translations = []
    for precision in PRECISIONS:
        model.set_params(trainer__precision=precision)
        translations.append(model.translate(data["held_out_source"]).astype(float))
    return float(abs(translations[0] - translations[1]).mean())


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval."""
    mean, error = values.mean(), stats.sem(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error)
    return float(mean), float(low), float(high)


def draw(results: dict[str, Any], path: Path) -> None:
    """Save the loss curves: mean of the seeds, and their range."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(SHOWN_LOSSES), figsize=(10, 3), sharex=True)
    for axis, name in zip(axes, SHOWN_LOSSES, strict=True):
        for precision, colour in zip(
            PRECISIONS, ("tab:blue", "tab:orange"), strict=True
        ):
            curves = np.array(
                [
                    [h[name] for h in history]
                    for history in results["history"][precision]
                ]
            )
            epochs = np.arange(1, curves.shape[1] + 1)
            label = {"32-true": "float32", "bf16-mixed": "bfloat16"}[precision]
            axis.plot(epochs, curves.mean(0), color=colour, label=label)
            axis.fill_between(
                epochs, curves.min(0), curves.max(0), color=colour, alpha=0.2, lw=0
            )
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("epoch")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("mean loss of the epoch")
    axes[-1].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train, compare, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    data = load(args.folder)
    features = train_features(data)
    real = features.embed(data["held_out_target"])
    half = len(real) // 2
    results: dict[str, Any] = {
        "real_against_real": kernel_distance(real[:half], real[half:]),
        "untranslated": kernel_distance(features.embed(data["held_out_source"]), real),
        "kid": {precision: [] for precision in PRECISIONS},
        "steps_off": [],
        "seconds": {precision: [] for precision in PRECISIONS},
        "history": {precision: [] for precision in PRECISIONS},
    }
    print(f"held-out minority, half to half {results['real_against_real']:.3f}")
    print(f"untranslated majority {results['untranslated']:.3f}")
    for seed in range(args.seeds):
        for precision in PRECISIONS:
            model, seconds = run(data, precision, seed, args.epochs)
            translated = model.translate(data["held_out_source"])
            kid = kernel_distance(features.embed(translated), real)
            results["kid"][precision].append(kid)
            if precision == "bf16-mixed":
                results["steps_off"].append(difference_in_steps(model, data))
            results["seconds"][precision].append(seconds)
            results["history"][precision].append(model.history_)
            print(
                f"seed {seed}, {precision:>10}: KID {kid:.3f}, {seconds:.0f} s",
                flush=True,
            )
    kids = {p: np.array(values) for p, values in results["kid"].items()}
    for precision, values in kids.items():
        print(
            f"{precision:>10}: {values.mean():.3f}, deviation {values.std(ddof=1):.3f}"
        )
    mean, low, high = interval(kids["bf16-mixed"] - kids["32-true"])
    print(f"KID, bfloat16 minus float32: {mean:.4f}, 95 % {low:.4f} to {high:.4f}")
    print(
        "translations of one model in bfloat16 and in float32 differ by "
        f"{np.mean(results['steps_off']):.2f} of 255 steps on average"
    )
    for name in SHOWN_LOSSES:
        last = {
            p: np.array([history[-1][name] for history in results["history"][p]])
            for p in PRECISIONS
        }
        mean, low, high = interval(last["bf16-mixed"] - last["32-true"])
        spread = last["32-true"].std(ddof=1)
        print(
            f"last {name}: float32 {last['32-true'].mean():.4f}, deviation "
            f"{spread:.4f}; difference {mean:.4f}, {low:.4f} to {high:.4f}"
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")
    if args.figure:
        draw(results, args.figure)


if __name__ == "__main__":
    main()
