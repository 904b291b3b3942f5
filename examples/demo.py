"""Train both stages on drawn lesions and compare three ways to feed the classifier.

    python examples/demo.py [--out demo_output]

Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from _arms import print_table, resample_randomly, run_arms
from sklearn.model_selection import train_test_split

from gansampler import GANOverSampler, TransferClassifier, make_translator
from gansampler.datasets import make_lesions
from gansampler.inspection import plot_history, plot_translations

RANDOM_STATE = 0
N_EPOCHS = 20


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo_output"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()

    X, y = make_lesions(1200, weights=(0.85, 0.15), random_state=RANDOM_STATE)
    # Split first: neither translator nor classifier ever sees the test images.
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=400, stratify=y, random_state=RANDOM_STATE
    )
    print(f"{len(X_train)} training and {len(X_test)} test images of {X.shape[1:]}\n")

    translator = make_translator(
        "minutes", n_epochs=N_EPOCHS, horizontal_flip=True, vertical_flip=True
    )
    sampler = GANOverSampler(
        translator=translator, random_state=RANDOM_STATE, verbose=1
    )
    X_resampled, y_resampled = sampler.fit_resample(X_train, y_train)

    classifier = TransferClassifier(
        vertical_flip=True, random_state=RANDOM_STATE, verbose=1
    )
    arms = {
        "none": (X_train, y_train),
        "random over-sampling": resample_randomly(X_train, y_train, RANDOM_STATE),
        "gansampler": (X_resampled, y_resampled),
    }
    reports, _ = run_arms(arms, (X_test, y_test), classifier)
    print_table(reports)

    made = sampler.is_synthetic_
    plot_translations(
        X_train[sampler.sample_indices_[made]],
        X_resampled[made],
        X_train[y_train == "malignant"],
        titles=("real benign", "synthetic malignant", "real malignant"),
    ).savefig(out / "translations.png")
    history = sampler.translators_["malignant"].history_
    plot_history(history).savefig(out / "history.png")
    seconds = time.monotonic() - start
    print(f"\nPictures: {out}/translations.png and history.png. Took {seconds:.0f} s.")


if __name__ == "__main__":
    main()
