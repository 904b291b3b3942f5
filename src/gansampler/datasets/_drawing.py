"""Draw one dermoscopic image of a pigmented lesion.

Lengths are in units of half the width of the image, and the canvas has twice the
resolution of the image, so that a seed gives the same lesion at every size. Each pixel
is the light that is not absorbed by melanin and haemoglobin (Beer-Lambert law). So thin
pigment is tan, thick pigment is black, and pigment has the tone of the skin around it.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit

_SUPERSAMPLING = 2


def _rgb(red: float, green: float, blue: float) -> np.ndarray:
    return np.array([red, green, blue], dtype=np.float32)


# Absorption of red, green and blue light by one unit of each pigment.
_MELANIN = _rgb(0.44, 0.82, 1.22)
_HAEMOGLOBIN = _rgb(0.15, 0.75, 0.60)
_BARE_SKIN = _rgb(0.95, 0.85, 0.78)
_BLUE_WHITE_VEIL = _rgb(0.46, 0.45, 0.50)
_SCAR = _rgb(0.93, 0.83, 0.80)
_HAIR = _rgb(0.85, 0.92, 0.97)


class LesionScores(NamedTuple):
    """Scores of the ABCD rule in standard deviations; 0 is between the classes."""

    asymmetry: float
    border: float
    colour: float
    diameter: float


def draw_lesion(
    scores: LesionScores, size: int, rng: np.random.RandomState
) -> np.ndarray:
    """Draw a lesion with given scores; everything else is random.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
        RGB.
    """
    n_pixels = size * _SUPERSAMPLING
    melanin, haemoglobin = _skin(rng, n_pixels)
    depth, inside = _shape(scores, rng, n_pixels)
    melanin, haemoglobin, veil, scar = _pigment(
        scores, rng, depth, inside, melanin, haemoglobin
    )
    light = _BARE_SKIN * np.exp(
        -melanin[..., None] * _MELANIN - haemoglobin[..., None] * _HAEMOGLOBIN
    )
    light += scar[..., None] * (_SCAR * light.max(axis=-1, keepdims=True) - light)
    light += veil[..., None] * (_BLUE_WHITE_VEIL - light)
    light = _hair(rng, light)
    light = _bubbles(rng, light)
    light = _camera(rng, light)
    light = light.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING, 3)
    light = light.mean(axis=(1, 3))
    light = light + rng.uniform(0.004, 0.014) * rng.standard_normal(light.shape)
    return np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)


def _skin(rng: np.random.RandomState, n_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the melanin and the haemoglobin of the skin around the lesion."""
    tone = 0.04 + 0.45 * rng.beta(1.3, 3.5)
    flush = rng.uniform(0.03, 0.32)
    grain = _noise(rng, n_pixels, {24: 0.5, 48: 0.8})
    melanin = tone * np.exp(0.12 * _noise(rng, n_pixels, {3: 1, 8: 0.6}) + 0.10 * grain)
    mottling = _noise(rng, n_pixels, {4: 0.8, 10: 0.8, 30: 0.6})
    haemoglobin = flush * np.exp(rng.uniform(0.1, 0.3) * mottling)
    freckles = expit(6 * (_noise(rng, n_pixels, {14: 1}) - rng.uniform(2.2, 4)))
    return melanin + 0.4 * freckles, haemoglobin


def _shape(
    scores: LesionScores, rng: np.random.RandomState, n_pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the depth of each pixel inside the border, in radii, and a soft mask."""
    radius = _radius(scores)
    asymmetry, border = _grade(scores.asymmetry), _grade(scores.border)
    v, u = _coordinates(n_pixels)
    u = u - rng.normal(0, 0.10)
    v = v - rng.normal(0, 0.10)
    # Distorting the coordinates makes round outlines irregular.
    fold = (0.04 + 0.12 * asymmetry) * radius
    u = u + fold * _noise(rng, n_pixels, {3: 1, 7: 0.6})
    v = v + fold * _noise(rng, n_pixels, {3: 1, 7: 0.6})
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.72, 1.0) ** 0.5
    along = (u * math.cos(angle) + v * math.sin(angle)) * stretch / radius
    across = (v * math.cos(angle) - u * math.sin(angle)) / stretch / radius
    # A bulge on one side and a dent on another break the symmetry. The area does not
    # change: it depends on the diameter score.
    theta = np.arctan2(across, along)
    bulge = rng.uniform(0, 2 * np.pi)
    dent = bulge + rng.uniform(1.2, 2.6)
    outline = 1 + (0.03 + 1.1 * asymmetry**2) * np.exp(3 * np.cos(theta - bulge) - 3)
    outline -= (0.03 + 0.6 * asymmetry**2) * np.exp(4 * np.cos(theta - dent) - 4)
    outline /= np.sqrt((outline**2).mean())
    depth = 1 - np.hypot(along, across) / outline
    ragged = _noise(rng, n_pixels, {6: 0.7, 11: 0.8, 20: 0.6, 40: 0.35})
    depth = depth + (0.03 + 0.28 * border**2) * ragged
    softness = rng.uniform(0.05, 0.14)
    return depth, expit(depth / softness)


def _pigment(
    scores: LesionScores,
    rng: np.random.RandomState,
    depth: np.ndarray,
    inside: np.ndarray,
    melanin: np.ndarray,
    haemoglobin: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Add the pigment of the lesion to the skin, with its structure and colours."""
    n_pixels = len(inside)
    asymmetry, colour = _grade(scores.asymmetry), _grade(scores.colour)
    amount = math.exp(rng.normal(0.0, 0.34))
    redness = rng.gamma(1.2, 0.13)
    dark_centre = rng.uniform(-0.1, 0.6)
    structure = _noise(rng, n_pixels, {5: 0.6, 10: 0.7, 20: 0.7, 40: 0.7})
    density = amount * np.exp(rng.uniform(0.15, 0.40) * structure)
    density *= 1 + dark_centre * np.clip(depth, -0.5, 1.2)
    # A pigment network: dark lines at the sign changes of a rough field.
    lines = np.exp(-(_noise(rng, n_pixels, {18: 1, 30: 0.4}) ** 2) / 0.08)
    density += float(rng.choice([0.0, 0.35, 0.7])) * amount * (lines - 0.3)
    # Globules.
    dots = expit(7 * (_noise(rng, n_pixels, {26: 1}) - 1.3))
    density += float(rng.choice([0.0, 0.0, 0.8])) * amount * dots
    # One half darker than the other.
    v, u = _coordinates(n_pixels)
    heading = rng.uniform(0, 2 * np.pi)
    ahead = (u * math.cos(heading) + v * math.sin(heading)) / _radius(scores)
    density *= np.exp(0.5 * asymmetry * np.clip(ahead, -1.5, 1.5))

    # A higher colour score shows more of these four colours.
    shown = np.clip(2.4 * colour - rng.uniform(0.5, 1.0, size=4), 0, 1).tolist()
    threshold = rng.uniform(0.1, 0.7, size=4).tolist()
    black, red, blue, white = (
        strength
        * expit(5 * (_noise(rng, n_pixels, {4: 0.9, 9: 0.6, 20: 0.35}) - limit))
        for strength, limit in zip(shown, threshold, strict=True)
    )
    deep_inside = expit((depth - 0.25) / 0.08)
    density = density * (1 - 0.75 * white) + black * (1.5 + 0.4 * structure)
    melanin = melanin + inside * np.clip(density, 0, None)
    haemoglobin = haemoglobin + inside * (redness + 1.3 * red)
    veil = blue * deep_inside * np.clip(0.5 + 0.15 * structure, 0, 0.85)
    return melanin, haemoglobin, veil, 0.5 * white * deep_inside


def _hair(rng: np.random.RandomState, light: np.ndarray) -> np.ndarray:
    """Add curved dark hairs, in some images many."""
    n_pixels = len(light)
    n_hairs = min(rng.poisson(rng.choice([0.0, 2.0, 9.0], p=[0.55, 0.3, 0.15])), 20)
    heading = rng.uniform(0, 2 * np.pi)
    darkness, width = rng.uniform(0.25, 0.8), rng.uniform(0.006, 0.011)
    direction = heading + rng.normal(0, 0.5, size=(n_hairs, 1))
    middle = rng.uniform(-1, 1, size=(2, n_hairs, 1))
    half_length = rng.uniform(0.3, 1.2, size=(n_hairs, 1))
    bend = rng.normal(0, 0.22, size=(n_hairs, 1))
    if n_hairs == 0:
        return light
    n_steps = 4 * n_pixels
    t = np.linspace(-1, 1, n_steps)
    along, across = half_length * t, bend * half_length * (1 - t**2)
    x = middle[0] + along * np.cos(direction) - across * np.sin(direction)
    y = middle[1] + along * np.sin(direction) + across * np.cos(direction)
    # The ink per step is its length in pixels, so that strokes of all lengths are
    # equally dark. Blurring gives them their width.
    ink = half_length * n_pixels / n_steps * (1 - t**4)
    edges = np.linspace(-1, 1, n_pixels + 1)
    stroke = np.histogram2d(
        y.ravel(), x.ravel(), bins=(edges, edges), weights=ink.ravel()
    )[0]
    sigma = width * n_pixels / 2
    stroke = gaussian_filter(stroke.astype(np.float32), sigma)
    stroke *= sigma * math.sqrt(2 * np.pi)
    shade = darkness * np.clip(stroke, 0, 1)[..., None]
    return light * (1 - shade * _HAIR)


def _bubbles(rng: np.random.RandomState, light: np.ndarray) -> np.ndarray:
    """Add air bubbles under the glass plate: small rings, bright on one side."""
    v, u = _coordinates(len(light))
    for _ in range(rng.poisson(rng.choice([0.0, 2.5], p=[0.75, 0.25]))):
        x, y = rng.uniform(-1, 1), rng.uniform(-1, 1)
        radius, strength = rng.uniform(0.03, 0.10), rng.uniform(0.08, 0.3)
        distance = np.hypot(u - x, v - y)
        ring = np.exp(-(((distance - radius) / 0.02) ** 2))
        shine = 0.6 + 0.4 * (u - x - (v - y)) / (distance + 0.05)
        light = light + (strength * ring * shine)[..., None]
    return light


def _camera(rng: np.random.RandomState, light: np.ndarray) -> np.ndarray:
    """Apply lamp, white balance, vignette, aperture of the dermoscope, and focus."""
    n_pixels = len(light)
    v, u = _coordinates(n_pixels)
    heading, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.12)
    x, y = rng.normal(0, 0.12), rng.normal(0, 0.12)
    exposure = rng.uniform(0.80, 1.08) * (
        1 + slope * (u * math.cos(heading) + v * math.sin(heading))
    )
    distance = np.hypot(u - x, v - y)
    exposure *= 1 - float(rng.choice([0.06, 0.25], p=[0.7, 0.3])) * distance**2
    has_aperture, aperture = rng.uniform() < 0.10, rng.uniform(0.95, 1.25)
    if has_aperture:
        exposure *= expit((aperture - distance) / 0.025)
    gain = np.exp(rng.normal(0, 0.035, size=3)).astype(np.float32)
    sigma = rng.uniform(0.002, 0.016) * n_pixels / 2
    return gaussian_filter(light * exposure[..., None] * gain, (sigma, sigma, 0))


def _radius(scores: LesionScores) -> float:
    return min(0.39 * math.exp(0.35 * scores.diameter), 0.85)


def _grade(score: float) -> float:
    """Map a score to (0, 1)."""
    return float(expit(1.4 * score))


def _coordinates(n_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the canvas as open grids over (-1, 1)."""
    centres = (np.arange(n_pixels, dtype=np.float32) + 0.5) * 2 / n_pixels - 1
    return centres[:, None], centres[None, :]


def _noise(
    rng: np.random.RandomState, n_pixels: int, octaves: dict[int, float]
) -> np.ndarray:
    """Return a sum of smooth random fields, one per octave.

    `octaves` maps the number of cells across the image to a weight. The sum has mean 0
    and a variance of about the sum of the squared weights.
    """
    field = np.zeros((n_pixels, n_pixels))
    for n_cells, weight in octaves.items():
        spline = _spline(n_cells, n_pixels)
        lattice = rng.standard_normal((n_cells + 3, n_cells + 3))
        field += weight * (spline @ lattice @ spline.T)
    return field.astype(np.float32)


@lru_cache(maxsize=64)
def _spline(n_cells: int, n_pixels: int) -> np.ndarray:
    """Return normalised cubic B-spline weights of shape (n_pixels, n_cells + 3)."""
    position = (np.arange(n_pixels) + 0.5) * n_cells / n_pixels
    cell = position.astype(int)
    t = position - cell
    weights = (
        np.stack(
            [
                (1 - t) ** 3,
                3 * t**3 - 6 * t**2 + 4,
                -3 * t**3 + 3 * t**2 + 3 * t + 1,
                t**3,
            ],
            axis=1,
        )
        / 6
    )
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    spline = np.zeros((n_pixels, n_cells + 3))
    np.put_along_axis(spline, cell[:, None] + np.arange(4), weights, axis=1)
    spline.flags.writeable = False  # shared by all calls with the same size
    return spline
