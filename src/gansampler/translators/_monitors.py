"""Signs that a translator has failed: figures, and what they mean in words."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gansampler.exceptions import TranslationFailedError, TranslationFailedWarning

# Share of the epochs at the end, and at the beginning, that are compared.
WINDOW = 0.2
GRID_PERIODS = (2, 4)
# Losses of a discriminator that tells nothing apart, and the share of them below which
# a generator learns nothing from it.
HINGE_UNTRAINED, LEAST_SQUARES_UNTRAINED = 2.0, 0.5
SATURATED = 0.02
# A run of fewer steps is a trial.
MIN_STEPS = 100


@dataclass(frozen=True)
class Monitor:
    """A figure, from which value on it is a sign of failure, and the sentence.

    Attributes
    ----------
    figure : str
        Key in the records of the history.
    failed : callable
        Whether a value is a sign of failure.
    sentence : str
        What is wrong, and what helps. The value replaces ``{value}``.
    """

    figure: str
    failed: Callable[[float], bool]
    sentence: str


MONITORS = (
    Monitor(
        "change",
        lambda value: value < 0.02,
        "The translations are almost equal to their sources: the change is {value:.3f} "
        "of the spread of the source images. Train for longer, or lower the weight of "
        "the losses that hold a translation to its source.",
    ),
    Monitor(
        "diversity",
        lambda value: value < 0.2,
        "The translations ignore their sources: they differ from each other "
        "{value:.2f} times as much as real images do. Raise the weight of the losses "
        "that hold a translation to its source, lower `lr`, or train for a shorter "
        "time.",
    ),
    Monitor(
        "foreign_color",
        lambda value: value > 0.2,
        "The colours of {value:.0%} of the translations lie outside of the range of "
        "both classes. Lower `lr`, or train for longer.",
    ),
    Monitor(
        "grid",
        lambda value: value > 4,
        "The translations have a grid of 2 or 4 pixels, {value:.1f} times as strong as "
        "in real images. Train for longer, or set `ema_decay`.",
    ),
)


def measure(
    source: np.ndarray, translated: np.ndarray, target: np.ndarray
) -> dict[str, float]:
    """Return the figures that monitors watch.

    Parameters
    ----------
    source, translated : ndarray of shape (n, height, width, n_channels)
        Images and their translations, with values in [0, 1].
    target : ndarray of shape (n_target, height, width, n_channels)
        Images of the target class.

    Returns
    -------
    figures : dict of str -> float
        ``"change"`` is the mean absolute change divided by the standard deviation of
        the source images at a pixel. ``"diversity"`` is the standard deviation of the
        translations at a pixel, divided by that of the less diverse class.
        ``"foreign_color"`` is the share of translations whose mean colour lies outside
        of the range of both classes. ``"grid"`` is the strength of frequencies of 2
        and 4 pixels, divided by that in real images.
    """
    spreads = {
        name: float(images.std(axis=0).mean())
        for name, images in (("source", source), ("target", target))
    }
    smallest = max(min(spreads.values()), 1e-6)
    return {
        "change": float(np.abs(translated - source).mean())
        / max(spreads["source"], 1e-6),
        "diversity": float(translated.std(axis=0).mean()) / smallest,
        "foreign_color": _share_of_foreign_colors(source, translated, target),
        "grid": _grid_strength(translated)
        / max(_grid_strength(source), _grid_strength(target)),
    }


def _share_of_foreign_colors(
    source: np.ndarray, translated: np.ndarray, target: np.ndarray
) -> float:
    real, fake = (
        images.mean(axis=(1, 2))
        for images in (np.concatenate([source, target]), translated)
    )
    low, high = real.min(axis=0), real.max(axis=0)
    margin = 0.1 * (high - low) + 0.04
    outside = (fake < low - margin) | (fake > high + margin)
    return float(outside.any(axis=1).mean())


def _grid_strength(images: np.ndarray) -> float:
    """Return the largest power at a grid's frequencies, relative to their neighbours.

    Upsampling layers can leave a pattern that repeats every 2 or 4 pixels. Real images
    have about the same power at neighbouring frequencies.
    """
    n, height, width = images.shape[:3]
    grey = images.reshape(n, height, width, -1).mean(axis=3)
    # A window without edges: those of the image would add power to all frequencies.
    window = np.outer(np.hanning(height), np.hanning(width))
    spectrum = np.fft.fft2((grey - grey.mean(axis=(1, 2), keepdims=True)) * window)
    power = (np.abs(spectrum) ** 2).mean(axis=0)
    strengths = []
    for period in GRID_PERIODS:
        for axis, side in enumerate((height, width)):
            line = power.take(0, axis=1 - axis)
            at = round(side / period)
            # The window spreads a frequency over three.
            near = [at - 4, at - 3, at + 3, at + 4]
            # The geometric mean, because the power falls steeply with the frequency.
            around = np.exp(np.mean([np.log(line[k % side] + 1e-12) for k in near]))
            strengths.append(line[at % side] / around)
    return float(max(strengths))


def find_failures(history: Sequence[Mapping[str, float]], *, hinge: bool) -> list[str]:
    """Return a sentence for each sign of failure. Short runs have none.

    Parameters
    ----------
    history : sequence of dict
        Records of the epochs, with the figures of :func:`measure` in some of them.
    hinge : bool
        Whether the discriminators' losses are hinge losses, or least squares.

    Returns
    -------
    sentences : list of str
        What is wrong, and what helps.
    """
    sentences: list[str] = []
    if sum(record["n_steps"] for record in history) < MIN_STEPS:
        return sentences
    saturated_loss = SATURATED * (HINGE_UNTRAINED if hinge else LEAST_SQUARES_UNTRAINED)
    figures = _figures_of_result(history)
    for monitor in MONITORS:
        value = figures.get(monitor.figure)
        if value is not None and monitor.failed(value):
            sentences.append(monitor.sentence.format(value=value))
    distance = figures.get("kernel_distance")
    if distance is not None and distance > figures["kernel_distance_of_sources"]:
        sentences.append(
            "The translations are farther from the target class than their sources: "
            f"their kernel distance is {distance:.3f}, that of the sources is "
            f"{figures['kernel_distance_of_sources']:.3f}. Train for longer, or raise "
            "the weight of the losses that hold a translation to its source."
        )
    n = max(1, round(WINDOW * len(history)))
    for name in history[-1]:
        values = [record[name] for record in history if name in record]
        end = float(np.mean(values[-n:]))
        if name.startswith("discriminator") and end < saturated_loss:
            sentences.append(
                f"The discriminator tells translations and real images apart without "
                f"error (its loss is {end:.3f}), so that the generator learns nothing "
                "from it. Lower `lr`, set augment_discriminator=True, or use a smaller "
                "discriminator (`ndf`)."
            )
        if name.startswith("cycle") and len(values) >= 10:
            lowest = min(
                float(np.mean(values[i : i + n])) for i in range(len(values) - n + 1)
            )
            if end > 1.5 * lowest:
                sentences.append(
                    f"The loss {name!r} has risen from {lowest:.3f} to {end:.3f}: the "
                    "translations lose the content of their sources. Lower `lr`, raise "
                    "`lambda_cycle`, or train for fewer epochs."
                )
    return sentences


def _figures_of_result(history: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Return the record of the evaluation whose generator is kept."""
    evaluated = [record for record in history if MONITORS[0].figure in record]
    if not evaluated:
        return {}
    if "kernel_distance" not in evaluated[-1]:
        return evaluated[-1]
    return min(evaluated, key=lambda record: record["kernel_distance"])


def report_failures(sentences: Sequence[str], *, as_error: bool) -> None:
    """Raise an error or warn if there are signs of failure.

    Parameters
    ----------
    sentences : sequence of str
        What :func:`find_failures` returned.
    as_error : bool
        Whether to raise an error.
    """
    if not sentences:
        return
    message = " ".join(["The training of the translator failed.", *sentences])
    if as_error:
        raise TranslationFailedError(message)
    warnings.warn(message, TranslationFailedWarning, stacklevel=4)
