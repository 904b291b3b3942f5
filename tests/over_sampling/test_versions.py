"""Versions of a source, for when there are fewer sources than synthetic samples."""

import numpy as np
import pytest

from gansampler import CycleGAN, GANOverSampler
from gansampler.exceptions import ShortfallError
from gansampler.images import ImageSequence
from gansampler.over_sampling import _generation
from gansampler.over_sampling._generation import _rotate, draw_sources, generate
from tests.over_sampling.translators import Invert


def is_shift(image, source, most=3):
    """Whether an image is its source, moved by a few pixels and reflected."""
    height, width = source.shape[:2]
    # Written out pixel by pixel, as a reference.
    for dy in range(-most, most + 1):
        for dx in range(-most, most + 1):
            rows = [abs(row + dy) for row in range(height)]
            columns = [abs(column + dx) for column in range(width)]
            rows = [min(row, 2 * (height - 1) - row) for row in rows]
            columns = [min(column, 2 * (width - 1) - column) for column in columns]
            if np.array_equal(image, source[np.ix_(rows, columns)]):
                return True
    return False


@pytest.fixture
def digits():
    """Nine images, each with one mark in a corner: mirrored, it is another digit."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (9, 10, 12, 3), dtype=np.uint8)


def grow(X, n_new, **flips):
    """Return the synthetic images from six sources, and their sources."""
    sampler = GANOverSampler(
        translator=Invert(**flips), sampling_strategy={1: 3 + n_new}, random_state=0
    )
    made = sampler.fit_resample(X, [0] * 6 + [1] * 3)[0][9:]
    assert len({image.tobytes() for image in made}) == n_new
    return 255 - made, X[sampler.sample_indices_[9:]]


def test_without_flips_sources_are_only_shifted(digits):
    images, sources = grow(digits, 100)
    assert all(map(is_shift, images, sources))
    # The smallest shifts come first: a round later, by one pixel.
    assert all(is_shift(*pair, 0) for pair in zip(images[:6], sources[:6], strict=True))
    second = zip(images[6:30], sources[6:30], strict=True)
    assert all(is_shift(*pair, 1) for pair in second)


@pytest.mark.parametrize(
    ("name", "axis"), [("horizontal_flip", 1), ("vertical_flip", 0)]
)
def test_with_one_flip_sources_are_flipped_that_way_and_shifted(digits, name, axis):
    images, sources = grow(digits, 100, **{name: True})
    flipped = [np.flip(source, axis) for source in sources]
    is_flipped = np.array([*map(is_shift, images, flipped)])
    assert all(np.array([*map(is_shift, images, sources)]) ^ is_flipped)
    assert is_flipped.sum() == 48
    np.testing.assert_array_equal(images[6:12], flipped[6:12])


def test_the_parameters_of_a_cyclegan_decide(digits):
    images = ImageSequence(digits)
    translator = CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=9)
    translator.fit(images, images)
    seen = []
    translator.translate = lambda X: seen.append(X) or 255 - X
    list(generate(translator, images, draw_sources(9, 40, seed=0), seed=0))
    chosen = draw_sources(9, 40, seed=0)
    assert all(map(is_shift, seen[0], digits[chosen]))


def test_equal_sources_use_up_every_version(digits):
    digits[:6] = digits[0]
    images, sources = grow(digits, 49)
    assert all(map(is_shift, images, sources))
    with pytest.raises(ShortfallError, match="horizontal_flip=True and vertical_flip"):
        grow(digits, 50)


@pytest.mark.parametrize(("flips", "most"), [({}, 294), ({"vertical_flip": True}, 588)])
def test_too_few_versions_are_an_error_before_training(
    digits, flips, most, monkeypatch
):
    grow(digits, most, **flips)

    def never_trains(*args, **kwargs):
        raise AssertionError("trained before the versions were counted")

    monkeypatch.setattr(Invert, "_fit", never_trains)
    message = rf"{most + 1} for class 1 are too many for 6 sources.*horizontal_flip=Tr"
    with pytest.raises(ShortfallError, match=message):
        grow(digits, most + 1, **flips)


@pytest.mark.parametrize("shape", [(8, 64), (64, 8), (8, 30), (9, 9)])
@pytest.mark.parametrize("angle", [0, 17, 45, 90, 211])
def test_rotation_leaves_no_black_corner(shape, angle):
    image = np.full((*shape, 3), 200, dtype=np.uint8)
    assert (_rotate(image, angle, False) == 200).all()


def test_noise_on_rows_is_a_share_of_the_deviation_of_the_sources(monkeypatch):
    # Chunks of one row: their deviation is zero.
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 1)
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(200, 3)) * [1, 10, 0]
    images = ImageSequence(sources)

    class Same:
        def translate(self, X):
            return X

    chosen = draw_sources(200, 1200, seed=0)
    chunks = list(generate(Same(), images, chosen, seed=0))
    rows = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_array_equal(rows[:200], sources[chosen[:200]])
    noise = rows[200:] - sources[chosen[200:]]
    expected = 0.1 * sources.std(axis=0)
    np.testing.assert_allclose(noise.std(axis=0), expected, rtol=0.1)
