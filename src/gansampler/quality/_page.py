"""The quality report as one HTML page, without anything to load."""

from __future__ import annotations

from html import escape
from importlib.resources import files

import numpy as np

from gansampler.quality._figures import N_DRAWS, QualityFigure
from gansampler.quality._pictures import Pair, Pictures, Translation
from gansampler.quality._sets import SETS
from gansampler.quality._tables import format_value
from gansampler.quality._verdicts import question

STATUS = {
    "like real": "like real images",
    "between": "in between",
    "no gain": "no clear gain",
    "worse": "worse",
    "too high": "look closer",
    "biased": "biased",
    "cannot tell": "cannot tell",
    "not defined": "not defined",
}
IN_CHARTS = {
    "synthetic": "synthetic",
    "real": "real",
    "untranslated": "untranslated",
    "smote": "blends",
    "repeated": "repeated",
}
# Scales of the charts; others begin at 0 and end at the largest value.
SCALES = {"diversity": (0.0, 1.2)}
UNIT_SCALE = (0.0, 1.0)
WITHOUT_BOUND = {"kernel_distance", "frechet_distance", "density"}
# Of the map, in its own units.
WIDTH, HEIGHT, MARGIN = 640.0, 400.0, 14.0


def make_page(
    figures: dict[str, QualityFigure],
    summary: list[str],
    labels: tuple[str, str],
    n_images: dict[str, int],
    n_draw: int,
    pictures: Pictures,
) -> str:
    """Return the page.

    Parameters
    ----------
    figures : dict of str -> QualityFigure
    summary : list of str
        The first sentence is the answer in short.
    labels : tuple of two str
        Names of the source and of the target class.
    n_images : dict of str -> int
        Of "source", "target" and "synthetic".
    n_draw : int
        Number of images of each set in a draw.
    pictures : Pictures

    Returns
    -------
    html : str
    """
    source, target = map(escape, labels)
    style = (files("gansampler.quality") / "_page.css").read_text(encoding="utf-8")
    first, *others = (escape(sentence) for sentence in summary)
    counts = (
        f"{n_images['synthetic']:,} synthetic {target} images, compared with "
        f"{n_images['target']:,} real {target} images and {n_images['source']:,} "
        f"real {source} images"
    )
    parts = [
        f"<header><h1>How good are the synthetic {target} images?</h1>"
        f'<p class="counts">{counts}</p></header>',
        f'<section class="summary"><p class="answer">{first}</p><ul>'
        f"{''.join(f'<li>{line}</li>' for line in others)}</ul>"
        '<p class="limit">This page says how the images look to one pretrained '
        "network. It does not say whether they help a classifier. "
        "<code>python -m gansampler compare</code> tests that.</p></section>",
        _references(source, target),
    ]
    by_question: dict[str, list[QualityFigure]] = {}
    for figure in figures.values():
        by_question.setdefault(question(figure.name, *labels), []).append(figure)
    for title, group in by_question.items():
        cards = "".join(map(_card, group))
        parts.append(
            f'<section><h2>{escape(title)}</h2><div class="cards">{cards}</div>'
            "</section>"
        )
    parts += [
        _translations(pictures, target, source),
        _pairs(pictures.pairs, target, source),
        _map(pictures, target, source),
        _method(figures, n_draw, target),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Synthetic {target} images</title><style>{style}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _references(source: str, target: str) -> str:
    entries = {
        "real": f"One half of the real {target} images is compared with the other "
        "half. No synthetic images can be expected to do better.",
        "untranslated": f"Real {source} images, as they are. Synthetic images that "
        "are not better have gained nothing.",
        "blends": f"Two real {target} images laid over each other, as the method "
        "SMOTE does.",
        "repeated": f"Real {target} images that are used again. They are as close "
        "as possible, but they add nothing new.",
    }
    names = {label: key for key, label in IN_CHARTS.items()}
    items = "".join(
        f'<div class="{names[name]}"><dt><i class="dot"></i>{name}</dt>'
        f"<dd>{text}</dd></div>"
        for name, text in entries.items()
    )
    return (
        "<section><h2>What they are compared with</h2><p>A figure alone says little. "
        "So each is also computed for four other sets of images:</p>"
        f"<dl>{items}</dl></section>"
    )


def _card(figure: QualityFigure) -> str:
    kind = figure.status.replace(" ", "-")
    return (
        f'<article><h3>{escape(figure.title)} <span class="status {kind}">'
        f"{STATUS[figure.status]}</span></h3>"
        f'<p class="meaning">{escape(figure.meaning)}</p>{_chart(figure)}'
        f'<p class="verdict">{escape(figure.verdict)}</p></article>'
    )


def _chart(figure: QualityFigure) -> str:
    """Return a row for each set: its value as a dot, and its interval as a line."""
    if not figure.values:
        return ""
    low, high = SCALES.get(figure.name, UNIT_SCALE)
    if figure.name in WITHOUT_BOUND:
        ends = [*figure.values.values(), *sum(figure.intervals.values(), ())]
        low, high = min(0.0, *ends), max(ends)
    elif figure.name in SCALES:
        ends = [*figure.values.values(), *sum(figure.intervals.values(), ())]
        high = max(high, *ends)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(100 * (value - low) / span, 1)

    rows = []
    for name in SETS:
        value = figure.values.get(name)
        marks = ""
        if name in figure.intervals:
            start, end = map(place, figure.intervals[name])
            marks = (
                f'<i class="range" style="left:{start}%;width:{end - start:.1f}%"></i>'
            )
        if value is not None:
            marks += f'<i class="dot" style="left:{place(value)}%"></i>'
        rows.append(
            f'<tr class="{name}"><th scope="row">{IN_CHARTS[name]}</th>'
            f'<td class="track"><div><span>{marks}</span></div></td><td class="value">'
            f"{format_value(figure.name, value)}</td></tr>"
        )
    return f'<table class="chart"><tbody>{"".join(rows)}</tbody></table>'


def _translations(pictures: Pictures, target: str, source: str) -> str:
    has_parents = any(shown.source for shown in pictures.closest)
    text = (
        f"Distances to the nearest real {target} image are given in multiples of the "
        "usual distance between such neighbours: 1 is usual for real images."
    )
    if has_parents:
        text += (
            f" Each column has the original {source} image, the synthetic image, and "
            "the difference, in which grey means no change, brighter means brighter, "
            "and darker means darker."
        )
    groups = [("Closest to real images", pictures.closest)]
    if pictures.farthest:
        groups.append(("Farthest from real images", pictures.farthest))
    body = "".join(
        f"<h3>{title}</h3>{_columns([_column(shown) for shown in group], has_parents)}"
        for title, group in groups
    )
    title = "What was changed" if has_parents else "The closest and the farthest"
    return f'<section class="pictures"><h2>{title}</h2><p>{text}</p>{body}</section>'


def _columns(columns: list[str], has_parents: bool) -> str:
    names = ["original", "synthetic", "difference"] if has_parents else ["synthetic"]
    return _strip(names, columns)


def _column(shown: Translation) -> str:
    images = [
        (shown.source, "Original image"),
        (shown.synthetic, "Synthetic image"),
        (shown.difference, "Difference"),
    ]
    return (
        "<figure>"
        + "".join(_image(uri, text) for uri, text in images if uri is not None)
        + f"<figcaption>{shown.realism:.1f}</figcaption></figure>"
    )


def _strip(names: list[str], columns: list[str]) -> str:
    rows = "".join(f"<span>{name}</span>" for name in names)
    return f'<div class="strip"><div class="names">{rows}</div>{"".join(columns)}</div>'


def _image(uri: str, text: str) -> str:
    return f'<img src="{uri}" alt="{text}">'


def _pairs(pairs: list[Pair], target: str, source: str) -> str:
    columns = [
        "<figure>"
        + _image(pair.synthetic, "Synthetic image")
        + _image(pair.target, "Nearest real target image")
        + _image(pair.source, "Nearest real source image")
        + f"<figcaption>{'near copy' if pair.is_near else '&nbsp;'}</figcaption>"
        "</figure>"
        for pair in pairs
    ]
    return (
        '<section class="pictures"><h2>Their nearest real images</h2><p>The synthetic '
        f"images that are closest to a real {target} image, with this image and with "
        f"the nearest real {source} image. If a column shows the same picture twice, "
        "the synthetic image adds nothing new. Near-duplicates are marked.</p>"
        f"{_strip(['synthetic', target, source], columns)}</section>"
    )


def _map(pictures: Pictures, target: str, source: str) -> str:
    everything = np.concatenate(list(pictures.points.values()))
    low = everything.min(0)
    span = np.maximum(np.ptp(everything, axis=0), 1e-12)
    room = np.array([WIDTH, HEIGHT]) - 2 * MARGIN
    dots = []
    classes = {"source": "untranslated", "target": "real", "synthetic": "synthetic"}
    for name, points in pictures.points.items():
        # The second axis points upwards.
        places = MARGIN + np.abs([0, 1] - (points - low) / span) * room
        dots += [
            f'<circle class="{classes[name]}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
            for x, y in places
        ]
    names = {
        "real": f"real {target}",
        "untranslated": f"real {source}",
        "synthetic": "synthetic",
    }
    legend = "".join(
        f'<span class="{key}"><i class="dot"></i>{name}</span>'
        for key, name in names.items()
    )
    return (
        '<section class="pictures"><h2>A map of the images</h2><p>Each point is an '
        "image. The axes are the two directions in which the features of the real "
        f"images differ most, with {pictures.explained:.0%} of their variance. So "
        "points that are close here can still differ in other directions.</p>"
        f'<p class="legend">{legend}</p><svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" '
        f'role="img" aria-label="Map of the images">{"".join(dots)}</svg></section>'
    )


def _method(figures: dict[str, QualityFigure], n_draw: int, target: str) -> str:
    head = "".join(f"<th>{IN_CHARTS[name]}</th>" for name in SETS)
    rows = []
    for name, figure in figures.items():
        cells = []
        for key in SETS:
            cell = format_value(name, figure.values.get(key))
            if key in figure.intervals:
                low, high = (format_value(name, end) for end in figure.intervals[key])
                cell += f"<small>{low} to {high}</small>"
            cells.append(f"<td>{cell}</td>")
        rows.append(
            f'<tr><th scope="row">{escape(figure.title)}</th>{"".join(cells)}</tr>'
        )
    draws = "There are too few images for comparisons of random halves."
    if n_draw >= 2:
        draws = (
            f"The sets are compared {N_DRAWS} times. Each time, {n_draw} real {target} "
            f"images, drawn at random, are compared with {n_draw} others, and with "
            f"{n_draw} images of each other set. Values are the means. The lines in "
            "the charts, and the small numbers below, are the middle 95% of the draws: "
            "they show how much a figure depends on which images there are. A "
            "difference counts as clear if the middle 95% of the differences, draw by "
            "draw, are on one side of 0. Figures of sets of another size cannot be "
            "compared with these. Shares of near-duplicates, and of images taken for a "
            "class, are those of all images."
        )
    return (
        f'<section class="method"><h2>All figures</h2><p>{draws}</p>'
        f'<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table></div></section>"
    )
