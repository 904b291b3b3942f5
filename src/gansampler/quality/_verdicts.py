"""What the figures of a quality report mean, and the verdicts in words."""

from __future__ import annotations

from typing import NamedTuple

from gansampler.quality._figures import (
    MIN_DETECTED,
    N_NEIGHBORS,
    Measurements,
    QualityFigure,
    interval,
    intervals_of,
)

# Below this number of images per draw, a figure says little.
FEW = 50
FID_NEEDS = 2048
FID_BIAS = (
    "With so few images, it also falls if they are less varied: rely on the kernel "
    "distance."
)
NEEDED = {
    "precision": N_NEIGHBORS + 1,
    "recall": N_NEIGHBORS + 1,
    "density": N_NEIGHBORS + 1,
    "coverage": N_NEIGHBORS + 1,
    "detector_auc": MIN_DETECTED,
}


class Kind(NamedTuple):
    """Title, explanation and direction of a figure, and the question it belongs to."""

    question: str
    title: str
    meaning: str
    higher_is_better: bool


LOOK, VARIETY, CLASS, COPIES = "look", "variety", "class", "copies"
QUESTIONS = {
    LOOK: "Do they look like real {target} images?",
    CLASS: "Does a classifier take them for {target}?",
    VARIETY: "Are they as varied as real images?",
    COPIES: "Are they copies of real images?",
}
# More than, not as much as, and less than another set.
WORDS = {
    LOOK: ("Better", "not as good as", "Worse"),
    CLASS: ("More often", "not as often as", "Less often"),
    VARIETY: ("More varied", "not as varied as", "Less varied"),
}
KINDS = {
    "kernel_distance": Kind(
        LOOK,
        "Kernel distance (KID)",
        "How far the set as a whole is from real {target} images, in the features "
        "of a pretrained network. Lower is closer. Two sets of the same kind are at "
        "about 0, and chance can make it slightly negative.",
        False,
    ),
    "frechet_distance": Kind(
        LOOK,
        "Fréchet distance (FID)",
        "Another distance of the set as a whole, from the mean and the spread of the "
        "features. Lower is closer.",
        False,
    ),
    "precision": Kind(
        LOOK,
        "Precision",
        "Share of the images that are as close to a real {target} image as its "
        "neighbours are.",
        True,
    ),
    "density": Kind(
        LOOK,
        "Density",
        "Number of real {target} images around an image, where 1 is usual for real "
        "images.",
        True,
    ),
    "detector_auc": Kind(
        LOOK,
        "Detector of synthetic images (AUC)",
        "How often a simple classifier is right if it sees one image of the set and "
        "one real {target} image, and says which is which. 0.5 is chance, and 1 is "
        "always.",
        False,
    ),
    "target_share": Kind(
        CLASS,
        "Taken for {target}",
        "Share of the images that a simple classifier takes for {target}. It was "
        "trained on real {source} and {target} images, and judges only images that it "
        "was not trained on.",
        True,
    ),
    "recall": Kind(
        VARIETY,
        "Recall",
        "Share of the real {target} images that are as close to an image of the set "
        "as its neighbours are.",
        True,
    ),
    "coverage": Kind(
        VARIETY,
        "Coverage",
        "Share of the real {target} images that have an image of the set among "
        "their neighbours.",
        True,
    ),
    "diversity": Kind(
        VARIETY,
        "Diversity",
        "How much two images of the set differ on average, where 1 is the difference "
        "of two real {target} images.",
        True,
    ),
    "target_copies": Kind(
        COPIES,
        "Near-duplicates",
        "Share of the images that are nearer to a real {target} image than 95% of "
        "the real ones are to each other. So it is about 5% of the real images, and "
        "more of fewer than 20.",
        False,
    ),
    "source_copies": Kind(
        COPIES,
        "Hardly changed",
        "Share of the images that are nearer to a real {source} image than 95% of "
        "the real ones are to each other. So it is about 5% of the real {source} "
        "images, which are the real ones here.",
        False,
    ),
}


def judge(
    measured: Measurements, n_draw: int, source: str, target: str
) -> dict[str, QualityFigure]:
    """Return all figures with their explanations and verdicts.

    Parameters
    ----------
    measured : Measurements
    n_draw : int
        Number of images of each set in a draw.
    source, target : str
        Names of the classes.

    Returns
    -------
    figures : dict of str -> QualityFigure
    """
    figures = {}
    for name, kind in KINDS.items():
        values = measured.values.get(name, {})
        draws = measured.draws.get(name, {})
        if "synthetic" not in values:
            status, verdict = "not defined", _why_undefined(name, n_draw)
        elif not {"synthetic", "real"} <= draws.keys():
            status = "cannot tell"
            verdict = "There are too few images to compare this with real images."
        elif kind.question == COPIES:
            status, verdict = _judge_copies(name, measured, source, target)
        else:
            status, verdict = _judge(name, kind, measured, source)
            if name == "frechet_distance" and n_draw < FID_NEEDS:
                status, verdict = "biased", f"{verdict} {FID_BIAS}"
        meaning = kind.meaning
        if name == "frechet_distance" and n_draw < FID_NEEDS:
            meaning += (
                f" It is too high for fewer than {FID_NEEDS:,} images, and {n_draw} "
                "are compared here: compare it only with the other values in this box."
            )
        figures[name] = QualityFigure(
            name,
            _with_names(kind.title, source, target),
            _with_names(meaning, source, target),
            kind.higher_is_better,
            values,
            intervals_of(draws),
            status,
            verdict,
        )
    return figures


def _with_names(text: str, source: str, target: str) -> str:
    # Names may have braces.
    return text.replace("{source}", source).replace("{target}", target)


def question(name: str, source: str, target: str) -> str:
    """Return the question that a figure helps to answer."""
    return _with_names(QUESTIONS[KINDS[name].question], source, target)


def _why_undefined(name: str, n_draw: int) -> str:
    needed = NEEDED.get(name, 2)
    if n_draw < needed:
        return (
            f"Not defined: it needs {2 * needed} images of each set, so that halves of "
            "them can be compared."
        )
    if name == "target_share":
        return "Not defined: a class has fewer than two different images."
    return "Not defined: there are too few different images."


def _gain(name: str, kind: Kind, measured: Measurements, other: str) -> int | None:
    """Return 1 if the synthetic images are clearly better than a set, -1 if worse.

    Clearly: the middle 95% of the differences, draw by draw, are on one side of 0.
    """
    draws = measured.draws[name]
    if other not in draws:
        return None
    low, high = interval(draws["synthetic"] - draws[other])
    sign = int(low > 0) - int(high < 0)
    return sign if kind.higher_is_better else -sign


def _judge(
    name: str, kind: Kind, measured: Measurements, source: str
) -> tuple[str, str]:
    against_real = _gain(name, kind, measured, "real")
    gain = _gain(name, kind, measured, "untranslated")
    if gain is None:
        return "cannot tell", "There are no untranslated images to compare with."
    more, not_as, less = WORDS[kind.question]
    untranslated = f"untranslated {source} images"
    if against_real == -1:
        return {
            1: ("between", f"{more} than {untranslated}, and {not_as} real images."),
            0: (
                "no gain",
                f"No clear difference from {untranslated}, and {not_as} real images.",
            ),
            -1: ("worse", f"{less} than {untranslated}, and {not_as} real images."),
        }[gain]
    text = "No clear difference from real images."
    if against_real == 1:
        text = f"{more} than real images."
        if kind.question != VARIETY:
            text += " This can mean that all are typical, or that they exaggerate."
    if gain == 1:
        return "like real", f"{text} {more} than {untranslated}."
    if kind.question == VARIETY:
        return "like real", text
    return (
        "cannot tell",
        f"{text} But {untranslated} reach as much: this figure says little here.",
    )


def _judge_copies(
    name: str, measured: Measurements, source: str, target: str
) -> tuple[str, str]:
    if _gain(name, KINDS[name], measured, "real") != -1:
        return "like real", "No more often than among real images."
    if name == "target_copies":
        return (
            "too high",
            f"More often than among real images: they may be copies of real {target} "
            "images. Look at the pairs below.",
        )
    return (
        "too high",
        f"More often than among real images: many {source} images were hardly "
        "changed. Look at the pictures below.",
    )


def summarize(
    figures: dict[str, QualityFigure],
    n_images: dict[str, int],
    n_draw: int,
    source: str,
    target: str,
) -> list[str]:
    """Return the summary, a list of sentences; the first one is the answer in short.

    Parameters
    ----------
    figures : dict of str -> QualityFigure
        Result of :func:`judge`.
    n_images : dict of str -> int
        Number of images of "source", "target" and "synthetic" that were compared.
    n_draw : int
        Number of images of each set in a draw.
    source, target : str
        Names of the classes.

    Returns
    -------
    sentences : list of str
    """
    lines = [_headline(figures["kernel_distance"], source, target)]
    share = figures["target_share"]
    if "untranslated" in share.values:
        lines.append(
            f"A classifier that was trained on real images takes "
            f"{share.values['synthetic']:.0%} of them for {target}. It does so for "
            f"{share.values['real']:.0%} of the real {target} images, and for "
            f"{share.values['untranslated']:.0%} of the untranslated {source} images."
        )
    auc = figures["detector_auc"]
    if auc.status != "not defined":
        value = auc.values["synthetic"]
        text = "Another classifier shows no clear difference from real images"
        if auc.status in ("between", "no gain", "worse"):
            text = "Another classifier can tell them from real images"
        lines.append(
            f"{text}: shown one of each, it is right in {value:.0%} of the cases, "
            "where 50% is chance."
        )
    variety = [figures[name] for name in ("recall", "diversity")]
    if all("real" in figure.values for figure in variety):
        recall, diversity = variety
        lines.append(
            f"Their variety: they reach {recall.values['synthetic']:.0%} of the real "
            f"images (real images reach {recall.values['real']:.0%} of each other), "
            f"and two of them differ {diversity.values['synthetic']:.2f} times as much "
            "as two real images."
        )
    for name, text in (
        ("target_copies", f"are near-duplicates of a real {target} image"),
        ("source_copies", f"hardly differ from a real {source} image"),
    ):
        figure = figures[name]
        if "real" in figure.values:
            lines.append(
                f"{figure.values['synthetic']:.0%} of them {text}, where "
                f"{figure.values['real']:.0%} is usual for real images."
            )
    smallest = min(n_images.values())
    if n_draw < FEW:
        lines.append(
            f"The smallest set has {smallest} images. With so few, chance has a large "
            "part in every figure, and the pictures below say more."
        )
    return lines


def _headline(figure: QualityFigure, source: str, target: str) -> str:
    """Return the answer in short, from the distance of the whole set."""
    return {
        "like real": f"As a whole, the synthetic images show no clear difference from "
        f"real {target} images, and they are closer to these than untranslated "
        f"{source} images are.",
        "between": f"As a whole, the synthetic images are closer to real {target} "
        f"images than untranslated {source} images are, but not as close as real "
        "images are to each other.",
        "no gain": "There is no clear sign that the synthetic images, as a "
        f"whole, are closer to real {target} images than untranslated {source} images "
        "are.",
        "worse": f"As a whole, the synthetic images are farther from real {target} "
        f"images than untranslated {source} images are.",
    }.get(
        figure.status,
        f"There are too few images, or too little difference between {source} and "
        f"{target}, to say whether the synthetic images are closer to {target}.",
    )
