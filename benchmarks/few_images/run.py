"""Train translators for a fixed time, and measure what they make.

    python -m benchmarks.few_images.run --data FOLDER --settings "CycleGAN before"
        [--seconds 480] [--seeds 2]

A line per run is added to `results.jsonl`; runs that are there are skipped. The time is
that of the processor, so that other programs do not matter. Use one thread. The
generator of the best evaluation is kept. For each evaluation, the kernel distance to
the training images by which it is chosen is kept, and the one to images of the test
set.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.few_images.settings import SETTINGS
from benchmarks.processor_time import ProcessorTime
from gansampler import Trainer
from gansampler.datasets import load_isic2016
from gansampler.quality import FeatureExtractor, kernel_distance

RESULTS = Path(__file__).with_name("results.jsonl")
CACHE = Path(__file__).with_name("cache")
# No discriminator uses this network.
EXTRACTOR = FeatureExtractor("efficientnet_lite2", min_side=128)
N_EPOCHS, N_WATCHED = 10_000, 200


class Watch(ProcessorTime):
    """Measure a run on the way. The time of the measurements does not count.

    Parameters
    ----------
    seconds : float
        The run ends after these seconds.
    distance : callable
        Maps translated images to their distance to images of the test set.
    source : ndarray of uint8 of shape (n, height, width, n_channels)
        Images that are translated.
    """

    def __init__(self, seconds: float, distance: Callable, source: np.ndarray) -> None:
        super().__init__(seconds)
        self.distance, self.source = distance, source
        self.evaluations: list[list[float]] = []
        self.n_steps = 0

    def on_step_end(self, task, epoch, step) -> None:
        """Count the steps."""
        self.n_steps += 1

    def on_epoch_end(self, task, record) -> bool:
        """Measure when the translator does."""
        is_over = super().on_epoch_end(task, record)
        if "kernel_distance" in record:
            start = time.process_time()
            distance = self.distance(task.translate(self.source))
            figures = record["kernel_distance"], distance
            self.evaluations.append([round(float(figure), 4) for figure in figures])
            self.seconds += time.process_time() - start
        return is_over


def measure(images: np.ndarray, X, y, X_test, y_test) -> dict[str, float]:
    """Return the figures of translated benign images."""
    real, test = EXTRACTOR.transform(X), EXTRACTOR.transform(X_test)[y_test == 1]
    fake = EXTRACTOR.transform(images)
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1_000))
    n = int((y == 1).sum())
    detector = cross_val_score(
        linear,
        np.concatenate([fake[:n], real[y == 1]]),
        np.repeat([0, 1], n),
        scoring="roc_auc",
        cv=5,
    )
    p_real = cross_val_predict(linear, real, y, cv=5, method="predict_proba")[:, 1]
    linear.fit(real, y)
    return {
        "kid": kernel_distance(fake, test),
        "kid_untranslated": kernel_distance(real[y == 0], test),
        "detector_auc": float(detector.mean()),
        "p_malignant": float(linear.predict_proba(fake)[:, 1].mean()),
        "p_malignant_real": float(p_real[y == 1].mean()),
        "change": float(np.abs(images.astype(float) - X[y == 0]).mean()),
    }


def main() -> None:
    """Do the runs that are not done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS))
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    folder = args.data / "isic2016"
    (X, y), (X_test, y_test) = (
        load_isic2016(folder, split=split, image_size=64) for split in ("train", "test")
    )
    y, y_test = ((np.asarray(z) == "malignant").astype(int) for z in (y, y_test))
    test_features = EXTRACTOR.transform(X_test)[y_test == 1]

    def distance_to_test(images: np.ndarray) -> float:
        return kernel_distance(EXTRACTOR.transform(images), test_features)

    done = set()
    if RESULTS.exists():
        lines = map(json.loads, RESULTS.read_text().splitlines())
        done = {(line["settings"], line["seed"], line["seconds"]) for line in lines}
    CACHE.mkdir(exist_ok=True)
    for seed in range(args.seeds):
        for name in args.settings:
            if (name, seed, args.seconds) in done:
                continue
            # Files are sorted by place: some rows at random.
            watched = np.random.default_rng(0).permutation(X[y == 0])[:N_WATCHED]
            watch = Watch(args.seconds, distance_to_test, watched)
            translator = SETTINGS[name](
                n_epochs=N_EPOCHS,
                patience=N_EPOCHS,
                trainer=Trainer(callbacks=[watch]),
                random_state=seed,
            )
            translator.fit(X[y == 0], X[y == 1])
            images = translator.translate(X[y == 0])
            found = measure(images, X, y, X_test, y_test)
            line = {"settings": name, "seed": seed, "seconds": args.seconds}
            line |= {"n_steps": watch.n_steps}
            line |= {key: round(value, 4) for key, value in found.items()}
            line["evaluations"] = watch.evaluations
            with RESULTS.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)
            rows = [X[y == 0][:12], images[:12]]
            picture = np.concatenate([np.concatenate(list(row), 1) for row in rows])
            stem = (
                f"{name.replace(', ', '-').replace(' ', '-')}-{args.seconds:g}-{seed}"
            )
            Image.fromarray(picture).resize((1536, 256), 0).save(CACHE / f"{stem}.png")
            np.save(CACHE / f"{stem}.npy", images)


if __name__ == "__main__":
    main()
