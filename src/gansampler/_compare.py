"""The command ``compare``: whether translation helps a classifier on a folder."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

import numpy as np

from gansampler._commands import make_say, read_folder, say_end, wrap

ARM = "gansampler"


def compare_folder(args: argparse.Namespace, command: str) -> None:
    """Run the command `compare`.

    Parameters
    ----------
    args : Namespace
        The parsed options.
    command : str
        The command as it was typed, for messages.

    Raises
    ------
    ValueError, TypeError, OSError, GANSamplerError
        If the data or the options are bad.
    ImportError
        If the pretrained weights of the classifier are not installed.
    """
    start = time.monotonic()
    say = make_say(quiet=args.quiet)
    paths, y = read_folder(args.root, say)
    _check_counts(y, args.folds)
    # They take seconds to import.
    from sklearn.model_selection import StratifiedKFold

    from gansampler import (
        GANOverSampler,
        TransferClassifier,
        compare_samplers,
        make_translator,
    )
    from gansampler.backbones import build_backbone
    from gansampler.images import ImageSequence

    verbose = int(not args.quiet)
    classifier = TransferClassifier(verbose=verbose)
    # Missing weights are found before the images are read.
    build_backbone(classifier.backbone, weights=classifier.weights)
    shape = (args.image_size, args.image_size, 3)
    images = ImageSequence(paths, shape, on_error="skip")
    X, y = images.take(np.arange(len(images))), y[images.rows]
    if images.skipped:
        _check_counts(y, args.folds)
    folds = StratifiedKFold(args.folds, shuffle=True, random_state=args.random_state)
    splits = list(folds.split(X, y))
    translator = make_translator(args.budget)
    limit = getattr(translator.trainer, "max_time", None)
    say(_describe(y, [train for train, _ in splits], limit), flush=True)
    comparison = compare_samplers(
        {ARM: GANOverSampler(translator=translator, verbose=verbose)},
        classifier,
        X,
        y,
        cv=splits,
        scoring="roc_auc" if len(np.unique(y)) == 2 else "roc_auc_ovr",
        random_state=args.random_state,
        verbose=verbose,
    )
    say()
    # The result, which is not left out.
    make_say(quiet=False)(comparison)
    say()
    say_end(say, start, command)


def _check_counts(y: np.ndarray, n_folds: int) -> None:
    """Refuse classes that are too small for the folds, and classes of equal size."""
    counts = Counter(y.tolist())
    # A translator needs two images, and half of three may be one.
    needed = 4 if n_folds == 2 else n_folds
    for label, count in counts.items():
        if count < needed:
            remedy = "Add images, or move the folder elsewhere."
            if count > 2:
                remedy = f"Pass --folds {count}, or add images."
            raise ValueError(
                f"Every class must have at least {needed} images with --folds "
                f"{n_folds}. Class {label!r} has {count}. {remedy}"
            )
    if len(set(counts.values())) == 1:
        raise ValueError(
            "The classes must have different numbers of images: over-sampling adds "
            f"images to the smaller ones. All have {min(counts.values())}. Pass "
            "another folder."
        )


def _describe(y: np.ndarray, trains: list[np.ndarray], max_time: Any) -> str:
    """Return what will be compared and trained.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
    trains : list of ndarray
        Rows of the training part of each split.
    max_time : timedelta or None
        Time limit of each translator.
    """
    counts = [Counter(y[train].tolist()) for train in trains]
    n_translators = sum(
        count < max(of_split.values())
        for of_split in counts
        for count in of_split.values()
    )
    score = "roc_auc is the area under the ROC curve"
    if len(counts[0]) > 2:
        score = "roc_auc_ovr is the mean area under the ROC curves of all classes"
    limit = "without a time limit"
    if max_time is not None:
        limit = f"each for at most {max_time.total_seconds() / 60:g} minutes"
    lines = [
        "",
        wrap(
            "A classifier is trained in three ways, and tested on images that neither "
            "it nor a translator was trained on:"
        ),
        "  none                  the images as they are",
        "  random over-sampling  images of the smaller classes are repeated",
        f"  {ARM:<20}  images of the smaller classes are added, by translation",
        wrap(f"{score}: 1 is perfect, and 0.5 is as good as chance."),
        "",
        wrap(
            f"The images are divided into {len(trains)} folds, and each fold is used "
            f"for testing once. This trains {3 * len(trains)} classifiers and "
            f"{n_translators} translators, {limit}. Ctrl-C stops it; a stopped "
            "comparison cannot be continued."
        ),
        "",
    ]
    return "\n".join(lines)
