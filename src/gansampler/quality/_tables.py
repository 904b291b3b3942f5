"""The quality report as text."""

from __future__ import annotations

import textwrap

from gansampler.quality._figures import QualityFigure
from gansampler.quality._sets import SETS

COLUMNS = 88
SHARES = {
    "precision",
    "recall",
    "coverage",
    "target_share",
    "target_copies",
    "source_copies",
}
SHORT = {
    "synthetic": "synthetic",
    "real": "real",
    "untranslated": "untransl.",
    "smote": "SMOTE",
    "repeated": "repeated",
}
NAMES = {
    "kernel_distance": "kernel distance (KID)",
    "frechet_distance": "Fréchet distance (FID)",
    "precision": "precision",
    "density": "density",
    "detector_auc": "AUC of a detector",
    "target_share": "taken for target",
    "recall": "recall",
    "coverage": "coverage",
    "diversity": "diversity",
    "target_copies": "copies of target",
    "source_copies": "unchanged source",
}


def make_table(
    figures: dict[str, QualityFigure],
    summary: list[str],
    labels: tuple[str, str],
    n_images: dict[str, int],
) -> str:
    """Return the figures as a table, and the summary below."""
    n_synthetic, n_source, n_target = (
        n_images[name] for name in ("synthetic", "source", "target")
    )
    head = "".join(f"{SHORT[name]:>11}" for name in SETS)
    lines = [
        f"{n_synthetic} synthetic {labels[1]} images, {n_target} real ones, and "
        f"{n_source} of {labels[0]}",
        "",
        f"{'':<24}{head}",
    ]
    for name, figure in figures.items():
        cells = "".join(
            f"{format_value(name, figure.values.get(key)):>11}" for key in SETS
        )
        lines.append(f"{NAMES[name]:<24}{cells}  {figure.status}")
    for sentence in summary:
        lines += ["", textwrap.fill(sentence, COLUMNS)]
    return "\n".join(lines)


def format_value(name: str, value: float | None) -> str:
    """Return a value of a figure as text; "-" if it is not defined."""
    if value is None:
        return "-"
    if name in SHARES:
        return f"{value:.0%}"
    if name == "kernel_distance":
        return f"{value:.3f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
