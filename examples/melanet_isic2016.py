"""The paper's two stages on the paper's images, with the figures that are true.

    python examples/melanet_isic2016.py --data DIR [--image-size 256] \
        [--max-time SECONDS] [--out isic2016_output]

DIR holds the ISIC 2016 challenge, task 3, as it is published. With a time limit the
networks are small, so that minutes on a CPU show something; without one they are
those of the paper (`gansampler.make_melanet`), which want a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from functools import partial
from pathlib import Path

from _arms import print_table, resample_randomly, run_arms
from imblearn.pipeline import Pipeline

from gansampler import (
    CycleGAN,
    GANOverSampler,
    Trainer,
    TransferClassifier,
    make_melanet,
)
from gansampler.datasets import load_isic2016
from gansampler.exceptions import TrainingStoppedWarning, WeightsDownloadError
from gansampler.inspection import plot_history, plot_translations
from gansampler.networks import ResNetGenerator


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--image-size", type=int, default=256, metavar="PX")
    parser.add_argument(
        "--max-time",
        type=float,
        metavar="SECONDS",
        help="limit on the training of the translator",
    )
    parser.add_argument(
        "--weights",
        default="DEFAULT",
        help="of the backbone: a torchvision name, a path to a state dict, or 'none'",
    )
    parser.add_argument(
        "--n-epochs", type=int, default=25, help="of the classifier, with --max-time"
    )
    parser.add_argument("--out", type=Path, default=Path("isic2016_output"))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def build(arguments: argparse.Namespace, weights: str | None) -> Pipeline:
    """Return sampler and classifier: the paper's, or small ones under a time limit."""
    if arguments.max_time is None:
        return make_melanet(
            image_size=arguments.image_size,
            weights=weights,
            random_state=arguments.seed,
            ganoversampler__sampling_strategy="auto",
            ganoversampler__verbose=1,
            transferclassifier__verbose=1,
        )
    # For minutes, not hours: a generator that draws a change to its input, and little
    # weight on giving the input back.
    translator = CycleGAN(
        generator=partial(ResNetGenerator, ngf=24, n_blocks=4, global_skip=True),
        ndf=32,
        lr=3e-4,
        lambda_cycle=2.0,
        lambda_identity=0.0,
        horizontal_flip=True,
        vertical_flip=True,
        trainer=Trainer(max_time=arguments.max_time),
    )
    sampler = GANOverSampler(
        translator=translator, random_state=arguments.seed, verbose=1
    )
    classifier = TransferClassifier(
        weights=weights,
        n_epochs=arguments.n_epochs,
        class_weight="balanced",
        vertical_flip=True,
        random_state=arguments.seed,
        verbose=1,
    )
    return Pipeline([("ganoversampler", sampler), ("transferclassifier", classifier)])


def usable_weights(pipeline: Pipeline, weights: str) -> str | None:
    """Return the weights, or None (said aloud) where they cannot be downloaded."""
    if weights == "none":
        return None
    from gansampler import build_classifier

    try:
        backbone = pipeline.named_steps["transferclassifier"].backbone
        build_classifier(backbone, 2, weights=weights)
    except WeightsDownloadError as error:
        print(f"{error}\nGoing on WITHOUT pretrained weights.\n")
        return None
    return weights


def main() -> None:
    """Run the experiment."""
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    train, test = (
        load_isic2016(arguments.data, split=split, image_size=arguments.image_size)
        for split in ("train", "test")
    )
    weights = usable_weights(build(arguments, None), arguments.weights)
    sampler, classifier = (step for _, step in build(arguments, weights).steps)

    with warnings.catch_warnings():
        # The time limit was asked for.
        warnings.simplefilter("ignore", TrainingStoppedWarning)
        resampled = sampler.fit_resample(*train)
    arms = {
        "none": train,
        "random over-sampling": resample_randomly(*train, arguments.seed),
        "gansampler": resampled,
    }
    reports, models = run_arms(arms, test, classifier)
    print_table(reports)
    print("\ngansampler, in full:\n")
    print(reports["gansampler"])

    made, (X, y) = sampler.is_synthetic_, train
    plot_translations(
        X[sampler.sample_indices_[made]],
        resampled[0][made],
        X[y == "malignant"],
        n_columns=12,
        titles=("real benign", "synthetic malignant", "real malignant"),
    ).savefig(arguments.out / "translations.png")
    translator = sampler.translators_["malignant"]
    plot_history(translator.history_).savefig(arguments.out / "history.png")
    translator.save(arguments.out / "translator.safetensors")
    models["gansampler"].save(arguments.out / "classifier.safetensors")
    figures = {
        "image_size": arguments.image_size,
        "seed": arguments.seed,
        "weights": weights,
        "translator_epochs": translator.history_[-1]["epoch"],
        "seconds": time.monotonic() - start,
        "arms": {arm: report.to_dict() for arm, report in reports.items()},
    }
    path = arguments.out / "figures.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nPictures, models and figures.json are in {arguments.out}/.")


if __name__ == "__main__":
    main()
